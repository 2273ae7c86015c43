"""ONNX files of other programs drive with --preprocess, channels first or last, or are refused."""

import numpy as np
import pytest

from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
FRAME = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)
CHANNELS_FIRST = ("input", [1, 3, 66, 200], "FLOAT")
TEXT = "rows 60-140, 200x66, RGB, 0..1"


def network(tmp_path, *inputs, axis=1, outputs=("output",)):
    """Write a network whose outputs are the mean of the red pixels; axis: of the channels."""
    kinds = onnx.TensorProto
    make = onnx.helper.make_node
    name = inputs[0][0]
    nodes = [
        make("Cast", [name], ["numbers"], to=kinds.FLOAT),
        make("Gather", ["numbers", "red"], ["reds"], axis=axis),
        make("ReduceMean", ["reds"], ["mean"], keepdims=0),
    ]
    nodes += [make("Reshape", ["mean", "shape"], [output]) for output in outputs]
    given = [
        onnx.helper.make_tensor_value_info(name, getattr(kinds, kind), shape)
        for name, shape, kind in inputs
    ]
    made = [onnx.helper.make_tensor_value_info(name, kinds.FLOAT, [1, 1]) for name in outputs]
    numbers = [
        onnx.numpy_helper.from_array(np.array(values), name)
        for name, values in (("red", 0), ("shape", [1, 1]))
    ]
    graph = onnx.helper.make_graph(nodes, "drives", given, made, numbers)
    imports = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "network.onnx"
    path.write_bytes(
        onnx.helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    )
    return path


def mean_of_red(policy):
    return policy.preprocessing.apply(FRAME)[:, :, 0].mean()


@pytest.mark.parametrize(
    ("tensor", "axis"),
    [
        (CHANNELS_FIRST, 1),
        (("input", ["batch", 3, 66, 200], "FLOAT"), 1),
        (("frame", [1, 66, 200, 3], "FLOAT"), 3),
        (("x", [1, 3, 66, 200], "FLOAT16"), 1),
    ],
)
def test_it_drives_with_its_channels_first_or_last(tmp_path, tensor, axis):
    policy = load_policy(network(tmp_path, tensor, axis=axis), TEXT)
    steering = policy.answer(FRAME).steering
    assert steering == pytest.approx(mean_of_red(policy) / 255, abs=1e-3)


def test_whole_numbers_are_taken_as_they_are_and_not_rounded_to_0_and_1(tmp_path):
    path = network(tmp_path, ("input", [1, 3, 66, 200], "UINT8"))
    policy = load_policy(path, "rows 60-140, 200x66, RGB")
    assert policy.answer(FRAME).steering == pytest.approx(mean_of_red(policy), rel=1e-4)
    with pytest.raises(UserError, match=r"whole numbers .* leave that out of --preprocess"):
        load_policy(path, TEXT)


def test_without_preprocessing_it_is_asked_for_and_a_wrong_size_is_refused(tmp_path):
    path = network(tmp_path, CHANNELS_FIRST)
    with pytest.raises(UserError, match="does not state its preprocessing.*66 x 200 x 3.*0..1"):
        load_policy(path)
    with pytest.raises(UserError, match="makes 64 x 64 x 3"):
        load_policy(path, "rows 60-140, 64x64, RGB, 0..1")


def test_the_steering_is_chosen_by_its_name_or_noted(tmp_path, caplog):
    named = network(tmp_path, CHANNELS_FIRST, outputs=("speed", "steer"))
    load_policy(named, TEXT)
    assert "taken as the steering" not in caplog.text
    load_policy(network(tmp_path, CHANNELS_FIRST, outputs=("a", "b")), TEXT)
    assert "output 'a' is taken as the steering, and not 'b'" in caplog.text


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([("input", [4, 3, 66, 200], "FLOAT")], "one picture of a fixed size"),
        ([("input", [1, 3, "rows", "columns"], "FLOAT")], "one picture of a fixed size"),
        ([("input", [1, 9, 66, 200], "FLOAT")], "float of .1, 3, rows, columns."),
        ([("input", [1, 5, 3, 66, 200], "FLOAT")], "one picture"),
        ([("input", [1, 3, 66, 200], "INT64")], "one picture"),
        ([CHANNELS_FIRST, ("speed", [1, 1], "FLOAT")], "takes the inputs"),
    ],
)
def test_a_network_of_anything_but_one_picture_is_refused(tmp_path, inputs, words):
    with pytest.raises(UserError, match=words):
        load_policy(network(tmp_path, *inputs), TEXT)
