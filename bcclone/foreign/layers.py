"""A layer's configuration, as Keras 1 to 3 wrote it -> the same layer of the current Keras.

The names of the arguments in Keras 1, and what they are called since Keras 2:
https://github.com/keras-team/keras/blob/2.2.4/keras/legacy/interfaces.py
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from bcclone.foreign import Refused
from bcclone.foreign.lambda_code import affine_of

Shape = tuple[int | None, ...]

# Those that mean the same in every version; hard_sigmoid, for one, became another function in Keras 3.
_ACTIVATIONS = {
    "linear", "relu", "elu", "selu", "tanh", "sigmoid", "softmax", "softplus", "softsign", "swish", "silu",
}  # fmt: skip
_DATA_FORMATS = {"tf", "channels_last", None}
# What only training, the optimizer's view or the input's announcement depends on.
_NO_MATTER = {
    "name", "trainable", "batch_input_shape", "batch_shape", "input_shape", "input_dim", "input_length", "init",
    "beta_init", "gamma_init", "weights", "noise_shape", "seed", "momentum", "fused", "synchronized", "module",
    "renorm_clipping", "renorm_momentum", "output_shape", "output_shape_type", "output_shape_module",
}  # fmt: skip
_NO_MATTER_ENDINGS = ("_regularizer", "_constraint", "_initializer")
_REQUIRED = object()


def rebuild_layer(kind: str, config: Mapping[str, Any], input_shape: Shape) -> keras.Layer:
    """Return the layer of class `kind` for an input of `input_shape`, the batch first; raises Refused.

    Raises also ValueError and TypeError, from Keras, for values that no such layer takes.
    """
    if kind not in _KINDS:
        raise Refused(f"layers of this kind are not rebuilt; known are {', '.join(_KINDS)}")
    arguments = _Arguments(config)
    arguments.check_common()
    layer = _KINDS[kind](arguments, input_shape)
    arguments.check_rest()
    return layer


class _Arguments:
    """The arguments of one layer, each taken once, under any of its names; what is left over must not matter."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.left = dict(config)

    def take(self, *names: str, default: Any = _REQUIRED) -> Any:
        for name in names:
            if name in self.left:
                return self.left.pop(name)
        if default is _REQUIRED:
            raise Refused(f"does not say its {names[-1]}")
        return default

    def whole(self, *names: str, default: Any = _REQUIRED) -> int:
        return _whole(self.take(*names, default=default), names[-1])

    def pair(self, *names: str, default: Any = _REQUIRED) -> tuple[int, int]:
        value = self.take(*names, default=default)
        first, second = value if isinstance(value, list) else (value, value)
        return _whole(first, names[-1]), _whole(second, names[-1])

    def number(self, *names: str, default: Any = _REQUIRED) -> float:
        value = self.take(*names, default=default)
        if type(value) not in (int, float):
            raise Refused(f"{names[-1]} is {_short(value)}, expected a number")
        return float(value)

    def flag(self, *names: str, default: Any = _REQUIRED) -> bool:
        value = self.take(*names, default=default)
        if type(value) is not bool:
            raise Refused(f"{names[-1]} is {_short(value)}, expected true or false")
        return value

    def padding(self) -> str:
        value = self.take("border_mode", "padding")
        if value not in ("valid", "same"):
            raise Refused(f"padding is {_short(value)}, expected 'valid' or 'same'")
        return str(value)

    def activation(self) -> str:
        value = self.take("activation", default=None) or "linear"
        if not isinstance(value, str) or value not in _ACTIVATIONS:
            raise Refused(f"activation is {_short(value)}; known are {', '.join(sorted(_ACTIVATIONS))}")
        return value

    def only(self, name: str, *expected: Any) -> None:
        """Refuse any other value of an argument that may be left out."""
        value = self.take(name, default=expected[0])
        if value not in expected:
            raise Refused(f"{name} is {_short(value)}, which is not rebuilt; expected {expected[0]!r}")

    def check_common(self) -> None:
        """Refuse channels before rows and columns, and layers that compute in whole numbers."""
        for name in ("dim_ordering", "data_format"):
            if (value := self.take(name, default=None)) not in _DATA_FORMATS:
                raise Refused(
                    f"{name} is {_short(value)}: its images have their channels first, which is not supported; "
                    f"expected channels last ('tf', 'channels_last')"
                )
        for name in ("dtype", "input_dtype"):
            value = self.take(name, default=None) or "float32"
            policy = value["config"]["name"] if isinstance(value, dict) else value
            if "float" not in policy:
                raise Refused(f"{name} is {_short(policy)}, expected 'float32'")

    def check_rest(self) -> None:
        """Refuse what is left over, so that nothing the network depends on is passed over in silence."""
        for name, value in self.left.items():
            if value is not None and name not in _NO_MATTER and not name.endswith(_NO_MATTER_ENDINGS):
                raise Refused(f"its argument {name[:40]!r} is not known")


def _whole(value: Any, name: str, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= 1 << 16:
        raise Refused(f"{name} is {_short(value)}, expected a whole number from {least} to {1 << 16}")
    return value


def _short(value: Any) -> str:
    return repr(value)[:60]


def _conv2d(arguments: _Arguments, shape: Shape) -> keras.Layer:
    if "nb_row" in arguments.left:
        kernel = arguments.whole("nb_row"), arguments.whole("nb_col")
    else:
        kernel = arguments.pair("kernel_size")
    return keras.layers.Conv2D(
        arguments.whole("nb_filter", "filters"),
        kernel,
        strides=arguments.pair("subsample", "strides"),
        padding=arguments.padding(),
        dilation_rate=arguments.pair("dilation_rate", default=1),
        groups=arguments.whole("groups", default=1),
        activation=arguments.activation(),
        use_bias=arguments.flag("bias", "use_bias"),
    )


def _dense(arguments: _Arguments, shape: Shape) -> keras.Layer:
    units, bias = arguments.whole("output_dim", "units"), arguments.flag("bias", "use_bias")
    return keras.layers.Dense(units, activation=arguments.activation(), use_bias=bias)


def _lambda(arguments: _Arguments, shape: Shape) -> keras.Layer:
    """Return the Rescaling layer that computes what the lambda does; both compute in float32."""
    function = arguments.take("function")
    arguments.only("function_type", "lambda")
    arguments.only("arguments", {}, None)
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":  # Keras 3
        function = [function["config"][part] for part in ("code", "defaults", "closure")]
    if not isinstance(function, list) or len(function) != 3 or not isinstance(function[0], str):
        raise Refused(f"calls the function {_short(function)}, which is not in the file; use a Rescaling layer")
    if function[1] or function[2]:
        raise Refused("its function uses default or outer values, and is not run; use a Rescaling layer")
    affine = affine_of(function[0])
    return keras.layers.Rescaling(affine.scale, affine.offset)


def _cropping(arguments: _Arguments, shape: Shape) -> keras.Layer:
    return keras.layers.Cropping2D(_four(arguments.take("cropping"), "cropping"))


def _zero_padding(arguments: _Arguments, shape: Shape) -> keras.Layer:
    return keras.layers.ZeroPadding2D(_four(arguments.take("padding"), "padding"))


def _four(value: Any, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ((top, bottom), (left, right)) of a list so nested, of those four, or of [rows, columns]."""
    flat = [part for item in value for part in (item if isinstance(item, list) else [item])]
    if len(flat) == 2:
        flat = [flat[0], flat[0], flat[1], flat[1]]
    top, bottom, left, right = (_whole(part, name, 0) for part in flat)
    return (top, bottom), (left, right)


def _pooling(make: Callable[..., keras.Layer]) -> Callable[[_Arguments, Shape], keras.Layer]:
    def pooling(arguments: _Arguments, shape: Shape) -> keras.Layer:
        size = arguments.pair("pool_size")
        return make(size, strides=arguments.pair("strides", default=list(size)), padding=arguments.padding())

    return pooling


def _batch_normalization(arguments: _Arguments, shape: Shape) -> keras.Layer:
    """Keras 1's running_std holds the variance too; its modes 1 and 2 use the statistics of the batch."""
    arguments.only("mode", 0)
    arguments.only("renorm", False)
    arguments.only("axis", -1, len(shape) - 1, [len(shape) - 1], [-1])
    return keras.layers.BatchNormalization(
        epsilon=arguments.number("epsilon"),
        center=arguments.flag("center", default=True),
        scale=arguments.flag("scale", default=True),
    )


def _relu(arguments: _Arguments, shape: Shape) -> keras.Layer:
    highest = None if arguments.left.get("max_value") is None else arguments.number("max_value")
    slope, threshold = arguments.number("negative_slope", default=0), arguments.number("threshold", default=0)
    return keras.layers.ReLU(highest, slope, threshold)


def _prelu(arguments: _Arguments, shape: Shape) -> keras.Layer:
    axes = arguments.take("shared_axes", default=None) or []
    if not isinstance(axes, list) or any(axis not in range(1, len(shape)) for axis in axes):
        raise Refused(f"shared_axes is {_short(axes)}, expected some of 1 to {len(shape) - 1}")
    return keras.layers.PReLU(shared_axes=axes)


_KINDS: dict[str, Callable[[_Arguments, Shape], keras.Layer]] = {
    "Conv2D": _conv2d,
    "Convolution2D": _conv2d,
    "Dense": _dense,
    "Lambda": _lambda,
    "Rescaling": lambda a, shape: keras.layers.Rescaling(a.number("scale"), a.number("offset", default=0)),
    "Dropout": lambda a, shape: keras.layers.Dropout(a.number("p", "rate")),
    "SpatialDropout2D": lambda a, shape: keras.layers.SpatialDropout2D(a.number("p", "rate")),
    "Flatten": lambda a, shape: keras.layers.Flatten(),
    "Activation": lambda a, shape: keras.layers.Activation(a.activation()),
    "ELU": lambda a, shape: keras.layers.ELU(a.number("alpha")),
    "LeakyReLU": lambda a, shape: keras.layers.LeakyReLU(a.number("alpha", "negative_slope")),
    "ReLU": _relu,
    "PReLU": _prelu,
    "BatchNormalization": _batch_normalization,
    "Cropping2D": _cropping,
    "ZeroPadding2D": _zero_padding,
    "MaxPooling2D": _pooling(keras.layers.MaxPooling2D),
    "AveragePooling2D": _pooling(keras.layers.AveragePooling2D),
}
