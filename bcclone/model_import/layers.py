"""What leaves rows and columns where they are, or ends them: their arguments of any version -> those of today.

Every function here takes a layer's arguments and the shape of its input, and returns the arguments that the class
of the current Keras takes.
What cannot be rebuilt raises Refused.
"""

import math
from typing import Any

from bcclone import network
from bcclone.model_import import Refused
from bcclone.model_import.arguments import Arguments, Shape, short, whole
from bcclone.model_import.lambda_code import affine_of, shown

Keywords = dict[str, Any]

_NORMALIZE = "bcclone>normalize"  # as keras.saving registers network.normalize; a test compares


def nothing(arguments: Arguments, shape: Shape) -> Keywords:
    """Layers without arguments that matter."""
    return {}


def dense(arguments: Arguments, shape: Shape) -> Keywords:
    """Dense."""
    units, bias = arguments.whole("output_dim", "units"), arguments.flag("bias", "use_bias")
    return {"units": units, "activation": arguments.activation(), "use_bias": bias}


def activation(arguments: Arguments, shape: Shape) -> Keywords:
    """Activation."""
    return {"activation": arguments.activation()}


def dropout(arguments: Arguments, shape: Shape) -> Keywords:
    """Dropout, SpatialDropout2D, GaussianDropout and AlphaDropout, of no effect but in training."""
    return {"rate": arguments.share("p", "rate")}


def noise(arguments: Arguments, shape: Shape) -> Keywords:
    """GaussianNoise, of no effect but in training."""
    return {"stddev": arguments.number("sigma", "stddev")}


def lambda_(arguments: Arguments, shape: Shape) -> Keywords:
    """Return the arguments of our own normalisation, or of the Rescaling that computes what byte code does."""
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
        raise Refused(
            f"calls the function {short(name)}, whose code is not in the file; save it with a Rescaling layer"
        )
    if function[1] or function[2]:
        raise Refused(f"its function uses default or outer values, and is not run: {shown(function[0])}")
    affine = affine_of(function[0])
    return {"scale": affine.scale, "offset": affine.offset}


def rescaling(arguments: Arguments, shape: Shape) -> Keywords:
    """Rescaling by one number."""
    return {"scale": arguments.number("scale"), "offset": arguments.number("offset", default=0)}


def batch_normalization(arguments: Arguments, shape: Shape) -> Keywords:
    """Keras 1's running_std holds the variance too; its modes 1 and 2 use the statistics of the batch."""
    arguments.only("mode", 0)
    arguments.only("renorm", False)
    axis = arguments.take("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or not -len(shape) < axis < len(shape) or not axis:
        raise Refused(f"axis is {short(axis)}, expected the number of one axis")
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


def elu(arguments: Arguments, shape: Shape) -> Keywords:
    """ELU; Keras 3.0 to 3.3 did not write alpha, and read 1."""
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
        raise Refused(f"shared_axes is {short(axes)}, expected some of 1 to {len(shape) - 1}")
    return {"shared_axes": axes}


def softmax(arguments: Arguments, shape: Shape) -> Keywords:
    """Softmax over the last axis."""
    arguments.only("axis", -1, len(shape) - 1)
    return {}


def reshape(arguments: Arguments, shape: Shape) -> Keywords:
    """Reshape; one extent may be -1: what is left."""
    target = arguments.take("target_shape")
    if not isinstance(target, list) or not 0 < len(target) <= 5:
        raise Refused(f"target_shape is {short(target)}, expected 1 to 5 numbers")
    extents = [part if part == -1 and type(part) is int else whole(part, "target_shape") for part in target]
    known = math.prod(part for part in extents if part != -1)
    if extents.count(-1) > 1 or math.prod(extent or 0 for extent in shape[1:]) % known:
        raise Refused(f"target_shape is {short(target)}, which {shape[1:]} cannot become")
    return {"target_shape": tuple(extents)}


def permute(arguments: Arguments, shape: Shape) -> Keywords:
    """Permute."""
    axes = arguments.take("dims")
    if not isinstance(axes, list) or sorted(map(str, axes)) != sorted(map(str, range(1, len(shape)))):
        raise Refused(f"dims is {short(axes)}, expected the numbers 1 to {len(shape) - 1} in any order")
    return {"dims": tuple(axes)}


def recurrent(arguments: Arguments, shape: Shape) -> Keywords:
    """GRU, LSTM and SimpleRNN that read their input once, forwards, and begin anew each time."""
    for name in ("go_backwards", "stateful", "return_state", "time_major", "zero_output_for_mask"):
        arguments.only(name, False)
    found = {
        "units": arguments.whole("units"),
        "activation": arguments.activation(),
        "use_bias": arguments.flag("use_bias"),
        "dropout": arguments.share("dropout"),
        "recurrent_dropout": arguments.share("recurrent_dropout"),
        "return_sequences": arguments.flag("return_sequences"),
    }
    if "recurrent_activation" in arguments.left:
        found["recurrent_activation"] = arguments.activation("recurrent_activation")
    if "reset_after" in arguments.left:
        found["reset_after"] = arguments.flag("reset_after")
    if "unit_forget_bias" in arguments.left:
        arguments.flag("unit_forget_bias")  # how the bias begins
    return found
