"""Read the layers of a model, in order, from its configuration in Keras 1 to 3.

In: the configuration. Out: a `Nest`, the chain of layers from the input to the steering.

A Sequential model lists its layers. In a Functional one each layer says in `inbound_nodes` which
layers it takes; only a chain is read, and layers that lead to other outputs are left out. A model
inside the model stays one (a `Nest`), since its weights are stored under its name. A
`TimeDistributed` also becomes a `Nest`, of the one layer or model that it applies to each frame of
a window."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bcclone.model.foreign.outputs import BINS, steering_output
from bcclone.model.foreign.stored import UnsupportedModel
from bcclone.system.errors import shown

_CHAINS = {"Sequential", "Pipeline"}
_GRAPHS = {"Model", "Functional"}
_TIME_DISTRIBUTED = "TimeDistributed"

# what to do with a network whose form or layers cannot be rebuilt
CONVERT = (
    "convert it in the author's Keras to a LiteRT file, which may have any form "
    "(model.export('saved'); tf.lite.TFLiteConverter.from_saved_model('saved').convert()), and "
    "drive with that and --preprocess"
)

Size = tuple[int | None, int | None]  # rows and columns, None where they are not known
_Item = Mapping[str, Any]  # a layer as stored: class_name, config, name, inbound_nodes


class Tensor(NamedTuple):
    """An output of another layer, as an argument of a call."""

    layer: str  # name of that layer
    output: int  # which of the layer's outputs it is


@dataclass(frozen=True, eq=False)  # it is a key of dicts, and its config cannot be hashed
class Leaf:
    """One layer as stored, or an operation between the layers, such as x / 255."""

    kind: str  # its class in the file
    name: str
    config: Mapping[str, Any]  # its arguments
    # its arguments, in the order of the call: usually one Tensor; of operations also constants
    called_with: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"layer {shown(self.name)} ({self.kind[:40]})"


@dataclass(frozen=True, eq=False)
class Nest:
    """A chain of layers: the model, a nested model, or a TimeDistributed.

    A TimeDistributed has one node, the layer or the model that it applies.
    """

    kind: str  # its class in the file
    name: str
    nodes: "tuple[Leaf | Nest, ...]"  # its layers and models, in the order in which they run
    config: Mapping[str, Any] = field(default_factory=dict)  # arguments of a TimeDistributed
    left_out: tuple[Leaf, ...] = ()  # nodes that lead to other outputs than the steering

    @property
    def is_over_time(self) -> bool:
        """Return whether this is a TimeDistributed, which applies its node to each frame."""
        return self.kind == _TIME_DISTRIBUTED

    def leaves(self) -> Iterator[Leaf]:
        """Yield the layers that lead to the steering, but no InputLayer, which computes nothing."""
        for node in self.nodes:
            if isinstance(node, Nest):
                yield from node.leaves()
            elif node.kind != "InputLayer" and node not in self.left_out:
                yield node


def read_tree(config: Mapping[str, Any], size: Size) -> tuple[Nest, tuple[int, ...], str]:
    """Return the model's layers, its input's shape without the batch, and its input's dtype.

    Raises UnsupportedModel; for a damaged configuration LookupError, TypeError and other errors.

    size: rows and columns of the input, for a configuration that does not state them
    """
    layers_at_most = 200
    nest = _nest(config)
    count = sum(1 for _ in nest.leaves())
    if not 0 < count <= layers_at_most:
        raise UnsupportedModel(f"has {count} layers, expected 1 to {layers_at_most}")
    # the first layer, or the TimeDistributed around it
    first: Leaf | Nest = nest
    while isinstance(first, Nest) and not first.is_over_time:
        first = first.nodes[0]
    return nest, _input_shape(config, first, size), _input_dtype(first)


def _nest(config: _Item) -> Nest:
    """Return a Sequential or Functional model; raises UnsupportedModel."""
    kind = config["class_name"]
    inner = config["config"]
    if kind in _GRAPHS:
        return _nest_of_graph(str(kind), inner)
    if kind not in _CHAINS:
        raise UnsupportedModel(
            f"has a network of type {shown(kind)}; only Sequential and Functional chains are "
            "supported"
        )
    # Keras 1 stored the layers of a Sequential as a list, beside its name
    is_keras_1 = isinstance(inner, list)
    items = inner if is_keras_1 else inner["layers"]
    name = (config if is_keras_1 else inner).get("name", "")
    return Nest(str(kind), str(name), tuple(_node(item) for item in items))


def _node(item: _Item, called_with: tuple[Any, ...] = ()) -> Leaf | Nest:
    kind = item["class_name"]
    config = item["config"]
    if kind in _CHAINS | _GRAPHS:
        return _nest(item)
    if kind == _TIME_DISTRIBUTED:
        return Nest(_TIME_DISTRIBUTED, _name(item), (_node(config["layer"]),), config)
    leaf = Leaf(str(kind), _name(item), config, called_with)

    # Keras 3 says where a class comes from; "package>class" is a class of another program
    registered_name = str(item.get("registered_name") or "")
    module = str(item.get("module") or "keras")
    if ">" in registered_name or "keras" not in module:
        raise UnsupportedModel(
            f"{leaf}: a custom class, {shown(registered_name or module)}, which is not in the file"
        )
    return leaf


def _name(item: _Item) -> str:
    return str(item.get("name") or item["config"].get("name") or "")


# ---- graphs


def _nest_of_graph(kind: str, model: Mapping[str, Any]) -> Nest:
    """Return a Functional model, whose layers from the input to the steering must be a chain.

    model: its configuration, with its layers, input_layers and output_layers
    """
    items = {_name(item): item for item in model["layers"]}
    outputs = _ends(model["output_layers"])
    steering, _ = steering_output(outputs)
    chain = _chain_to(outputs[steering], items, model)
    unused = [name for name in items if name not in chain]
    if unused and len(outputs) == 1:
        raise _not_a_chain(f"the network branches into {shown(sorted(unused))}")

    # Archives number the layers of a class in the order of the file. So if the file has the chain
    # in the order in which it runs, as Keras stores it, the order of the file is kept, with the
    # unused layers in between.
    names = [*items]
    if [name for name in names if name in chain] != [*chain]:
        names = [*chain, *unused]
    nodes = tuple(_node(items[name], chain.get(name, ())) for name in names)
    left_out = tuple(node for node in nodes if isinstance(node, Leaf) and node.name in unused)
    if len(left_out) < len(unused):
        raise _not_a_chain("a model within the network leads to another output")
    return Nest(kind, str(model.get("name", "")), nodes, left_out=left_out)


def _ends(stored: Any) -> dict[str, Tensor]:
    """Return the tensors at a model's inputs or outputs, by their names or those of their layers.

    stored: one end, a list of ends, or a dict of them by their names. An end is a
        list: the name of its layer, a number, and which of the layer's outputs it is
    """
    if isinstance(stored, dict):
        return {str(name): Tensor(str(end[0]), end[2]) for name, end in stored.items()}
    ends = [stored] if stored and isinstance(stored[0], str) else stored
    if not ends:
        raise UnsupportedModel("has no output, expected 1")
    return {str(end[0]): Tensor(str(end[0]), end[2]) for end in ends}


def _chain_to(
    last: Tensor, items: Mapping[str, _Item], model: Mapping[str, Any]
) -> dict[str, tuple[Any, ...]]:
    """Return what each layer from the input to the last one is called with, in their order."""
    chain: dict[str, tuple[Any, ...]] = {}
    tensor = last
    while True:
        item = items[tensor.layer]
        shown_layer = f"layer {shown(tensor.layer)} ({str(item['class_name'])[:40]})"
        if tensor.layer in chain:
            raise _not_a_chain(f"{shown_layer} takes its own output")
        if tensor.output:
            raise _not_a_chain(f"{shown_layer} has several outputs")
        try:
            arguments = tuple(_arguments(item.get("inbound_nodes") or []))
        except UnsupportedModel as error:
            raise UnsupportedModel(f"{shown_layer} {error}") from None
        chain[tensor.layer] = arguments
        if item["class_name"] == "InputLayer":
            return dict(reversed(chain.items()))
        tensors = [*_tensors(arguments)]
        if len(tensors) > 1 and len(inputs := _ends(model["input_layers"])) > 1:
            raise UnsupportedModel(several_inputs(inputs))
        if len(tensors) != 1:
            raise _not_a_chain(f"{shown_layer} takes {len(tensors)} inputs")
        (tensor,) = tensors


def several_inputs(names: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the reason against a network that takes all of these inputs."""
    return (
        f"takes the inputs {shown([*names])}, expected pictures alone: "
        "such a network cannot drive here"
    )


def _not_a_chain(what: str) -> UnsupportedModel:
    return UnsupportedModel(f"{what}; only chains of layers are rebuilt; {CONVERT}")


# ---- calls


def _arguments(nodes: Sequence[Any]) -> Iterator[Any]:
    """Yield what a layer is called with: tensors and plain values, also those of keywords.

    Raises UnsupportedModel if it is called twice, or with anything else.

    nodes: its `inbound_nodes`: lists in Keras 1 and 2, `__keras_tensor__` in Keras 3; an input
        layer has none
    """
    if len(nodes) > 1:
        raise _not_a_chain(f"is used {len(nodes)} times")
    if not nodes:
        return
    (node,) = nodes
    if isinstance(node, dict):  # of Keras 3
        yield from map(_argument, node["args"])
        yield from _keywords(node.get("kwargs") or {})
        return
    # of Keras 1 and 2: [name, number, number, keywords], or a list of such, one for each tensor
    is_single = node and isinstance(node[0], str)
    for name, _, value, *keywords in [node] if is_single else node:
        # for 2 * x, tf.keras writes ["_CONSTANT_VALUE", -1, 2] for the 2
        is_number = name == "_CONSTANT_VALUE"
        yield _argument(value) if is_number else Tensor(str(name), value)
        if keywords:  # Keras 1 has none
            yield from _keywords(keywords[0])


def _keywords(stored: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the values of keywords that matter to a network that predicts."""
    for name, value in stored.items():
        # a random layer is stored with `training`, but a model that predicts passes its own:
        # operation_fn() in keras/src/models/functional.py
        if name not in ("name", "mask", "training") and value is not None:
            yield _argument(value)


def _argument(stored: Any) -> Any:
    """Return an argument as a Tensor, number, word, slice, ellipsis, or list of these."""
    match stored:
        case None | bool() | int() | float() | str():
            return stored
        case [str(name), int(), int(output)]:  # of a keyword of tf.keras
            return Tensor(name, output)
        case list():
            return [_argument(part) for part in stored]
        case {"class_name": "__keras_tensor__", "config": {"keras_history": [name, _, output]}}:
            return Tensor(str(name), output)
        case {"class_name": "__ellipsis__"}:
            return ...
        case {"class_name": "__slice__", "config": {"start": start, "stop": end, "step": step}}:
            return slice(start, end, step)
        case {"start": start, "stop": end, "step": step}:  # of tf.keras
            return slice(start, end, step)
        case {"class_name": "__tuple__", "items": list(items)}:
            return _argument(items)
        case {"class_name": "__numpy__" | "__tensor__", "config": {"value": value}}:
            return _argument(value)
    raise UnsupportedModel(f"is called with {shown(stored)}, which is not read; {CONVERT}")


def _tensors(arguments: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the tensors among arguments, also those within lists."""
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, list):
            yield from _tensors(argument)


# ---- pilots of donkeycar


def pilot_of(input_name: str, numbers: int) -> str:
    """Return the class of a pilot of donkeycar (parts/keras.py), "" for another network.

    numbers: how many numbers the output has that tells the steering
    """
    if "img_in" not in input_name:
        return ""
    return "KerasCategorical" if numbers == BINS else "KerasLinear"


# ---- the input


def _input_shape(config: _Item, first: Leaf | Nest, size: Size) -> tuple[int, ...]:
    """Return the shape of an image or of a window, without the batch; raises UnsupportedModel.

    first: the first layer, or the TimeDistributed around it
    size: rows and columns, where these are not declared
    """
    largest_extent = 1024
    model = config["config"]
    declared = [
        first.config.get("batch_input_shape"),
        first.config.get("batch_shape"),
        model.get("build_input_shape") if isinstance(model, dict) else None,
        (config.get("build_config") or {}).get("input_shape"),
    ]
    shape = next((stated for stated in declared if stated is not None), None)
    if isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], list):
        shape = shape[0]  # as some tf.keras wrote it
    if isinstance(shape, list) and len(shape) > 3:
        *before, rows, columns, channels = shape
        shape = [*before, rows or size[0], columns or size[1], channels]
    if (
        not isinstance(shape, list)
        or len(shape) not in (4, 5)
        or not all(type(extent) is int for extent in shape[1:])
    ):
        raise UnsupportedModel(
            f"its input has the shape {shown(shape)}, expected [null, rows, columns, channels], "
            "or for windows [null, frames, rows, columns, channels], each a number, or rows and "
            "columns by --preprocess, such as 200x66"
        )
    if not all(0 < extent <= largest_extent for extent in shape[1:]):
        raise UnsupportedModel(
            f"its input has the shape {shape}, expected at most {largest_extent} rows, columns "
            "and channels"
        )
    return tuple(shape[1:])


def _input_dtype(first: Leaf | Nest) -> str:
    """Return the dtype of the rebuilt network's input: float32 for all floats, or uint8."""
    dtype = "float32"
    if first.kind == "InputLayer":
        dtype = dtype_of(first.config.get("dtype"))
    if dtype == "uint8":
        return dtype
    if "float" not in dtype:
        raise UnsupportedModel(f"its input is of type {dtype!r}, expected 'float32' or 'uint8'")
    return "float32"


def dtype_of(value: Any) -> str:
    """Return the name of a dtype or dtype policy as any version stores it; None is float32."""
    if isinstance(value, dict):
        value = value["config"].get("name", value["class_name"])
    return str(value or "float32")[:40]
