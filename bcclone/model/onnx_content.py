"""Check the content of an ONNX file before ONNX Runtime opens it: plain operators on tensors that the file holds.

ONNX Runtime runs what a file says. Control flow could run for ever, operators of other packages are not known, a
tensor may lie in another file, and one of a few bytes may claim to be as large as the memory.
"""

import math
from collections.abc import Iterator
from typing import Any

_CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
_DIVISIONS = {"Div", "Mod"}
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
_MOST_NODES = 100_000
_MOST_ELEMENTS_PER_BYTE = 8  # of the smallest type, which is compressed to bits


def check_content(content: bytes) -> None:
    """Raise ValueError with the reason why the content of a file is not opened."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("no protocol buffer of ONNX") from None
    if model.functions or model.training_info:
        raise ValueError("it has functions of its own, or a training; expected a graph alone")
    if len(model.graph.node) > _MOST_NODES:
        raise ValueError(f"it has {len(model.graph.node)} operators, expected at most {_MOST_NODES}")
    for node in model.graph.node:
        _check_node(node)
    if model.graph.sparse_initializer:
        raise ValueError("it has sparse tensors, which it may declare larger than the memory")
    for tensor in _tensors(model.graph):
        _check_tensor(tensor)
    if any(node.op_type in _DIVISIONS for node in model.graph.node):
        _check_divisions(model)


def _check_node(node: Any) -> None:
    if node.op_type in _CONTROL_FLOW or any(each.HasField("g") or each.graphs for each in node.attribute):
        raise ValueError(f"the operator {node.op_type[:40]} controls the flow, so that it may never end")
    if node.domain not in _DOMAINS:
        raise ValueError(f"the operator {node.op_type[:40]} is of {node.domain[:40]!r}, expected ONNX's own")
    if any(each.HasField("sparse_tensor") or each.sparse_tensors for each in node.attribute):
        raise ValueError("it has sparse tensors, which it may declare larger than the memory")


def _check_divisions(model: Any) -> None:
    """Refuse to divide whole numbers: the processor ends a program that divides the smallest one by -1."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {each.name: each.type.tensor_type.elem_type for each in (*graph.input, *graph.value_info, *graph.output)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    real = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    for node in graph.node:
        if node.op_type in _DIVISIONS and any(types.get(name) not in real for name in node.input):
            raise ValueError(f"the operator {node.op_type} divides whole numbers, expected floating-point ones")


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors that a graph holds, in its attributes, too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t


def _check_tensor(tensor: Any) -> None:
    if tensor.external_data or tensor.data_location:
        raise ValueError(f"the tensor {tensor.name[:40]!r} lies in another file, expected all in one")
    size = tensor.ByteSize()
    if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > _MOST_ELEMENTS_PER_BYTE * size:
        shape = list(tensor.dims)[:8]
        raise ValueError(f"the tensor {tensor.name[:40]!r} has the shape {shape}, but {size} bytes")
