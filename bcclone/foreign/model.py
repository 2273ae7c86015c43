"""A Keras .h5 file of others -> the same network, rebuilt of its JSON configuration and its arrays."""

import json
import math
from collections.abc import Mapping
from typing import Any

import h5py
import keras

from bcclone.foreign import Refused
from bcclone.foreign.layers import Shape, rebuild_layer
from bcclone.foreign.weights import read_text, read_weights

_MOST_LAYERS, _MOST_WEIGHTS, _LARGEST_OUTPUT = 200, 1 << 26, 1 << 24  # the last two in numbers
_INPUT_NAMES = ("batch_input_shape", "batch_shape")


class ForeignModel:
    """The network that an open file describes; its weights are read when they are asked for."""

    def __init__(self, file: h5py.File) -> None:
        """Rebuild the network, without weights; raises Refused, and what json and Keras raise."""
        self._file = file
        if "backend" in file.attrs and read_text(file, "backend") == "theano":
            raise Refused("was trained with Theano, whose kernels are mirrored, which is not supported")
        self.model, self._labels = _rebuild(_layer_configs(json.loads(read_text(file, "model_config"))))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return rows, columns and channels of the network's input."""
        shape: tuple[int, ...] = self.model.input_shape[1:]
        return shape

    def load_weights(self) -> keras.Model:
        """Return the model with the file's weights."""
        layers = [(label, layer) for label, layer in zip(self._labels, self.model.layers, strict=True) if layer.weights]
        expected = [(label, [tuple(weight.shape) for weight in layer.weights]) for label, layer in layers]
        for (_, layer), arrays in zip(layers, read_weights(self._file, expected), strict=True):
            layer.set_weights(arrays)
        return self.model


def _layer_configs(config: Any) -> list[Mapping[str, Any]]:
    """Return the layers of a Sequential model: in Keras 1 and early Keras 2 a list, later in a dictionary."""
    kind = config["class_name"]
    if kind != "Sequential":
        raise Refused(f"holds a network of kind {str(kind)[:40]!r}; only Sequential ones are rebuilt")
    configs = config["config"]
    if isinstance(configs, dict):
        outer = configs
        configs = list(configs["layers"])
        if configs and not any(name in configs[0]["config"] for name in _INPUT_NAMES) and "build_input_shape" in outer:
            built = {"name": "input", "batch_shape": outer["build_input_shape"]}
            configs.insert(0, {"class_name": "InputLayer", "config": built})
    if not 0 < len(configs) <= _MOST_LAYERS:
        raise Refused(f"has {len(configs)} layers, expected 1 to {_MOST_LAYERS}")
    return list(configs)


def _rebuild(configs: list[Mapping[str, Any]]) -> tuple[keras.Model, list[str]]:
    """Return the network without its weights, and a label for each of its layers."""
    shape = start = _input_shape(configs[0]["config"])
    if configs[0]["class_name"] == "InputLayer":
        dtype = configs[0]["config"].get("dtype") or "float32"
        if "float" not in dtype:
            raise Refused(f"its input is of type {str(dtype)[:40]!r}, expected 'float32'")
        configs = configs[1:]
    layers, labels, weights = [], [], 0
    for config in configs:
        kind, arguments = config["class_name"], config["config"]
        label = f"layer {str(arguments.get('name'))[:60]!r} ({str(kind)[:40]})"
        try:
            layer = rebuild_layer(kind, arguments, shape)
            shape, more = _sized(layer, shape)
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise Refused(f"{label}: {str(error).partition(chr(10))[0]}") from None
        weights += more
        if weights > _MOST_WEIGHTS:
            raise Refused(f"{label}: the network has more than {_MOST_WEIGHTS} weights")
        layers.append(layer)
        labels.append(label)
    if shape != (None, 1):
        raise Refused(f"the network gives {shape[1:]} numbers, expected 1, the steering")
    return keras.Sequential([keras.Input(start[1:], dtype="float32", name="frame"), *layers]), labels


def _input_shape(first: Mapping[str, Any]) -> Shape:
    shape = next((first[name] for name in _INPUT_NAMES if name in first), None)
    if not isinstance(shape, list) or len(shape) != 4 or not all(type(extent) is int for extent in shape[1:]):
        raise Refused(f"its input has the shape {str(shape)[:60]}, expected [null, rows, columns, channels]")
    if not all(0 < extent <= 1024 for extent in shape[1:]):
        raise Refused(f"its input has the shape {shape}, expected at most 1024 rows, columns and channels")
    return (None, *shape[1:])


def _sized(layer: keras.Layer, shape: Shape) -> tuple[Shape, int]:
    """Return the shape of the output and how many weights the layer will have; nothing is allocated yet."""
    output: Shape = tuple(layer.compute_output_shape(shape))
    extents = [extent or 0 for extent in output[1:]]
    if min(extents) < 1 or math.prod(extents) > _LARGEST_OUTPUT:
        raise Refused(f"makes {output[1:]} of {shape[1:]}, expected 1 to {_LARGEST_OUTPUT} numbers")
    channels = shape[-1] or 0
    if isinstance(layer, keras.layers.Conv2D):
        return output, math.prod(layer.kernel_size) * channels * layer.filters // layer.groups
    if isinstance(layer, keras.layers.Dense):
        return output, channels * layer.units
    if isinstance(layer, keras.layers.PReLU):
        return output, math.prod(extents)
    return output, 4 * channels if isinstance(layer, keras.layers.BatchNormalization) else 0
