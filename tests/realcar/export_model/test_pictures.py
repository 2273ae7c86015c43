"""An exported file of every target takes the camera's own picture, and refuses what it would answer
wrongly; the program beside it steers with it where nothing of bcclone is installed.
"""

import json
import os
import sys
from importlib.metadata import distribution
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

from bcclone.camera.framing import Framing, Lens
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.evaluation.evaluate import evaluate
from bcclone.evaluation.evaluate_settings import PredictSettings
from bcclone.evaluation.predict import predict
from bcclone.evaluation.replay import replay
from bcclone.evaluation.steering_table import read_steering
from bcclone.model.foreign.litert_model import LiteRtModel
from bcclone.model.model_file import load_model, save_model
from bcclone.model.policy import load_policy
from bcclone.realcar.export_model.export_settings import FORMATS, ExportModelSettings
from bcclone.realcar.export_model.exported_files import open_exported
from bcclone.realcar.export_model.model_export import export_model, road_pictures
from bcclone.system.errors import UserError
from tests.conftest import calibrated, made_once
from tests.processes import said
from tests.running import ROOT

for package in ("ai_edge_litert", "onnxruntime", "tf2onnx"):
    pytest.importorskip(package)

FRAMING = Framing(160, 120, lens=Lens(120.0, 45.0, 79.5))
INPUTS = {"onnx": "frame", "litert": "frame", "donkeycar": "img_in"}
STEERING = {"onnx": "steering", "litert": "steering", "donkeycar": "n_outputs0"}
MOST = 0.005  # that the steering may differ on pictures of a road


@pytest.fixture(scope="session")
def car(tmp_path_factory):
    """A trained model that is calibrated for a small camera."""

    def make(folder):
        calibrated(ROOT / "models" / "lake.h5", folder / "car.h5", 0.5, 0.05, FRAMING)

    return made_once(tmp_path_factory, "trained-car", make) / "car.h5"


@pytest.fixture(scope="session")
def exported(car, tmp_path_factory):
    """Return the function that exports the calibrated model to a target, once."""

    def export(kind):
        name = f"car{FORMATS[kind][0]}"

        def make(folder):
            export_model(ExportModelSettings(car, kind, folder / name))

        return made_once(tmp_path_factory, f"trained-car-as-{kind}", make) / name

    return export


def given(picture, kind):
    """Return a picture as a target takes it."""
    dtype = np.float32 if kind == "donkeycar" else np.uint8
    return {INPUTS[kind]: picture[np.newaxis].astype(dtype)}


def steering_of(path, kind, pictures):
    run = open_exported(path, kind)
    return [float(run(given(picture, kind))[STEERING[kind]][0, 0]) for picture in pictures]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_target_takes_the_cameras_picture_and_frames_it(kind, car, exported):
    pictures = road_pictures(6, (160, 120))
    policy = load_policy(car)
    expected = [policy.answer(picture).steering for picture in pictures]
    assert steering_of(exported(kind), kind, pictures) == pytest.approx(expected, abs=MOST)


def test_a_donkeycar_file_takes_0_to_255_and_0_to_1(exported):
    run = open_exported(exported("donkeycar"), "donkeycar")
    dark = np.full((1, 120, 160, 3), 2, np.float32)
    for picture in (*road_pictures(2, (160, 120)), dark[0]):
        whole = given(picture, "donkeycar")
        parts = {"img_in": whole["img_in"] / np.float32(255)}
        assert run(parts)["n_outputs0"] == pytest.approx(run(whole)["n_outputs0"], abs=1e-5)


@pytest.mark.slow
def test_a_donkeycar_file_of_whole_numbers_takes_0_to_255_and_0_to_1(car, tmp_path):
    for number, picture in enumerate(road_pictures(60, (160, 120))):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture[..., ::-1])
    path = tmp_path / "car.tflite"
    export_model(ExportModelSettings(car, "donkeycar", path, quantize="int8", calibrate=tmp_path))
    run = open_exported(path, "donkeycar")
    (picture,) = road_pictures(1, (160, 120))
    whole = given(picture, "donkeycar")
    parts = {"img_in": whole["img_in"] / np.float32(255)}
    assert run(parts)["n_outputs0"] == pytest.approx(run(whole)["n_outputs0"], abs=1e-3)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "size", [(160, 120), (160, 320), (240, 320), (60, 80), (120, 161), (60, 320)]
)
def test_pictures_of_another_size_are_refused(kind, size, exported):
    run = open_exported(exported(kind), kind)
    with pytest.raises((RuntimeError, ValueError, UserError)):
        run(given(np.zeros((*size, 3), np.uint8), kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_the_steering_of_a_file_is_from_minus_1_to_1(kind, untrained_model, tmp_path):
    file = load_model(untrained_model)
    *_, last = file.model.layers
    kernel, bias = last.get_weights()
    last.set_weights([1000 * kernel, bias])  # it answers far beyond full steering
    save_model(tmp_path / "sharp.h5", file.model, file.preprocessing, {})
    exported = tmp_path / f"sharp{FORMATS[kind][0]}"
    export_model(ExportModelSettings(tmp_path / "sharp.h5", kind, exported))
    answers = steering_of(exported, kind, road_pictures(3, (320, 160)))
    assert set(map(abs, answers)) == {1.0}


@pytest.mark.parametrize("kind", ["onnx", "litert"])
@pytest.mark.parametrize("factor", [1, 1 / 255])
def test_numbers_with_a_point_are_refused(kind, factor, exported):
    run = open_exported(exported(kind), kind)
    picture = np.full((1, 120, 160, 3), 90 * factor, np.float32)
    with pytest.raises((ValueError, UserError)):
        run({"frame": picture})


@pytest.mark.slow
def test_the_size_of_the_pictures_can_be_chosen(car, untrained_model, tmp_path):
    larger = tmp_path / "larger.tflite"
    result = export_model(ExportModelSettings(car, "litert", larger, camera=(640, 480)))
    assert result.inputs == {"frame": (480, 640, 3)}
    assert result.greatest_difference <= 2 * MOST
    # without a framing, the picture is stretched
    stretched = tmp_path / "stretched.onnx"
    result = export_model(
        ExportModelSettings(untrained_model, "onnx", stretched, camera=(200, 150))
    )
    assert (result.inputs, result.framing) == (
        {"frame": (150, 200, 3)},
        Framing(200, 150).describe(),
    )
    with pytest.raises(UserError, match="another shape.*--camera"):
        export_model(ExportModelSettings(car, "onnx", camera=(320, 160)))


# ---- what the file says


def stated_by(path):
    """Return the description and the metadata in a file."""
    if path.suffix == ".onnx":
        import onnx

        stated = {each.key: each.value for each in onnx.load(path).metadata_props}
        return stated.pop("description"), stated
    from tensorflow.lite.tools.flatbuffer_utils import read_model

    model = read_model(path)
    stated = {entry.name.decode(): model.buffers[entry.buffer].data for entry in model.metadata}
    return model.description.decode(), {
        name: bytes(data).decode() for name, data in stated.items() if name.startswith("bcclone")
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_the_metadata_state_size_colours_and_range(kind, exported):
    description, stated = stated_by(exported(kind))
    assert "160x120 pixels, RGB, 0 to 255" in description
    assert json.loads(stated["bcclone_picture"]) == {
        "input": INPUTS[kind],
        "width": 160,
        "height": 120,
        "colors": "RGB",
        "range": [0, 255],
        "type": "float32" if kind == "donkeycar" else "uint8",
    }
    assert json.loads(stated["bcclone_framing"]) == json.loads(FRAMING.to_json())


# ---- the program beside it


def environment_of(folder, *packages):
    """Fill a folder with links to these installed packages and to what they require."""
    names = list(packages)
    for name in names:
        found = distribution(name)
        for text in found.requires or ():
            required = Requirement(text)
            applies = required.marker is None or required.marker.evaluate({"extra": ""})
            if applies and required.name not in names:
                names.append(required.name)
        for top in {file.parts[0] for file in found.files or ()}:
            target = Path(found.locate_file(top))
            link = folder / top
            if top != ".." and target.exists() and not link.exists():
                link.symlink_to(target)


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """Return the function that runs a program where only some packages are installed."""

    def run(runtime, *line, **options):
        packages = (runtime, "numpy", "pillow")
        folder = made_once(
            tmp_path_factory, f"bare-{runtime}", lambda folder: environment_of(folder, *packages)
        )
        environment = os.environ | {"PYTHONPATH": str(folder)}
        return said(sys.executable, "-S", *line, env=environment, **options)

    return run


RUNTIMES = {"onnx": "onnxruntime", "litert": "ai-edge-litert", "donkeycar": "ai-edge-litert"}


def pictures_in(folder, size, count=3):
    """Write pictures along a road; return them and their paths."""
    pictures = road_pictures(count, size)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path, picture in zip(paths, pictures, strict=True):
        cv2.imwrite(str(path), picture[..., ::-1])
    return pictures, paths


def printed_steering(done):
    assert done.returncode == 0, done.stderr
    return [float(line.split()[-1]) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_the_program_beside_the_file_steers_without_bcclone(kind, car, exported, bare, tmp_path):
    runtime = RUNTIMES[kind]
    assert bare(runtime, "-c", "import keras").returncode == 1
    pictures, paths = pictures_in(tmp_path, (160, 120))
    program = exported(kind).with_name(f"{exported(kind).name}.py")
    policy = load_policy(car)
    expected = [policy.answer(picture).steering for picture in pictures]
    assert printed_steering(bare(runtime, program, *paths)) == pytest.approx(expected, abs=MOST)
    # it says what it takes, without a picture and for one of another size
    assert "160x120 pixels, RGB" in bare(runtime, program).stderr
    _, (larger,) = pictures_in(tmp_path, (320, 160), count=1)
    refused = bare(runtime, program, larger)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "(160, 320, 3), expected (120, 160, 3)" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_the_program_of_a_network_of_several_pictures_remembers_the_drive(
    kind, untrained_window_model, untrained_recurrent_model, bare, tmp_path
):
    pictures, paths = pictures_in(tmp_path, (320, 160))
    for model in (untrained_window_model, untrained_recurrent_model):
        output = tmp_path / f"{model.stem}{FORMATS[kind][0]}"
        result = export_model(ExportModelSettings(model, kind, output, force=True))
        policy = load_policy(model)
        expected = [policy.answer(picture).steering for picture in pictures]
        done = bare(RUNTIMES[kind], result.example, *paths)
        assert printed_steering(done) == pytest.approx(expected, abs=MOST)


def test_a_program_of_the_users_is_kept(untrained_model, tmp_path):
    mine = tmp_path / "car.onnx.py"
    mine.write_text("print('mine')\n")
    with pytest.raises(UserError, match="exists, and is no example program"):
        export_model(
            ExportModelSettings(untrained_model, "onnx", tmp_path / "car.onnx", force=True)
        )
    assert list(tmp_path.iterdir()) == [mine]
    assert mine.read_text() == "print('mine')\n"


# ---- in bcclone


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_bcclone_takes_pictures_with_an_exported_file_and_no_frames(
    kind, car, exported, simulated_recording, tmp_path
):
    path = exported(kind)
    (folder := tmp_path / "pictures").mkdir()
    pictures_in(folder, (160, 120), count=1)
    pictures_in(folder, (320, 240), count=2)  # larger ones of the same camera
    tables = []
    for number, model in enumerate((car, path)):
        output = tmp_path / f"{number}.csv"
        predict(PredictSettings(model, folder, output))
        tables.append(read_steering(output))
    assert tables[1] == pytest.approx(tables[0], abs=4 * MOST)
    with pytest.raises(UserError, match="leave out --rows and --framing"):
        predict(PredictSettings(path, folder, tmp_path / "rows.csv", rows=(0, 80)))
    for score in (evaluate, lambda model: replay([model], simulated_recording)):
        with pytest.raises(UserError, match=r"160x120 pixels, so it cannot .* name the \.h5"):
            score(path)


def test_a_driver_asks_an_exported_file_for_its_outputs(exported):
    policy = load_policy(exported("onnx"))
    with pytest.raises(UserError, match="no output predicted_speed_mph"):
        Driver(policy, SpeedSettings(predicted_speed=True))


def test_an_exported_litert_file_takes_no_preprocessing(exported):
    path = exported("litert")
    assert LiteRtModel(path).framing == FRAMING
    with pytest.raises(UserError, match="leave out --preprocess"):
        load_policy(path, "carnd-128-rgb")


def test_an_exported_litert_file_with_damaged_metadata_is_refused(exported, tmp_path):
    content = exported("litert").read_bytes()
    for before, after in ((b'"width": 160', b'"width": 161'), (b'{"width"', b'<"width"')):
        assert before in content
        damaged = tmp_path / "damaged.tflite"
        damaged.write_bytes(content.replace(before, after))
        with pytest.raises(UserError, match="not a LiteRT file of one picture that can be run"):
            load_policy(damaged)
