"""Build the layers of today for a chain of stored layers, without their weights.

In: the layers, one after the other, and the shape of the network's input. Out: a network. Sizes are
checked before anything is allocated.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import keras

from bcclone.dataset.preprocessing_text import Scaling, joined_scaling
from bcclone.model.foreign.arguments import Shape, activation_of_operation, translate
from bcclone.model.foreign.lambda_code import remedy, scaling_of_code
from bcclone.model.foreign.stored import UnsupportedModel
from bcclone.model.foreign.tree import CONVERT, Leaf, Nest, Tensor, dtype_of
from bcclone.model.layer_kinds import KINDS, RECURRENT, axes_of
from bcclone.system.errors import shown

_NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")  # names that Keras takes
_LARGEST_OUTPUT = 1 << 24  # numbers in the output of a layer
_MOST_FRAMES = 100  # of a window; each frame adds a part to the graph


class LayerBuilder:
    """Builds the layers in their order; each gets its input shape from the layer before."""

    def __init__(
        self, shape: Shape, dtype: str, is_keras_3: bool, budget: int, rescale: Scaling | None
    ) -> None:
        """Start a network.

        shape: shape of its input, with the batch
        dtype: dtype of its input
        is_keras_3: whether Keras 3 wrote the file
        budget: most weights that the network may have
        rescale: what a Lambda layer of unrecognised code computes; None if not known
        """
        self._input_shape = shape
        self._input_dtype = dtype
        self._is_keras_3 = is_keras_3
        self._budget = budget  # of the layers to come
        self._rescale = rescale

        self.rebuilt: dict[Leaf, keras.Layer] = {}  # stored layer -> its layer of today
        self.rescaled = 0  # how many Lambda layers became the scaling `rescale`
        self.notes: list[str] = []  # what was recognised or changed

        # the layers so far; inside a TimeDistributed, only those that it applies to each frame
        self._layers: list[keras.Layer] = []
        # shape of the next layer's input; inside a TimeDistributed, that of one frame
        self._shape = shape
        self._frames = 0  # inside a TimeDistributed, how many frames a window has
        self._names = {"frame"}  # names of all layers so far; "frame" is the input

    def add_all(self, nest: Nest) -> None:
        """Build the layers of a chain; raises UnsupportedModel."""
        for node in nest.nodes:
            if isinstance(node, Nest):
                if node.is_over_time:
                    self._add_time_distributed(node)
                else:
                    self.add_all(node)
            elif node.kind != "InputLayer" and node not in nest.left_out:
                try:
                    self.rebuilt[node] = self._add(node)
                # the errors of Keras, and UnsupportedModel, which is a ValueError
                except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as e:
                    reason, _, _ = (str(e) or type(e).__name__).partition("\n")
                    raise UnsupportedModel(f"{node}: {reason}") from None

    def finish(self, name: str, most_outputs: int) -> keras.Model:
        """Return the network with initial weights; it gets the name if Keras takes that.

        Raises UnsupportedModel if it does not predict 1 to most_outputs numbers.
        """
        if self._shape not in [(None, count) for count in range(1, most_outputs + 1)]:
            # the message states what is expected of other programs' models; only ours and pilots of
            # donkeycar may predict more
            raise UnsupportedModel(
                f"the network has an output of shape {self._shape[1:]}, expected 1 number, the "
                "steering"
            )
        start = keras.Input(self._input_shape[1:], dtype=self._input_dtype, name="frame")
        return keras.Sequential(
            [start, *self._layers], name=name if _NAME.fullmatch(name) else "model"
        )

    def _add(self, leaf: Leaf) -> keras.Layer:
        """Build one layer; raises UnsupportedModel, or the errors that Keras raises."""
        # outside of training, RandomCrop changes the size in some versions
        is_random = leaf.kind.startswith("Random") and leaf.kind != "RandomCrop"
        if _kind_of(leaf.kind) is None and not is_random:
            return self._append(*_layer_of_operation(leaf, self._shape), leaf.name)
        others = [value for value in leaf.called_with if not isinstance(value, Tensor)]
        if others:
            raise UnsupportedModel(f"is called with {shown(others)}, which is not read; {CONVERT}")
        if is_random:
            self.notes.append(f"{leaf} acts in training only: it changes nothing here")
            return self._append("Activation", {"activation": "linear"}, leaf.name)

        # an activation that is a layer in the file becomes a layer of its own
        config = leaf.config
        activation: Any = config.get("activation")
        is_layer = isinstance(activation, dict) and bool(
            _kind_of(str(activation.get("class_name")))
        )
        if is_layer:
            config = {**config, "activation": "linear"}
        layer = self._append(leaf.kind, config, leaf.name)
        if is_layer:
            name = f"{leaf.name}_activation"
            self._append(activation["class_name"], activation["config"], name)
        dtype = dtype_of(leaf.config.get("dtype"))
        if dtype != "float32":
            self.notes.append(f"{leaf} computed in {dtype}, and now computes in float32")
        return layer

    def _append(self, stored_as: str, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Append a layer and return it; raises the same errors as _add().

        stored_as: its class in the file
        config: its arguments in the file
        name: its name in the file
        """
        kind = _kind_of(stored_as)
        assert kind  # _add() has looked
        axes = axes_of(kind)
        if axes not in (None, len(self._shape)):
            raise UnsupportedModel(
                f"expected an input of {axes} axes with the batch, got {self._shape}"
            )
        name = self._free_name(name, stored_as.lower())
        if kind is keras.layers.Lambda:
            layer = self._lambda(config, name)
        else:
            arguments = translate(kind, config, self._shape, self._is_keras_3)
            if kind is keras.layers.LayerNormalization:
                kind, arguments = _normalization(arguments, len(self._shape))
            layer = kind(**arguments, name=name)
        layer.trainable = config.get("trainable", True) is not False

        # check the sizes of its output and of its weights
        output: Shape = tuple(layer.compute_output_shape(self._shape))
        extents = [extent or 0 for extent in output[1:]]
        numbers = math.prod(extents) * max(self._frames, 1)
        if not extents or min(extents) < 1 or numbers > _LARGEST_OUTPUT:
            raise UnsupportedModel(
                f"makes {output[1:]} of {self._shape[1:]}, expected 1 to {_LARGEST_OUTPUT} numbers"
            )
        self._budget -= _learned_weights(layer, self._shape[-1] or 0)
        if self._budget < 0:
            raise UnsupportedModel("with it, the network has more weights than the file")
        self._layers.append(layer)
        self._shape = output
        return layer

    def _lambda(self, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Return the Rescaling that computes the same as a Lambda."""
        try:
            scaling = scaling_of_code(_code_of(config["function"]))
        except UnsupportedModel:
            if not self._rescale:
                raise
            scaling = self._rescale
            self.rescaled += 1
        else:
            # only for its errors: the class Layer has none of a Lambda's arguments, so each that
            # would change the result is refused
            others = {key: value for key, value in config.items() if key != "function"}
            translate(keras.layers.Layer, others, self._shape, self._is_keras_3)
        self.notes.append(
            f"layer {shown(name)} (Lambda) computes x * {scaling.scale:.6g} "
            f"{scaling.offset:+.6g}: a Rescaling layer"
        )
        return keras.layers.Rescaling(scaling.scale, scaling.offset, name=name)

    def _add_time_distributed(self, nest: Nest) -> None:
        """Build a TimeDistributed, whose layer or network is applied to each frame of a window."""
        count = self._shape[1] if len(self._shape) > 2 else None
        if self._frames or not count or count > _MOST_FRAMES:
            reason = (
                "is applied to each frame of a window, but its input has the shape "
                f"{self._shape[1:]}, expected 1 to {_MOST_FRAMES} frames"
            )
            if self._frames:
                reason = "is within another TimeDistributed"
            raise UnsupportedModel(f"layer {shown(nest.name)} (TimeDistributed): {reason}")
        name = self._free_name(nest.name, "each_frame")
        dtype = "float32" if self._layers else self._input_dtype
        frame = keras.Input(self._shape[2:], dtype=dtype, name="frame")

        # build what is applied to one frame, apart from the layers so far
        outer_layers = self._layers
        self._layers = []
        self._frames = count
        self._shape = (None, *self._shape[2:])
        self.add_all(nest)
        if len(self._layers) == 1:
            applied = self._layers[0]
        else:
            applied = keras.Sequential([frame, *self._layers], name="cnn")

        self._layers = [*outer_layers, keras.layers.TimeDistributed(applied, name=name)]
        self._frames = 0
        self._shape = (None, count, *self._shape[1:])

    def _free_name(self, name: str, otherwise: str) -> str:
        """Return a name that no layer has yet: `name` if Keras takes it, or else `otherwise`.

        A number is added to a name that another layer has.
        """
        if not _NAME.fullmatch(name):
            name = otherwise
        free_name = name
        number = 1
        while free_name in self._names:
            number += 1
            free_name = f"{name}_{number}"
        self._names.add(free_name)
        return free_name


def _normalization(arguments: dict[str, Any], axes: int) -> tuple[Any, dict[str, Any]]:
    """Return a layer of the class LayerNormalization, as its class and the arguments of that.

    Keras reads one of several axes from a .h5 file as one of the last axis. So one of all axes,
    without weights, becomes the GroupNormalization of one group, which computes the same.

    axes: of its input, with the batch
    """
    axis = arguments.get("axis", -1)
    normalized = {each % axes for each in (axis if isinstance(axis, (list, tuple)) else [axis])}
    has_weights = arguments.get("center", True) or arguments.get("scale", True)
    if axes < 3 or normalized != set(range(1, axes)) or has_weights:
        return keras.layers.LayerNormalization, arguments
    others = {key: value for key, value in arguments.items() if key != "axis"}
    return keras.layers.GroupNormalization, {**others, "groups": 1}


def _code_of(function: Any) -> str:
    """Return the byte code of a Lambda's stored function, as text; raises UnsupportedModel.

    function: its code, defaults and closure, or a name
    """
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":  # Keras 3
        stored = function.get("config") or {}
        function = [stored.get(part) for part in ("code", "defaults", "closure")]
    match function:
        case [str(code), defaults, closure]:
            if defaults or closure:
                raise UnsupportedModel(
                    f"its function uses default or outer values, which are not read; {remedy()}"
                )
            return code
    name = function.get("config") if isinstance(function, dict) else function
    raise UnsupportedModel(
        f"calls the function {shown(str(name))}, which the file does not contain; {remedy()}"
    )


# ---- operations between the layers of a graph

# name of an operation, in lower case without underscores -> its sign
_SIGNS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "truedivide": "/",
    "truediv": "/",
}
_REMEDY = (
    "in the author's script, put a layer of Keras in its place, or leave it out and state in "
    "--preprocess what it does to the frames, such as rows 60-140 or BGR; copy the weights and "
    f"save again; or {CONVERT}"
)


def _layer_of_operation(leaf: Leaf, shape: Shape) -> tuple[str, dict[str, Any]]:
    """Return the class and the arguments of the layer that computes an operation.

    Arithmetic with a number becomes a Rescaling, a slice of rows and columns a Cropping2D. Raises
    UnsupportedModel for other operations, and for layers of an unknown type.

    shape: shape of the operation's input, with the batch
    """
    called = leaf.kind
    if called in ("TFOpLambda", "SlicingOpLambda"):  # tf.keras stores a function such as math.tanh
        called = str(leaf.config["function"]).rpartition(".")[2]
    name = called.lower().replace("_", "")
    match leaf.called_with:
        case (Tensor(), key) if name == "getitem":
            return "Cropping2D", {"cropping": _cropping(key, shape)}
        case (Tensor(), *dtypes) if name == "cast":
            if "float" in str(dtypes or leaf.config.get("dtype")):
                return "Rescaling", {"scale": 1.0, "offset": 0.0}
        case (Tensor(),):
            options = {
                key: value
                for key, value in leaf.config.items()
                if key not in ("name", "trainable", "dtype", "function")
            }
            activation = activation_of_operation(name, options)
            if activation:
                return "Activation", {"activation": activation}
    steps = _steps_of(name, leaf.called_with)
    if not steps:
        raise UnsupportedModel(f"is no layer or operation that is read; {_REMEDY}")
    return "Rescaling", vars(joined_scaling(steps))


def _steps_of(operation: str, called_with: tuple[Any, ...]) -> list[tuple[str, float]]:
    """Return what arithmetic with a number does to a tensor, as joined_scaling() takes it."""
    match called_with:
        case (Tensor(), int() | float() as number) if operation in _SIGNS:
            return [(_SIGNS[operation], number)]
        case (int() | float() as number, Tensor()) if operation in ("add", "multiply"):
            return [(_SIGNS[operation], number)]
        case (int() | float() as number, Tensor()) if operation == "subtract":
            return [("*", -1.0), ("+", number)]
    return []


def _cropping(key: Any, shape: Shape) -> list[list[int]]:
    """Return how many rows and columns a slice of an image cuts off: [[top, bottom], [left, right]]

    key: an index of a tensor: a part, or a list of them
    """
    parts = key if isinstance(key, list) else [key]
    if ... not in parts:
        parts = [*parts, ...]
    place = parts.index(...)
    between = [slice(None)] * (len(shape) - len(parts) + 1)
    parts = [*parts[:place], *between, *parts[place + 1 :]]
    cuts = []  # how many numbers are cut off at the begin and at the end of each axis
    for part, extent in zip(parts, shape, strict=True):
        if not isinstance(part, slice) or part.step not in (None, 1):
            raise UnsupportedModel(f"takes {shown(part)}, expected a slice; {_REMEDY}")
        # the batch, which has no fixed size, must be whole, as the channels
        first, end, _ = part.indices(extent or 1 << 16)
        cuts.append([first, (extent or 1 << 16) - end])
    if len(cuts) != 4 or cuts[0] != [0, 0] or cuts[3] != [0, 0]:
        raise UnsupportedModel(f"cuts more than rows and columns off; {_REMEDY}")
    return cuts[1:3]


# ---- the types of layers in a file

_KINDS = {**KINDS, "Lambda": keras.layers.Lambda}  # a Lambda becomes a Rescaling


def _kind_of(name: str) -> type[keras.Layer] | None:
    """Return a type by the class in a file of Keras 1 to 3, None if it is not supported."""
    names_now = {  # in Keras 1 and in tf.keras 1 -> today
        "Convolution2D": "Conv2D",
        "SeparableConvolution2D": "SeparableConv2D",
        "BatchNormalizationV1": "BatchNormalization",
    }
    return _KINDS.get(names_now.get(name, name))


def _learned_weights(layer: Any, channels: int) -> int:
    """Return about how many weights a layer of kernels or units will have, 0 for others.

    channels: number of channels of its input
    """
    if isinstance(layer, RECURRENT):
        return int(layer.units * 4 * (channels + layer.units))  # of an LSTM; others have fewer
    if isinstance(layer, keras.layers.Dense):
        return int(layer.units * channels)
    if isinstance(layer, keras.layers.SeparableConv2D | keras.layers.DepthwiseConv2D):
        # kernels of one channel, and filters of one pixel
        kernels = channels * layer.depth_multiplier
        filters = layer.filters if isinstance(layer, keras.layers.SeparableConv2D) else 0
        return int(kernels * (math.prod(layer.kernel_size) + filters))
    if isinstance(layer, keras.layers.Conv2D | keras.layers.Conv3D):
        return int(math.prod(layer.kernel_size) * channels * layer.filters // layer.groups)
    return 0
