"""Rebuild a network layer by layer from its configuration, and give it the weights of the file."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.arguments import REMEDY, Scaling, Shape, dtype_of, scaling_of_code, short, translate
from bcclone.model.keras_files.stored import StoredModel
from bcclone.model.keras_files.tree import Leaf, Nest, read_tree
from bcclone.model.keras_files.weights import (
    assign_weights,
    check_mirrored,
    flattens_channels_first,
    has_channels_first,
    is_mirrored,
)
from bcclone.model.layer_kinds import KINDS, RECURRENT, normalize, stored_kind
from bcclone.system.codec import parse_json

_LARGEST_OUTPUT, _PRODUCTS_AT_MOST = 1 << 24, 1 << 35  # numbers; multiplications per frame
_SURELY_AFFORDABLE = 1 << 22  # weights; larger networks must have theirs in the file
_FRAMES_AT_MOST = 100  # in a window of a TimeDistributed, since each is a part of the graph
_ACTIVATION_LAYERS = {"ELU", "LeakyReLU", "ReLU"}  # without weights
_NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")
_NORMALIZE = keras.saving.get_registered_name(normalize)


@dataclass(frozen=True)
class RebuiltLayer:
    """A layer: its name, its type in the file, and its type now."""

    name: str
    kind: str
    now: str


@dataclass(frozen=True)
class RebuiltModel:
    """A rebuilt network, its origin, and its layers. notes: what was recognised or changed."""

    model: keras.Model
    keras_version: str
    backend: str
    layers: tuple[RebuiltLayer, ...]
    notes: tuple[str, ...]


def rebuild_model(stored: StoredModel, most_outputs: int = 1, rescale: Scaling | None = None) -> RebuiltModel:
    """Return the network with its weights; raises UnsupportedModel, or errors of json and Keras.

    most_outputs: how many numbers it may predict; rescale: what its only Lambda layer computes.
    """
    nest, shape, dtype = read_tree(parse_json(stored.texts["model_config"]))
    leaves = list(nest.leaves())
    first, mirrored = has_channels_first(leaves), is_mirrored(stored)
    if mirrored:
        for leaf in leaves:
            check_mirrored(leaf)
    if rescale and (count := sum(leaf.kind == "Lambda" for leaf in leaves)) != 1:
        raise UnsupportedModel(f"has {count} Lambda layers, expected 1 for --rescale")
    budget = max(_SURELY_AFFORDABLE, sum(array.values.size for arrays in stored.weights.values() for array in arrays))
    builder = _Builder(_channels_last(shape, first), dtype, first, budget, rescale)
    for leaf in leaves:
        builder.add(leaf)
    model = builder.finish(nest, most_outputs)
    assign_weights(nest, builder.rebuilt, stored, mirrored, first)
    notes = [*builder.notes]
    notes += ["channels first: rebuilt with channels last"] if first else []
    notes += ["trained with Theano: kernels rotated by 180 degrees"] if mirrored else []
    backend = "theano" if mirrored else stored.texts.get("backend", "tensorflow (not stated)")
    layers = []
    for leaf in leaves:
        form = "TimeDistributed({})" if leaf.over_time else "{}"
        names = leaf.kind, type(builder.rebuilt[leaf]).__name__
        layers.append(RebuiltLayer(leaf.name, *map(form.format, names)))
    return RebuiltModel(model, stored.texts.get("keras_version", "unknown"), backend, tuple(layers), tuple(notes))


def _channels_last(shape: tuple[int, ...], first: bool) -> Shape:
    if first and len(shape) != 3:
        raise UnsupportedModel(f"its input has the shape {shape} with channels first, which is not supported")
    return (None, *shape[1:], shape[0]) if first else (None, *shape)


class _Builder:
    """Builds layers in order, each for the output shape of the one before; finish() allocates the weights.

    Consecutive layers within TimeDistributed become one TimeDistributed network, which takes Keras half the time.
    rebuilt: stored layer -> current layer; shape: input of the next layer, that of one frame within TimeDistributed.
    """

    def __init__(self, shape: Shape, dtype: str, channels_first: bool, budget: int, rescale: Scaling | None) -> None:
        """shape, dtype: of the network's input; budget: most weights that it may have; rescale: of rebuild_model()."""
        self.start = self.shape = self._frame_shape = shape
        self.dtype, self.channels_first, self.budget, self._rescale = dtype, channels_first, budget, rescale
        self.rebuilt: dict[Leaf, keras.Layer] = {}
        self.notes: list[str] = []
        self._layers: list[keras.Layer] = []
        self._gathered: list[keras.Layer] = []
        self._gathered_name, self._frames = "", 1
        self._weights = self._products = 0

    def add(self, leaf: Leaf) -> None:
        """Rebuild one layer; raises UnsupportedModel with its name."""
        try:
            if leaf.over_time and not self._gathered_name:
                self._begin_frames(leaf)
            elif self._gathered_name and not leaf.over_time:
                self._end_frames()
            moves_channels = self.channels_first and leaf.kind == "Flatten" and len(self.shape) == 4
            if moves_channels and flattens_channels_first(leaf.config):
                self._append(keras.layers.Permute((3, 1, 2), name=self._free_name(f"{leaf.name}_order", "order")))
            config, after = _without_activation_layer(leaf.config)
            layer = self._append_layer(leaf.kind, config, self._free_name(leaf.name, leaf.kind.lower()))
            if after is not None:
                name = self._free_name(f"{leaf.name}_activation", "activation")
                self._append_layer(after["class_name"], after["config"], name)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            raise UnsupportedModel(f"{leaf}: {(str(error) or type(error).__name__).partition(chr(10))[0]}") from None
        self.rebuilt[leaf] = layer
        if leaf.kind == "Lambda" and isinstance(layer, keras.layers.Rescaling):
            self.notes.append(f"{leaf} computes x * {layer.scale:.6g} {layer.offset:+.6g}: a Rescaling layer")
        if (dtype := dtype_of(leaf.config.get("dtype"))) != "float32" and leaf.kind != "InputLayer":
            self.notes.append(f"{leaf} computed in {dtype}, and now computes in float32")

    def finish(self, nest: Nest, most_outputs: int) -> keras.Model:
        """Return the model with initial weights; raises UnsupportedModel when it predicts another number of numbers."""
        if self._gathered_name:
            self._end_frames()
        if self.shape not in [(None, count) for count in range(1, most_outputs + 1)]:
            raise UnsupportedModel(
                f"the network has an output of shape {self.shape[1:]}, expected 1 number, the steering"
            )
        name = nest.name if _NAME.fullmatch(nest.name) else "model"
        return keras.Sequential([keras.Input(self.start[1:], dtype=self.dtype, name="frame"), *self._layers], name=name)

    def _begin_frames(self, leaf: Leaf) -> None:
        if len(self.shape) < 3 or self.shape[1] is None:
            raise UnsupportedModel(
                f"is applied to each frame of a window, but its input has the shape {self.shape[1:]}"
            )
        if self.shape[1] > _FRAMES_AT_MOST:
            raise UnsupportedModel(f"is applied to {self.shape[1]} frames, expected at most {_FRAMES_AT_MOST}")
        self._gathered_name, self._gathered = self._free_name(leaf.over_time, "each_frame"), []
        self._frame_shape, self._frames = (None, *self.shape[2:]), self.shape[1]
        self.shape = self._frame_shape

    def _end_frames(self) -> None:
        """Put the gathered layers into one TimeDistributed layer, and continue with windows."""
        inner = self._gathered
        dtype = "float32" if self._layers else self.dtype
        start = keras.Input(self._frame_shape[1:], dtype=dtype, name="frame")
        network = inner[0] if len(inner) == 1 else keras.Sequential([start, *inner], name="cnn")
        self._layers.append(keras.layers.TimeDistributed(network, name=self._gathered_name))
        self.shape = (None, self._frames, *self.shape[1:])
        self._gathered_name, self._gathered, self._frames = "", [], 1

    def _free_name(self, name: str, otherwise: str) -> str:
        layers = [*self._layers, *self._gathered]
        taken = {layer.name for layer in layers} | {"frame", self._gathered_name}
        name = name if _NAME.fullmatch(name) else otherwise
        return name if name not in taken else f"{name}_{len(layers)}"

    def _append_layer(self, stored_as: str, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Append a layer of the class `stored_as`, called `name`; errors are those of add()."""
        kind = stored_kind(stored_as)
        if kind is None:
            raise UnsupportedModel(f"layers of this type are not supported; known are {', '.join(KINDS)}")
        if self.channels_first and len(self.shape) == 4 and not kind.channels_first:
            raise UnsupportedModel("has its channels first, which is not supported for this type; expected them last")
        if kind.axes not in (0, len(self.shape)):
            raise UnsupportedModel(f"expected an input of {kind.axes} axes with the batch, got {self.shape}")
        if kind.type is keras.layers.Lambda:
            layer = self._lambda_layer(config, name)
        else:
            layer = kind.type(**translate(kind.type, config, self.shape, self.channels_first), name=name)
        layer.trainable = config.get("trainable", True) is not False
        self._append(layer)
        return layer

    def _lambda_layer(self, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Return the Rescaling that computes the same, or the normalisation of our first models."""
        scaling = self._rescale
        if not scaling:
            scaling = _lambda_scaling(config["function"])
            translate(keras.layers.Layer, {key: config[key] for key in config if key != "function"}, self.shape, False)
        if not scaling:
            return keras.layers.Lambda(normalize, output_shape=self.shape[1:], name=name)
        return keras.layers.Rescaling(scaling.scale, scaling.offset, name=name)

    def _append(self, layer: keras.Layer) -> None:
        """Append a layer, after checking the sizes of its output and its weights."""
        output: Shape = tuple(layer.compute_output_shape(self.shape))
        extents = [extent or 0 for extent in output[1:]]
        if not extents or min(extents) < 1 or math.prod(extents) * self._frames > _LARGEST_OUTPUT:
            raise UnsupportedModel(f"makes {output[1:]} of {self.shape[1:]}, expected 1 to {_LARGEST_OUTPUT} numbers")
        weights = KINDS[type(layer).__name__].weights(layer, self.shape[-1] or 0, extents)
        self._weights += weights
        steps = (self.shape[1] or 1) if isinstance(layer, RECURRENT) else math.prod(extents[:-1])
        self._products += weights * steps * self._frames
        if self._weights > self.budget:
            raise UnsupportedModel(f"the network has more than {self.budget} weights, more than the file")
        if self._products > _PRODUCTS_AT_MOST:
            raise UnsupportedModel(f"the network takes more than {_PRODUCTS_AT_MOST} multiplications per frame")
        (self._gathered if self._gathered_name else self._layers).append(layer)
        self.shape = output


def _without_activation_layer(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """Split an activation that is itself a layer from a layer's arguments; return both configurations."""
    activation = config.get("activation")
    if not isinstance(activation, dict) or activation.get("class_name") not in _ACTIVATION_LAYERS:
        return config, None
    return {**config, "activation": "linear"}, activation


def _lambda_scaling(function: Any) -> Scaling | None:
    """Return what a stored function computes, None for the normalisation of our first models."""
    if isinstance(function, dict) and (function.get("class_name"), function.get("config")) == ("function", _NORMALIZE):
        return None
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":  # Keras 3
        stored = function.get("config") or {}
        function = [stored.get(part) for part in ("code", "defaults", "closure")]
    if not isinstance(function, list) or len(function) != 3 or not isinstance(function[0], str):
        name = function.get("config") if isinstance(function, dict) else function
        raise UnsupportedModel(f"calls the function {short(name)}, which the file does not contain; {REMEDY}")
    if function[1] or function[2]:
        raise UnsupportedModel(f"its function uses default or outer values, which is not supported; {REMEDY}")
    return scaling_of_code(function[0])
