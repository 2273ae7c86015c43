"""Rebuild one layer, as Keras 1 to 3 stored it, with the current Keras.

_TYPES lists the types that are supported; no other is ever made, and no class is looked up by a name in the file. The
function of each type takes the arguments of a stored layer and the shape of its input, and returns the arguments of
the current class, with the channels last. Arguments that cannot be translated raise UnsupportedModel.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers

from bcclone.model import network
from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.arguments import Arguments, Shape, as_integer, short
from bcclone.model.keras_files.lambda_code import affine_of, shown
from bcclone.model.layer_kinds import RECURRENT

Keywords = dict[str, Any]
Translation = Callable[[Arguments, Shape], Keywords]

_NORMALIZE = "bcclone>normalize"  # as keras.saving registers network.normalize; a test compares


def _convolution(arguments: Arguments, shape: Shape) -> Keywords:
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


def _separable_convolution(arguments: Arguments, shape: Shape) -> Keywords:
    multiplier = arguments.integer("depth_multiplier", default=1)
    return _convolution(arguments, shape) | {"depth_multiplier": multiplier, "groups": None}


def _depthwise_convolution(arguments: Arguments, shape: Shape) -> Keywords:
    """DepthwiseConv2D, which has no number of filters."""
    arguments.take("filters", default=None)
    arguments.left["filters"] = 1
    multiplier = arguments.integer("depth_multiplier", default=1)
    return _convolution(arguments, shape) | {"depth_multiplier": multiplier, "filters": None, "groups": None}


def _pooling(arguments: Arguments, shape: Shape) -> Keywords:
    """MaxPooling and AveragePooling, in two and three dimensions."""
    axes = len(shape) - 2
    size = arguments.several(axes, "pool_size")
    if arguments.left.get("strides") is None:
        arguments.left["strides"] = list(size)
    strides = arguments.several(axes, "strides")
    return {"pool_size": size, "strides": strides, "padding": arguments.padding()}


def _global_pooling(arguments: Arguments, shape: Shape) -> Keywords:
    """GlobalAveragePooling2D and GlobalMaxPooling2D."""
    return {"keepdims": arguments.flag("keepdims", default=False)}


def _cropping(arguments: Arguments, shape: Shape) -> Keywords:
    return {"cropping": _edges(arguments.take("cropping"), "cropping", len(shape) - 2)}


def _zero_padding(arguments: Arguments, shape: Shape) -> Keywords:
    """ZeroPadding2D; Keras 1 could name its four sides."""
    value = arguments.take("padding")
    if isinstance(value, dict):
        value = [[value.get(f"{side}_pad", 0) for side in pair] for pair in (("top", "bottom"), ("left", "right"))]
    return {"padding": _edges(value, "padding", len(shape) - 2)}


def _up_sampling(arguments: Arguments, shape: Shape) -> Keywords:
    """UpSampling2D with nearest neighbours."""
    arguments.only("interpolation", "nearest")
    return {"size": arguments.several(2, "size")}


def _resizing(arguments: Arguments, shape: Shape) -> Keywords:
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


def _nothing(arguments: Arguments, shape: Shape) -> Keywords:
    """Layers without relevant arguments."""
    return {}


def _dense(arguments: Arguments, shape: Shape) -> Keywords:
    units, bias = arguments.integer("output_dim", "units"), arguments.flag("bias", "use_bias")
    return {"units": units, "activation": arguments.activation(), "use_bias": bias}


def _activation(arguments: Arguments, shape: Shape) -> Keywords:
    return {"activation": arguments.activation()}


def _dropout(arguments: Arguments, shape: Shape) -> Keywords:
    """Dropout, SpatialDropout2D, GaussianDropout and AlphaDropout."""
    return {"rate": arguments.fraction("p", "rate")}


def _noise(arguments: Arguments, shape: Shape) -> Keywords:
    return {"stddev": arguments.number("sigma", "stddev")}


def _lambda(arguments: Arguments, shape: Shape) -> Keywords:
    """Lambda: our own normalisation, or the Rescaling that computes the same as its byte code."""
    function = arguments.take("function")
    arguments.only("function_type", "lambda")
    arguments.only("arguments", {}, None)
    arguments.only("mask", None)
    if isinstance(function, dict) and (function.get("class_name"), function.get("config")) == ("function", _NORMALIZE):
        return {"function": network.normalize, "output_shape": shape[1:]}
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


def _rescaling(arguments: Arguments, shape: Shape) -> Keywords:
    """Rescaling with one factor and one offset."""
    return {"scale": arguments.number("scale"), "offset": arguments.number("offset", default=0)}


def _batch_normalization(arguments: Arguments, shape: Shape) -> Keywords:
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


def _elu(arguments: Arguments, shape: Shape) -> Keywords:
    """ELU; Keras 3.0 to 3.3 did not store alpha, which is 1."""
    return {"alpha": arguments.number("alpha", default=1)}


def _leaky_relu(arguments: Arguments, shape: Shape) -> Keywords:
    return {"negative_slope": arguments.number("alpha", "negative_slope")}


def _relu(arguments: Arguments, shape: Shape) -> Keywords:
    highest = None if arguments.left.get("max_value") is None else arguments.number("max_value")
    slope, threshold = arguments.number("negative_slope", default=0), arguments.number("threshold", default=0)
    return {"max_value": highest, "negative_slope": slope, "threshold": threshold}


def _prelu(arguments: Arguments, shape: Shape) -> Keywords:
    axes = arguments.take("shared_axes", default=None) or []
    if not isinstance(axes, list) or any(axis not in range(1, len(shape)) for axis in axes):
        raise UnsupportedModel(f"shared_axes is {short(axes)}, expected some of 1 to {len(shape) - 1}")
    return {"shared_axes": axes}


def _softmax(arguments: Arguments, shape: Shape) -> Keywords:
    """Softmax over the last axis."""
    arguments.only("axis", -1, len(shape) - 1)
    return {}


def _reshape(arguments: Arguments, shape: Shape) -> Keywords:
    """Reshape; one extent may be -1, for the rest."""
    target = arguments.take("target_shape")
    if not isinstance(target, list) or not 0 < len(target) <= 5:
        raise UnsupportedModel(f"target_shape is {short(target)}, expected 1 to 5 numbers")
    extents = [part if part == -1 and type(part) is int else as_integer(part, "target_shape") for part in target]
    known = math.prod(part for part in extents if part != -1)
    if extents.count(-1) > 1 or math.prod(extent or 0 for extent in shape[1:]) % known:
        raise UnsupportedModel(f"target_shape is {short(target)}, which {shape[1:]} cannot become")
    return {"target_shape": tuple(extents)}


def _permute(arguments: Arguments, shape: Shape) -> Keywords:
    axes = arguments.take("dims")
    if not isinstance(axes, list) or sorted(map(str, axes)) != sorted(map(str, range(1, len(shape)))):
        raise UnsupportedModel(f"dims is {short(axes)}, expected the numbers 1 to {len(shape) - 1} in any order")
    return {"dims": tuple(axes)}


def _recurrent(arguments: Arguments, shape: Shape) -> Keywords:
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


_TYPES: dict[str, tuple[type[keras.Layer], Translation]] = {
    "Conv2D": (layers.Conv2D, _convolution),
    "Convolution2D": (layers.Conv2D, _convolution),
    "Conv3D": (layers.Conv3D, _convolution),
    "SeparableConv2D": (layers.SeparableConv2D, _separable_convolution),
    "SeparableConvolution2D": (layers.SeparableConv2D, _separable_convolution),
    "DepthwiseConv2D": (layers.DepthwiseConv2D, _depthwise_convolution),
    "MaxPooling2D": (layers.MaxPooling2D, _pooling),
    "AveragePooling2D": (layers.AveragePooling2D, _pooling),
    "MaxPooling3D": (layers.MaxPooling3D, _pooling),
    "AveragePooling3D": (layers.AveragePooling3D, _pooling),
    "GlobalAveragePooling2D": (layers.GlobalAveragePooling2D, _global_pooling),
    "GlobalMaxPooling2D": (layers.GlobalMaxPooling2D, _global_pooling),
    "Cropping2D": (layers.Cropping2D, _cropping),
    "Cropping3D": (layers.Cropping3D, _cropping),
    "ZeroPadding2D": (layers.ZeroPadding2D, _zero_padding),
    "UpSampling2D": (layers.UpSampling2D, _up_sampling),
    "Resizing": (layers.Resizing, _resizing),
    "Dense": (layers.Dense, _dense),
    "Flatten": (layers.Flatten, _nothing),
    "Reshape": (layers.Reshape, _reshape),
    "Permute": (layers.Permute, _permute),
    "Lambda": (layers.Lambda, _lambda),
    "Rescaling": (layers.Rescaling, _rescaling),
    "BatchNormalization": (layers.BatchNormalization, _batch_normalization),
    "BatchNormalizationV1": (layers.BatchNormalization, _batch_normalization),
    "Dropout": (layers.Dropout, _dropout),
    "SpatialDropout2D": (layers.SpatialDropout2D, _dropout),
    "GaussianDropout": (layers.GaussianDropout, _dropout),
    "AlphaDropout": (layers.AlphaDropout, _dropout),
    "GaussianNoise": (layers.GaussianNoise, _noise),
    "Activation": (layers.Activation, _activation),
    "ELU": (layers.ELU, _elu),
    "LeakyReLU": (layers.LeakyReLU, _leaky_relu),
    "ReLU": (layers.ReLU, _relu),
    "PReLU": (layers.PReLU, _prelu),
    "Softmax": (layers.Softmax, _softmax),
    "GRU": (layers.GRU, _recurrent),
    "LSTM": (layers.LSTM, _recurrent),
    "SimpleRNN": (layers.SimpleRNN, _recurrent),
}
# rank of the input, with the batch, for the types with these endings
_RANKS = {"2D": 4, "3D": 5, "GRU": 3, "LSTM": 3, "SimpleRNN": 3, "Resizing": 4}


def rebuild_layer(kind: str, config: Mapping[str, Any], shape: Shape, name: str, channels_first: bool) -> keras.Layer:
    """Return the layer of class `kind`, called `name`, for an input of `shape`, with the batch.

    channels_first: the order of the axes in the file; `shape` and the result have the channels last. Raises
    UnsupportedModel for other layers, and ValueError, TypeError or LookupError, also from Keras, for invalid values.
    """
    if kind not in _TYPES:
        raise UnsupportedModel(f"layers of this type are not supported; known are {', '.join(_TYPES)}")
    for ending, rank in _RANKS.items():
        if kind.endswith(ending) and len(shape) != rank:
            raise UnsupportedModel(f"expected an input of {rank} axes with the batch, got {shape}")
    layer_type, translate = _TYPES[kind]
    arguments = Arguments(config, channels_first)
    keywords = {key: value for key, value in translate(arguments, shape).items() if value is not None}
    arguments.check_rest()
    if "scale" in keywords and layer_type is layers.Lambda:
        layer_type = layers.Rescaling
    layer = layer_type(**keywords, name=name)
    layer.trainable = config.get("trainable", True) is not False
    return layer


def estimate_weights(layer: keras.Layer, channels: int, extents: Sequence[int]) -> int:
    """Estimate the number of weights of a layer, without biases, before it allocates any.

    channels: of its input; extents: of its output, without the batch.
    """
    count = 0
    if isinstance(layer, layers.SeparableConv2D):
        count = channels * layer.depth_multiplier * (math.prod(layer.kernel_size) + layer.filters)
    elif isinstance(layer, layers.DepthwiseConv2D):
        count = channels * layer.depth_multiplier * math.prod(layer.kernel_size)
    elif isinstance(layer, layers.Conv2D | layers.Conv3D):
        count = math.prod(layer.kernel_size) * channels * layer.filters // layer.groups
    elif isinstance(layer, layers.Dense):
        count = channels * layer.units
    elif isinstance(layer, RECURRENT):
        count = 4 * layer.units * (channels + layer.units)
    elif isinstance(layer, layers.PReLU):
        count = math.prod(extents)
    elif isinstance(layer, layers.BatchNormalization):
        count = 4 * channels
    return count
