"""Check the content of an ONNX file before ONNX Runtime, which runs what a file says, opens it.

In: the bytes of the file. Out: nothing; a ValueError says why the file is refused. A file may have
ONNX's own operators, without loops and branches, on tensors that the file itself holds.
"""

import math
from collections.abc import Iterator
from typing import Any

_LONGEST_NAME = 40  # characters of a name in a message
_DIVISIONS = {"Div", "Mod"}  # operators that crash on some whole numbers; see _check_divisions()


def check_onnx(content: bytes) -> None:
    """Raise ValueError, with the reason, for a file that ONNX Runtime shall not open."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("no protocol buffer of ONNX") from None
    if model.functions or model.training_info:
        raise ValueError("it has functions of its own, or a training; expected a graph alone")
    for node in model.graph.node:
        _check_operator(node)
    _check_tensors(model.graph)
    if any(node.op_type in _DIVISIONS for node in model.graph.node):
        _check_divisions(model)


def _check_operator(node: Any) -> None:
    """Raise ValueError for an operator that could run for ever, or is of another package."""
    name = node.op_type[:_LONGEST_NAME]
    # an attribute that is a graph holds the body of a loop or a branch
    has_graph = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
    if has_graph or node.op_type in {"If", "Loop", "Scan", "SequenceMap"}:
        raise ValueError(f"the operator {name} controls the flow, so that it may never end")
    if node.domain not in {"", "ai.onnx", "ai.onnx.ml"}:
        raise ValueError(
            f"the operator {name} is of {node.domain[:_LONGEST_NAME]!r}, expected ONNX's own"
        )


def _check_tensors(graph: Any) -> None:
    """Raise ValueError for tensors in other files, or larger than their bytes in this file."""
    elements_per_byte = 8  # no type of ONNX has more elements in a byte
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    has_sparse = any(
        attribute.HasField("sparse_tensor") or attribute.sparse_tensors for attribute in attributes
    )
    if graph.sparse_initializer or has_sparse:
        raise ValueError("it has sparse tensors, which it may declare larger than the memory")
    for tensor in _tensors_of(graph, attributes):
        name = tensor.name[:_LONGEST_NAME]
        if tensor.external_data or tensor.data_location:
            raise ValueError(f"the tensor {name!r} lies in another file, expected all in one")
        shape = list(tensor.dims)
        size = tensor.ByteSize()
        is_negative = min(shape, default=0) < 0
        if is_negative or (shape and math.prod(shape) > elements_per_byte * size):
            raise ValueError(f"the tensor {name!r} has the shape {shape[:8]}, but {size} bytes")


def _tensors_of(graph: Any, attributes: list[Any]) -> Iterator[Any]:
    yield from graph.initializer
    for attribute in attributes:
        yield attribute.t  # an empty tensor if the attribute has none
        yield from attribute.tensors


def _check_divisions(model: Any) -> None:
    """Raise ValueError for a division of whole numbers.

    The processor ends a program that divides the smallest whole number by -1.
    """
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    real_types = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    for node in graph.node:
        if node.op_type not in _DIVISIONS:
            continue
        if any(types.get(name) not in real_types for name in node.input):
            raise ValueError(
                f"the operator {node.op_type} divides whole numbers, expected floating-point ones"
            )
