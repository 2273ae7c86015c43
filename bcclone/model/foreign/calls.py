"""Read what a layer or an operation of a Functional model is called with.

In: the `inbound_nodes` of a configuration: lists in Keras 1 and 2, `__keras_tensor__` in Keras 3.
Out: a `Call`, which holds tensors and plain values. Importing this loads no large package.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bcclone.model.foreign.unsupported import CONVERT, UnsupportedModel, not_a_chain
from bcclone.system.errors import shown


@dataclass(frozen=True)
class Tensor:
    """An output of another layer, as an argument of a call."""

    layer: str  # name of that layer
    output: int = 0  # which of the layer's outputs it is


@dataclass(frozen=True)
class Call:
    """The arguments of a call: tensors, and plain values as plain_value() returns them."""

    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tensors(self) -> list[Tensor]:
        """Return the tensors among the arguments, also those within lists."""
        values = itertools.chain(self.arguments, self.keywords.values())
        return [value for value in _flat(values) if isinstance(value, Tensor)]

    @property
    def others(self) -> list[Any]:
        """Return the arguments that are neither tensors nor lists of tensors."""
        values = [*self.arguments, *self.keywords.values()]
        return [
            value
            for value in values
            if not all(isinstance(part, Tensor) for part in _flat([value]))
        ]


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def call_of(nodes: Sequence[Any]) -> Call:
    """Return the only call of a layer; an input layer has an empty one.

    Raises UnsupportedModel.

    nodes: the layer's `inbound_nodes`
    """
    if len(nodes) > 1:
        raise not_a_chain(f"is used {len(nodes)} times")
    if not nodes:
        return Call()
    (node,) = nodes
    if isinstance(node, dict):
        return _call_of_keras_3(node)
    return _call_of_keras_2(node)


def _call_of_keras_3(node: Mapping[str, Any]) -> Call:
    """Return a call {"args": [...], "kwargs": {...}}."""
    arguments = tuple(plain_value(value) for value in node["args"])
    # Keras 3 stores `training` for layers that change images, but a model that predicts passes its
    # own to them: operation_fn() in keras/src/models/functional.py
    without_effect = {"name", "mask", "training"}
    keywords = {
        name: plain_value(value)
        for name, value in (node.get("kwargs") or {}).items()
        if name not in without_effect
    }
    return Call(arguments, keywords)


def _call_of_keras_2(node: Sequence[Any]) -> Call:
    """Return a call [name, number, number, keywords], or a list of such, one for each tensor."""
    is_single = node and isinstance(node[0], str)
    parts = [node] if is_single else node
    arguments = []
    keywords: dict[str, Any] = {}
    for part in parts:
        name, *numbers = part[:3]
        # tf.keras writes this word, and then a number, where a number stands before the tensor
        if name == "_CONSTANT_VALUE":
            arguments.append(plain_value(numbers[1]))
        else:
            arguments.append(Tensor(str(name), numbers[1]))
        if len(part) > 3:  # Keras 1 has no keywords
            keywords.update(part[3])
    return Call(
        tuple(arguments),
        {
            name: _value_of_keras_2(value)
            for name, value in keywords.items()
            if name not in ("name", "mask") and (name, value) != ("training", False)
        },
    )


def _value_of_keras_2(value: Any) -> Any:
    """Return the value of a keyword, in which a tensor is [name, number, number]."""
    match value:
        case [str(name), int(), int(output)]:
            return Tensor(name, output)
    return plain_value(value)


# ---- plain values


def plain_value(value: Any) -> Any:
    """Return a stored value as a number, truth value, word, slice, array, tensor, or list of these.

    Raises UnsupportedModel for anything else, so that neither code nor a path gets into a call.
    """
    largest_product = 1 << 24  # of the whole numbers in a list, which may be a size
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    if isinstance(value, str) and re.fullmatch(r"\w{1,40}", value):
        return value
    if isinstance(value, list):
        whole = [abs(number) for number in value if type(number) is int and number]
        if math.prod(whole) <= largest_product:
            return [plain_value(part) for part in value]
    if isinstance(value, dict):
        return _value_in_dict(value)
    raise UnsupportedModel(f"is called with {shown(value)}, which is not read; {CONVERT}")


def _value_in_dict(value: Mapping[str, Any]) -> Any:
    """Return a value that Keras wraps in a dict, with the name of its type."""
    kind = value.get("class_name")
    config = value.get("config") or {}
    if kind == "__keras_tensor__":
        name, _, output = config["keras_history"]
        return Tensor(str(name), output)
    if kind == "__ellipsis__":
        return ...
    if kind in ("__slice__", None) and "step" in {**value, **config}:
        stored = config or value  # tf.keras has no class_name
        bounds = [stored[name] for name in ("start", "stop", "step")]
        if all(bound is None or type(bound) is int for bound in bounds):
            return slice(*bounds)
    if kind == "__tuple__":
        return tuple(plain_value(list(value["items"])))
    if kind in ("__numpy__", "__tensor__"):
        numbers = np.asarray(config["value"])
        if numbers.dtype.kind in "iuf" and np.isfinite(numbers).all():
            return numbers.astype(np.float32)
    raise UnsupportedModel(f"is called with {shown(value)}, which is not read; {CONVERT}")
