"""Exported models take the camera's own picture and answer as the models that they were made from;
the program beside a file steers with it where nothing of bcclone is installed.
"""

import json
import os
import shutil
import sys
from dataclasses import astuple
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers
from packaging.requirements import Requirement

from bcclone.camera.framing import Framing, Lens
from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.evaluation.evaluate import evaluate
from bcclone.evaluation.predict import predict
from bcclone.evaluation.replay import replay
from bcclone.evaluation.settings import PredictSettings
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.foreign.litert_model import LiteRtModel
from bcclone.model.model_file import load_model, save_model
from bcclone.model.network import build_network
from bcclone.model.policy import load_policy
from bcclone.realcar.export import export_model, road_pictures
from bcclone.realcar.export_settings import FORMATS, ExportModelSettings
from bcclone.realcar.exported_file import open_exported
from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from tests.conftest import calibrated, made_once, shared
from tests.processes import said
from tests.realcar.exports import exported_once, steeper
from tests.running import ROOT, read_steering

for package in ("ai_edge_litert", "onnxruntime", "tf2onnx"):
    pytest.importorskip(package)

UNITS = [output.unit for output in OUTPUTS]
FRAME_FORMATS = ("onnx", "litert")  # which take whole frames of the simulator
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)
YUV = "nvidia-66x200-yuv"
LAKE = ROOT / "models" / "lake.h5"
MOST = 0.01  # that answers of untrained networks may differ on frames of noise
MOST_ON_A_ROAD = 0.005  # that the steering may differ on pictures of a road
FRAMING = Framing(160, 120, lens=Lens(120.0, 45.0, 79.5))
INPUTS = {"onnx": "frame", "litert": "frame", "donkeycar": "img_in"}
STEERING = {"onnx": "steering", "litert": "steering", "donkeycar": "n_outputs0"}
RUNTIMES = {"onnx": "onnxruntime", "litert": "ai-edge-litert", "donkeycar": "ai-edge-litert"}


@pytest.fixture
def exported(tmp_path_factory):
    return partial(exported_once, tmp_path_factory)


@pytest.fixture(scope="session")
def car(tmp_path_factory):
    """A trained model that is calibrated for a small camera."""

    def make(folder):
        calibrated(LAKE, folder / "car.h5", 0.5, 0.05, FRAMING)

    return made_once(tmp_path_factory, "trained-car", make) / "car.h5"


def answers(policy, pictures):
    return [policy.answer(picture).steering for picture in pictures]


def given(picture, kind):
    """Return a picture as a target takes it."""
    dtype = np.float32 if kind == "donkeycar" else np.uint8
    return {INPUTS[kind]: picture[np.newaxis].astype(dtype)}


def steering_of(path, kind, pictures):
    run = open_exported(path, kind)
    return [float(run(given(picture, kind))[STEERING[kind]][0, 0]) for picture in pictures]


# ---- the answers


@pytest.mark.parametrize("kind", FORMATS)
def test_every_target_takes_the_cameras_picture_and_frames_it(kind, car, exported):
    pictures = road_pictures(6, (160, 120))
    expected = answers(load_policy(car), pictures)
    found = steering_of(exported(car, kind), kind, pictures)
    assert found == pytest.approx(expected, abs=MOST_ON_A_ROAD)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAME_FORMATS)
def test_a_model_of_another_program_is_exported_with_its_preprocessing(kind, tmp_path):
    for number, model in enumerate(sorted(shared("legacy_models").glob("*.h5"))):
        (folder := tmp_path / str(number)).mkdir()
        output = folder / f"exported{FORMATS[kind]}"
        export_model(ExportModelSettings(model, kind, output, preprocess=YUV))
        expected = answers(load_policy(model, YUV), FRAMES)
        assert steering_of(output, kind, FRAMES) == pytest.approx(expected, abs=MOST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["any-camera", "any-road", "lake"])
def test_a_shipped_model_steers_in_every_runtime_as_in_bcclone(name, kind, tmp_path):
    model = ROOT / "models" / f"{name}.h5"
    output = tmp_path / f"exported{FORMATS[kind]}"
    export_model(ExportModelSettings(model, kind, output, camera=(320, 160)))
    pictures = road_pictures(6, (320, 160))
    expected = answers(load_policy(model), pictures)
    assert np.ptp(expected) > 10 * MOST_ON_A_ROAD
    found = steering_of(output, kind, pictures)
    assert found == pytest.approx(expected, abs=MOST_ON_A_ROAD)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAME_FORMATS)
@pytest.mark.parametrize("outputs", [1, len(OUTPUTS)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_answers_in_every_runtime_as_in_bcclone(name, outputs, kind, tmp_path):
    if ARCHITECTURES[name].recurrent and kind == "litert":
        pytest.skip("such a file drives in the program beside it alone, which has its own test")
    keras.utils.set_random_seed(1)
    seq_length = 3 if ARCHITECTURES[name].recurrent else 1
    network = build_network(seq_length=seq_length, network=name, outputs=outputs)
    model = tmp_path / "model.h5"
    save_model(model, network, Preprocessing(), {})
    output = tmp_path / f"exported{FORMATS[kind]}"
    export_model(ExportModelSettings(model, kind, output))
    known = 1 if kind == "litert" else outputs  # a LiteRT file drives by its steering alone
    policies = [load_policy(path) for path in (model, output)]
    for picture in FRAMES:  # in their order, since a recurrent network carries its states
        expected, found = (astuple(policy.answer(picture))[:known] for policy in policies)
        assert np.divide(found, UNITS[:known]) == pytest.approx(
            np.divide(expected, UNITS[:known]), abs=MOST
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAME_FORMATS)
def test_the_steering_of_a_file_is_from_minus_1_to_1(kind, untrained_model, tmp_path):
    sharp = steeper(untrained_model, tmp_path / "sharp.h5", factor=1000)
    path = tmp_path / f"sharp{FORMATS[kind]}"
    export_model(ExportModelSettings(sharp, kind, path))
    found = steering_of(path, kind, road_pictures(3, (320, 160)))
    assert set(map(abs, found)) == {1.0}


def made(*members, shape=(66, 200, 3)):
    model = keras.Sequential([keras.Input(shape), *members])
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.01, 0.3, weight.shape) for weight in model.get_weights()])
    return model


ACTIVATIONS = ["relu", "selu", "softsign", "silu"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ACTIVATIONS, "GRU", "LSTM", "SimpleRNN"])
def test_a_layer_computes_the_same_in_onnx(name, tmp_path):
    """The export compares the file's answers with what was written into it."""
    of_a_frame = [layers.Rescaling(1 / 127.5, -1), layers.Conv2D(3, 9, 9, activation="tanh")]
    shape = (66, 200, 3)
    if name in ACTIVATIONS:
        members = [*of_a_frame, layers.Conv2D(4, 3, activation=name), layers.GlobalMaxPooling2D()]
    else:
        shape = (3, *shape)
        network = keras.Sequential([keras.Input(shape[1:]), *of_a_frame, layers.Flatten()])
        recurrent = getattr(layers, name)
        members = [layers.TimeDistributed(network), layers.Dense(5, "tanh")]
        members += [recurrent(4, return_sequences=True), recurrent(3)]
    model = made(*members, layers.Dense(1, "tanh"), shape=shape)
    save_model(tmp_path / "model.h5", model, PRESETS[YUV])
    export_model(ExportModelSettings(tmp_path / "model.h5", "onnx"))


# ---- what is refused


def test_a_layer_that_onnx_lacks_is_refused_with_the_other_format(tmp_path):
    groups = layers.Conv2D(2, 3, groups=2)
    model = made(layers.Conv2D(4, 9, 9), groups, layers.GlobalMaxPooling2D(), layers.Dense(1))
    save_model(tmp_path / "model.h5", model, PRESETS[YUV])
    with pytest.raises(UserError, match="--to litert"):
        export_model(ExportModelSettings(tmp_path / "model.h5", "onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("onnx", {"output": Path("exported.h5")}, "must end in .onnx"),
        ("onnx", {"quantize": "float16"}, "quantize is only for --to litert and --to donkeycar"),
        ("litert", {"throttle_in_bends": 0.1}, "throttle_in_bends is only for --to donkeycar"),
        ("donkeycar", {"quantize": "int8"}, "needs pictures of the camera"),
        (
            "donkeycar",
            {"throttle_in_bends": 0.1, "throttle_speed_mph": 5.0},
            "both say where the car is slow",
        ),
        ("donkeycar", {"throttle": 1.5}, "throttle 1.5, expected 0 to 1"),
        ("donkeycar", {"camera": (4, 120)}, "camera 4x120, expected 8 to 4096"),
    ],
)
def test_settings_that_have_no_effect_or_no_sense_are_refused(kind, settings, expected):
    with pytest.raises((SettingError, UserError), match=expected):
        ExportModelSettings(Path("model.h5"), kind, **settings)


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [("onnx", "onnxruntime", "onnx"), ("donkeycar", "ai_edge_litert", "litert")],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    untrained_model, kind, package, extra, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    output = tmp_path / f"model{FORMATS[kind]}"
    with pytest.raises(UserError, match=rf"{package}.* pip install 'bcclone\[{extra}\]'"):
        export_model(ExportModelSettings(untrained_model, kind, output))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_not_kept(tmp_path):
    # rounding shows where the steering is within -1 to 1: at the first picture of the comparison
    export_model(ExportModelSettings(LAKE, "onnx", tmp_path / "lake.onnx"))
    first, *_ = road_pictures(20, (320, 160))
    answer = load_policy(tmp_path / "lake.onnx").answer(first)
    (folder := tmp_path / "steeper").mkdir()
    model = steeper(LAKE, folder / "millions.h5", straight_at=answer.steering)
    with pytest.raises(UserError, match="not written.*train it longer"):
        export_model(ExportModelSettings(model, "onnx", folder / "model.onnx"))
    assert list(folder.iterdir()) == [model]


def test_an_export_overwrites_only_by_force_and_no_program_of_the_user(
    untrained_model, exported, tmp_path
):
    before = exported(untrained_model, "litert")
    output = tmp_path / before.name
    shutil.copy(before, output)
    with pytest.raises(UserError, match="exists already; overwrite it with --force"):
        export_model(ExportModelSettings(untrained_model, "litert", output))
    export_model(ExportModelSettings(untrained_model, "litert", output, force=True))
    example = tmp_path / f"{output.name}.py"
    assert sorted(tmp_path.iterdir()) == [output, example]
    example.write_text("print('mine')\n")
    with pytest.raises(UserError, match="exists, and is no example program"):
        export_model(ExportModelSettings(untrained_model, "litert", output, force=True))
    assert example.read_text() == "print('mine')\n"


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_of_another_size_or_with_points_are_refused(kind, car, exported):
    run = open_exported(exported(car, kind), kind)
    wrong = [
        given(np.zeros((*size, 3), np.uint8), kind)
        for size in ((160, 320), (60, 80), (120, 161), (60, 320))
    ]
    if kind in FRAME_FORMATS:
        pictures = np.full((1, 120, 160, 3), 90, np.float32)
        wrong += [{"frame": pictures}, {"frame": pictures / 255}]
    for inputs in wrong:
        with pytest.raises((RuntimeError, ValueError, UserError)):
            run(inputs)


# ---- what is said and stated


@pytest.mark.slow
def test_the_size_of_the_pictures_can_be_chosen(car, untrained_model, tmp_path):
    larger = tmp_path / "larger.tflite"
    result = export_model(ExportModelSettings(car, "litert", larger, camera=(640, 480)))
    assert result.inputs == {"frame": (480, 640, 3)}
    assert result.greatest_difference <= 2 * MOST_ON_A_ROAD
    # without a framing, the picture is stretched
    stretched = tmp_path / "stretched.onnx"
    settings = ExportModelSettings(untrained_model, "onnx", stretched, camera=(200, 150))
    result = export_model(settings)
    assert result.inputs == {"frame": (150, 200, 3)}
    assert result.framing == Framing(200, 150).describe()
    with pytest.raises(UserError, match="another shape.*--camera"):
        export_model(ExportModelSettings(car, "onnx", camera=(320, 160)))


def stated_by(path):
    """Return the metadata in a file."""
    if path.suffix == ".onnx":
        import onnx

        return {each.key: each.value for each in onnx.load(path).metadata_props}
    from tensorflow.lite.tools.flatbuffer_utils import read_model

    model = read_model(path)
    texts = {entry.name.decode(): model.buffers[entry.buffer].data for entry in model.metadata}
    stated = {name: bytes(text).decode() for name, text in texts.items() if "bcclone" in name}
    return stated | {"description": model.description.decode()}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_metadata_state_what_the_file_takes_and_how_it_was_trained(kind, car, exported):
    stated = stated_by(exported(car, kind))
    assert "160x120 pixels, RGB, 0 to 255" in stated["description"]
    assert json.loads(stated["bcclone_picture"]) == {
        "input": INPUTS[kind],
        "width": 160,
        "height": 120,
        "colors": "RGB",
        "range": [0, 255],
        "type": "float32" if kind == "donkeycar" else "uint8",
    }
    assert json.loads(stated["bcclone_framing"]) == json.loads(FRAMING.to_json())
    preprocessing = Preprocessing.from_json(stated["bcclone_preprocessing"])
    assert preprocessing == load_model(car).preprocessing
    assert stated["bcclone_seq_length"] == "1"
    assert isinstance(json.loads(stated["bcclone_training"]), dict)


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
    path = exported(car, kind)
    program = path.with_name(f"{path.name}.py")
    expected = pytest.approx(answers(load_policy(car), pictures), abs=MOST_ON_A_ROAD)
    assert printed_steering(bare(runtime, program, *paths)) == expected
    # it says what it takes, without a picture and for one of another size
    assert "160x120 pixels, RGB" in bare(runtime, program).stderr
    _, (larger,) = pictures_in(tmp_path, (320, 160), count=1)
    refused = bare(runtime, program, larger)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "(160, 320, 3), expected (120, 160, 3)" in refused.stderr
    # nor does it end in a traceback without a picture, or without the file
    for missing in (tmp_path / "none.png", program):
        refused = bare(runtime, program, missing)
        assert f"{missing}: " in refused.stderr
        assert "expected a picture of the camera" in refused.stderr
        assert "Traceback" not in refused.stderr
    alone = shutil.copy(program, tmp_path)
    refused = bare(runtime, alone, *paths)
    assert "no such file; keep this program beside the exported file" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes are those of Linux")
@pytest.mark.parametrize("kind", FRAME_FORMATS)
def test_the_program_beside_a_file_whose_name_is_not_utf_8_steers(
    kind, untrained_model, exported, bare, tmp_path
):
    _, paths = pictures_in(tmp_path, (320, 160))
    path = exported(untrained_model, kind)
    usual = path.with_name(f"{path.name}.py")
    strange = tmp_path / f"caf\udce9{path.suffix}"
    shutil.copy(path, strange)
    program = shutil.copy(usual, tmp_path / f"{strange.name}.py")
    of_both = [printed_steering(bare(RUNTIMES[kind], each, *paths)) for each in (usual, program)]
    assert of_both[0] == of_both[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAME_FORMATS)
def test_the_program_of_a_network_of_several_pictures_remembers_the_drive(
    kind, untrained_window_model, untrained_recurrent_model, exported, bare, tmp_path
):
    pictures, paths = pictures_in(tmp_path, (320, 160))
    for model in (untrained_window_model, untrained_recurrent_model):
        path = exported(model, kind)
        done = bare(RUNTIMES[kind], path.with_name(f"{path.name}.py"), *paths)
        expected = pytest.approx(answers(load_policy(model), pictures), abs=MOST_ON_A_ROAD)
        assert printed_steering(done) == expected


# ---- in bcclone


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_bcclone_takes_pictures_with_an_exported_file_and_no_frames(
    kind, car, exported, simulated_recording, tmp_path
):
    path = exported(car, kind)
    (folder := tmp_path / "pictures").mkdir()
    pictures_in(folder, (160, 120), count=1)
    pictures_in(folder, (320, 240), count=2)  # larger ones of the same camera
    tables = []
    for number, model in enumerate((car, path)):
        output = tmp_path / f"{number}.csv"
        predict(PredictSettings(model, folder, output))
        tables.append(read_steering(output))
    assert tables[1] == pytest.approx(tables[0], abs=4 * MOST_ON_A_ROAD)
    with pytest.raises(UserError, match="leave out --rows and --framing"):
        predict(PredictSettings(path, folder, tmp_path / "rows.csv", rows=(0, 80)))
    for score in (evaluate, lambda model: replay([model], simulated_recording)):
        with pytest.raises(UserError, match=r"160x120 pixels, so it cannot .* name the \.h5"):
            score(path)


def test_a_driver_asks_an_exported_file_for_its_outputs(car, exported):
    policy = load_policy(exported(car, "onnx"))
    with pytest.raises(UserError, match="no output predicted_speed_mph"):
        Driver(policy, SpeedSettings(predicted_speed=True))


def test_an_exported_litert_file_is_read_only_as_it_was_written(car, exported, tmp_path):
    path = exported(car, "litert")
    assert LiteRtModel(path).framing == FRAMING
    with pytest.raises(UserError, match="leave out --preprocess"):
        load_policy(path, "carnd-128-rgb")
    content = path.read_bytes()
    for before, after in ((b'"width": 160', b'"width": 161'), (b'{"width"', b'<"width"')):
        assert before in content
        damaged = tmp_path / "damaged.tflite"
        damaged.write_bytes(content.replace(before, after))
        with pytest.raises(UserError, match="damaged.tflite"):
            load_policy(damaged)
