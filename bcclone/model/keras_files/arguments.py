"""Translate the arguments of a layer, as Keras 1 to 3 stored them, for its class of today.

`layer_kinds` lists the arguments of each type of layer; here stands how each of them is read and checked, and what it
was called in Keras 1: https://github.com/keras-team/keras/blob/2.2.4/keras/legacy/interfaces.py. Wrong and unknown
arguments raise UnsupportedModel.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from bcclone.model.keras_files import UnsupportedModel

Shape = tuple[int | None, ...]

_LARGEST = 1 << 16
_OLD_NAMES = {
    "filters": "nb_filter", "units": "output_dim", "use_bias": "bias", "strides": "subsample", "padding": "border_mode",
    "rate": "p", "stddev": "sigma", "negative_slope": "alpha",
}  # fmt: skip
# with the same meaning in every version; hard_sigmoid, for example, changed in Keras 3
_ACTIVATIONS = {
    "linear", "relu", "relu6", "elu", "selu", "gelu", "tanh", "sigmoid", "softmax", "softplus", "softsign", "swish",
    "silu", "exponential",
}  # fmt: skip
# arguments that have to be these, in every layer that has them and does not read them
_EXPECTED = {
    "function_type": "lambda", "arguments": {}, "groups": 1, "mode": 0, "interpolation": "nearest",
} | dict.fromkeys(
    ("renorm", "rms_scaling", "go_backwards", "stateful", "return_state", "time_major", "zero_output_for_mask",
     "crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"), False,
)  # fmt: skip
# arguments that matter only for training, or repeat the shape of the input
_NO_MATTER = {
    "name", "trainable", "batch_input_shape", "batch_shape", "input_shape", "input_dim", "input_length", "init",
    "beta_init", "gamma_init", "inner_init", "forget_bias_init", "unit_forget_bias", "weights", "noise_shape", "seed",
    "fused", "synchronized", "module", "renorm_clipping", "renorm_momentum", "virtual_batch_size", "output_shape",
    "output_shape_type", "output_shape_module", "sparse", "ragged", "optional", "implementation", "consume_less",
    "quantization_config", "lora_rank", "lora_alpha", "autocast", "unroll", "dim_ordering", "data_format",
    "fill_mode", "fill_value",
}  # fmt: skip
_NO_MATTER_ENDINGS = ("_regularizer", "_constraint", "_initializer")


def translate(wanted: str, config: Mapping[str, Any], shape: Shape, channels_first: bool) -> dict[str, Any]:
    """Return the arguments of a layer for its class of today, with the channels last.

    wanted: their names, of which those with a ? may be missing, for the default of the class; after a colon, how it is
    read where the name alone does not say. config: as stored; shape: of the layer's input, with the batch, channels
    last; channels_first: the order of the axes in the file.
    """
    left = dict(config)
    for name in ("dtype", "input_dtype"):
        if "float" not in (policy := dtype_of(left.pop(name, None))):
            raise UnsupportedModel(f"{name} is {short(policy)}, expected 'float32'")
    if "nb_row" in left:
        left["kernel_size"] = [left.pop("nb_row"), left.pop("nb_col")]
    arguments: dict[str, Any] = {}
    for each in wanted.split():
        reading = each.removesuffix("?")
        name = reading.partition(":")[0]
        stored_as = _OLD_NAMES[name] if _OLD_NAMES.get(name) in left else name
        if stored_as not in left and not each.endswith("?"):
            raise UnsupportedModel(f"lacks its {name}")
        value = left.pop(stored_as, None)
        if value is not None or not each.endswith("?"):
            arguments[name] = _READERS[reading](name, value, shape)
    _check_channels(arguments, shape, channels_first)
    _check_rest(left)
    return arguments


def _check_channels(arguments: dict[str, Any], shape: Shape, channels_first: bool) -> None:
    """Renumber the axis of a file with its channels first."""
    if channels_first and "softmax" in arguments.values():
        raise UnsupportedModel("softmax over columns, with channels first, is not supported")
    if channels_first and len(shape) == 4 and type(axis := arguments.get("axis")) is int:
        arguments["axis"] = {-1: 2, 1: -1, 2: 1}[axis]


def _check_rest(left: Mapping[str, Any]) -> None:
    """Refuse arguments left over, so that nothing that the network depends on is ignored."""
    for name, value in left.items():
        if value is None or name in _NO_MATTER or name.endswith(_NO_MATTER_ENDINGS):
            continue
        if name not in _EXPECTED:
            raise UnsupportedModel(f"its argument {name[:40]!r} is unknown")
        if value != _EXPECTED[name]:
            raise UnsupportedModel(f"{name} is {short(value)}, which is not supported; expected {_EXPECTED[name]!r}")


def dtype_of(value: Any) -> str:
    """Return the name of a type, or of a policy as any version stores it; None is float32."""
    if isinstance(value, dict):
        value = value["config"]["name"]
    return str(value or "float32")[:40]


def short(value: Any) -> str:
    """Return the repr() of a value in the file, shortened."""
    return repr(value)[:60]


# ---- how an argument is read: its name, its value and the shape of the layer's input -> the value for today's class


def _whole(name: str, value: Any, shape: Shape, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= _LARGEST:
        raise UnsupportedModel(f"{name} is {short(value)}, expected a whole number from {least} to {_LARGEST}")
    return value


def _each_axis(name: str, value: Any, shape: Shape) -> tuple[int, ...]:
    """A whole number for each axis of the images; a single one is repeated."""
    count = len(shape) - 2
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count:
        raise UnsupportedModel(f"{name} is {short(value)}, expected {count} whole numbers")
    return tuple(_whole(name, one, shape) for one in values)


def _number(name: str, value: Any, shape: Shape) -> float:
    """A finite number; arrays of one are numbers, too."""
    if isinstance(value, dict):  # a NumPy value in tf.keras and Keras 3
        value = value.get("value", value.get("config", {}).get("value"))
    if type(value) not in (int, float) or not math.isfinite(value):
        raise UnsupportedModel(f"{name} is {short(value)}, expected a number")
    return float(value)


def _fraction(name: str, value: Any, shape: Shape) -> float:
    if not 0 <= (number := _number(name, value, shape)) < 1:
        raise UnsupportedModel(f"{name} is {number:g}, expected 0 to less than 1")
    return number


def _one_of(*choices: Any) -> Callable[[str, Any, Shape], Any]:
    def read(name: str, value: Any, shape: Shape) -> Any:
        if type(value) is not type(choices[0]) or value not in choices:
            raise UnsupportedModel(f"{name} is {short(value)}, expected {' or '.join(map(repr, choices))}")
        return value

    return read


_flag = _one_of(True, False)


def _activation(name: str, value: Any, shape: Shape) -> str:
    if isinstance(value, dict) and value.get("class_name") == "function":  # a function in Keras 3
        value = value.get("config")
    if value is not None and (not isinstance(value, str) or value not in _ACTIVATIONS):
        raise UnsupportedModel(f"{name} is {short(value)}; known are {', '.join(sorted(_ACTIVATIONS))}")
    return value or "linear"


def _edges(name: str, value: Any, shape: Shape) -> tuple[tuple[int, int], ...]:
    """First and last for each axis, from pairs, a flat list of them, a number per axis, or one; Keras 1 named sides."""
    if isinstance(value, dict):
        value = [value.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
    axes, value = len(shape) - 2, value if isinstance(value, list) else [value]
    flat = [part for item in value for part in (item if isinstance(item, list) else [item])]
    if len(flat) == 1:
        flat *= 2 * axes
    if len(flat) == axes:
        flat = [part for part in flat for _ in range(2)]
    if len(flat) != 2 * axes:
        raise UnsupportedModel(f"{name} is {short(value)}, expected two numbers for each of {axes} axes")
    numbers = [_whole(name, part, shape, 0) for part in flat]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _axes(name: str, value: Any, shape: Shape) -> list[int]:
    """The numbers of axes, from 1."""
    axes = value if isinstance(value, list) else [value]
    if not axes or any(type(each) is not int or not -len(shape) < each < len(shape) or not each for each in axes):
        raise UnsupportedModel(f"{name} is {short(value)}, expected the numbers of axes")
    return sorted(each % len(shape) for each in axes)


def _one_axis(name: str, value: Any, shape: Shape) -> int:
    """The number of an axis, -1 for the last one."""
    axis, *others = _axes(name, value, shape)
    if others:
        raise UnsupportedModel(f"{name} is {short(value)}, expected the number of one axis")
    return -1 if axis == len(shape) - 1 else axis


def _last_axis(name: str, value: Any, shape: Shape) -> int:
    if _one_axis(name, value, shape) != -1:
        raise UnsupportedModel(f"{name} is {short(value)}, expected -1, the last one")
    return -1


def _target_shape(name: str, value: Any, shape: Shape) -> tuple[int, ...]:
    """The extents of an output; one may be -1, for the rest."""
    if not isinstance(value, list) or not 0 < len(value) <= 5:
        raise UnsupportedModel(f"{name} is {short(value)}, expected 1 to 5 numbers")
    extents = [part if part == -1 and type(part) is int else _whole(name, part, shape) for part in value]
    known = math.prod(part for part in extents if part != -1)
    if extents.count(-1) > 1 or math.prod(extent or 0 for extent in shape[1:]) % known:
        raise UnsupportedModel(f"{name} is {short(value)}, which {shape[1:]} cannot become")
    return tuple(extents)


def _order(name: str, value: Any, shape: Shape) -> tuple[int, ...]:
    if not isinstance(value, list) or sorted(map(str, value)) != sorted(map(str, range(1, len(shape)))):
        raise UnsupportedModel(f"{name} is {short(value)}, expected the numbers 1 to {len(shape) - 1} in any order")
    return tuple(value)


_READERS: Mapping[str, Callable[[str, Any, Shape], Any]] = {
    **dict.fromkeys(("filters", "units", "height", "width", "groups", "depth_multiplier"), _whole),
    **dict.fromkeys(("kernel_size", "strides", "dilation_rate", "pool_size", "size"), _each_axis),
    **dict.fromkeys(("use_bias", "keepdims", "center", "scale", "reset_after", "return_sequences"), _flag),
    **dict.fromkeys(("alpha", "negative_slope", "max_value", "threshold", "stddev", "scale:number", "offset"), _number),
    **dict.fromkeys(("momentum", "epsilon"), _number),
    **dict.fromkeys(("rate", "dropout", "recurrent_dropout"), _fraction),
    **dict.fromkeys(("activation", "recurrent_activation"), _activation),
    **dict.fromkeys(("cropping", "padding:edges"), _edges),
    "padding": _one_of("valid", "same"),
    "interpolation": _one_of("bilinear", "nearest"),
    "axis": _one_axis,
    "axis:several": _axes,
    "axis:last": _last_axis,
    "shared_axes": _axes,
    "target_shape": _target_shape,
    "dims": _order,
}
