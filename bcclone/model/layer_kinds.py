"""The types of layers that networks and model files may have, each once, and what each of them keeps apart.

A new type is a row of KINDS: loading, saliency, diagrams and drives frame by frame follow, and for a type that draws
random numbers in training also --dropout, monitors, and trainings on several workers. Saliency follows a type that
keeps its pixels or has a kernel.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
from keras import layers

from bcclone.model.keras_files import layers as stored

RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
_RATE, _DEVIATION = "rate", "stddev"
_KERNEL, _POOL = "kernel_size", "pool_size"
# the names of three types in Keras 1 and in tf.keras 1
_OLD_NAMES = {
    "Convolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "BatchNormalizationV1": "BatchNormalization",
}


def _never(layer: keras.Layer) -> bool:
    return False


def _always(layer: keras.Layer) -> bool:
    return True


def _no_weights(layer: keras.Layer, channels: int, extents: Sequence[int]) -> int:
    return 0


def _convolution_weights(layer: keras.Layer, channels: int, extents: Sequence[int]) -> int:
    return int(math.prod(layer.kernel_size) * channels * layer.filters // layer.groups)


def _recurrent_weights(layer: keras.Layer, channels: int, extents: Sequence[int]) -> int:
    return int(4 * layer.units * (channels + layer.units))


@dataclass(frozen=True)
class LayerKind:
    """A type of layer.

    translate: the arguments that a file stores to those of the present class; axes: of its input, with the batch, 0 for
    any number; channels_first: whether a file may have the channels of its images first; keeps_pixels: whether each
    pixel of its output depends on the same pixel of its input alone; kernel: of a layer that moves a kernel or a pool
    over an image by its strides, the argument with the kernel's rows and columns; keeps_frames: returns whether a layer
    of this type processes each frame of a window independently; random: the argument that says how much a layer that
    draws random numbers in training changes its input, a rate or a standard deviation; weights: returns about how many
    weights a layer will have, without biases, for the channels of its input and the extents of its output without the
    batch.
    """

    type: type[keras.Layer]
    translate: stored.Translation
    axes: int = 0
    channels_first: bool = False
    keeps_pixels: bool = False
    kernel: str = ""
    keeps_frames: Callable[[keras.Layer], bool] = _never
    random: str = ""
    weights: Callable[[keras.Layer, int, Sequence[int]], int] = _no_weights


def _elementwise(of: type[keras.Layer], translate: stored.Translation, random: str = "") -> LayerKind:
    """Return a type that computes each number of its output from the same number of its input."""
    return LayerKind(of, translate, channels_first=True, keeps_pixels=True, keeps_frames=_always, random=random)


_ALL = (
    LayerKind(layers.Conv2D, stored.convolution, 4, channels_first=True, kernel=_KERNEL, weights=_convolution_weights),
    LayerKind(
        layers.Conv3D,
        stored.convolution,
        5,
        keeps_frames=lambda layer: layer.kernel_size[0] == layer.strides[0] == 1,
        weights=_convolution_weights,
    ),
    LayerKind(
        layers.SeparableConv2D,
        stored.separable_convolution,
        4,
        kernel=_KERNEL,
        weights=lambda layer, channels, extents: (
            channels * layer.depth_multiplier * (math.prod(layer.kernel_size) + layer.filters)
        ),
    ),
    LayerKind(
        layers.DepthwiseConv2D,
        stored.depthwise_convolution,
        4,
        kernel=_KERNEL,
        weights=lambda layer, channels, extents: channels * layer.depth_multiplier * math.prod(layer.kernel_size),
    ),
    LayerKind(layers.MaxPooling2D, stored.pooling, 4, channels_first=True, kernel=_POOL),
    LayerKind(layers.AveragePooling2D, stored.pooling, 4, channels_first=True, kernel=_POOL),
    LayerKind(
        layers.MaxPooling3D, stored.pooling, 5, keeps_frames=lambda layer: layer.pool_size[0] == layer.strides[0] == 1
    ),
    LayerKind(
        layers.AveragePooling3D,
        stored.pooling,
        5,
        keeps_frames=lambda layer: layer.pool_size[0] == layer.strides[0] == 1,
    ),
    LayerKind(layers.GlobalAveragePooling2D, stored.global_pooling, 4, channels_first=True),
    LayerKind(layers.GlobalMaxPooling2D, stored.global_pooling, 4, channels_first=True),
    LayerKind(layers.Cropping2D, stored.cropping, 4, channels_first=True),
    LayerKind(layers.Cropping3D, stored.cropping, 5, keeps_frames=lambda layer: layer.cropping[0] == (0, 0)),
    LayerKind(layers.ZeroPadding2D, stored.zero_padding, 4, channels_first=True),
    LayerKind(layers.UpSampling2D, stored.up_sampling, 4),
    LayerKind(layers.Resizing, stored.resizing, 4),
    LayerKind(
        layers.Dense,
        stored.dense,
        keeps_frames=_always,
        weights=lambda layer, channels, extents: channels * layer.units,
    ),
    LayerKind(layers.Flatten, stored.no_arguments, channels_first=True),
    LayerKind(layers.Reshape, stored.reshape, keeps_frames=lambda layer: layer.output.shape[1] == layer.input.shape[1]),
    LayerKind(layers.Permute, stored.permute, keeps_frames=lambda layer: layer.dims[0] == 1),
    _elementwise(layers.Lambda, stored.lambda_layer),
    _elementwise(layers.Rescaling, stored.rescaling),
    LayerKind(
        layers.BatchNormalization,
        stored.batch_normalization,
        channels_first=True,
        keeps_pixels=True,
        keeps_frames=lambda layer: layer.axis in (-1, len(layer.input.shape) - 1),
        weights=lambda layer, channels, extents: 4 * channels,
    ),
    LayerKind(  # apart from a mean and a variance of the image, a pixel depends on itself alone
        layers.LayerNormalization,
        stored.layer_normalization,
        keeps_pixels=True,
        keeps_frames=lambda layer: 1 not in layer.axis,
        weights=lambda layer, channels, extents: (
            (layer.center + layer.scale) * math.prod(extents[axis - 1] for axis in layer.axis)
        ),
    ),
    _elementwise(layers.Dropout, stored.dropout, _RATE),
    LayerKind(layers.SpatialDropout2D, stored.dropout, 4, channels_first=True, keeps_pixels=True, random=_RATE),
    _elementwise(layers.GaussianDropout, stored.dropout, _RATE),
    _elementwise(layers.AlphaDropout, stored.dropout, _RATE),
    _elementwise(layers.GaussianNoise, stored.noise, _DEVIATION),
    _elementwise(layers.Activation, stored.activation),
    _elementwise(layers.ELU, stored.elu),
    _elementwise(layers.LeakyReLU, stored.leaky_relu),
    _elementwise(layers.ReLU, stored.relu),
    LayerKind(
        layers.PReLU,
        stored.prelu,
        keeps_pixels=True,
        weights=lambda layer, channels, extents: math.prod(extents),
    ),
    LayerKind(layers.Softmax, stored.softmax),
    LayerKind(layers.GRU, stored.recurrent, 3, weights=_recurrent_weights),
    LayerKind(layers.LSTM, stored.recurrent, 3, weights=_recurrent_weights),
    LayerKind(layers.SimpleRNN, stored.recurrent, 3, weights=_recurrent_weights),
)
KINDS = {each.type.__name__: each for each in _ALL}
# the types whose rate --dropout sets
DROPOUT = tuple(each.type for each in _ALL if each.random == _RATE)
CONVOLUTIONS = tuple(each.type for each in _ALL if each.kernel == _KERNEL)  # of images
POOLINGS = tuple(each.type for each in _ALL if each.kernel == _POOL)


def stored_kind(name: str) -> LayerKind | None:
    """Return the type of a layer by the name of its class in Keras 1 to 3, None for one that is not supported."""
    return KINDS.get(_OLD_NAMES.get(name, name))


def keeps_pixels(layer: keras.Layer) -> bool:
    """Return whether a layer is known to compute each pixel of its output from the same pixel of its input."""
    kind = _kind_of(layer)
    return kind is not None and kind.keeps_pixels


def keeps_frames(layer: keras.Layer) -> bool:
    """Return whether a layer is known to process each frame of a window independently."""
    kind = _kind_of(layer)
    return type(layer) is layers.TimeDistributed or (kind is not None and bool(kind.keeps_frames(layer)))


def random_strength(layer: keras.Layer) -> float | None:
    """Return the rate or standard deviation of the numbers that a layer draws in training; None for other layers."""
    kind = KINDS.get(type(layer).__name__)
    return float(getattr(layer, kind.random)) if kind and kind.random and isinstance(layer, kind.type) else None


def _kind_of(layer: keras.Layer) -> LayerKind | None:
    """Return the type of a layer, None for a class or a function of somebody else, which may compute anything."""
    kind = KINDS.get(type(layer).__name__)
    is_ours = kind is not None and type(layer) is kind.type
    return kind if is_ours and not (type(layer) is layers.Lambda and layer.function is not stored.normalize) else None


def frame_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers that process single frames of a window, as layers of one frame; empty without such layers."""
    single: list[keras.Layer] = []
    for layer in model.layers:
        if not isinstance(layer, layers.TimeDistributed):
            break
        single += layer.layer.layers if isinstance(layer.layer, keras.Sequential) else [layer.layer]
    return single
