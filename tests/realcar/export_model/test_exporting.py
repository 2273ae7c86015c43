"""Exported models answer as the models that they were made from."""

import json
import shutil
import sys
from functools import partial

import numpy as np
import pytest

from bcclone.camera.framing import Framing, Lens
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.policy import load_policy
from bcclone.realcar.export_model.export_settings import FORMATS, ExportModelSettings
from bcclone.realcar.export_model.exported_files import open_exported
from bcclone.realcar.export_model.model_export import export_model
from bcclone.system.errors import UserError
from tests.conftest import calibrated, result_of, run_script, shared
from tests.realcar.export_model.exports import exported_once, steeper

FRAME_FORMATS = ("onnx", "litert", "saved-model")  # which take whole frames of the simulator
PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",), "saved-model": ()}
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)
YUV = "nvidia-66x200-yuv"
MOST = 1e-5  # that answers may differ


@pytest.fixture(
    params=[
        pytest.param(kind, marks=pytest.mark.slow if kind == "saved-model" else ())
        for kind in FRAME_FORMATS
    ]
)
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


@pytest.mark.parametrize("kind", ["litert", pytest.param("saved-model", marks=pytest.mark.slow)])
def test_an_existing_export_is_overwritten_only_by_force(kind, untrained_model, exported, tmp_path):
    for package in PACKAGES[kind]:
        pytest.importorskip(package)
    before = exported(untrained_model, kind)
    output = tmp_path / before.name
    (shutil.copytree if before.is_dir() else shutil.copy)(before, output)
    with pytest.raises(UserError, match=r"exists already; overwrite it with --force"):
        export_model(ExportModelSettings(untrained_model, kind, output))
    export_model(ExportModelSettings(untrained_model, kind, output, force=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name]


def test_a_folder_that_is_no_saved_model_is_never_replaced(untrained_model, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").touch()
    with pytest.raises(UserError, match="is no saved-model"):
        export_model(
            ExportModelSettings(untrained_model, "saved-model", tmp_path / "own", force=True)
        )
    assert (tmp_path / "own" / "notes.txt").exists()


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("onnx", "model.h5", "must end in .onnx"),
        ("saved-model", "model.h5", "must not end in"),
    ],
)
def test_a_name_with_the_ending_of_another_format_is_refused(
    untrained_model, kind, name, expected, tmp_path
):
    for package in PACKAGES[kind]:
        pytest.importorskip(package)
    with pytest.raises(UserError, match=expected):
        export_model(ExportModelSettings(untrained_model, kind, tmp_path / name))


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


def test_an_onnx_file_has_the_gain_and_names_the_framing(untrained_model, onnx, tmp_path):
    framing, frame = (
        Framing(160, 120, lens=Lens(120.0, 45.0, 79.5)),
        np.full((160, 320, 3), 90, np.uint8),
    )
    car = calibrated(untrained_model, tmp_path / "car.h5", 0.5, 0.05, framing)
    result = result_of("export", car, "-o", tmp_path / "car.onnx", "--to", "onnx")
    assert (tmp_path / "car.onnx").stat().st_size == pytest.approx(
        1e6 * result["megabytes"], abs=1e3
    )
    assert (result["to"], result["inputs"], result["outputs"]) == (
        "onnx",
        {"frame": [160, 320, 3]},
        {"steering": [1]},
    )
    assert result["greatest_difference"] <= MOST
    own, exported = load_policy(untrained_model), load_policy(tmp_path / "car.onnx")
    assert (own.framing, exported.framing) == (None, framing)
    assert exported.answer(frame).steering == pytest.approx(
        0.5 * own.answer(frame).steering + 0.05, abs=1e-6
    )


def test_what_rounding_makes_of_a_steep_network_is_no_other_answer(untrained_model, tmp_path):
    pytest.importorskip("ai_edge_litert")
    model = steeper(untrained_model, tmp_path / "steep.h5", 300)
    result = export_model(ExportModelSettings(model, "litert", tmp_path / "steep.tflite"))
    assert 1e-5 < result.greatest_difference < 1e-3


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_not_kept(onnx, untrained_model, tmp_path):
    model = steeper(untrained_model, tmp_path / "millions.h5")
    with pytest.raises(
        UserError, match="not written, because its answers.*move the model's own answers.*train it"
    ):
        export_model(ExportModelSettings(model, "onnx", tmp_path / "model.onnx"))
    assert list(tmp_path.iterdir()) == [model]


@pytest.mark.parametrize(
    ("kind", "ending", "package", "extra"),
    [("onnx", ".onnx", "onnxruntime", "onnx"), ("donkeycar", ".tflite", "ai_edge_litert.interpreter", "litert")],
)  # fmt: skip
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    untrained_model, onnx, kind, ending, package, extra, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError, match=rf"{package.split('.')[0]}.* pip install 'bcclone\[{extra}\]'"
    ):
        export_model(ExportModelSettings(untrained_model, kind, tmp_path / f"model{ending}"))
    assert not list(tmp_path.iterdir())
