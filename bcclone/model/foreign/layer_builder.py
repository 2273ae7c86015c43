"""Build the layers of today for a chain of stored layers, without their weights.

In: the layers, one after the other, and the shape of the network's input. Out: a network with
channels last. Sizes are checked before anything is allocated.
"""

import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import numpy as np

from bcclone.dataset.preprocessing_text import Scaling
from bcclone.model.foreign.arguments import Dialect, Shape, dtype_of, translate
from bcclone.model.foreign.lambda_code import RESCALE_COMMAND, computed_by, remedy_of
from bcclone.model.foreign.operations import (
    Operation,
    check_pictures_apart,
    layer_of,
    network_of,
)
from bcclone.model.foreign.tree import Leaf, Nest
from bcclone.model.foreign.unsupported import CONVERT, UnsupportedModel
from bcclone.model.layer_kinds import (
    KINDS,
    LayerKind,
    is_random,
    learned_weights,
    normalize,
    stored_kind,
)
from bcclone.system.errors import shown

_NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")  # names that Keras takes


class LayerBuilder:
    """Builds the layers in their order; each gets its input shape from the layer before."""

    def __init__(
        self,
        shape: Shape,
        dtype: str,
        dialect: Dialect,
        budget: int,
        rescale: Scaling | None,
    ) -> None:
        """Start a network.

        shape: shape of its input, with the batch, channels last
        dtype: dtype of its input
        dialect: what the arguments of the layers depend on
        budget: most weights that the network may have
        rescale: what a Lambda layer of unrecognised code computes; None if not known
        """
        self._input_shape = shape
        self._input_dtype = dtype
        self._dialect = dialect
        self._budget = budget
        self._rescale = rescale

        self.rebuilt: dict[Leaf, keras.Layer] = {}  # stored layer -> its layer of today
        self.rescaled = 0  # how many Lambda layers became the scaling `rescale`
        self.notes: list[str] = []  # what was recognised or changed

        # the layers so far; inside a TimeDistributed, only those that it applies to each frame
        self._layers: list[keras.Layer] = []
        # shape of the next layer's input; inside a TimeDistributed, that of one frame
        self._shape = shape
        self._frames = 1  # to how many frames of a window the next layer is applied
        self._weight_count = 0  # of all layers so far
        self._names = {"frame"}  # names of all layers so far; "frame" is the input

    def add_all(self, nest: Nest) -> None:
        """Build the layers of a chain; raises UnsupportedModel."""
        for node in nest.nodes:
            if isinstance(node, Leaf):
                if node.kind != "InputLayer" and node not in nest.left_out:
                    self._add(node)
            elif node.is_over_time:
                self._add_time_distributed(node)
            else:
                self.add_all(node)

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
        if not _NAME.fullmatch(name):
            name = "model"
        return keras.Sequential([start, *self._layers], name=name)

    def _add(self, leaf: Leaf) -> None:
        """Build one layer; raises UnsupportedModel with its name."""
        try:
            if leaf.operation:
                layer = self._append_operation(leaf.operation, leaf.name)
            else:
                layer = self._append_for(leaf)
        # UnsupportedModel, which the methods below raise, is a ValueError: its text gets the
        # layer's name here, as the errors of Keras do
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            reason = str(error) or type(error).__name__
            first_line, _, _ = reason.partition("\n")
            raise UnsupportedModel(f"{leaf}: {first_line}") from None
        self.rebuilt[leaf] = layer
        if leaf.kind == "Lambda" and isinstance(layer, keras.layers.Rescaling):
            self.notes.append(
                f"{leaf} computes x * {layer.scale:.6g} {layer.offset:+.6g}: a Rescaling layer"
            )
        dtype = dtype_of(leaf.config.get("dtype"))
        if dtype != "float32" and not leaf.operation:
            self.notes.append(f"{leaf} computed in {dtype}, and now computes in float32")

    def _append_for(self, leaf: Leaf) -> keras.Layer:
        """Append the layer of today, and return it.

        Some arguments need a further layer before or after it, which is appended, too.
        """
        # Keras 2.2 and later move the channels to the end before they flatten, if the Flatten says
        # that they are first; otherwise the numbers are flattened in the order of the file. The
        # channels are last here, so a Permute restores that order
        is_in_file_order = leaf.config.get("data_format") != "channels_first"
        is_image = len(self._shape) == 4
        if (
            leaf.kind == "Flatten"
            and self._dialect.channels_first
            and is_in_file_order
            and is_image
        ):
            name = self._free_name(f"{leaf.name}_order", "order")
            self._append(keras.layers.Permute((3, 1, 2), name=name))

        # an activation that is a layer in the file becomes a layer of its own
        config = leaf.config
        activation: Any = config.get("activation")
        is_layer = isinstance(activation, dict) and bool(
            stored_kind(str(activation.get("class_name")))
        )
        if is_layer:
            config = {**config, "activation": "linear"}
        name = self._free_name(leaf.name, leaf.kind.lower())
        layer = self._append_kind(leaf.kind, config, name)
        if is_layer:
            name = self._free_name(f"{leaf.name}_activation", "activation")
            self._append_kind(activation["class_name"], activation["config"], name)
        return layer

    def _add_time_distributed(self, nest: Nest) -> None:
        """Build a TimeDistributed, whose layer or network is applied to each frame of a window."""
        frames_at_most = 100  # each frame adds a part to the graph
        count = self._shape[1] if len(self._shape) > 2 else None
        if not count or count > frames_at_most:
            raise UnsupportedModel(
                f"layer {shown(nest.name)} (TimeDistributed): is applied to each frame of a "
                f"window, but its input has the shape {self._shape[1:]}, expected 1 to "
                f"{frames_at_most} frames"
            )
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
        self._frames = 1
        self._shape = (None, count, *self._shape[1:])

    def _free_name(self, name: str, otherwise: str) -> str:
        """Return a name that no layer has yet: `name` if Keras takes it, or else `otherwise`.

        A number is added to a name that another layer has.
        """
        if not _NAME.fullmatch(name):
            name = otherwise
        free_name = name
        number = len(self._names)
        while free_name in self._names:
            free_name = f"{name}_{number}"
            number += 1
        self._names.add(free_name)
        return free_name

    def _append_operation(self, operation: Operation, stored_name: str) -> keras.Layer:
        """Append the layer or the network that computes an operation, and return it."""
        # tf.keras calls an operation tf.math.multiply, for example; layers have names without dots
        name = self._free_name(stored_name.replace(".", "_"), "operation")
        found = layer_of(operation, self._shape)
        if found and (found[0] != "Cropping2D" or not self._dialect.channels_first):
            return self._append_kind(*found, name)
        self._check_input(LayerKind(keras.Model))
        dtype = "float32" if self._layers else self._input_dtype
        network = network_of(operation, self._shape, dtype, name)
        self._append(network)
        check_pictures_apart(network)
        return network

    def _append_kind(self, stored_as: str, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Append a layer and return it; raises the errors that _add() explains.

        stored_as: its class in the file
        config: its arguments in the file
        name: its name in the network
        """
        kind = stored_kind(stored_as)
        if is_random(stored_as):
            return self._append_without_effect(stored_as, name)
        if kind is None:
            raise UnsupportedModel(
                f"layers of this type are not supported; known are {', '.join(KINDS)}, and layers "
                f"of Keras that learn no kernel; train it with these, or {CONVERT}"
            )
        self._check_input(kind)

        if kind.type is keras.layers.Lambda:
            layer = self._lambda_layer(config, name)
        elif kind.type.__name__ not in KINDS:
            layer = kind.type(**self._arguments(kind, config), name=name)
            if self._changes_nothing(layer):
                return self._append_without_effect(stored_as, name)
        elif stored_as == "Normalization" and config.get("axis", -1) in (None, [], ()):
            # no axis, stored as None or as an empty list, means the whole input; translate() would
            # leave out an argument of None, and the default is another axis
            stored = {key: value for key, value in config.items() if key != "axis"}
            layer = kind.type(**self._arguments(kind, stored), axis=None, name=name)
        else:
            layer = kind.type(**self._arguments(kind, config), name=name)
        layer.trainable = config.get("trainable", True) is not False
        self._append(layer)
        return layer

    def _arguments(self, kind: LayerKind, config: Mapping[str, Any]) -> dict[str, Any]:
        has_row = kind.type.__name__ in KINDS
        return translate(kind.type, config, self._shape, self._dialect, has_row)

    def _append_without_effect(self, stored_as: str, name: str) -> keras.Layer:
        """Append a layer that returns its input, in the place of one that acts in training only."""
        self.notes.append(
            f"layer {shown(name)} ({stored_as}) acts in training only: it changes nothing here"
        )
        return self._append_kind("Activation", {"activation": "linear"}, name)

    def _changes_nothing(self, layer: keras.Layer) -> bool:
        """Return whether a layer returns its input, apart from training.

        Raises UnsupportedModel for a layer whose output has another shape than it declares.
        """
        declared: Shape = tuple(layer.compute_output_shape(self._shape))[1:]
        self._check_size(declared)
        # few grey levels, so that layers that spread them are seen to do something
        random = np.random.default_rng(0)
        shape = [extent or 0 for extent in self._shape[1:]]
        pictures = random.uniform(80.0, 160.0, (2, *shape)).astype(np.float32)
        keywords = {"training": False} if "training" in _parameters(layer.call) else {}
        answers = np.asarray(layer(pictures, **keywords))
        if answers.shape[1:] != declared:
            raise UnsupportedModel(
                f"makes {answers.shape[1:]} when it predicts, and declares {declared}; leave it out"
                " in the author's script, copy the weights and save again"
            )
        return np.array_equal(answers, pictures)

    def _check_input(self, kind: LayerKind) -> None:
        """Raise UnsupportedModel for an input that a layer of this type cannot take here."""
        if self._dialect.channels_first and len(self._shape) == 4 and not kind.channels_first:
            raise UnsupportedModel(
                "has its channels first, which is not supported for this type; expected them last"
            )
        if kind.axes not in (0, len(self._shape)):
            raise UnsupportedModel(
                f"expected an input of {kind.axes} axes with the batch, got {self._shape}"
            )

    def _lambda_layer(self, config: Mapping[str, Any], name: str) -> keras.Layer:
        """Return the Rescaling or Resizing that computes the same as a Lambda.

        The normalisation of our first models remains a Lambda.
        """
        if _is_our_normalize(config["function"]):
            self._check_arguments(config)
            return keras.layers.Lambda(normalize, output_shape=self._shape[1:], name=name)
        computed: Scaling | tuple[int, int]
        try:
            computed = _computed_by_function(config["function"], config.get("arguments"))
            self._check_arguments(config)
        except UnsupportedModel as error:
            # --rescale replaces a layer only where the error proposes it
            if not self._rescale or RESCALE_COMMAND not in str(error):
                raise
            computed = self._rescale
            self.rescaled += 1
        if isinstance(computed, Scaling):
            return keras.layers.Rescaling(computed.scale, computed.offset, name=name)
        rows, columns = computed
        return keras.layers.Resizing(rows, columns, name=name)

    def _check_arguments(self, config: Mapping[str, Any]) -> None:
        """Raise UnsupportedModel for arguments of a Lambda, beside its function, that matter."""
        stored = {name: value for name, value in config.items() if name != "function"}
        # only for its errors: the class Layer has none of these arguments, so translate() refuses
        # each that would change the result
        translate(keras.layers.Layer, stored, self._shape, self._dialect)

    def _append(self, layer: keras.Layer) -> None:
        """Append a layer, after checking the sizes of its output and its weights."""
        output: Shape = tuple(layer.compute_output_shape(self._shape))
        self._check_size(output[1:])
        self._weight_count += learned_weights(layer, self._shape[-1] or 0)
        if self._weight_count > self._budget:
            raise UnsupportedModel(
                f"the network has more than {self._budget} weights, more than the file"
            )
        self._layers.append(layer)
        self._shape = output

    def _check_size(self, output: Shape) -> None:
        """Raise UnsupportedModel for a layer whose output is empty or too large.

        output: shape of its output, without the batch
        """
        numbers_at_most = 1 << 24  # in the output of a layer
        extents = [extent or 0 for extent in output]
        numbers = math.prod(extents) * self._frames
        if not extents or min(extents) < 1 or numbers > numbers_at_most:
            raise UnsupportedModel(
                f"makes {output} of {self._shape[1:]}, expected 1 to {numbers_at_most} numbers"
            )


def _parameters(function: Callable[..., Any]) -> Collection[str]:
    return inspect.signature(function).parameters


# ---- the function of a Lambda


def _is_our_normalize(function: Any) -> bool:
    """Return whether a stored function is layer_kinds.normalize."""
    if not isinstance(function, dict):
        return False
    name = keras.saving.get_registered_name(normalize)
    return function.get("class_name") == "function" and function.get("config") == name


def _computed_by_function(function: Any, arguments: Any) -> Scaling | tuple[int, int]:
    """Return what a stored function computes, as computed_by() does; raises UnsupportedModel.

    function: the `function` of a Lambda: its code, defaults and closure, or a name
    arguments: values that the Lambda passes to the function, beside its input
    """
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":  # Keras 3
        stored = function.get("config") or {}
        function = [stored.get(part) for part in ("code", "defaults", "closure")]
    if not isinstance(function, list) or len(function) != 3 or not isinstance(function[0], str):
        name = function.get("config") if isinstance(function, dict) else function
        raise UnsupportedModel(
            f"calls the function {shown(str(name))}, which the file does not contain; "
            f"{remedy_of(str(name))}"
        )
    code, defaults, closure = function
    if defaults or closure or arguments:
        raise UnsupportedModel(
            "its function uses arguments, default or outer values, not supported; "
            f"{remedy_of(code)}"
        )
    return computed_by(code)
