"""Translate the arguments of a stored layer, as Keras 1 to 3 wrote them, to those of today.

"Today" means the installed Keras 3. Its class of a layer says which arguments the layer has, and
checks their values; this module says what they were called in Keras 1
(https://github.com/keras-team/keras/blob/2.2.4/keras/legacy/interfaces.py), and lets only numbers,
words, and lists of these reach Keras. Unknown arguments raise UnsupportedModel, so that nothing is
ignored that the network depends on.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import keras
import numpy as np

from bcclone.model.foreign.stored import UnsupportedModel
from bcclone.model.foreign.tree import dtype_of
from bcclone.system.errors import shown

Shape = tuple[int | None, ...]

_NAMES_NOW = {  # name of an argument in Keras 1 -> its name today
    "nb_filter": "filters",
    "output_dim": "units",
    "bias": "use_bias",
    "subsample": "strides",
    "border_mode": "padding",
    "p": "rate",
    "sigma": "stddev",
    "alpha": "negative_slope",
}
# arguments of which only these values are read: with another one, the layer computes otherwise or
# has another order of axes
_EXPECTED: Mapping[str, tuple[Any, ...]] = {
    "function_type": ("lambda",),
    "arguments": ({},),
    "groups": (1,),
    "mode": (0,),
    "renorm": (False,),
    "rms_scaling": (False,),
    "go_backwards": (False,),
    "stateful": (False,),
    "return_state": (False,),
    "time_major": (False,),
    "zero_output_for_mask": (False,),
    "invert": (False,),
    "dim_ordering": ("tf", "default"),
    "data_format": ("channels_last",),
}
# arguments that are skipped: they matter only for training or speed, or repeat the shape of the
# input or output
_NO_MATTER = {
    "name", "trainable", "batch_input_shape", "batch_shape", "input_shape", "input_dim",
    "input_length", "init", "beta_init", "gamma_init", "inner_init", "forget_bias_init",
    "unit_forget_bias", "weights", "noise_shape", "seed", "fused", "synchronized", "module",
    "renorm_clipping", "renorm_momentum", "virtual_batch_size", "output_shape",
    "output_shape_type", "output_shape_module", "sparse", "ragged", "optional", "implementation",
    "consume_less", "quantization_config", "lora_rank", "lora_alpha", "autocast", "unroll",
}  # fmt: skip
_NO_MATTER_ENDINGS = ("_regularizer", "_constraint", "_initializer")


def translate(
    kind: type[keras.layers.Layer], config: Mapping[str, Any], shape: Shape, is_keras_3: bool
) -> dict[str, Any]:
    """Return the arguments of a layer, as stored, for its class of today.

    shape: shape of the layer's input, with the batch
    is_keras_3: whether Keras 3 wrote the file
    """
    parameters = inspect.signature(kind.__init__).parameters
    stored = dict(config)
    if "nb_row" in stored:  # Keras 1 stored the sides of a kernel apart
        stored["kernel_size"] = [stored.pop("nb_row"), stored.pop("nb_col")]
    arguments: dict[str, Any] = {}
    for name_then, value in stored.items():
        # a name that the class still has keeps its meaning, such as the `alpha` of ELU
        name = name_then if name_then in parameters else _NAMES_NOW.get(name_then, name_then)
        if name in _NO_MATTER or name.endswith(_NO_MATTER_ENDINGS):
            continue
        # the groups of a convolution are read, and those of other layers are not
        is_read = name in parameters and (name not in _EXPECTED or name == "groups")
        if not is_read or name == "dtype":
            _check_unread(name, value)
        elif name.endswith("activation"):
            arguments[name] = activation_named(name, value, is_keras_3)
        elif name in ("axis", "shared_axes"):
            arguments[name] = _axes(name, value, len(shape))
        elif value is not None:  # None means the default of today
            default = parameters[name].default
            arguments[name] = _plain(name, _unwrapped(name, value), default)
    return arguments


def _check_unread(name: str, value: Any) -> None:
    """Refuse an argument that is not read, unless it has its usual value."""
    if name in ("dtype", "input_dtype"):
        dtype = dtype_of(value)
        if "float" not in dtype:
            raise UnsupportedModel(f"{name} is {shown(dtype)}, expected 'float32'")
    elif value is not None and name not in _EXPECTED:
        raise UnsupportedModel(f"its argument {shown(name)} is unknown")
    elif value is not None and value not in _EXPECTED[name]:
        raise UnsupportedModel(
            f"{name} is {shown(value)}, which is not supported; expected {_EXPECTED[name][0]!r}: "
            "save the model with that in the author's Keras"
        )


def _unwrapped(name: str, value: Any) -> Any:
    """Return a value without the dict in which some versions of Keras wrap it."""
    if name in ("padding", "cropping"):
        if isinstance(value, dict):  # Keras 1 named the sides
            value = [value.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
        if isinstance(value, list) and len(value) == 4:
            value = [value[:2], value[2:]]  # today: [[top, bottom], [left, right]]
    if isinstance(value, dict):
        # Keras 3 wraps an activation function, and tf.keras and Keras 3 a number of NumPy:
        # {"value": x}, {"config": x} or {"config": {"value": x}}
        inner = value.get("value", value.get("config"))
        return inner.get("value") if isinstance(inner, dict) else inner
    return value


def _plain(name: str, value: Any, default: Any) -> Any:
    """Return a truth value, a word, a number, or a list of numbers.

    Raises UnsupportedModel for anything else, or a value of another type than the default of today.
    """
    largest = 1 << 16  # largest whole number of any argument, such as filters, units or a size
    for kind, expected in ((bool, "True or False"), (str, "a word")):
        if isinstance(default, kind):
            if not isinstance(value, kind):
                raise UnsupportedModel(f"{name} is {shown(value)}, expected {expected}")
            return value  # Keras checks which word it is
    if isinstance(value, list):
        return [_plain(name, part, None) for part in value]
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) <= largest:
        return value
    raise UnsupportedModel(f"{name} is {shown(value)}, expected a number up to {largest}")


def _axes(name: str, stated: Any, count: int) -> Any:
    """Return the number of an axis, -1 for the last one, a list of such numbers, or None for none.

    Raises UnsupportedModel for axes that an input has not, or for the batch.

    stated: the number of an axis, or a list of them; a negative one counts from the end
    count: how many axes the layer's input has, with the batch
    """
    axes = stated if isinstance(stated, list) else [stated]
    if axes in ([], [None]):
        return None
    for axis in axes:
        if type(axis) is not int or not -count < axis < count or axis == 0:
            raise UnsupportedModel(f"{name} is {shown(stated)}, expected the numbers of axes")
    if len(axes) > 1:
        return sorted(axis % count for axis in axes)
    return -1 if axes[0] == count - 1 else axes[0]


# ---- activations


def activation_named(name: str, value: Any, is_keras_3: bool) -> str:
    """Return the name of an activation as stored, "linear" for None.

    Raises UnsupportedModel if Keras has none of this name.

    name: the argument of a layer that states it
    """
    activation = _unwrapped(name, value)
    if activation is None:
        return "linear"
    if activation == "hard_sigmoid" and not is_keras_3:
        raise UnsupportedModel(
            f"{name} is 'hard_sigmoid', which is another function since Keras 3; train it with "
            "'sigmoid'"
        )
    if not isinstance(activation, str) or not is_activation(activation):
        raise UnsupportedModel(
            f"{name} is {shown(activation)}; expected a function of keras.activations that keeps "
            "the shape, such as elu; train it with one of these"
        )
    return activation


@cache
def is_activation(name: str) -> bool:
    """Return whether a function of keras.activations has this name and keeps the shape.

    Functions of other names, such as those that a program has registered, are not looked up.
    """
    values = np.array([[-2.0, -0.5, 0.5, 2.0]], np.float32)
    function: Callable[[Any], Any] | None = getattr(keras.activations, name, None)
    if not inspect.isfunction(function):
        return False
    try:
        return bool(np.shape(function(values)) == values.shape)
    except (ValueError, TypeError, AttributeError):  # it takes something else than one tensor
        return False


def activation_of_operation(name: str, options: Mapping[str, Any]) -> str | None:
    """Return the activation that an operation of a graph computes, None if it computes none.

    name: of the operation, in lower case without underscores, such as leakyrelu
    options: those with which it is stored, such as negative_slope; the activation has its own
    """
    for activation in dir(keras.activations):
        if activation.replace("_", "") == name and is_activation(activation):
            own = inspect.signature(getattr(keras.activations, activation)).parameters
            if all(key in own and own[key].default == value for key, value in options.items()):
                return activation
    return None
