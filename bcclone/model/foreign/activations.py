"""Find the activation functions of Keras by the names that files have for them.

A function of keras.activations is an activation if what it computes has the shape of its input.
Names of other functions, such as those that a program has registered, are not looked up.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import keras
import numpy as np

from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.errors import shown

_VALUES = np.array([[-2.0, -0.5, 0.5, 2.0]], np.float32)


def check_activation(name: str, value: Any, is_keras_3: bool) -> str:
    """Return the name of an activation; raises UnsupportedModel if Keras has none of this name.

    name: the argument of a layer that states it
    value: the stored name
    is_keras_3: whether Keras 3 wrote the file
    """
    if value == "hard_sigmoid" and not is_keras_3:
        raise UnsupportedModel(
            f"{name} is 'hard_sigmoid', which is another function since Keras 3; train it with "
            "'sigmoid'"
        )
    if not isinstance(value, str) or not _is_activation(value):
        raise UnsupportedModel(
            f"{name} is {shown(value)}; expected a function of keras.activations that keeps the "
            "shape, such as elu; train it with one of these"
        )
    return value


def activation_of_class(name: str) -> str | None:
    """Return the activation that an operation's class computes, None if it is no activation.

    name: of the class, lower case, such as leakyrelu
    """
    for candidate in dir(keras.activations):
        if candidate.replace("_", "") == name.replace("_", "") and _is_activation(candidate):
            return candidate
    return None


def options_of(name: str) -> Mapping[str, Any]:
    """Return the options of an activation with their defaults, such as negative_slope."""
    parameters = inspect.signature(keras.activations.get(name)).parameters
    return {key: parameter.default for key, parameter in parameters.items()}


def is_elementwise(name: str) -> bool:
    """Return whether an activation computes each number from the same number of its input."""
    function: Callable[[Any], Any] = keras.activations.get(name)
    together = np.asarray(function(_VALUES))[0]
    apart = np.asarray(function(_VALUES.T))[:, 0]
    return bool(np.allclose(together, apart))


@cache
def _is_activation(name: str) -> bool:
    try:
        function = keras.activations.get(name)  # knows Keras's own functions alone
        answers = function(_VALUES)
    except (ValueError, TypeError):  # unknown, or it takes something else than one tensor
        return False
    return bool(np.shape(answers) == _VALUES.shape)
