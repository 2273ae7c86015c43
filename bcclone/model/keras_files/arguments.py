"""Take the arguments from the configuration of a layer, by their names in Keras 1 to 3, and check them.

The names in Keras 1 and since Keras 2: https://github.com/keras-team/keras/blob/2.2.4/keras/legacy/interfaces.py
Wrong or unknown arguments raise UnsupportedModel.
"""

import math
from collections.abc import Mapping
from typing import Any

from bcclone.model.keras_files import UnsupportedModel

Shape = tuple[int | None, ...]

_LARGEST = 1 << 16
# with the same meaning in every version; hard_sigmoid, for example, changed in Keras 3
_ACTIVATIONS = {
    "linear", "relu", "relu6", "elu", "selu", "gelu", "tanh", "sigmoid", "softmax", "softplus", "softsign", "swish",
    "silu", "exponential",
}  # fmt: skip
# arguments that matter only for training, or repeat the shape of the input
_NO_MATTER = {
    "name", "trainable", "batch_input_shape", "batch_shape", "input_shape", "input_dim", "input_length", "init",
    "beta_init", "gamma_init", "inner_init", "forget_bias_init", "weights", "noise_shape", "seed", "fused",
    "synchronized", "module", "renorm_clipping", "renorm_momentum", "virtual_batch_size", "output_shape",
    "output_shape_type", "output_shape_module", "sparse", "ragged", "optional", "implementation", "consume_less",
    "quantization_config", "lora_rank", "lora_alpha", "autocast", "unroll", "dim_ordering", "data_format",
}  # fmt: skip
_NO_MATTER_ENDINGS = ("_regularizer", "_constraint", "_initializer")
_REQUIRED = object()


class Arguments:
    """The arguments of one layer; each is taken once, by any of its names, and those left over must not matter."""

    def __init__(self, config: Mapping[str, Any], channels_first: bool = False) -> None:
        """channels_first: the order of the axes in the file; rebuilt layers have the channels last."""
        self.left, self.channels_first = dict(config), channels_first
        for name in ("dtype", "input_dtype"):
            if "float" not in (policy := dtype_of(self.left.pop(name, None))):
                raise UnsupportedModel(f"{name} is {short(policy)}, expected 'float32'")

    def take(self, *names: str, default: Any = _REQUIRED) -> Any:
        """Return the first of these arguments that exists."""
        for name in names:
            if name in self.left:
                return self.left.pop(name)
        if default is _REQUIRED:
            raise UnsupportedModel(f"lacks its {names[-1]}")
        return default

    def integer(self, *names: str, default: Any = _REQUIRED) -> int:
        """Return a whole number from 1."""
        return as_integer(self.take(*names, default=default), names[-1])

    def several(self, count: int, *names: str, default: Any = _REQUIRED) -> tuple[int, ...]:
        """Return `count` whole numbers from 1; a single number is repeated."""
        value = self.take(*names, default=default)
        values = value if isinstance(value, list) else [value] * count
        if len(values) != count:
            raise UnsupportedModel(f"{names[-1]} is {short(value)}, expected {count} whole numbers")
        return tuple(as_integer(one, names[-1]) for one in values)

    def number(self, *names: str, default: Any = _REQUIRED) -> float:
        """Return a finite number; arrays of one are numbers, too."""
        value = self.take(*names, default=default)
        if isinstance(value, dict):  # a NumPy value in tf.keras and Keras 3
            value = value.get("value", value.get("config", {}).get("value"))
        if type(value) not in (int, float) or not math.isfinite(value):
            raise UnsupportedModel(f"{names[-1]} is {short(value)}, expected a number")
        return float(value)

    def fraction(self, *names: str) -> float:
        """Return a number from 0 to less than 1."""
        value = self.number(*names)
        if not 0 <= value < 1:
            raise UnsupportedModel(f"{names[-1]} is {value:g}, expected 0 to less than 1")
        return value

    def flag(self, *names: str, default: Any = _REQUIRED) -> bool:
        """Return True or False."""
        value = self.take(*names, default=default)
        if type(value) is not bool:
            raise UnsupportedModel(f"{names[-1]} is {short(value)}, expected true or false")
        return value

    def padding(self) -> str:
        """Return "valid" or "same"."""
        value = self.take("border_mode", "padding")
        if value not in ("valid", "same"):
            raise UnsupportedModel(f"padding is {short(value)}, expected 'valid' or 'same'")
        return str(value)

    def activation(self, *names: str, default: str = "linear") -> str:
        """Return the name of an activation with the same meaning in every version."""
        value = self.take(*(names or ("activation",)), default=None) or default
        if isinstance(value, dict) and value.get("class_name") == "function":  # a function in Keras 3
            value = value.get("config")
        if not isinstance(value, str) or value not in _ACTIVATIONS:
            raise UnsupportedModel(f"activation is {short(value)}; known are {', '.join(sorted(_ACTIVATIONS))}")
        if value == "softmax" and self.channels_first:
            raise UnsupportedModel("softmax over columns, with channels first, is not supported")
        return value

    def only(self, name: str, *expected: Any) -> None:
        """Refuse an argument with other values than these; it may be missing."""
        value = self.take(name, default=expected[0])
        if value not in expected:
            raise UnsupportedModel(f"{name} is {short(value)}, which is not supported; expected {expected[0]!r}")

    def check_rest(self) -> None:
        """Refuse arguments left over, so that nothing that the network depends on is ignored."""
        for name, value in self.left.items():
            if value is not None and name not in _NO_MATTER and not name.endswith(_NO_MATTER_ENDINGS):
                raise UnsupportedModel(f"its argument {name[:40]!r} is unknown")


def dtype_of(value: Any) -> str:
    """Return the name of a type, or of a policy as any version stores it; None is float32."""
    if isinstance(value, dict):
        value = value["config"]["name"]
    return str(value or "float32")[:40]


def as_integer(value: Any, name: str, least: int = 1) -> int:
    """Return a whole number of a configuration; raises UnsupportedModel."""
    if type(value) is not int or not least <= value <= _LARGEST:
        raise UnsupportedModel(f"{name} is {short(value)}, expected a whole number from {least} to {_LARGEST}")
    return value


def short(value: Any) -> str:
    """Return the repr() of a value in the file, shortened."""
    return repr(value)[:60]
