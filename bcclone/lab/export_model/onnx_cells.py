"""Add one step of a recurrent layer to an ONNX graph."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from bcclone.lab.export_model.onnx_graph import Graph, Value
from bcclone.lab.export_model.onnx_layers import add_activation

RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)


def add_cell(graph: Graph, layer: keras.Layer, value: Value, states: Sequence[str]) -> list[Value]:
    """Add one step of a recurrent layer for its input, (features,).

    states: those before the step. Return the new ones; the first of them is the output of the layer.
    """
    cell = _Cell(graph, layer)
    if isinstance(layer, layers.LSTM):
        return _lstm(cell, value, *states)
    return [_gru(cell, value, *states) if isinstance(layer, layers.GRU) else _simple(cell, value, *states)]


class _Cell:
    """The weights of a recurrent layer, divided among its gates, and the arithmetic of a step."""

    def __init__(self, graph: Graph, layer: keras.Layer) -> None:
        self.graph, self.layer, self.units = graph, layer, layer.units
        cell = layer.cell
        self.kernel, self.recurrent = cell.kernel.numpy(), cell.recurrent_kernel.numpy()
        self.bias = cell.bias.numpy() if layer.use_bias else np.zeros(self.kernel.shape[1], np.float32)

    def product(self, name: str, weights: Any, gate: int, bias: Any = None) -> str:
        """Add the product of a value with the weights of one gate, and their bias."""
        columns = slice(gate * self.units, (gate + 1) * self.units)
        made = self.graph.add("MatMul", name, self.graph.constant(weights[:, columns]))
        return made if bias is None else self.graph.add("Add", made, self.graph.constant(bias[columns]))

    def activated(self, name: str, function: Callable[..., Any]) -> str:
        """Add an activation of the layer."""
        return add_activation(self.graph, self.layer, self.value(name), function).name

    def value(self, name: str) -> Value:
        """Return a value with the shape of a state."""
        return Value(name, (self.units,))


def _simple(cell: _Cell, value: Value, hidden: str) -> Value:
    given = cell.product(value.name, cell.kernel, 0, cell.bias)
    total = cell.graph.add("Add", given, cell.product(hidden, cell.recurrent, 0))
    return cell.value(cell.activated(total, cell.layer.activation))


def _gru(cell: _Cell, value: Value, hidden: str) -> Value:
    graph, layer = cell.graph, cell.layer
    given_bias, hidden_bias = cell.bias if cell.bias.ndim == 2 else (cell.bias, None)
    given = [cell.product(value.name, cell.kernel, gate, given_bias) for gate in range(3)]

    def gate(number: int) -> str:
        total = graph.add("Add", given[number], cell.product(hidden, cell.recurrent, number, hidden_bias))
        return cell.activated(total, layer.recurrent_activation)

    update, reset = gate(0), gate(1)
    if layer.reset_after:
        past = graph.add("Mul", reset, cell.product(hidden, cell.recurrent, 2, hidden_bias))
    else:
        past = cell.product(graph.add("Mul", reset, hidden), cell.recurrent, 2)
    candidate = cell.activated(graph.add("Add", given[2], past), layer.activation)
    kept = graph.add("Mul", update, hidden)
    new = graph.add("Mul", graph.add("Sub", graph.constant(np.float32(1)), update), candidate)
    return cell.value(graph.add("Add", kept, new))


def _lstm(cell: _Cell, value: Value, hidden: str, carry: str) -> list[Value]:
    graph, layer = cell.graph, cell.layer

    def gate(number: int, function: Callable[..., Any]) -> str:
        given = cell.product(value.name, cell.kernel, number, cell.bias)
        return cell.activated(graph.add("Add", given, cell.product(hidden, cell.recurrent, number)), function)

    use, forget = gate(0, layer.recurrent_activation), gate(1, layer.recurrent_activation)
    candidate, shown = gate(2, layer.activation), gate(3, layer.recurrent_activation)
    after = graph.add("Add", graph.add("Mul", forget, carry), graph.add("Mul", use, candidate))
    output = graph.add("Mul", shown, cell.activated(after, layer.activation))
    return [cell.value(output), cell.value(after)]
