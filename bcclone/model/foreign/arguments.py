"""Translate the arguments of a stored layer, as Keras 1 to 3 wrote them, to those of today.

In: the layer's class of today, its arguments in the file, and the shape of its input. Out: the
arguments by name, for a layer whose channels are last.

"Today" means the installed Keras 3. Its class of a layer says which arguments the layer has; this
module says which values they may have, and what they were called in Keras 1:
https://github.com/keras-team/keras/blob/2.2.4/keras/legacy/interfaces.py. Wrong and unknown
arguments raise UnsupportedModel, so that nothing is ignored that the network depends on, and only
plain values reach Keras. Importing this loads no large package.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bcclone.model.foreign.calls import plain_value
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.errors import shown

if TYPE_CHECKING:
    import keras

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Dialect:
    """What the arguments of a file's layers depend on."""

    channels_first: bool  # whether the channels stand before the rows
    is_keras_3: bool  # whether Keras 3 wrote the file


# ---- which arguments there are

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
# arguments that a class of today lacks: these values change nothing, others are refused
_EXPECTED = {"function_type": "lambda", "arguments": {}, "groups": 1, "mode": 0}
# arguments that have to be False or absent, even where the class of today would take True
_EXPECTED_FALSE = {
    "renorm", "rms_scaling", "go_backwards", "stateful", "return_state", "time_major",
    "zero_output_for_mask", "invert",
}  # fmt: skip
# arguments that are skipped: they matter only for training or speed, repeat the shape of the input
# or output, or are read elsewhere, as `data_format` is in backend_order.py
_NO_MATTER = {
    "name", "trainable", "batch_input_shape", "batch_shape", "input_shape", "input_dim",
    "input_length", "init", "beta_init", "gamma_init", "inner_init", "forget_bias_init",
    "unit_forget_bias", "weights", "noise_shape", "seed", "fused", "synchronized", "module",
    "renorm_clipping", "renorm_momentum", "virtual_batch_size", "output_shape",
    "output_shape_type", "output_shape_module", "sparse", "ragged", "optional", "implementation",
    "consume_less", "quantization_config", "lora_rank", "lora_alpha", "autocast", "unroll",
    "dim_ordering", "data_format",
}  # fmt: skip
_NO_MATTER_ENDINGS = ("_regularizer", "_constraint", "_initializer")

# ---- which values they may have

_SCALES = {"scale", "offset", "mean", "variance"}  # a number, or a list of one for each channel
# arguments that are numbers, although their default of today is None or missing
_NUMBERS = _SCALES | {"rate", "stddev", "max_value"}
_LARGEST = 1 << 16  # largest whole number of any argument, such as filters, units or a size
_LEAST = {  # argument -> its smallest whole number; 1 for arguments that are not named here
    "cropping": 0,
    "padding": 0,
    "axis": -_LARGEST,
    "shared_axes": -_LARGEST,
    "target_shape": -1,
}


def translate(
    kind: "type[keras.layers.Layer]",
    config: Mapping[str, Any],
    shape: Shape,
    dialect: Dialect,
    has_row: bool = True,
) -> dict[str, Any]:
    """Return the arguments of a layer for its class of today, with the channels last.

    kind: the class of today
    config: the arguments as stored
    shape: shape of the layer's input, with the batch, channels last
    dialect: what the arguments depend on
    has_row: whether layer_kinds.KINDS has a row for the class; for other classes, any plain values
        are passed to Keras, which checks them
    """
    parameters = inspect.signature(kind.__init__).parameters
    arguments: dict[str, Any] = {}
    for name, value in _with_names_of_today(config, parameters):
        if name in _NO_MATTER or name.endswith(_NO_MATTER_ENDINGS):
            continue
        if name not in parameters or name == "dtype" or name in _EXPECTED_FALSE:
            _check_unread(name, value)
            continue
        # None means the default of today, but for an activation "linear"
        if name.endswith("activation"):
            arguments[name] = _activation(name, value, dialect)
        elif value is None:
            continue
        elif has_row:
            arguments[name] = _read(name, _plain(name, value), parameters[name].default)
        else:
            arguments[name] = plain_value(value)

    # the file's axes may count from the end, or with the channels first
    if "shared_axes" in arguments:
        arguments["shared_axes"] = _axes("shared_axes", arguments["shared_axes"], len(shape))
    if "axis" in arguments and has_row:
        axes = _axes("axis", arguments["axis"], len(shape))
        if kind.__name__ == "LayerNormalization":
            arguments["axis"] = axes
        else:
            arguments["axis"] = _axis_of_channels_last(axes, len(shape), dialect.channels_first)
    return arguments


def _with_names_of_today(
    config: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield each argument's name of today and its stored value."""
    stored = dict(config)
    if "nb_row" in stored:  # Keras 1 stored the sides of a kernel apart
        stored["kernel_size"] = [stored.pop("nb_row"), stored.pop("nb_col")]
    for name, value in stored.items():
        # a name that the class still has keeps its meaning, such as the `alpha` of ELU
        name_now = name if name in parameters else _NAMES_NOW.get(name, name)
        yield name_now, value


def _check_unread(name: str, value: Any) -> None:
    """Refuse an argument that is not read, unless it has its usual value."""
    if name in ("dtype", "input_dtype"):
        dtype = dtype_of(value)
        if "float" not in dtype:
            raise UnsupportedModel(f"{name} is {shown(dtype)}, expected 'float32'")
        return
    if value is None:
        return
    if name in _EXPECTED_FALSE:
        expected: Any = False
    elif name in _EXPECTED:
        expected = _EXPECTED[name]
    else:
        raise UnsupportedModel(f"its argument {shown(name)} is unknown")
    if value != expected:
        raise UnsupportedModel(
            f"{name} is {shown(value)}, which is not supported; expected {expected!r}"
        )


def dtype_of(value: Any) -> str:
    """Return the name of a type, or of a policy as any version stores it; None is float32."""
    if isinstance(value, dict):
        value = value["config"].get("name", value["class_name"])
    return str(value or "float32")[:40]


# ---- values


def _plain(name: str, value: Any) -> Any:
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


def _read(name: str, value: Any, default: Any) -> Any:
    """Return the value of an argument; raises UnsupportedModel for one of another type.

    default: the argument's default of today, whose type the value must have
    """
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise UnsupportedModel(f"{name} is {shown(value)}, expected True or False")
        return value
    if isinstance(default, str):
        if not isinstance(value, str) or not value.isidentifier():
            raise UnsupportedModel(f"{name} is {shown(value)}, expected a word")
        return value  # Keras checks which one it is
    if isinstance(value, list) and name in _SCALES:
        return [_read(name, number, default) for number in value]
    if isinstance(default, float) or name in _NUMBERS:
        if type(value) not in (int, float):
            raise UnsupportedModel(f"{name} is {shown(value)}, expected a number")
        return float(value)
    return _whole(name, value)


def _whole(name: str, value: Any) -> Any:
    """Return a whole number; for a list, the tuple of its whole numbers or tuples."""
    if isinstance(value, list):
        return tuple(_whole(name, part) for part in value)
    least = _LEAST.get(name, 1)
    if type(value) is not int or not least <= value <= _LARGEST:
        raise UnsupportedModel(
            f"{name} is {shown(value)}, expected a whole number from {least} to {_LARGEST}"
        )
    return value


def _activation(name: str, value: Any, dialect: Dialect) -> str:
    """Return the name of an activation, "linear" for None; raises UnsupportedModel."""
    from bcclone.model.foreign.activations import (  # loads Keras
        check_activation,
        is_elementwise,
    )

    plain = _plain(name, value)
    if plain is None:
        return "linear"
    activation = check_activation(name, plain, dialect.is_keras_3)
    if dialect.channels_first and not is_elementwise(activation):
        raise UnsupportedModel(f"{activation} over columns, with channels first, is not supported")
    return activation


# ---- axes


def _axes(name: str, stated: Any, count: int) -> list[int]:
    """Return the numbers of axes, sorted and counted from the first axis, the batch.

    name: the argument that states them
    stated: the number of an axis, or a tuple of them; a negative one counts from the end
    count: how many axes the layer's input has, with the batch
    """
    axes = list(stated) if isinstance(stated, tuple) else [stated]
    for axis in axes:
        if type(axis) is not int or axis == 0 or not -count < axis < count:
            raise UnsupportedModel(f"{name} is {shown(stated)}, expected the numbers of axes")
    return sorted(axis % count for axis in axes)


def _axis_of_channels_last(axes: list[int], count: int, channels_first: bool) -> int:
    """Return the number of the only axis when channels are the last axis; -1 for the last axis."""
    (axis,) = axes
    if channels_first and count == 4:  # (batch, channels, rows, columns) in the file
        return {1: -1, 2: 1, 3: 2}[axis]
    return -1 if axis == count - 1 else axis
