"""Exported models answer as the models that they were made from."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from bcclone.camera.framing import Framing, Lens
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.model_file import save_model
from bcclone.model.policy import load_policy
from bcclone.realcar.export_model.export_settings import FORMATS, ExportModelSettings
from bcclone.realcar.export_model.exported_files import open_exported
from bcclone.realcar.export_model.model_export import export_model, road_pictures
from bcclone.system.errors import UserError
from tests.conftest import calibrated, shared
from tests.realcar.export_model.exports import exported_once, steeper
from tests.running import ROOT, result_of, run_script

FRAME_FORMATS = ("onnx", "litert")  # which take whole frames of the simulator
PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)
YUV = "nvidia-66x200-yuv"
LAKE = ROOT / "models" / "lake.h5"
MOST = 0.01  # that answers of untrained networks may differ on frames of noise


@pytest.fixture(params=FRAME_FORMATS)
def kind(request):
    for package in PACKAGES[request.param]:
        pytest.importorskip(package)
    return request.param


@pytest.fixture
def onnx():
    for package in PACKAGES["onnx"]:
        pytest.importorskip(package)
    return pytest.importorskip("onnx")


@pytest.fixture
def exported(tmp_path_factory):
    return partial(exported_once, tmp_path_factory)


def answers(policy, frames):
    return [policy.answer(frame).steering for frame in frames]


def test_an_exported_model_takes_camera_frames_and_answers_as_the_model(
    kind, untrained_model, exported
):
    run = open_exported(exported(untrained_model, kind), kind)
    found = [float(run({"frame": frame[np.newaxis]})["steering"][0, 0]) for frame in FRAMES]
    assert found == pytest.approx(answers(load_policy(untrained_model), FRAMES), abs=MOST)


@pytest.mark.slow
def test_a_network_of_windows_takes_camera_frames_oldest_first(
    kind, untrained_window_model, exported
):
    run = open_exported(exported(untrained_window_model, kind), kind)
    last = answers(load_policy(untrained_window_model), FRAMES[:3])[-1]
    assert float(run({"frame": FRAMES[np.newaxis, :3]})["steering"][0, 0]) == pytest.approx(
        last, abs=MOST
    )


@pytest.mark.slow
def test_a_recurrent_network_takes_one_frame_and_its_states(
    kind, untrained_recurrent_model, tmp_path
):
    output = tmp_path / f"exported{FORMATS[kind][0]}"
    result = export_model(ExportModelSettings(untrained_recurrent_model, kind, output))
    assert result.greatest_difference <= MOST
    run = open_exported(output, kind)
    names = [name for name in result.inputs if name != "frame"]
    assert [f"next_{name}" for name in names] == [
        name for name in result.outputs if name != "steering"
    ]
    before = {name: np.zeros((1, *result.inputs[name]), np.float32) for name in names}
    after = run({"frame": FRAMES[:1]} | before)
    assert all(np.abs(after[f"next_{name}"]).max() > 0 for name in names)


@pytest.mark.slow
def test_a_model_of_another_program_is_exported_with_its_preprocessing(kind, tmp_path):
    for number, model in enumerate(sorted(shared("legacy_models").glob("*.h5"))):
        (folder := tmp_path / str(number)).mkdir()
        output = folder / f"exported{FORMATS[kind][0]}"
        export_model(ExportModelSettings(model, kind, output, preprocess=YUV))
        run = open_exported(output, kind)
        found = [float(run({"frame": frame[np.newaxis]})["steering"][0, 0]) for frame in FRAMES]
        assert found == pytest.approx(answers(load_policy(model, YUV), FRAMES), abs=MOST)


def test_an_existing_export_is_overwritten_only_by_force(untrained_model, exported, tmp_path):
    pytest.importorskip("ai_edge_litert")
    before = exported(untrained_model, "litert")
    output = tmp_path / before.name
    shutil.copy(before, output)
    with pytest.raises(UserError, match=r"exists already; overwrite it with --force"):
        export_model(ExportModelSettings(untrained_model, "litert", output))
    export_model(ExportModelSettings(untrained_model, "litert", output, force=True))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [output.name, f"{output.name}.py"]


@pytest.mark.parametrize(("kind", "ending"), [("onnx", ".onnx"), ("litert", ".tflite")])
def test_a_name_with_the_ending_of_another_format_is_refused(kind, ending):
    with pytest.raises(UserError, match=f"must end in {ending}"):
        ExportModelSettings(Path("model.h5"), kind, Path("exported.h5"))


def test_an_exported_file_is_no_model_to_train_or_to_export(
    untrained_model, onnx, exported, tmp_path
):
    done = run_script(
        "export",
        exported(untrained_model, "onnx"),
        "-o",
        tmp_path / "again.onnx",
        "--to",
        "onnx",
        code=1,
    )
    assert "name the .h5 that it was made from" in done.stderr


def test_the_onnx_file_states_its_preprocessing_and_training(untrained_model, onnx, exported):
    stored = {
        each.key: each.value for each in onnx.load(exported(untrained_model, "onnx")).metadata_props
    }
    assert Preprocessing.from_json(stored["bcclone_preprocessing"]) == Preprocessing()
    assert stored["bcclone_seq_length"] == "1"
    assert isinstance(json.loads(stored["bcclone_training"]), dict)


def test_an_onnx_file_has_the_gain_and_the_framing(onnx, tmp_path):
    framing = Framing(160, 120, lens=Lens(120.0, 45.0, 79.5))
    picture = np.full((120, 160, 3), 90, np.uint8)
    car = calibrated(LAKE, tmp_path / "car.h5", 0.5, 0.05, framing)
    result = result_of("export", car, "-o", tmp_path / "car.onnx", "--to", "onnx")
    assert (tmp_path / "car.onnx").stat().st_size == pytest.approx(
        1e6 * result["megabytes"], abs=1e3
    )
    assert (result["to"], result["inputs"], result["outputs"]) == (
        "onnx",
        {"frame": [120, 160, 3]},
        {"steering": [1]},
    )
    assert result["greatest_difference"] <= 0.005
    own = load_policy(LAKE)
    exported = load_policy(tmp_path / "car.onnx")
    assert (own.framing, exported.framing) == (None, framing)
    assert exported.answer(picture).steering == pytest.approx(
        0.5 * own.answer(framing.apply(picture)).steering + 0.05, abs=1e-6
    )


def test_the_difference_of_the_steering_is_measured_and_said(untrained_model, tmp_path):
    pytest.importorskip("ai_edge_litert")
    # its answers are small; beyond full steering, the file would answer otherwise
    model = untrained_model
    done = run_script("export", model, "-o", tmp_path / "model.tflite", "--to", "litert", "--json")
    result = json.loads(done.stdout)
    own = load_policy(model)
    run = open_exported(tmp_path / "model.tflite", "litert")
    frames = road_pictures(result["frames"], (320, 160))
    apart = [
        abs(own.answer(frame).steering - run({"frame": frame[np.newaxis]})["steering"][0, 0])
        for frame in frames
    ]
    assert 0 < result["mean_difference"] == pytest.approx(np.mean(apart), rel=1e-3)
    assert result["greatest_difference"] == pytest.approx(np.max(apart), rel=1e-3)
    said = run_script(
        "export", model, "-o", tmp_path / "model.tflite", "--to", "litert", "--force"
    ).stdout
    assert (
        f"by {np.mean(apart):.1e} on average and {np.max(apart):.1e} at most, on 20 frames of the "
        "simul" in said
    )


@pytest.mark.parametrize("text", ["64x64, HSV", "64x64, YUV-Y", "64x64, cubic", "64x64, nearest"])
def test_a_preparation_that_the_formats_do_not_express_is_refused(text, tmp_path):
    preprocessing = Preprocessing.of(text)
    layers = [
        keras.Input(preprocessing.shape),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
    ]
    network = keras.Sequential([*layers, keras.layers.Dense(1)])
    save_model(tmp_path / "model.h5", network, preprocessing)
    with pytest.raises(UserError, match=r"is not exported, only .*; drive the model itself"):
        export_model(ExportModelSettings(tmp_path / "model.h5", "litert"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_not_kept(onnx, tmp_path):
    # rounding shows where the steering is within -1 to 1: at the first picture of the comparison
    export_model(ExportModelSettings(LAKE, "onnx", tmp_path / "lake.onnx"))
    first, *_ = road_pictures(20, (320, 160))
    answer = load_policy(tmp_path / "lake.onnx").answer(first)
    (folder := tmp_path / "steeper").mkdir()
    model = steeper(LAKE, folder / "millions.h5", straight_at=answer.steering)
    with pytest.raises(
        UserError, match="not written, because its answers.*magnifies rounding: train it"
    ):
        export_model(ExportModelSettings(model, "onnx", folder / "model.onnx"))
    assert list(folder.iterdir()) == [model]


@pytest.mark.parametrize(
    ("kind", "ending", "package", "extra"),
    [
        ("onnx", ".onnx", "onnxruntime", "onnx"),
        ("donkeycar", ".tflite", "ai_edge_litert.interpreter", "litert"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    untrained_model, onnx, kind, ending, package, extra, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError, match=rf"{package.split('.')[0]}.* pip install 'bcclone\[{extra}\]'"
    ):
        export_model(ExportModelSettings(untrained_model, kind, tmp_path / f"model{ending}"))
    assert not list(tmp_path.iterdir())
