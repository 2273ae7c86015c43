"""Read the layers of a model, in order, from its configuration in Keras 1 to 3: a chain to its
steering.

A Sequential model lists its layers. A Functional one names the inputs of each layer in
`inbound_nodes`: lists in Keras 1 and 2, `__keras_tensor__` in Keras 3. Nested models are kept,
since the weights are stored by them; so is `TimeDistributed`, as a nested model of the layer or
model that it applies to each frame of a window.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bcclone.dataset.answer import steering_output
from bcclone.dataset.preprocessing_text import joined_scaling
from bcclone.model.foreign import UnsupportedModel
from bcclone.model.foreign.arguments import dtype_of
from bcclone.model.foreign.onnx_model import several_inputs
from bcclone.system.errors import shown

_LAYERS_AT_MOST = 200
_CHAINS = {"Sequential", "Pipeline"}
_GRAPHS = {"Model", "Functional"}
_EACH_FRAME = "TimeDistributed"
_NUMBER_OF_CALL = "_CONSTANT_VALUE"  # for the name of a layer, in tf.keras
_INPUT_NAMES = ("batch_input_shape", "batch_shape")
# layers that compute with a tensor and a number, in tf.keras and in Keras 3
_OPERATIONS = {
    "math.truediv": "/", "math.divide": "/", "math.multiply": "*", "math.subtract": "-", "math.add": "+",
    "__operators__.add": "+", "TrueDivide": "/", "Divide": "/", "Multiply": "*", "Subtract": "-", "Add": "+",
}  # fmt: skip

Size = tuple[int | None, int | None]  # rows and columns, None where they are not known


@dataclass(frozen=True, eq=False)
class Leaf:
    """One layer as stored.

    kind: its class; config: its arguments; over_time: the name of the TimeDistributed around it, ""
    without one.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    over_time: str = ""

    def __str__(self) -> str:
        return f"layer {shown(self.name)} ({self.kind[:40]})"


@dataclass(frozen=True, eq=False)
class Nest:
    """A chain of layers: the model, a nested model, or a TimeDistributed with its config and its
    one layer or model.

    nodes: in their order; left_out: those that lead to other outputs than the steering; guessed:
    the output that is taken as the steering although its name does not say so, "" without one.
    """

    kind: str
    name: str
    nodes: "tuple[Leaf | Nest, ...]"
    config: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[Leaf, ...] = ()
    guessed: str = ""

    @property
    def is_over_time(self) -> bool:
        """Return whether this is a TimeDistributed, which applies its node to one frame at a time."""
        return self.kind == _EACH_FRAME

    def leaves(self) -> Iterator[Leaf]:
        for node in self.nodes:
            if isinstance(node, Nest):
                yield from node.leaves()
            elif node.kind != "InputLayer" and node not in self.left_out:
                yield node


def read_tree(config: Mapping[str, Any], size: Size) -> tuple[Nest, tuple[int, ...], str]:
    """Return the model's layers, and the shape of its input, without the batch, and its type.

    size: rows and columns of an input that does not state them. Raises UnsupportedModel,
    LookupError, TypeError and other errors.
    """
    nest = _nest(config)
    count = sum(1 for _ in nest.leaves())
    if not 0 < count <= _LAYERS_AT_MOST:
        raise UnsupportedModel(f"has {count} layers, expected 1 to {_LAYERS_AT_MOST}")
    return nest, *_input(config, nest, size)


def _nest(config: Mapping[str, Any], over_time: str = "") -> Nest:
    kind, inner = config["class_name"], config["config"]
    if kind not in _CHAINS | _GRAPHS:
        raise UnsupportedModel(
            f"has a network of type {shown(kind)}; only Sequential and Functional chains are supported"
        )
    configs = inner if isinstance(inner, list) else inner["layers"]
    unused, guessed = set[str](), ""
    if kind in _GRAPHS:
        configs, unused, guessed = _in_order(configs, inner)
    name = inner.get("name", "") if isinstance(inner, dict) else config.get("name", "")
    nodes = tuple(_node(item, over_time) for item in configs)
    left_out = tuple(node for node in nodes if isinstance(node, Leaf) and node.name in unused)
    if len(left_out) < len(unused):
        raise _branches(unused)
    return Nest(kind, str(name), nodes, left_out=left_out, guessed=guessed)


def _node(item: Mapping[str, Any], over_time: str = "") -> "Leaf | Nest":
    kind, config = item["class_name"], item["config"]
    if kind in _CHAINS | _GRAPHS:
        return _nest(item, over_time)
    name = str(config.get("name") or item.get("name") or "")
    leaf = Leaf(str(kind), name, config, over_time)
    if kind == _EACH_FRAME:
        if over_time:
            raise UnsupportedModel(
                f"{leaf}: is within another TimeDistributed, which is not supported"
            )
        return Nest(_EACH_FRAME, name, (_node(config["layer"], name or "each_frame"),), config)
    if ">" in str(item.get("registered_name") or "") or "keras" not in str(
        item.get("module") or "keras"
    ):
        raise UnsupportedModel(
            f"{leaf}: a custom class, {shown(item['registered_name'])}, which is not in the file"
        )
    return leaf


def _in_order(
    configs: list[Mapping[str, Any]], model: Mapping[str, Any]
) -> tuple[list[Mapping[str, Any]], set[str], str]:
    """Return the layers of a graph, the names of those that lead to other outputs than the
    steering, and Nest.guessed.

    The layers from the input to the steering are in their order. Raises UnsupportedModel when they
    are not a chain.
    """
    named = {_name(item): item for item in configs}
    outputs = _ends(model["output_layers"])
    if not outputs:
        raise UnsupportedModel("has no output, expected 1")
    steering, is_named = steering_output(outputs)
    chain = [outputs[steering]]
    while named[chain[0]]["class_name"] != "InputLayer":
        item = named[chain[0]]
        tensors, _ = _taken(item)
        if len(tensors) > 1 and len(inputs := _ends(model["input_layers"])) > 1:
            raise UnsupportedModel(several_inputs(inputs))
        if len(tensors) != 1 or len(chain) > len(named):
            raise UnsupportedModel(
                f"layer {shown(chain[0])} ({str(item['class_name'])[:40]}) takes {len(tensors)} inputs; "
                "only chains of layers are supported"
            )
        chain.insert(0, tensors[0])
    unused = {name for name in named if name not in chain}
    if unused and len(outputs) == 1:
        raise _branches(unused)
    stored = [name for name in named if name in chain]
    order = [*named] if stored == chain else [*chain, *unused]
    layers = [_with_arithmetic(named[name]) if name in chain else named[name] for name in order]
    return layers, unused, "" if is_named else steering


def _ends(stored: Any) -> dict[str, str]:
    """Return the layers at the inputs or outputs of a graph by their names, which are those of a
    dict if it has one.
    """
    if isinstance(stored, dict):
        return {str(name): str(end[0]) for name, end in stored.items()}
    return {
        str(end[0]): str(end[0])
        for end in ([stored] if stored and isinstance(stored[0], str) else stored)
    }


def _name(item: Mapping[str, Any]) -> str:
    return str(item.get("name") or item["config"]["name"])


def _branches(into: Collection[str]) -> UnsupportedModel:
    return UnsupportedModel(
        f"the network branches into {shown(sorted(into))}; only chains of layers are supported"
    )


def _taken(item: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    """Return the names of the layers whose outputs a layer takes, and the other arguments of its
    call.
    """
    nodes = item.get("inbound_nodes") or []
    if len(nodes) > 1:
        raise UnsupportedModel(
            f"layer {shown(_name(item))} is used {len(nodes)} times; only chains of layers are supported"
        )
    tensors, others = list[str](), []
    for node in nodes:
        if isinstance(node, dict):  # Keras 3
            values = [
                value
                for each in node["args"]
                for value in (each if isinstance(each, list) else [each])
            ]
            are_tensors = [
                isinstance(value, dict) and "keras_history" in value["config"] for value in values
            ]
            begins = not values or are_tensors[0]
            tensors += [
                str(value["config"]["keras_history"][0])
                for value in itertools.compress(values, are_tensors)
            ]
            others += [
                value for value, is_tensor in zip(values, are_tensors, strict=True) if not is_tensor
            ]
            keywords = node.get("kwargs") or {}
        else:
            calls = [node] if node and isinstance(node[0], str) else node
            tensors += [str(call[0]) for call in calls]
            begins = _NUMBER_OF_CALL not in tensors
            keywords = {
                key: value
                for call in calls
                for key, value in (call[3] if len(call) > 3 else {}).items()
            }
        if not begins:  # 1 - x is not x - 1
            raise UnsupportedModel(
                f"layer {shown(_name(item))} computes with a number before its input, which is not supported"
            )
        others += [
            value
            for key, value in keywords.items()
            if value is not None and key != "name" and (key, value) != ("training", False)
        ]
    return tensors, others


def _with_arithmetic(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the layer; arithmetic with one number becomes a Rescaling."""
    _, others = _taken(item)
    kind, config = item["class_name"], item["config"]
    if not others:
        return item
    try:
        (number,) = others
        operation = _OPERATIONS[config["function"] if kind == "TFOpLambda" else kind]
        arguments = vars(joined_scaling([(operation, number + 0.0)]))
    except (KeyError, ValueError, TypeError):
        raise UnsupportedModel(
            f"layer {shown(_name(item))} ({str(kind)[:40]}) is called with {shown(others)}, which is not supported"
        ) from None
    name = _name(item).replace(".", "_")
    return {"class_name": "Rescaling", "name": _name(item), "config": {"name": name, **arguments}}


def _input(config: Mapping[str, Any], nest: Nest, size: Size) -> tuple[tuple[int, ...], str]:
    """Return the input that the first layer, or the model, declares; raises UnsupportedModel."""
    first: Leaf | Nest = nest
    while isinstance(first, Nest) and not first.is_over_time:
        first = first.nodes[0]
    outer = config["config"] if isinstance(config["config"], dict) else {}
    shapes = [first.config[name] for name in _INPUT_NAMES if name in first.config]
    shapes += [outer["build_input_shape"]] if "build_input_shape" in outer else []
    shapes += [config["build_config"]["input_shape"]] if config.get("build_config") else []
    shape = shapes[0] if shapes else None
    if (
        isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], list)
    ):  # as some tf.keras wrote it
        shape = shape[0]
    if isinstance(shape, list) and len(shape) > 3:
        shape = [
            *shape[:-3],
            *(stated or own for stated, own in zip(shape[-3:-1], size, strict=True)),
            shape[-1],
        ]
    are_numbers = isinstance(shape, list) and all(type(extent) is int for extent in shape[1:])
    if not isinstance(shape, list) or not are_numbers or len(shape) not in (4, 5):
        raise UnsupportedModel(
            f"its input has the shape {shown(shape)}, expected [null, rows, columns, channels], or for windows [null, "
            "frames, rows, columns, channels], each a number, or rows and columns by --preprocess, such as 200x66"
        )
    if not all(0 < extent <= 1024 for extent in shape[1:]):
        raise UnsupportedModel(
            f"its input has the shape {shape}, expected at most 1024 rows, columns and channels"
        )
    dtype = dtype_of(first.config.get("dtype")) if first.kind == "InputLayer" else "float32"
    if dtype != "uint8" and "float" not in dtype:
        raise UnsupportedModel(f"its input is of type {dtype!r}, expected 'float32' or 'uint8'")
    return tuple(shape[1:]), "uint8" if dtype == "uint8" else "float32"
