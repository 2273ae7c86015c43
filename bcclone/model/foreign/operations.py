"""Rebuild an operation of a Functional model, such as x / 255, x[:, 60:140] or keras.ops.arctan(x).

In: the stored operation, and what it is called with. Out: the layer that computes the same, as a
class with its arguments; or for an operation that no layer computes, a network of it alone.

The name of an operation is looked up among the functions of keras.ops and keras.activations alone,
and only tensors and plain values are passed to them.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bcclone.dataset.preprocessing_text import Scaling, joined_scaling
from bcclone.model.foreign.activations import activation_of_class, options_of
from bcclone.model.foreign.arguments import Shape
from bcclone.model.foreign.calls import Call, Tensor, plain_value
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.model.layer_kinds import is_random, stored_kind
from bcclone.system.errors import first_line, shown

_REMEDY = (
    "in the author's script, put a layer of Keras in its place, or leave it out and state in "
    "--preprocess what it does to the frames, such as rows 60-140; copy the weights and save again"
)


@dataclass(frozen=True)
class Operation:
    """A function of Keras in a stored graph, with its arguments."""

    # "activations", or the module of keras.ops with the function, such as "image"; "" if not known
    module: str
    name: str  # of the function, lower case and without underscores
    arguments: tuple[Any, ...]  # a Tensor, or a list with it, and plain values
    keywords: Mapping[str, Any]
    output: int = 0  # which of its results is used, if it has several


def operation_of(item: Mapping[str, Any], call: Call, output: int) -> Operation | None:
    """Return the operation that a node of a graph is, None for a layer; raises UnsupportedModel.

    item: the node as stored
    call: what it is called with
    output: which of its outputs the next node takes
    """
    kind = str(item["class_name"])
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        return _operation_of_tensorflow(str(item["config"]["function"]), call, output)
    module = _module_of_operation(item)
    if module is None or not call.tensors:
        return None
    # arguments that are the same in each call stand in the configuration
    fixed = {name: plain_value(value) for name, value in item["config"].items() if name != "name"}
    return Operation(module, kind.lower(), call.arguments, {**fixed, **call.keywords}, output)


def _module_of_operation(item: Mapping[str, Any]) -> str | None:
    """Return the module of an operation's function, "" if it is not stored; None for a layer."""
    stored = item.get("module")
    if not stored:  # in a .h5 file
        kind = str(item["class_name"])
        # only layers are trainable or not
        is_layer = stored_kind(kind) or is_random(kind) or "trainable" in item["config"]
        return None if is_layer else ""
    library, *modules = str(stored).split(".")
    is_operation = "ops" in modules or "activations" in modules
    if library != "keras" or "layers" in modules or not is_operation:
        return None
    return modules[-1]


# a function of TensorFlow that tf.keras stores -> the function of Keras that takes the same
# arguments in the same order
_FUNCTIONS_OF_TENSORFLOW = {
    "__operators__.add": "add",
    "__operators__.getitem": "getitem",
    "cast": "cast",
    "compat.v1.math.scalar_mul": "multiply",
    "image.resize": "resize",
    "math.add": "add",
    "math.atan": "arctan",
    "math.divide": "divide",
    "math.multiply": "multiply",
    "math.negative": "negative",
    "math.subtract": "subtract",
    "math.truediv": "truedivide",
}


def _operation_of_tensorflow(function: str, call: Call, output: int) -> Operation:
    """Return the operation of Keras that computes the same as a function of TensorFlow."""
    known_keywords = {"x", "y", "slice_spec", "dtype", "size"}
    module, _, last = function.rpartition(".")
    is_activation = module in ("nn", "math") and activation_of_class(last) is not None
    if is_activation and not call.keywords:
        return Operation("activations", last, call.arguments, {}, output)
    name = _FUNCTIONS_OF_TENSORFLOW.get(function)
    if name is None or not known_keywords.issuperset(call.keywords):
        raise UnsupportedModel(
            f"calls the function {shown(function)} of TensorFlow, which is not supported with "
            f"these arguments; {_REMEDY}"
        )
    arguments = (*call.arguments, *call.keywords.values())
    return Operation("image" if name == "resize" else "numpy", name, arguments, {}, output)


# ---- operations that a layer computes, too


def layer_of(operation: Operation, shape: Shape) -> tuple[str, dict[str, Any]] | None:
    """Return the class and the arguments of a layer that computes an operation, None if none does.

    shape: shape of the operation's input, with the batch
    """
    if operation.name in _SIGNS:
        return _rescaling(operation, shape)
    if operation.name == "getitem":
        return _cropping(operation, shape)
    return _activation(operation)


_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "truedivide": "/"}


def _rescaling(operation: Operation, shape: Shape) -> tuple[str, dict[str, Any]] | None:
    """Return the Rescaling for arithmetic with a number, or with one for each channel.

    The number may stand before the tensor or after it.
    """
    sign = _SIGNS[operation.name]
    match operation.arguments:
        case [Tensor(), stated]:
            begins_with_number = False
        case [stated, Tensor()] if sign != "/":
            begins_with_number = True
        case _:
            return None
    numbers = np.asarray(stated)
    is_for_channels = numbers.shape == shape[-1:]
    if numbers.dtype.kind not in "iuf" or not (numbers.ndim == 0 or is_for_channels):
        return None
    try:
        scalings = [_scaling(sign, float(number), begins_with_number) for number in numbers.ravel()]
    except ValueError:  # the result does not depend on x
        return None
    if numbers.ndim == 0:
        return "Rescaling", vars(scalings[0])
    scale = [scaling.scale for scaling in scalings]
    offset = [scaling.offset for scaling in scalings]
    return "Rescaling", {"scale": scale, "offset": offset}


def _scaling(sign: str, number: float, begins_with_number: bool) -> Scaling:
    """Return what an operation with a number computes; raises ValueError, as joined_scaling()."""
    if sign == "-" and begins_with_number:  # number - x
        return joined_scaling([("*", -1.0), ("+", number)])
    return joined_scaling([(sign, number)])


def _cropping(operation: Operation, shape: Shape) -> tuple[str, dict[str, Any]] | None:
    """Return the Cropping2D for a slice of rows and columns of an image."""
    if len(shape) != 4 or len(operation.arguments) != 2:
        return None
    index = _index(operation.arguments[1], len(shape))
    if len(index) != 4 or not all(_is_simple_slice(part) for part in index):
        return None
    cut = []  # how many numbers are cut off at the begin and at the end of each axis
    for part, extent in zip(index[1:], shape[1:], strict=True):
        assert extent  # only the batch has no fixed size
        first, end, _ = part.indices(extent)
        cut.append([first, extent - end])
    rows, columns, channels = cut
    if index[0] != slice(None) or channels != [0, 0]:
        return None
    return "Cropping2D", {"cropping": [rows, columns]}


def _is_simple_slice(part: Any) -> bool:
    return isinstance(part, slice) and part.step in (None, 1)


def _index(key: Any, count: int) -> tuple[Any, ...]:
    """Return an index with a part for each axis, without an ellipsis, which Keras cannot load.

    key: an index of a tensor: a part, or a list of them
    count: how many axes the tensor has
    """
    parts = list(key) if isinstance(key, list | tuple) else [key]
    if ... not in parts:
        parts.append(...)
    place = parts.index(...)
    # None adds an axis; each of the others takes one
    stated = sum(part is not None and part is not ... for part in parts)
    parts[place : place + 1] = [slice(None)] * (count - stated)
    return tuple(parts)


def _activation(operation: Operation) -> tuple[str, dict[str, Any]] | None:
    """Return the Activation for a function that is one of Keras's activations, without options."""
    name = activation_of_class(operation.name)
    if name is None or len(operation.arguments) != 1:
        return None
    usual = options_of(name)
    if any(usual.get(option) != value for option, value in operation.keywords.items()):
        return None
    return "Activation", {"activation": name}


# ---- other operations


def network_of(operation: Operation, shape: Shape, dtype: str, name: str) -> keras.Model:
    """Return a network that computes an operation; raises UnsupportedModel.

    shape: shape of the operation's input, with the batch
    dtype: type of its input
    name: name of the network
    """
    function = _function_of(operation)
    image = keras.Input(shape[1:], dtype=dtype, name="x")
    arguments = _with_tensor(operation.arguments, image)
    if operation.name == "getitem":
        key = operation.arguments[1]
        arguments = (image, _index(key, len(shape)))
    try:
        results = function(*arguments, **_with_tensor(operation.keywords, image))
        if isinstance(results, list | tuple):
            results = results[operation.output]
        return keras.Model(image, results, name=name)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise UnsupportedModel(
            f"the operation cannot be rebuilt: {first_line(error)}; {_REMEDY}"
        ) from None


def _function_of(operation: Operation) -> Any:
    """Return the function of Keras that has the name of an operation; raises UnsupportedModel."""
    if operation.module == "activations":
        modules = [keras.activations]
    else:
        modules = [getattr(keras.ops, operation.module, keras.ops), keras.ops.image]
    for module in modules:
        for name in dir(module):
            function = getattr(module, name)
            if name.replace("_", "") == operation.name and inspect.isfunction(function):
                return function
    raise UnsupportedModel(f"Keras has no operation of this name; {_REMEDY}")


def _with_tensor(value: Any, tensor: Any) -> Any:
    """Return a value, with the tensor of Keras in the place of a `Tensor`."""
    if isinstance(value, Tensor):
        return tensor
    if isinstance(value, Mapping):
        return {name: _with_tensor(part, tensor) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_with_tensor(part, tensor) for part in value)
    if isinstance(value, list):
        return [_with_tensor(part, tensor) for part in value]
    return value


def check_pictures_apart(network: keras.Model) -> None:
    """Raise UnsupportedModel if an answer depends on the other pictures of a batch."""
    shape = network.input_shape[1:]
    pictures = np.random.default_rng(0).uniform(0.0, 255.0, (2, *shape)).astype(np.float32)
    together = np.asarray(network(pictures))
    apart = [np.asarray(network(pictures[place : place + 1])) for place in range(2)]
    are_apart = network.output_shape[0] is None and len(together) == 2
    if not are_apart or not np.allclose(together, np.concatenate(apart), equal_nan=True):
        raise UnsupportedModel(f"the operation mixes the pictures of a batch; {_REMEDY}")
