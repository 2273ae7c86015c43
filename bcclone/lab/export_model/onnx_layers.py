"""Add the layers of a Keras network to an ONNX graph, one function for each type of layer."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers

from bcclone.lab.export_model.onnx_graph import Graph, Value
from bcclone.model.network import normalize
from bcclone.system.errors import UserError

_ACTIVATIONS = {  # Keras's name: (the operator of ONNX, its attributes)
    "relu": ("Relu", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
    "softmax": ("Softmax", {"axis": -1}),
}


def add_layer(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Add a layer; return its output. Raises UserError for a layer that is not supported."""
    for kind, translate in _TRANSLATIONS.items():
        if type(layer) is kind:
            return translate(graph, layer, value)
    if isinstance(layer, keras.Sequential):
        for inner in layer.layers:
            value = add_layer(graph, inner, value)
        return value
    raise refusal(layer, "layers of this type cannot be written as ONNX")


def refusal(layer: keras.Layer, reason: str) -> UserError:
    """Return the error for a layer that is not supported."""
    return UserError(
        f"layer '{layer.name}' ({type(layer).__name__}): {reason}; export with --to saved-model or --to litert"
    )


def add_activation(graph: Graph, layer: keras.Layer, value: Value, function: Any = None) -> Value:
    """Add the activation of a layer, or another function of Keras."""
    name = getattr(function or layer.activation, "__name__", "of another layer")
    if name == "linear":
        return value
    if name in ("silu", "swish"):
        gate = graph.add("Sigmoid", value.name)
        return replace(value, name=graph.add("Mul", value.name, gate))
    if name not in _ACTIVATIONS:
        raise refusal(layer, f"the activation {name} cannot be written as ONNX")
    operator, attributes = _ACTIVATIONS[name]
    if operator == "Softmax":
        value = graph.with_channels_last(value)
    return replace(value, name=graph.add(operator, value.name, **attributes))


def _nothing(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Layers that do nothing outside of training."""
    return value


def _affine(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Rescaling."""
    scaled = graph.add("Mul", value.name, graph.constant(np.float32(layer.scale)))
    return replace(value, name=graph.add("Add", scaled, graph.constant(np.float32(layer.offset))))


def _lambda(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """network.normalize, the only function in a Lambda layer of ours."""
    if layer.function is not normalize:
        raise refusal(layer, "its function is unknown")
    scaled = graph.add("Div", value.name, graph.constant(np.float32(127.5)))
    return replace(value, name=graph.add("Sub", scaled, graph.constant(np.float32(1))))


def _convolution(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Conv2D and DepthwiseConv2D: the weights as (filters, channels of a group, height, width)."""
    kernel, groups = layer.kernel.numpy(), 0
    if isinstance(layer, layers.DepthwiseConv2D):
        height, width, groups, multiplier = kernel.shape
        kernel = kernel.reshape(height, width, 1, groups * multiplier)
    weights = [graph.constant(kernel.transpose(3, 2, 0, 1))]
    weights += [graph.constant(layer.bias.numpy())] if layer.use_bias else []
    attributes = _window(layer, value, layer.kernel_size, layer.dilation_rate)
    convolved = graph.add(
        "Conv",
        graph.with_channels_first(value).name,
        *weights,
        dilations=layer.dilation_rate,
        group=groups or layer.groups,
        **attributes,
    )
    return add_activation(graph, layer, _images(layer, convolved))


def _pooling(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """MaxPooling2D and AveragePooling2D."""
    operator = "MaxPool" if isinstance(layer, layers.MaxPooling2D) else "AveragePool"
    attributes = _window(layer, value, layer.pool_size)
    return _images(layer, graph.add(operator, graph.with_channels_first(value).name, **attributes))


def _window(
    layer: keras.Layer, value: Value, size: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> dict[str, Any]:
    """Return size, strides and padding of a sliding window; "same" pads the end more, as in Keras."""
    before, after = [0, 0], [0, 0]
    if layer.padding == "same":
        for axis in range(2):
            extent, stride = value.shape[axis], layer.strides[axis]
            reach = (size[axis] - 1) * dilation[axis] + 1
            total = max((math.ceil(extent / stride) - 1) * stride + reach - extent, 0)
            before[axis], after[axis] = total // 2, total - total // 2
    return {"kernel_shape": size, "strides": layer.strides, "pads": [*before, *after]}


def _images(layer: keras.Layer, name: str) -> Value:
    return Value(name, tuple(layer.output.shape[1:]), channels_first=True)


def _global_pooling(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """GlobalAveragePooling2D and GlobalMaxPooling2D."""
    operator = "ReduceMean" if isinstance(layer, layers.GlobalAveragePooling2D) else "ReduceMax"
    last = graph.with_channels_last(value)
    pooled = graph.add(operator, last.name, axes=[1, 2], keepdims=int(layer.keepdims))
    return Value(pooled, tuple(layer.output.shape[1:]))


def _cropping(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Cropping2D."""
    (top, bottom), (left, right) = layer.cropping
    height, width, _ = value.shape
    first, last = [top, left], [height - bottom, width - right]
    axes = [2, 3] if value.channels_first else [1, 2]
    inputs = (graph.constant(np.array(numbers, np.int64)) for numbers in (first, last, axes))
    return replace(value, name=graph.add("Slice", value.name, *inputs), shape=tuple(layer.output.shape[1:]))


def _zero_padding(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """ZeroPadding2D."""
    (top, bottom), (left, right) = layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    padded = graph.add("Pad", graph.with_channels_first(value).name, graph.constant(pads))
    return _images(layer, padded)


def _dense(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Dense."""
    made = graph.add("MatMul", graph.with_channels_last(value).name, graph.constant(layer.kernel.numpy()))
    if layer.use_bias:
        made = graph.add("Add", made, graph.constant(layer.bias.numpy()))
    return add_activation(graph, layer, Value(made, (*value.shape[:-1], layer.units)))


def _reshape(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Flatten and Reshape."""
    shape = tuple(layer.output.shape[1:])
    target = graph.constant(np.array([-1, *shape], np.int64))
    return Value(graph.add("Reshape", graph.with_channels_last(value).name, target), shape)


def _permute(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Permute."""
    last = graph.with_channels_last(value)
    return Value(graph.add("Transpose", last.name, perm=[0, *layer.dims]), tuple(layer.output.shape[1:]))


def _batch_normalization(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """BatchNormalization over the channels."""
    if layer.axis not in (-1, len(value.shape)):
        raise refusal(layer, f"its axis {layer.axis} cannot be written as ONNX")
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    scale = (layer.gamma.numpy() if layer.scale else 1) / np.sqrt(variance + layer.epsilon)
    offset = (layer.beta.numpy() if layer.center else 0) - mean * scale
    last = graph.with_channels_last(value)
    scaled = graph.add("Mul", last.name, graph.constant(scale.astype(np.float32)))
    return replace(last, name=graph.add("Add", scaled, graph.constant(offset.astype(np.float32))))


def _activation(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """Activation, Softmax over the last axis, and ELU."""
    if isinstance(layer, layers.ELU):
        return replace(value, name=graph.add("Elu", value.name, alpha=float(layer.alpha)))
    if isinstance(layer, layers.Softmax):
        return add_activation(graph, layer, value, keras.activations.softmax)
    return add_activation(graph, layer, value)


def _leaky_relu(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """LeakyReLU, and ReLU with a limit."""
    slope = float(layer.negative_slope)
    made = graph.add("LeakyRelu", value.name, alpha=slope) if slope else graph.add("Relu", value.name)
    if isinstance(layer, layers.ReLU):
        if layer.threshold:
            raise refusal(layer, "its threshold cannot be written as ONNX")
        if layer.max_value is not None:
            made = graph.add("Min", made, graph.constant(np.float32(layer.max_value)))
    return replace(value, name=made)


def _prelu(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    """PReLU."""
    last = graph.with_channels_last(value)
    return replace(last, name=graph.add("PRelu", last.name, graph.constant(layer.alpha.numpy())))


_TRANSLATIONS: dict[type[keras.Layer], Callable[[Graph, keras.Layer, Value], Value]] = {
    layers.Activation: _activation,
    layers.AlphaDropout: _nothing,
    layers.AveragePooling2D: _pooling,
    layers.BatchNormalization: _batch_normalization,
    layers.Conv2D: _convolution,
    layers.Cropping2D: _cropping,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _convolution,
    layers.Dropout: _nothing,
    layers.ELU: _activation,
    layers.Flatten: _reshape,
    layers.GaussianDropout: _nothing,
    layers.GaussianNoise: _nothing,
    layers.GlobalAveragePooling2D: _global_pooling,
    layers.GlobalMaxPooling2D: _global_pooling,
    layers.InputLayer: _nothing,
    layers.Lambda: _lambda,
    layers.LeakyReLU: _leaky_relu,
    layers.MaxPooling2D: _pooling,
    layers.PReLU: _prelu,
    layers.Permute: _permute,
    layers.ReLU: _leaky_relu,
    layers.Rescaling: _affine,
    layers.Reshape: _reshape,
    layers.Softmax: _activation,
    layers.SpatialDropout2D: _nothing,
    layers.ZeroPadding2D: _zero_padding,
}
