"""Translate the arguments of a layer, as Keras 1 to 3 stored them, for its class of today.

Each function takes the arguments of a stored layer and the shape of its input, with the batch, and returns the
arguments of the class that layer_kinds.KINDS names, with the channels last. Arguments that cannot be translated raise
UnsupportedModel.
"""

import math
from collections.abc import Callable
from typing import Any

import keras

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.arguments import Arguments, Shape, as_integer, short
from bcclone.model.keras_files.lambda_code import affine_of, shown

Keywords = dict[str, Any]
Translation = Callable[[Arguments, Shape], Keywords]


@keras.saving.register_keras_serializable(package="bcclone")  # type: ignore[untyped-decorator]
def normalize(images: Any) -> Any:
    """Return uint8 images as float32 in -1..1, as the Lambda layer of our first models does: models/*.h5."""
    return keras.ops.cast(images, "float32") / 127.5 - 1.0


_NORMALIZE = keras.saving.get_registered_name(normalize)


def convolution(arguments: Arguments, shape: Shape) -> Keywords:
    """Conv2D and Conv3D; Keras 1's Convolution2D."""
    axes = len(shape) - 2
    if "nb_row" in arguments.left:
        kernel = [arguments.take("nb_row"), arguments.take("nb_col")]
        arguments.left["kernel_size"] = kernel
    return {
        "filters": arguments.integer("nb_filter", "filters"),
        "kernel_size": arguments.several(axes, "kernel_size"),
        "strides": arguments.several(axes, "subsample", "strides"),
        "padding": arguments.padding(),
        "dilation_rate": arguments.several(axes, "dilation_rate", default=1),
        "groups": arguments.integer("groups", default=1),
        "activation": arguments.activation(),
        "use_bias": arguments.flag("bias", "use_bias"),
    }


def separable_convolution(arguments: Arguments, shape: Shape) -> Keywords:
    """SeparableConv2D."""
    multiplier = arguments.integer("depth_multiplier", default=1)
    return convolution(arguments, shape) | {"depth_multiplier": multiplier, "groups": None}


def depthwise_convolution(arguments: Arguments, shape: Shape) -> Keywords:
    """DepthwiseConv2D, which has no number of filters."""
    arguments.take("filters", default=None)
    arguments.left["filters"] = 1
    multiplier = arguments.integer("depth_multiplier", default=1)
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
    """ZeroPadding2D; Keras 1 could name its four sides."""
    value = arguments.take("padding")
    if isinstance(value, dict):
        value = [[value.get(f"{side}_pad", 0) for side in pair] for pair in (("top", "bottom"), ("left", "right"))]
    return {"padding": _edges(value, "padding", len(shape) - 2)}


def up_sampling(arguments: Arguments, shape: Shape) -> Keywords:
    """UpSampling2D with nearest neighbours."""
    arguments.only("interpolation", "nearest")
    return {"size": arguments.several(2, "size")}


def resizing(arguments: Arguments, shape: Shape) -> Keywords:
    """Resizing without antialiasing."""
    for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        arguments.only(name, False)
    arguments.take("fill_mode", "fill_value", default=None)
    arguments.take("fill_value", default=None)
    interpolation = arguments.take("interpolation", default="bilinear")
    if interpolation not in ("bilinear", "nearest"):
        raise UnsupportedModel(f"interpolation is {short(interpolation)}, expected 'bilinear' or 'nearest'")
    height, width = arguments.integer("height"), arguments.integer("width")
    return {"height": height, "width": width, "interpolation": interpolation}


def _edges(value: Any, name: str, axes: int) -> tuple[tuple[int, int], ...]:
    """Return (first, last) for each axis, given pairs, a flat list of them, one number per axis, or one number."""
    value = value if isinstance(value, list) else [value]
    flat = [part for item in value for part in (item if isinstance(item, list) else [item])]
    if len(flat) == 1:
        flat *= 2 * axes
    if len(flat) == axes:
        flat = [part for part in flat for _ in range(2)]
    if len(flat) != 2 * axes:
        raise UnsupportedModel(f"{name} is {short(value)}, expected two numbers for each of {axes} axes")
    numbers = [as_integer(part, name, 0) for part in flat]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def no_arguments(arguments: Arguments, shape: Shape) -> Keywords:
    """Layers without relevant arguments."""
    return {}


def dense(arguments: Arguments, shape: Shape) -> Keywords:
    """Dense."""
    units, bias = arguments.integer("output_dim", "units"), arguments.flag("bias", "use_bias")
    return {"units": units, "activation": arguments.activation(), "use_bias": bias}


def activation(arguments: Arguments, shape: Shape) -> Keywords:
    """Activation."""
    return {"activation": arguments.activation()}


def dropout(arguments: Arguments, shape: Shape) -> Keywords:
    """All layers of dropout."""
    return {"rate": arguments.fraction("p", "rate")}


def noise(arguments: Arguments, shape: Shape) -> Keywords:
    """GaussianNoise."""
    return {"stddev": arguments.number("sigma", "stddev")}


def lambda_layer(arguments: Arguments, shape: Shape) -> Keywords:
    """Lambda: the normalisation of our first models, or the Rescaling that computes the same as its byte code."""
    function = arguments.take("function")
    arguments.only("function_type", "lambda")
    arguments.only("arguments", {}, None)
    arguments.only("mask", None)
    if isinstance(function, dict) and (function.get("class_name"), function.get("config")) == ("function", _NORMALIZE):
        return {"function": normalize, "output_shape": shape[1:]}
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":  # Keras 3
        stored = function.get("config") or {}
        function = [stored.get(part) for part in ("code", "defaults", "closure")]
    if not isinstance(function, list) or len(function) != 3 or not isinstance(function[0], str):
        name = function.get("config") if isinstance(function, dict) else function
        raise UnsupportedModel(
            f"calls the function {short(name)}, which the file does not contain; save the model with a Rescaling layer"
        )
    if function[1] or function[2]:
        raise UnsupportedModel(
            f"its function uses default or outer values, which is not supported: {shown(function[0])}"
        )
    affine = affine_of(function[0])
    return {"scale": affine.scale, "offset": affine.offset}


def rescaling(arguments: Arguments, shape: Shape) -> Keywords:
    """Rescaling with one factor and one offset."""
    return {"scale": arguments.number("scale"), "offset": arguments.number("offset", default=0)}


def batch_normalization(arguments: Arguments, shape: Shape) -> Keywords:
    """BatchNormalization; modes 1 and 2 of Keras 1 use the statistics of the batch and are not supported."""
    arguments.only("mode", 0)
    arguments.only("renorm", False)
    axis = arguments.take("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or not -len(shape) < axis < len(shape) or not axis:
        raise UnsupportedModel(f"axis is {short(axis)}, expected the number of one axis")
    axis %= len(shape)
    if arguments.channels_first and len(shape) == 4:
        axis = {1: 3, 2: 1, 3: 2}[axis]
    return {
        "axis": -1 if axis == len(shape) - 1 else axis,
        "momentum": arguments.number("momentum", default=0.99),
        "epsilon": arguments.number("epsilon"),
        "center": arguments.flag("center", default=True),
        "scale": arguments.flag("scale", default=True),
    }


def layer_normalization(arguments: Arguments, shape: Shape) -> Keywords:
    """LayerNormalization over some axes; of Keras 2 and later, which store their numbers."""
    arguments.only("rms_scaling", False)
    axis = arguments.take("axis", default=-1)
    axes = axis if isinstance(axis, list) else [axis]
    if not axes or any(type(each) is not int or not -len(shape) < each < len(shape) or not each for each in axes):
        raise UnsupportedModel(f"axis is {short(axis)}, expected the numbers of axes")
    return {
        "axis": sorted(each % len(shape) for each in axes),
        "epsilon": arguments.number("epsilon", default=1e-3),
        "center": arguments.flag("center", default=True),
        "scale": arguments.flag("scale", default=True),
    }


def elu(arguments: Arguments, shape: Shape) -> Keywords:
    """ELU; Keras 3.0 to 3.3 did not store alpha, which is 1."""
    return {"alpha": arguments.number("alpha", default=1)}


def leaky_relu(arguments: Arguments, shape: Shape) -> Keywords:
    """LeakyReLU."""
    return {"negative_slope": arguments.number("alpha", "negative_slope")}


def relu(arguments: Arguments, shape: Shape) -> Keywords:
    """ReLU."""
    highest = None if arguments.left.get("max_value") is None else arguments.number("max_value")
    slope, threshold = arguments.number("negative_slope", default=0), arguments.number("threshold", default=0)
    return {"max_value": highest, "negative_slope": slope, "threshold": threshold}


def prelu(arguments: Arguments, shape: Shape) -> Keywords:
    """PReLU."""
    axes = arguments.take("shared_axes", default=None) or []
    if not isinstance(axes, list) or any(axis not in range(1, len(shape)) for axis in axes):
        raise UnsupportedModel(f"shared_axes is {short(axes)}, expected some of 1 to {len(shape) - 1}")
    return {"shared_axes": axes}


def softmax(arguments: Arguments, shape: Shape) -> Keywords:
    """Softmax over the last axis."""
    arguments.only("axis", -1, len(shape) - 1)
    return {}


def reshape(arguments: Arguments, shape: Shape) -> Keywords:
    """Reshape; one extent may be -1, for the rest."""
    target = arguments.take("target_shape")
    if not isinstance(target, list) or not 0 < len(target) <= 5:
        raise UnsupportedModel(f"target_shape is {short(target)}, expected 1 to 5 numbers")
    extents = [part if part == -1 and type(part) is int else as_integer(part, "target_shape") for part in target]
    known = math.prod(part for part in extents if part != -1)
    if extents.count(-1) > 1 or math.prod(extent or 0 for extent in shape[1:]) % known:
        raise UnsupportedModel(f"target_shape is {short(target)}, which {shape[1:]} cannot become")
    return {"target_shape": tuple(extents)}


def permute(arguments: Arguments, shape: Shape) -> Keywords:
    """Permute."""
    axes = arguments.take("dims")
    if not isinstance(axes, list) or sorted(map(str, axes)) != sorted(map(str, range(1, len(shape)))):
        raise UnsupportedModel(f"dims is {short(axes)}, expected the numbers 1 to {len(shape) - 1} in any order")
    return {"dims": tuple(axes)}


def recurrent(arguments: Arguments, shape: Shape) -> Keywords:
    """GRU, LSTM and SimpleRNN that read forwards and are not stateful."""
    for name in ("go_backwards", "stateful", "return_state", "time_major", "zero_output_for_mask"):
        arguments.only(name, False)
    keywords = {
        "units": arguments.integer("units"),
        "activation": arguments.activation(),
        "use_bias": arguments.flag("use_bias"),
        "dropout": arguments.fraction("dropout"),
        "recurrent_dropout": arguments.fraction("recurrent_dropout"),
        "return_sequences": arguments.flag("return_sequences"),
    }
    if "recurrent_activation" in arguments.left:
        keywords["recurrent_activation"] = arguments.activation("recurrent_activation")
    if "reset_after" in arguments.left:
        keywords["reset_after"] = arguments.flag("reset_after")
    if "unit_forget_bias" in arguments.left:
        arguments.flag("unit_forget_bias")  # only initialises the bias
    return keywords
