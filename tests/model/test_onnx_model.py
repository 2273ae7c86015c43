"""An ONNX file drives as the model that it was made from; other files are refused."""

import numpy as np
import pytest

from bcclone.drive.saliency_overlay import saliency_thread
from bcclone.model.onnx_model import OnnxModel
from bcclone.model.policy import load_policy
from bcclone.pictures.clip import load_reference
from bcclone.system.errors import UserError
from tests.realcar.exports import exported_once

onnx = pytest.importorskip("onnx")
for package in ("tf2onnx", "onnxruntime"):
    pytest.importorskip(package)
FRAME = ("frame", (160, 320, 3), "UINT8")
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)


@pytest.fixture
def exported(tmp_path_factory):
    return lambda model: exported_once(tmp_path_factory, model, "onnx")


def check_same(model, exported):
    own = load_policy(model)
    exported = load_policy(exported(model))
    assert (exported.seq_length, exported.carries_states) == (own.seq_length, own.carries_states)
    # its file resizes frames in another way, which differs most for noise
    most = 0.01
    for _ in range(2):
        assert [exported.answer(frame).steering for frame in FRAMES] == pytest.approx(
            [own.answer(frame).steering for frame in FRAMES], abs=most
        )
        for policy in (own, exported):
            policy.forget()


@pytest.mark.slow
def test_it_drives_as_a_network_of_single_frames_or_windows(
    untrained_model, untrained_window_model, exported
):
    check_same(untrained_model, exported)
    check_same(untrained_window_model, exported)


@pytest.mark.slow
def test_it_drives_as_a_recurrent_network_which_carries_its_states(
    untrained_recurrent_model, exported
):
    check_same(untrained_recurrent_model, exported)


def test_it_has_no_saliency_and_takes_no_preprocessing(untrained_model, exported):
    path = exported(untrained_model)
    policy = load_policy(path)
    with saliency_thread(policy, None) as saliency:
        assert "ONNX" in saliency.unavailable
    with pytest.raises(UserError, match=r"ONNX or LiteRT file; use the \.h5"):
        load_reference(path)
    with pytest.raises(UserError, match="leave out --preprocess"):
        load_policy(path, "carnd-128-rgb")


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no such model; write one with: bcclone export"):
        OnnxModel(tmp_path / "none.onnx")
    (tmp_path / "damaged.onnx").write_bytes(b"no protocol buffer")
    with pytest.raises(UserError, match="not an ONNX file that can be run"):
        OnnxModel(tmp_path / "damaged.onnx")


@pytest.mark.parametrize(
    "frame",
    [
        ("frame", (66, 200, 3), "UINT8"),
        ("frame", (160, 320, 3), "FLOAT"),
        ("image", (160, 320, 3), "UINT8"),
    ],
)
def test_a_network_with_other_inputs_is_refused(frame, tmp_path):
    with pytest.raises(UserError, match=r"expected camera frames, uint8 frame \(160, 320, 3\)"):
        OnnxModel(network(tmp_path, frame=frame))


def network(
    tmp_path, *nodes, tensors=(), states=(), functions=(), end="steering", metadata=(), frame=FRAME
):
    """Write a network that drives, with more nodes and tensors; return the path of its file."""
    name, shape, kind = frame
    helper = onnx.helper
    kinds = onnx.TensorProto
    makes = [
        helper.make_node("Cast", [name], ["numbers"], to=kinds.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["means"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["means", "shape"], [end]),
    ]
    given = [helper.make_tensor_value_info(name, getattr(kinds, kind), ["drives", *shape]), *states]
    made = [helper.make_tensor_value_info("steering", kinds.FLOAT, ["drives", 1])]
    target = onnx.numpy_helper.from_array(np.array([-1, 1]), "shape")
    graph = helper.make_graph([*makes, *nodes], "drives", given, made, [target, *tensors])
    imports = [helper.make_opsetid(domain, version) for domain, version in (("", 17), ("own", 1))]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8, functions=functions)
    helper.set_model_props(model, dict(metadata))
    (tmp_path / "network.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "network.onnx"


def loop():
    helper = onnx.helper
    kinds = onnx.TensorProto
    values = [helper.make_tensor_value_info(name, kinds.BOOL, []) for name in ("go", "goes")]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"])],
        "body",
        [helper.make_tensor_value_info("turn", kinds.INT64, []), values[0]],
        [values[1]],
    )
    return helper.make_node("Loop", ["", "yes"], [], body=body)


def tensor(*shape, content=b"", **fields):
    return onnx.TensorProto(
        name="large", data_type=onnx.TensorProto.FLOAT, dims=shape, raw_data=content, **fields
    )


def elsewhere(tmp_path):
    (tmp_path / "other.bin").write_bytes(b"\0" * 8)
    place = onnx.StringStringEntryProto(key="location", value="other.bin")
    return tensor(2, external_data=[place], data_location=onnx.TensorProto.EXTERNAL)


def function():
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    return onnx.helper.make_function(
        "own", "Own", ["x"], ["y"], [node], [onnx.helper.make_opsetid("", 17)]
    )


def division(tmp_path, operator, kind):
    """Write a network that divides the smallest whole number by -1, which ends a process with
    SIGFPE.
    """
    make = onnx.helper.make_node
    nodes = [
        make("Cast", ["means"], ["n"], to=kind),
        make("Clip", ["n", "a", "a"], ["x"]),
        make("Neg", ["b"], ["y"]),
    ]
    numbers = [
        onnx.helper.make_tensor(name, kind, [], [value])
        for name, value in (("a", -(1 << 31)), ("b", 1))
    ]
    return network(tmp_path, *nodes, make(operator, ["x", "y"], ["z"]), tensors=numbers)


def nested(tmp_path):
    (tmp_path / "network.onnx").write_bytes(b"\x3b" * 100_000)
    return tmp_path / "network.onnx"


HOSTILE = {
    "a loop": (lambda path: network(path, loop()), "controls the flow"),
    "a function": (lambda path: network(path, functions=[function()]), "functions of its own"),
    "an operator of another package": (
        lambda path: network(path, onnx.helper.make_node("Own", ["means"], ["x"], domain="own")),
        "expected ONNX's own",
    ),
    "a tensor in another file": (
        lambda path: network(path, tensors=[elsewhere(path)]),
        "lies in another file",
    ),
    "a tensor larger than the file": (lambda path: network(path, tensors=[tensor(1 << 40)]), "but"),
    "a number in the metadata of 5,000 digits": (
        lambda path: network(
            path,
            states=[
                onnx.helper.make_tensor_value_info("state_0", onnx.TensorProto.FLOAT, ["drives", 4])
            ],
            metadata={"bcclone_seq_length": "9" * 5000},
        ),
        "expected camera frames",
    ),
    "whole numbers divided": (
        lambda path: division(path, "Div", onnx.TensorProto.INT32),
        "divides whole numbers",
    ),
    "groups in groups": (nested, "no protocol buffer"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_before_it_runs(kind, tmp_path):
    make, reason = HOSTILE[kind]
    with pytest.raises(UserError, match=reason) as caught:
        OnnxModel(make(tmp_path))
    assert str(tmp_path / "network.onnx") in str(caught.value)


def test_numbers_with_a_point_may_be_divided(tmp_path):
    path = network(tmp_path, onnx.helper.make_node("Div", ["all", "all"], ["steering"]), end="all")
    (steering,) = OnnxModel(path).run({"frame": FRAMES[:1]})
    assert steering.tolist() == [[1.0]]


def test_what_fails_while_it_runs_names_the_file(tmp_path):
    make = onnx.helper.make_node
    kinds = onnx.TensorProto
    nodes = [
        # the place of a row that there is not, when the frame is bright
        make("Cast", ["all"], ["place"], to=kinds.INT64),
        make("Gather", ["all", "place"], ["rows"]),
        make("Reshape", ["rows", "shape"], ["steering"]),
    ]
    path = network(tmp_path, *nodes, end="all")
    model = OnnxModel(path)
    with pytest.raises(UserError, match="cannot be run") as caught:
        model.run({"frame": FRAMES[:1]})
    assert str(path) in str(caught.value)
