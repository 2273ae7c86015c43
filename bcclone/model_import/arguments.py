"""A layer's configuration -> its arguments, checked one by one, under the names that Keras 1 to 3 gave them.

The names in Keras 1, and what they are called since Keras 2:
https://github.com/keras-team/keras/blob/2.2.4/keras/legacy/interfaces.py

What is wrong with an argument, or not known, raises Refused.
"""

import math
from collections.abc import Mapping
from typing import Any

from bcclone.model_import import Refused

Shape = tuple[int | None, ...]

_LARGEST = 1 << 16
# Those that mean the same in every version; hard_sigmoid, for one, became another function in Keras 3.
_ACTIVATIONS = {
    "linear", "relu", "relu6", "elu", "selu", "gelu", "tanh", "sigmoid", "softmax", "softplus", "softsign", "swish",
    "silu", "exponential",
}  # fmt: skip
# What only training, the optimizer's view or the input's announcement depends on.
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
    """The arguments of one layer, each taken once, under any of its names; what is left over must not matter."""

    def __init__(self, config: Mapping[str, Any], channels_first: bool = False) -> None:
        """channels_first: how the file counts its axes; what is rebuilt has the channels last."""
        self.left, self.channels_first = dict(config), channels_first
        for name in ("dtype", "input_dtype"):
            if "float" not in (policy := dtype_of(self.left.pop(name, None))):
                raise Refused(f"{name} is {short(policy)}, expected 'float32'")

    def take(self, *names: str, default: Any = _REQUIRED) -> Any:
        """Return the first of these arguments that is there."""
        for name in names:
            if name in self.left:
                return self.left.pop(name)
        if default is _REQUIRED:
            raise Refused(f"does not say its {names[-1]}")
        return default

    def whole(self, *names: str, default: Any = _REQUIRED) -> int:
        """Return a whole number from 1."""
        return whole(self.take(*names, default=default), names[-1])

    def several(self, count: int, *names: str, default: Any = _REQUIRED) -> tuple[int, ...]:
        """Return so many whole numbers from 1; one number stands for all of them."""
        value = self.take(*names, default=default)
        parts = value if isinstance(value, list) else [value] * count
        if len(parts) != count:
            raise Refused(f"{names[-1]} is {short(value)}, expected {count} whole numbers")
        return tuple(whole(part, names[-1]) for part in parts)

    def number(self, *names: str, default: Any = _REQUIRED) -> float:
        """Return a finite number; arrays of one are numbers, too."""
        value = self.take(*names, default=default)
        if isinstance(value, dict):  # as tf.keras and Keras 3 write a value of NumPy's
            value = value.get("value", value.get("config", {}).get("value"))
        if type(value) not in (int, float) or not math.isfinite(value):
            raise Refused(f"{names[-1]} is {short(value)}, expected a number")
        return float(value)

    def share(self, *names: str) -> float:
        """Return a number from 0 up to and without 1."""
        value = self.number(*names)
        if not 0 <= value < 1:
            raise Refused(f"{names[-1]} is {value:g}, expected 0 to less than 1")
        return value

    def flag(self, *names: str, default: Any = _REQUIRED) -> bool:
        """Return True or False."""
        value = self.take(*names, default=default)
        if type(value) is not bool:
            raise Refused(f"{names[-1]} is {short(value)}, expected true or false")
        return value

    def padding(self) -> str:
        """Return "valid" or "same"."""
        value = self.take("border_mode", "padding")
        if value not in ("valid", "same"):
            raise Refused(f"padding is {short(value)}, expected 'valid' or 'same'")
        return str(value)

    def activation(self, *names: str, default: str = "linear") -> str:
        """Return the name of an activation that means the same in every version."""
        value = self.take(*(names or ("activation",)), default=None) or default
        if isinstance(value, dict) and value.get("class_name") == "function":  # Keras 3, of a function
            value = value.get("config")
        if not isinstance(value, str) or value not in _ACTIVATIONS:
            raise Refused(f"activation is {short(value)}; known are {', '.join(sorted(_ACTIVATIONS))}")
        if value == "softmax" and self.channels_first:
            raise Refused("softmax over columns, where channels come first, is not rebuilt")
        return value

    def only(self, name: str, *expected: Any) -> None:
        """Refuse any other value of an argument that may be left out."""
        value = self.take(name, default=expected[0])
        if value not in expected:
            raise Refused(f"{name} is {short(value)}, which is not rebuilt; expected {expected[0]!r}")

    def check_rest(self) -> None:
        """Refuse what is left over, so that nothing the network depends on is passed over in silence."""
        for name, value in self.left.items():
            if value is not None and name not in _NO_MATTER and not name.endswith(_NO_MATTER_ENDINGS):
                raise Refused(f"its argument {name[:40]!r} is not known")


def dtype_of(value: Any) -> str:
    """Return the name of a type, or of a policy in any version's words; no value is float32."""
    if isinstance(value, dict):
        value = value["config"]["name"]
    return str(value or "float32")[:40]


def whole(value: Any, name: str, least: int = 1) -> int:
    """Return a whole number of a configuration; raises Refused."""
    if type(value) is not int or not least <= value <= _LARGEST:
        raise Refused(f"{name} is {short(value)}, expected a whole number from {least} to {_LARGEST}")
    return value


def short(value: Any) -> str:
    """Return a value of the file as repr() shows it, cut to what a line holds."""
    return repr(value)[:60]
