"""Read the layers of a model, in order, from its configuration in Keras 1 to 3.

In: the configuration. Out: a `Nest`, the chain of layers from the input to the steering.

A Sequential model lists its layers. A Functional one names the inputs of each layer in
`inbound_nodes`; `graph` follows them. A model inside the model stays one (a `Nest`), since its
weights are stored under its name. A `TimeDistributed` becomes a `Nest`, too: of the layer or model
that it applies to each frame of a window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bcclone.model.foreign.arguments import dtype_of
from bcclone.model.foreign.graph import branches, layers_in_order
from bcclone.model.foreign.operations import Operation
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.errors import shown

_CHAINS = {"Sequential", "Pipeline"}
_GRAPHS = {"Model", "Functional"}
_TIME_DISTRIBUTED = "TimeDistributed"

Size = tuple[int | None, int | None]  # rows and columns, None where they are not known


@dataclass(frozen=True, eq=False)  # a key of dicts, by its identity: its config has no hash
class Leaf:
    """One layer as stored."""

    kind: str  # its class in the file
    name: str
    config: Mapping[str, Any]  # its arguments
    over_time: str = ""  # name of the TimeDistributed around it, "" if there is none
    operation: Operation | None = None  # what it computes, if it is no layer but an operation

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
    # the output that is taken as the steering although its name does not say so; "" if it is sure
    guessed: str = ""

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
    first = _first_node(nest)
    shape = _input_shape(_declared_shape(config, first), size)
    return nest, shape, _input_dtype(first)


# ---- layers


def _nest(config: Mapping[str, Any], over_time: str = "") -> Nest:
    """Return a Sequential or Functional model; raises UnsupportedModel.

    config: the model as stored
    over_time: name of the TimeDistributed around the model, "" if there is none
    """
    kind = config["class_name"]
    inner = config["config"]
    if kind not in _CHAINS | _GRAPHS:
        raise UnsupportedModel(
            f"has a network of type {shown(kind)}; only Sequential and Functional chains are "
            "supported"
        )

    # Keras 1 stored the layers of a Sequential as a list, beside its name
    layer_configs: Sequence[Mapping[str, Any]]
    if isinstance(inner, list):
        layer_configs = inner
        name = config.get("name", "")
    else:
        layer_configs = inner["layers"]
        name = inner.get("name", "")

    # put the layers of a graph in order, which follows from the inputs that each layer takes
    unused: set[str] = set()
    guessed = ""
    if kind in _GRAPHS:
        graph = layers_in_order(layer_configs, inner)
        layer_configs = graph.layers
        unused = graph.unused
        guessed = graph.guessed

    nodes = tuple(_node(layer_config, over_time) for layer_config in layer_configs)
    left_out = tuple(node for node in nodes if isinstance(node, Leaf) and node.name in unused)
    if len(left_out) < len(unused):  # a nested model leads to another output
        raise branches(unused)
    return Nest(kind, str(name), nodes, left_out=left_out, guessed=guessed)


def _node(item: Mapping[str, Any], over_time: str = "") -> Leaf | Nest:
    """Return a layer or a nested model; raises UnsupportedModel.

    item: the layer or model as stored
    over_time: as in _nest()
    """
    kind = item["class_name"]
    config = item["config"]
    if kind in _CHAINS | _GRAPHS:
        return _nest(item, over_time)
    name = str(config.get("name") or item.get("name") or "")
    operation = item.get("operation")
    if not isinstance(operation, Operation):  # graph.py makes it; no file can have one
        operation = None
    leaf = Leaf(str(kind), name, config, over_time, operation)
    if kind == _TIME_DISTRIBUTED:
        if over_time:
            raise UnsupportedModel(
                f"{leaf}: is within another TimeDistributed, which is not supported"
            )
        applied = _node(config["layer"], over_time=name or "each_frame")
        return Nest(_TIME_DISTRIBUTED, name, (applied,), config)

    # Keras 3 says where a class comes from; "package>class" is a class of another program
    registered_name = str(item.get("registered_name") or "")
    module = str(item.get("module") or "keras")
    if ">" in registered_name or "keras" not in module:
        raise UnsupportedModel(
            f"{leaf}: a custom class, {shown(registered_name or module)}, which is not in the file"
        )
    return leaf


# ---- the input


def _first_node(nest: Nest) -> Leaf | Nest:
    """Return the first layer, or the TimeDistributed around it."""
    first: Leaf | Nest = nest
    while isinstance(first, Nest) and not first.is_over_time:
        first = first.nodes[0]
    return first


def _declared_shape(config: Mapping[str, Any], first: Leaf | Nest) -> Any:
    """Return the input's shape as the first layer or the model declares it, None if none does."""
    shapes = [
        first.config[name] for name in ("batch_input_shape", "batch_shape") if name in first.config
    ]
    model = config["config"]
    if isinstance(model, dict) and "build_input_shape" in model:
        shapes.append(model["build_input_shape"])
    if config.get("build_config"):
        shapes.append(config["build_config"]["input_shape"])
    return shapes[0] if shapes else None


def _input_shape(declared: Any, size: Size) -> tuple[int, ...]:
    """Return the shape of an image or of a window, without the batch; raises UnsupportedModel.

    declared: as _declared_shape() returns it
    size: rows and columns, where these are not declared
    """
    largest_extent = 1024
    shape = declared
    if isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], list):
        shape = shape[0]  # as some tf.keras wrote it
    if isinstance(shape, list) and len(shape) > 3:
        *before, rows, columns, channels = shape
        rows = rows or size[0]
        columns = columns or size[1]
        shape = [*before, rows, columns, channels]
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
