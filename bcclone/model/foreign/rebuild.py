"""Rebuild a network layer by layer from its configuration, and give it the weights of the file.

In: a `StoredModel`. Out: a `RebuiltModel` in TensorFlow's order: channels last, kernels not
mirrored.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bcclone.dataset.preprocessing_text import Scaling
from bcclone.model.foreign import UnsupportedModel
from bcclone.model.foreign.arguments import (
    STATING,
    Shape,
    computed_by,
    dtype_of,
    remedy_of,
    translate,
)
from bcclone.model.foreign.onnx_model import BINS, pilot_of
from bcclone.model.foreign.stored import NamedArray, StoredModel, Weights
from bcclone.model.foreign.tree import Leaf, Nest, Size, read_tree
from bcclone.model.layer_kinds import (
    KINDS,
    is_for_training,
    learned_weights,
    normalize,
    stored_kind,
)
from bcclone.system.codec import parse_json
from bcclone.system.errors import shown

_LARGEST_OUTPUT = 1 << 24  # numbers
_SURELY_AFFORDABLE = 1 << 22  # weights; larger networks must have theirs in the file
_FRAMES_AT_MOST = 100  # in a window of a TimeDistributed, since each is a part of the graph
_ACTIVATION_LAYERS = {"ELU", "LeakyReLU", "ReLU"}  # without weights
_NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")
_NORMALIZE = keras.saving.get_registered_name(normalize)
# outputs of donkeycar's pilots that are not the steering alone: bins from -1 to 1; steering and
# throttle
_OF_PILOTS = {"angle_out": BINS, "angle": BINS, "model_outputs": 2, "outputs": 2}
_SHARPENED = 1 << 20  # what makes a softmax choose the most probable bin, as argmax does


@dataclass(frozen=True)
class RebuiltLayer:
    """A layer: its name, its type in the file, and its type now."""

    name: str
    kind: str
    now: str


@dataclass(frozen=True)
class RebuiltModel:
    """A rebuilt network, its origin, and its layers.

    notes: what was recognised or changed; pilot: of donkeycar, as pilot_of() names it; guessed: of
    Nest, for others.
    """

    model: keras.Model
    keras_version: str
    backend: str
    layers: tuple[RebuiltLayer, ...]
    notes: tuple[str, ...]
    pilot: str = ""
    guessed: str = ""


def rebuild_model(
    stored: StoredModel,
    most_outputs: int = 1,
    rescale: Scaling | None = None,
    size: Size = (None, None),
) -> RebuiltModel:
    """Return the network with its weights; raises UnsupportedModel, or errors of json and Keras.

    most_outputs: how many numbers it may predict; rescale: what its only Lambda layer computes that
    is not recognised; size: of read_tree().
    """
    nest, shape, dtype = read_tree(parse_json(stored.texts["model_config"]), size)
    leaves = list(nest.leaves())
    first, mirrored = has_channels_first(leaves), is_mirrored(stored)
    if mirrored:
        for leaf in leaves:
            check_mirrored(leaf)
    budget = max(
        _SURELY_AFFORDABLE,
        sum(array.values.size for arrays in stored.weights.values() for array in arrays),
    )
    if first and len(shape) != 3:
        raise UnsupportedModel(
            f"its input has the shape {shape} with channels first, which is not supported"
        )
    start = (None, *shape[1:], shape[0]) if first else (None, *shape)
    builder = _Builder(start, dtype, first, budget, rescale)
    builder.add_all(nest)
    if rescale and builder.stated != 1:
        raise UnsupportedModel(
            f"has {builder.stated} Lambda layers that are not recognised, expected 1 for --rescale"
        )
    units = _OF_PILOTS.get(leaves[-1].name, 1)
    pilot = pilot_of(nest.nodes[0].name, units)
    model = builder.finish(nest, max(most_outputs, units) if pilot else most_outputs)
    assign_weights(nest, builder.rebuilt, stored, mirrored, first)
    if pilot and model.output_shape[-1] > 1:
        model = _steering_of(model)
    notes = builder.notes
    if others := ", ".join(leaf.name for leaf in nest.left_out):
        notes.append(
            f"its output {shown(leaves[-1].name)} is taken as the steering; left out: {others[:100]}"
        )
    notes += ["channels first: rebuilt with channels last"] if first else []
    notes += ["trained with Theano: kernels rotated by 180 degrees"] if mirrored else []
    backend = "theano" if mirrored else stored.texts.get("backend", "tensorflow (not stated)")
    layers = []
    for leaf in leaves:
        form = "TimeDistributed({})" if leaf.over_time else "{}"
        layers.append(
            RebuiltLayer(
                leaf.name, *map(form.format, (leaf.kind, type(builder.rebuilt[leaf]).__name__))
            )
        )
    guessed = "" if pilot else nest.guessed
    return RebuiltModel(
        model,
        stored.texts.get("keras_version", "unknown"),
        backend,
        tuple(layers),
        tuple(notes),
        pilot,
        guessed,
    )


def _steering_of(model: keras.Model) -> keras.Model:
    """Return a pilot of donkeycar whose output is the steering: the most probable bin's, or the
    first column.
    """
    last = model.layers[-1]
    picks = np.array([[1.0], [0.0]])
    if last.units > len(picks):
        last.set_weights([array * _SHARPENED for array in last.get_weights()])
        picks = np.linspace(-1.0, 1.0, last.units)[:, np.newaxis]
    steering = keras.layers.Dense(1, use_bias=False, name="steering")
    wider = keras.Sequential([model.inputs[0], *model.layers, steering], name=model.name)
    steering.set_weights([picks])
    return wider


class _Builder:
    """Builds layers in order, each for the output shape of the one before; finish() allocates the
    weights.

    rebuilt: stored layer -> current layer; stated: how many Lambda layers rescale stands for;
    shape: input of the next layer, that of one frame within TimeDistributed.
    """

    def __init__(
        self, shape: Shape, dtype: str, channels_first: bool, budget: int, rescale: Scaling | None
    ) -> None:
        """shape, dtype: of the network's input; budget: most weights that it may have; rescale: of
        rebuild_model().
        """
        self.start = self.shape = shape
        self.dtype, self.channels_first, self.budget, self._rescale = (
            dtype,
            channels_first,
            budget,
            rescale,
        )
        self.rebuilt: dict[Leaf, keras.Layer] = {}
        self.notes, self.stated = list[str](), 0
        self._layers: list[keras.Layer] = []
        self._names = {"frame"}
        self._frames, self._weights = 1, 0

    def add_all(self, nest: Nest) -> None:
        """Rebuild the layers of a chain; raises UnsupportedModel."""
        for node in nest.nodes:
            if isinstance(node, Nest):
                (self._add_frames if node.is_over_time else self.add_all)(node)
            elif node.kind != "InputLayer" and node not in nest.left_out:
                self.add(node)

    def add(self, leaf: Leaf) -> None:
        """Rebuild one layer; raises UnsupportedModel with its name."""
        try:
            # with data_format channels_first, Keras 2.2 and later move the channels to the end
            # before they flatten
            moves_channels = (
                self.channels_first and leaf.config.get("data_format") != "channels_first"
            )
            if moves_channels and leaf.kind == "Flatten" and len(self.shape) == 4:
                self._append(
                    keras.layers.Permute(
                        (3, 1, 2), name=self._free_name(f"{leaf.name}_order", "order")
                    )
                )
            config = leaf.config
            activation: Any = config.get("activation")
            is_layer = (
                isinstance(activation, dict) and activation.get("class_name") in _ACTIVATION_LAYERS
            )
            if is_layer:
                config = {**config, "activation": "linear"}
            layer = self._append_layer(
                leaf.kind, config, self._free_name(leaf.name, leaf.kind.lower())
            )
            if is_layer:
                name = self._free_name(f"{leaf.name}_activation", "activation")
                self._append_layer(activation["class_name"], activation["config"], name)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            raise UnsupportedModel(
                f"{leaf}: {(str(error) or type(error).__name__).partition(chr(10))[0]}"
            ) from None
        self.rebuilt[leaf] = layer
        if leaf.kind == "Lambda" and isinstance(layer, keras.layers.Rescaling):
            self.notes.append(
                f"{leaf} computes x * {layer.scale:.6g} {layer.offset:+.6g}: a Rescaling layer"
            )
        if (dtype := dtype_of(leaf.config.get("dtype"))) != "float32" and leaf.kind != "InputLayer":
            self.notes.append(f"{leaf} computed in {dtype}, and now computes in float32")

    def finish(self, nest: Nest, most_outputs: int) -> keras.Model:
        """Return the model with initial weights; raises UnsupportedModel when it predicts another
        number of numbers.
        """
        if self.shape not in [(None, count) for count in range(1, most_outputs + 1)]:
            raise UnsupportedModel(
                f"the network has an output of shape {self.shape[1:]}, expected 1 number, the steering"
            )
        name = nest.name if _NAME.fullmatch(nest.name) else "model"
        return keras.Sequential(
            [keras.Input(self.start[1:], dtype=self.dtype, name="frame"), *self._layers], name=name
        )

    def _add_frames(self, nest: Nest) -> None:
        """Rebuild a TimeDistributed, whose layer or network is applied to each frame of a window."""
        count = self.shape[1] if len(self.shape) > 2 else None
        if not count or count > _FRAMES_AT_MOST:
            raise UnsupportedModel(
                f"layer {shown(nest.name)} (TimeDistributed): is applied to each frame of a window, but its input has "
                f"the shape {self.shape[1:]}, expected 1 to {_FRAMES_AT_MOST} frames"
            )
        outer, name = self._layers, self._free_name(nest.name, "each_frame")
        start = keras.Input(self.shape[2:], dtype="float32" if outer else self.dtype, name="frame")
        self._layers, self._frames, self.shape = [], count, (None, *self.shape[2:])
        self.add_all(nest)
        network = (
            self._layers[0]
            if len(self._layers) == 1
            else keras.Sequential([start, *self._layers], name="cnn")
        )
        self._layers = [*outer, keras.layers.TimeDistributed(network, name=name)]
        self._frames, self.shape = 1, (None, count, *self.shape[1:])

    def _free_name(self, name: str, otherwise: str) -> str:
        name = name if _NAME.fullmatch(name) else otherwise
        free = name if name not in self._names else f"{name}_{len(self._names)}"
        self._names.add(free)
        return free

    def _append_layer(self, stored_as: str, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Append a layer of the class `stored_as`, called `name`; errors are those of add()."""
        kind = stored_kind(stored_as)
        if is_for_training(stored_as):
            self.notes.append(
                f"layer {shown(name)} ({stored_as}) acts in training only: it changes nothing here"
            )
            kind, config = KINDS["Activation"], {"activation": "linear"}
        if kind is None:
            raise UnsupportedModel(
                f"layers of this type are not supported; known are {', '.join(KINDS)}"
            )
        if self.channels_first and len(self.shape) == 4 and not kind.channels_first:
            raise UnsupportedModel(
                "has its channels first, which is not supported for this type; expected them last"
            )
        if kind.axes not in (0, len(self.shape)):
            raise UnsupportedModel(
                f"expected an input of {kind.axes} axes with the batch, got {self.shape}"
            )
        if kind.type is keras.layers.Lambda:
            layer = self._lambda_layer(config, name)
        else:
            whole = (
                {"axis": None}
                if stored_as == "Normalization" and not config.get("axis", [-1])
                else {}
            )
            stored = {key: value for key, value in config.items() if key not in whole}
            layer = kind.type(
                **translate(kind.type, stored, self.shape, self.channels_first), **whole, name=name
            )
        layer.trainable = config.get("trainable", True) is not False
        self._append(layer)
        return layer

    def _lambda_layer(self, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Return the Rescaling or Resizing that computes the same, or the normalisation of our
        first models.
        """
        try:
            computed = _lambda_function(config["function"], config.get("arguments"))
            translate(
                keras.layers.Layer,
                {key: config[key] for key in config if key != "function"},
                self.shape,
                False,
            )
        except UnsupportedModel as error:
            if not self._rescale or STATING not in str(error):
                raise
            computed, self.stated = self._rescale, self.stated + 1
        if not computed:
            return keras.layers.Lambda(normalize, output_shape=self.shape[1:], name=name)
        if isinstance(computed, Scaling):
            return keras.layers.Rescaling(computed.scale, computed.offset, name=name)
        return keras.layers.Resizing(*computed, name=name)

    def _append(self, layer: keras.Layer) -> None:
        """Append a layer, after checking the sizes of its output and its weights."""
        output: Shape = tuple(layer.compute_output_shape(self.shape))
        extents = [extent or 0 for extent in output[1:]]
        if not extents or min(extents) < 1 or math.prod(extents) * self._frames > _LARGEST_OUTPUT:
            raise UnsupportedModel(
                f"makes {output[1:]} of {self.shape[1:]}, expected 1 to {_LARGEST_OUTPUT} numbers"
            )
        self._weights += learned_weights(layer, self.shape[-1] or 0)
        if self._weights > self.budget:
            raise UnsupportedModel(
                f"the network has more than {self.budget} weights, more than the file"
            )
        self._layers.append(layer)
        self.shape = output


def _lambda_function(function: Any, arguments: Any) -> Scaling | tuple[int, int] | None:
    """Return what a stored function computes, None for the normalisation of our first models."""
    if isinstance(function, dict) and (function.get("class_name"), function.get("config")) == (
        "function",
        _NORMALIZE,
    ):
        return None
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":  # Keras 3
        stored = function.get("config") or {}
        function = [stored.get(part) for part in ("code", "defaults", "closure")]
    if not isinstance(function, list) or len(function) != 3 or not isinstance(function[0], str):
        name = str(function.get("config") if isinstance(function, dict) else function)
        raise UnsupportedModel(
            f"calls the function {shown(name)}, which the file does not contain; {remedy_of(name)}"
        )
    if function[1] or function[2] or arguments:
        remedy = remedy_of(function[0])
        raise UnsupportedModel(
            f"its function uses arguments, default or outer values, not supported; {remedy}"
        )
    return computed_by(function[0])


# ---- the weights

Layers = Mapping[Leaf, keras.Layer]

# where Keras 3, and TensorFlow 2.12 to 2.15, keep the layers of a model
_FOLDERS = ("layers", "_layer_checkpoint_dependencies")
_OF_ARCHIVE = re.compile(rf"({'|'.join(_FOLDERS)})/")
_FIRST, _LAST = {"th", "channels_first"}, {"tf", "channels_last", "default", None}
_CONVOLUTIONS = ("Conv2D", "Convolution2D")  # whose kernels can be reordered and rotated
_CORRELATING = {"tensorflow", "jax", "torch", "numpy", "cntk"}


def assign_weights(
    model: Nest, layers: Layers, stored: StoredModel, mirrored: bool, channels_first: bool
) -> None:
    """Give each layer its arrays; raises UnsupportedModel with both shapes when they are others."""
    used: set[int] = set()
    in_folders = any(_OF_ARCHIVE.match(folder) for folder in stored.weights)
    taken = (
        _by_folder(model, "", layers, stored.weights)
        if in_folders
        else _by_name(model, layers, stored.weights)
    )
    for leaf, named in taken:
        used.update(id(array) for array in named)
        if leaf not in layers:  # of another output
            continue
        arrays = [array.values for array in named]
        if leaf.kind in _CONVOLUTIONS and arrays and arrays[0].ndim == 4:
            if (
                channels_first and "nb_filter" in leaf.config
            ):  # Keras 1; later ones have rows and columns first
                arrays[0] = arrays[0].transpose(2, 3, 1, 0)
            if mirrored:
                arrays[0] = np.ascontiguousarray(arrays[0][::-1, ::-1])
        expected = [tuple(weight.shape) for weight in layers[leaf].weights]
        if [array.shape for array in arrays] != expected:
            shapes = ", ".join(str(array.shape) for array in arrays) or "none"
            raise UnsupportedModel(
                f"{leaf}: its weights have the shapes {shapes}, expected {', '.join(map(str, expected))}"
            )
        layers[leaf].set_weights(arrays)
        if isinstance(layers[leaf], keras.layers.Normalization):
            layers[leaf].finalize_state()
    for folder, left in stored.weights.items():
        if any(id(array) not in used for array in left):
            raise UnsupportedModel(
                f"holds weights of {shown(folder)}, for which its network has no layer"
            )


def _by_name(
    nest: Nest, layers: Layers, weights: Weights
) -> Iterator[tuple[Leaf, Sequence[NamedArray]]]:
    """Yield the arrays of each layer in a .h5, where those of a model within the model lie
    together.
    """
    for node in nest.nodes:
        if isinstance(node, Leaf):
            yield node, weights.get(node.name, [])
        elif node.is_over_time:
            yield from _split(node, layers, list(weights.get(node.name, [])))
        elif stored := weights.get(node.name) or _unnamed(nest, node, layers, weights):
            yield from _split(node, layers, list(stored))
        else:
            yield from _by_name(node, layers, weights)


def _unnamed(nest: Nest, node: Nest, layers: Layers, weights: Weights) -> Sequence[NamedArray]:
    """Return the arrays of a model within the model whose name the configuration lacks, as in Keras
    1, by its place.
    """
    leaves = {leaf.name for leaf in nest.leaves()}
    left = [arrays for name, arrays in weights.items() if arrays and name not in leaves]
    unnamed = [
        other for other in nest.nodes if isinstance(other, Nest) and _has_weights(other, layers)
    ]
    return (
        left[unnamed.index(node)]
        if len(left) == len(unnamed) and node in unnamed and not node.name
        else []
    )


def _split(
    nest: Nest, layers: Layers, arrays: list[NamedArray]
) -> Iterator[tuple[Leaf, Sequence[NamedArray]]]:
    """Divide the arrays of a model within the model: first all that are trained, then all that are
    not.
    """
    divided: dict[Leaf, list[NamedArray]] = {leaf: [] for leaf in nest.leaves()}
    for trained in (True, False):
        for leaf, own in divided.items():
            count = len(
                layers[leaf].trainable_weights if trained else layers[leaf].non_trainable_weights
            )
            own += arrays[:count]
            del arrays[:count]
    if arrays:
        raise UnsupportedModel(f"holds more weights of {shown(nest.name)} than its network has")
    yield from divided.items()


def _by_folder(
    nest: Nest, prefix: str, layers: Layers, weights: Weights
) -> Iterator[tuple[Leaf, Sequence[NamedArray]]]:
    """Yield the arrays of each layer in an archive, whose folders are called by class and number."""
    start = next(
        (
            f"{prefix}{name}/"
            for name in _FOLDERS
            if any(f.startswith(f"{prefix}{name}/") for f in weights)
        ),
        "",
    )
    names = {
        folder.removeprefix(start).partition("/")[0]
        for folder in weights
        if start and folder.startswith(start)
    }
    seen: dict[str, int] = {}
    for node in nest.nodes:
        is_left_out = isinstance(node, Leaf) and node in nest.left_out
        if not (is_left_out or _has_weights(node, layers)):
            continue
        # BatchNormalization is in batch_normalization, PReLU in p_re_lu
        kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", node.kind)
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
        same = sorted(
            (name for name in names if re.fullmatch(rf"{kind}(_\d+)?", name)),
            key=lambda name: (len(name), name),
        )
        seen[kind] = seen.get(kind, -1) + 1
        if is_left_out and not same:  # it has no weights
            continue
        if seen[kind] >= len(same):
            raise UnsupportedModel(f"has no weights of {shown(node.name)} ({node.kind[:40]})")
        folder = start + same[seen[kind]]
        if isinstance(node, Nest) and node.is_over_time:
            node, folder = node.nodes[0], f"{folder}/layer"
        if isinstance(node, Nest):
            yield from _by_folder(node, f"{folder}/", layers, weights)
        else:  # recurrent layers keep theirs in a cell
            yield node, [*weights.get(folder, []), *weights.get(f"{folder}/cell", [])]


def _has_weights(node: Leaf | Nest, layers: Layers) -> bool:
    leaves = node.leaves() if isinstance(node, Nest) else [node]
    return any(leaf in layers and layers[leaf].weights for leaf in leaves)


def is_mirrored(stored: StoredModel) -> bool:
    """Return whether the kernels are Theano's, which are mirrored; raises UnsupportedModel for an
    unknown backend.

    Files of Keras 1 do not name the backend; there TensorFlow's weights have names that end in
    ":0".
    """
    backend = stored.texts.get("backend")
    if backend is not None:
        if backend not in _CORRELATING | {"theano"}:
            raise UnsupportedModel(
                f"was written on the backend {shown(backend)}, whose kernels are unknown"
            )
        return backend == "theano"
    names = [array.name for arrays in stored.weights.values() for array in arrays]
    of_old = not stored.texts.get("keras_version", "1").startswith(("2", "3"))
    return of_old and bool(names) and not any(re.search(r":\d+$", name) for name in names)


def has_channels_first(leaves: Sequence[Leaf]) -> bool:
    """Return whether the layers have the channels first; raises UnsupportedModel when some do and
    others do not.
    """
    orders: dict[bool, Leaf] = {}
    for leaf in [leaf for leaf in leaves if leaf.kind != "Flatten"]:
        for name in [name for name in ("dim_ordering", "data_format") if name in leaf.config]:
            value = leaf.config[name]
            if not isinstance(value, str | None) or value not in _FIRST | _LAST:
                raise UnsupportedModel(
                    f"{leaf}: {name} is {shown(value)}, expected 'channels_last' or 'channels_first'"
                )
            orders[value in _FIRST] = leaf
    if len(orders) == 2:
        raise UnsupportedModel(
            f"{orders[True]} has its channels first and {orders[False]} has them last; expected one of both"
        )
    return True in orders


def check_mirrored(leaf: Leaf) -> None:
    """Refuse layers whose Theano version differs in more than mirrored kernels."""
    if leaf.kind not in _CONVOLUTIONS and not leaf.config.keys().isdisjoint(
        ("kernel_size", "nb_row")
    ):
        raise UnsupportedModel(
            f"{leaf}: was trained with Theano, which is not supported for this type"
        )
    if leaf.config.get("border_mode", leaf.config.get("padding")) != "same":
        return
    strides = leaf.config.get("subsample", leaf.config.get("strides"))
    rows_columns = leaf.config.get(
        "kernel_size", [leaf.config.get("nb_row"), leaf.config.get("nb_col")]
    )
    if (
        "Pooling" in leaf.kind
        or strides not in ([1, 1], 1)
        or any(size % 2 == 0 for size in rows_columns)
    ):
        raise UnsupportedModel(f"{leaf}: Theano pads 'same' on other sides, which is not supported")
