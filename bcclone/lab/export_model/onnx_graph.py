"""Build an ONNX graph node by node; the values that its nodes give are named automatically."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bcclone.system.errors import UserError

OPSET, _IR_VERSION = 17, 8  # understood since ONNX Runtime 1.12, of 2022
_CHANNELS_FIRST, _CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def load_onnx() -> Any:
    """Return the package onnx; raises UserError where it is missing."""
    try:
        import onnx
    except ImportError:
        raise UserError("writing ONNX needs another package: pip install 'bcclone[onnx]'") from None
    return onnx


@dataclass(frozen=True)
class Value:
    """The output of a node. shape: as in Keras, with the channels last and without the batch.

    channels_first: images are stored as (batch, channels, height, width).
    """

    name: str
    shape: tuple[int, ...]
    channels_first: bool = False


class Graph:
    """An ONNX graph that grows by a node at a time."""

    def __init__(self) -> None:
        self._onnx = load_onnx()
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def constant(self, array: Any) -> str:
        """Add a constant; return its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return that output's name."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def add_float32(self, name: str) -> str:
        """Add a conversion to float32; return its output's name."""
        return self.add("Cast", name, to=self._onnx.TensorProto.FLOAT)

    def with_channels_first(self, value: Value) -> Value:
        """Return images as (batch, channels, height, width)."""
        return self._transposed(value, True, _CHANNELS_FIRST)

    def with_channels_last(self, value: Value) -> Value:
        """Return a value as in Keras."""
        return self._transposed(value, False, _CHANNELS_LAST)

    def _transposed(self, value: Value, channels_first: bool, order: tuple[int, ...]) -> Value:
        if value.channels_first == channels_first:
            return value
        name = self.add("Transpose", value.name, perm=order)
        return replace(value, name=name, channels_first=channels_first)

    def add_input(self, name: str, shape: tuple[int, ...], is_frame: bool) -> None:
        """Declare an input of the file for any number of drives: uint8 frames, or float32."""
        kind = self._onnx.TensorProto.UINT8 if is_frame else self._onnx.TensorProto.FLOAT
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, ["drives", *shape]))

    def add_output(self, name: str, value: Value) -> None:
        """Declare an output of the file, float32, with its name."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value.name], [name], name))
        kind = self._onnx.TensorProto.FLOAT
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, kind, ["drives", *value.shape]))

    def content(self, metadata: dict[str, str]) -> bytes:
        """Return the content of the file, checked by onnx."""
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, "bcclone", self._inputs, self._outputs, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="bcclone")
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content
