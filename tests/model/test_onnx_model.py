"""An ONNX file drives as the model that it was made from; other files are refused."""

import json

import numpy as np
import pytest

from bcclone.dataset.images import BadImage
from bcclone.system.errors import UserError
from tests.conftest import run_script
from tests.lab.export_model.exports import exported_once

onnx = pytest.importorskip("onnx")
for package in ("tf2onnx", "onnxruntime"):
    pytest.importorskip(package)
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)


@pytest.fixture
def exported(tmp_path_factory):
    return lambda model: exported_once(tmp_path_factory, model, "onnx")


def check_same(model, exported):
    from bcclone.model.policy import load_policy

    own, exported = load_policy(model), load_policy(exported(model))
    assert (exported.seq_length, exported.carries_states) == (own.seq_length, own.carries_states)
    for _ in range(2):
        assert [exported.answer(frame).steering for frame in FRAMES] == pytest.approx(
            [own.answer(frame).steering for frame in FRAMES], abs=1e-5
        )
        for policy in (own, exported):
            policy.forget()


def test_it_drives_as_a_network_of_single_frames(untrained_model, exported):
    check_same(untrained_model, exported)


def test_it_drives_as_a_network_of_windows(untrained_window_model, exported):
    check_same(untrained_window_model, exported)


def test_it_drives_as_a_recurrent_network_which_carries_its_states(untrained_recurrent_model, exported):
    check_same(untrained_recurrent_model, exported)


def test_frames_of_another_size_are_refused(untrained_model, exported):
    from bcclone.model.policy import load_policy

    with pytest.raises(BadImage, match="expected 320x160"):
        load_policy(exported(untrained_model)).answer(FRAMES[0, :80])


def test_it_has_no_saliency_and_takes_no_preprocessing(untrained_model, exported):
    from bcclone.drive.saliency_thread import make_saliency_thread, seen_region_of
    from bcclone.model.policy import load_policy
    from bcclone.pictures.video.reference_model import open_reference_model

    path = exported(untrained_model)
    policy = load_policy(path)
    with make_saliency_thread(policy, None) as saliency:
        assert "ONNX" in saliency.unavailable
    assert seen_region_of(policy) == (0, 0, 1, 1)
    with pytest.raises(UserError, match=r"ONNX file; use the \.h5"):
        open_reference_model(path)
    with pytest.raises(UserError, match="leave out --preprocess"):
        load_policy(path, "carnd-128-rgb")


@pytest.mark.long
def test_commands_drive_and_score_it_as_the_model(untrained_model, simulated_recording, exported):
    models = (untrained_model, exported(untrained_model))
    own, exported = (json.loads(run_script("evaluate", model, "--laps", 0.02, "--json").stdout) for model in models)
    for measure in ("distance_m", "mean_abs_cross_track_m"):
        assert exported[measure] == pytest.approx(own[measure], abs=0.05)
    replayed = json.loads(run_script("replay", *models, simulated_recording, "--json").stdout)
    own, exported = (replayed["models"][str(model)] for model in models)
    assert exported["steering_correlation"] == pytest.approx(own["steering_correlation"], abs=0.01)


def test_a_suite_drives_it(untrained_model, exported):
    from bcclone.evaluate.suite_task import InputFile, load_on_one_core

    path = exported(untrained_model)
    policy = load_on_one_core(InputFile.of(path), "carnd-128-rgb")  # for the other models of the suite
    assert policy.model is None


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    from bcclone.model.onnx_model import OnnxModel

    with pytest.raises(UserError, match=r"no such model; write one with: bcclone export"):
        OnnxModel(tmp_path / "none.onnx")
    (tmp_path / "damaged.onnx").write_bytes(b"no protocol buffer")
    with pytest.raises(UserError, match="not an ONNX file that can be run"):
        OnnxModel(tmp_path / "damaged.onnx")


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [("frame", (66, 200, 3), "UINT8"), ("frame", (160, 320, 3), "FLOAT"), ("image", (160, 320, 3), "UINT8")],
)
def test_a_network_with_other_inputs_is_refused(name, shape, kind, tmp_path):
    from bcclone.model.onnx_model import OnnxModel

    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", [name], ["numbers"], to=kinds.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["means"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["means", "shape"], ["steering"]),
    ]
    given = [helper.make_tensor_value_info(name, getattr(kinds, kind), ["drives", *shape])]
    made = [helper.make_tensor_value_info("steering", kinds.FLOAT, ["drives", 1])]
    target = onnx.numpy_helper.from_array(np.array([-1, 1]), "shape")
    graph = helper.make_graph(nodes, "other", given, made, [target])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"expected camera frames, uint8 frame \(160, 320, 3\)"):
        OnnxModel(tmp_path / "other.onnx")
