"""What moves rows and columns: convolutions, pooling, cropping, padding, scaling up; their arguments of any version.

Every function here takes a layer's arguments and the shape of its input, and returns the arguments that the class
of the current Keras takes, with the channels last.
What cannot be rebuilt raises Refused.
"""

from typing import Any

from bcclone.model_import import Refused
from bcclone.model_import.arguments import Arguments, Shape, short, whole

Keywords = dict[str, Any]


def convolution(arguments: Arguments, shape: Shape) -> Keywords:
    """Conv2D and Conv3D; Keras 1's Convolution2D."""
    axes = len(shape) - 2
    if "nb_row" in arguments.left:
        kernel = [arguments.take("nb_row"), arguments.take("nb_col")]
        arguments.left["kernel_size"] = kernel
    return {
        "filters": arguments.whole("nb_filter", "filters"),
        "kernel_size": arguments.several(axes, "kernel_size"),
        "strides": arguments.several(axes, "subsample", "strides"),
        "padding": arguments.padding(),
        "dilation_rate": arguments.several(axes, "dilation_rate", default=1),
        "groups": arguments.whole("groups", default=1),
        "activation": arguments.activation(),
        "use_bias": arguments.flag("bias", "use_bias"),
    }


def separable_convolution(arguments: Arguments, shape: Shape) -> Keywords:
    """SeparableConv2D; its groups are its channels."""
    multiplier = arguments.whole("depth_multiplier", default=1)
    return convolution(arguments, shape) | {"depth_multiplier": multiplier, "groups": None}


def depthwise_convolution(arguments: Arguments, shape: Shape) -> Keywords:
    """DepthwiseConv2D, which has no filters of its own."""
    arguments.take("filters", default=None)
    arguments.left["filters"] = 1
    multiplier = arguments.whole("depth_multiplier", default=1)
    return convolution(arguments, shape) | {"depth_multiplier": multiplier, "filters": None, "groups": None}


def pooling(arguments: Arguments, shape: Shape) -> Keywords:
    """MaxPooling and AveragePooling, in two and three dimensions."""
    axes = len(shape) - 2
    size = arguments.several(axes, "pool_size")
    if arguments.left.get("strides") is None:
        arguments.left["strides"] = list(size)
    strides = arguments.several(axes, "strides")
    return {"pool_size": size, "strides": strides, "padding": arguments.padding()}


def global_pooling(arguments: Arguments, shape: Shape) -> Keywords:
    """GlobalAveragePooling2D and GlobalMaxPooling2D."""
    return {"keepdims": arguments.flag("keepdims", default=False)}


def cropping(arguments: Arguments, shape: Shape) -> Keywords:
    """Cropping2D and Cropping3D."""
    return {"cropping": _edges(arguments.take("cropping"), "cropping", len(shape) - 2)}


def zero_padding(arguments: Arguments, shape: Shape) -> Keywords:
    """ZeroPadding2D, whose Keras 1 form could name its four sides."""
    value = arguments.take("padding")
    if isinstance(value, dict):
        value = [[value.get(f"{side}_pad", 0) for side in pair] for pair in (("top", "bottom"), ("left", "right"))]
    return {"padding": _edges(value, "padding", len(shape) - 2)}


def up_sampling(arguments: Arguments, shape: Shape) -> Keywords:
    """UpSampling2D that repeats rows and columns."""
    arguments.only("interpolation", "nearest")
    return {"size": arguments.several(2, "size")}


def resizing(arguments: Arguments, shape: Shape) -> Keywords:
    """Resizing as tf.image.resize does it, without antialiasing."""
    for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        arguments.only(name, False)
    arguments.take("fill_mode", "fill_value", default=None)
    arguments.take("fill_value", default=None)
    interpolation = arguments.take("interpolation", default="bilinear")
    if interpolation not in ("bilinear", "nearest"):
        raise Refused(f"interpolation is {short(interpolation)}, expected 'bilinear' or 'nearest'")
    height, width = arguments.whole("height"), arguments.whole("width")
    return {"height": height, "width": width, "interpolation": interpolation}


def _edges(value: Any, name: str, axes: int) -> tuple[tuple[int, int], ...]:
    """Return (first, last) for each axis, of a list of pairs, of those numbers in a row, or of one number an axis."""
    value = value if isinstance(value, list) else [value]
    flat = [part for item in value for part in (item if isinstance(item, list) else [item])]
    if len(flat) == 1:
        flat *= 2 * axes
    if len(flat) == axes:
        flat = [part for part in flat for _ in range(2)]
    if len(flat) != 2 * axes:
        raise Refused(f"{name} is {short(value)}, expected two numbers for each of {axes} axes")
    numbers = [whole(part, name, 0) for part in flat]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
