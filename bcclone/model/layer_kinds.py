"""The types of layers that networks and model files may have, and what each does to pixels, frames
and weights.

A new type is a row here: loading, saliency, diagrams and drives frame by frame follow, and for a
type that draws random numbers in training also --dropout. Saliency follows a type that keeps its
pixels or has a kernel.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
_RATE, _DEVIATION = "rate", "stddev"
_KERNEL, _POOL = "kernel_size", "pool_size"
# the names of types in Keras 1 and in tf.keras 1
_OLD_NAMES = {
    "Convolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "BatchNormalizationV1": "BatchNormalization",
}
# layers of Keras that change nothing outside of training, beside Random..., of which RandomCrop is
# another kind
_FOR_TRAINING = (
    "ActivityRegularization", "AugMix", "CutMix", "Equalization", "MixUp", "RandAugment", "Solarization",
    "SpatialDropout1D", "SpatialDropout3D",
)  # fmt: skip
_SCALING = (
    layers.Rescaling, layers.Lambda, layers.BatchNormalization, layers.LayerNormalization, layers.Normalization
)  # fmt: skip
# greatest mean and deviation of pixels of 0 to 1 or -1 to 1; those of 0 to 255 have greater ones
_OF_SCALED = 2.0


@keras.saving.register_keras_serializable(package="bcclone")  # type: ignore[untyped-decorator]
def normalize(images: Any) -> Any:
    """Return uint8 images as float32 in -1..1, as the Lambda layer of our first models does:
    models/*.h5.
    """
    return keras.ops.cast(images, "float32") / 127.5 - 1.0


@dataclass(frozen=True)
class LayerKind:
    """A type of layer.

    axes: of its input, with the batch, 0 for any number; channels_first: whether a file may have
    the channels of its images first; keeps_pixels: whether each pixel of its output depends on the
    same pixel of its input alone; kernel: of a layer that moves a kernel or a pool over an image by
    its strides, the argument with the kernel's rows and columns; keeps_frames: returns whether a
    layer of this type processes each frame of a window independently; random: the argument that
    says how much a layer that draws random numbers in training changes its input, a rate or a
    standard deviation.
    """

    type: type[keras.Layer]
    axes: int = 0
    channels_first: bool = False
    keeps_pixels: bool = False
    kernel: str = ""
    keeps_frames: Callable[[Any], bool] = lambda layer: False
    random: str = ""


def _elementwise(of: type[keras.layers.Layer], random: str = "") -> LayerKind:
    """Return a type that computes each number of its output from the same number of its input."""
    return LayerKind(of, 0, True, keeps_pixels=True, keeps_frames=lambda layer: True, random=random)


def _image_layer(
    of: type[keras.layers.Layer], channels_first: bool = True, **values: Any
) -> LayerKind:
    return LayerKind(of, 4, channels_first, **values)


def _pooling_3d(of: type[keras.layers.Layer]) -> LayerKind:
    return LayerKind(of, 5, keeps_frames=lambda layer: layer.pool_size[0] == layer.strides[0] == 1)


_ALL = (
    _image_layer(layers.Conv2D, kernel=_KERNEL),
    LayerKind(
        layers.Conv3D, 5, keeps_frames=lambda layer: layer.kernel_size[0] == layer.strides[0] == 1
    ),
    _image_layer(layers.SeparableConv2D, channels_first=False, kernel=_KERNEL),
    _image_layer(layers.DepthwiseConv2D, channels_first=False, kernel=_KERNEL),
    _image_layer(layers.MaxPooling2D, kernel=_POOL),
    _image_layer(layers.AveragePooling2D, kernel=_POOL),
    _pooling_3d(layers.MaxPooling3D),
    _pooling_3d(layers.AveragePooling3D),
    _image_layer(layers.GlobalAveragePooling2D),
    _image_layer(layers.GlobalMaxPooling2D),
    _image_layer(layers.Cropping2D),
    LayerKind(layers.Cropping3D, 5, keeps_frames=lambda layer: layer.cropping[0] == (0, 0)),
    _image_layer(layers.ZeroPadding2D),
    _image_layer(layers.UpSampling2D, channels_first=False),
    _image_layer(layers.Resizing, channels_first=False),
    LayerKind(layers.Dense, keeps_frames=lambda layer: True),
    LayerKind(layers.Flatten, channels_first=True),
    LayerKind(
        layers.Reshape, keeps_frames=lambda layer: layer.output.shape[1] == layer.input.shape[1]
    ),
    LayerKind(layers.Permute, keeps_frames=lambda layer: layer.dims[0] == 1),
    _elementwise(layers.Lambda),  # normalize; others become Rescaling
    _elementwise(layers.Rescaling),
    LayerKind(
        layers.Normalization, keeps_pixels=True, keeps_frames=lambda layer: 1 not in layer.axis
    ),
    LayerKind(
        layers.BatchNormalization,
        channels_first=True,
        keeps_pixels=True,
        keeps_frames=lambda layer: layer.axis in (-1, len(layer.input.shape) - 1),
    ),
    LayerKind(  # apart from a mean and a variance of the image, a pixel depends on itself alone
        layers.LayerNormalization,
        keeps_pixels=True,
        keeps_frames=lambda layer: 1 not in layer.axis,
    ),
    _elementwise(layers.Dropout, _RATE),
    _image_layer(layers.SpatialDropout2D, keeps_pixels=True, random=_RATE),
    _elementwise(layers.GaussianDropout, _RATE),
    _elementwise(layers.AlphaDropout, _RATE),
    _elementwise(layers.GaussianNoise, _DEVIATION),
    _elementwise(layers.Activation),
    _elementwise(layers.ELU),
    _elementwise(layers.LeakyReLU),
    _elementwise(layers.ReLU),
    LayerKind(layers.PReLU, keeps_pixels=True),
    LayerKind(layers.Softmax),
    *(
        LayerKind(of, 3) for of in RECURRENT
    ),  # those that read backwards or are stateful are refused
)
KINDS = {each.type.__name__: each for each in _ALL}
# the types whose rate --dropout sets
DROPOUT = tuple(each.type for each in _ALL if each.random == _RATE)
CONVOLUTIONS = tuple(each.type for each in _ALL if each.kernel == _KERNEL)  # of images
POOLINGS = tuple(each.type for each in _ALL if each.kernel == _POOL)


def stored_kind(name: str) -> LayerKind | None:
    """Return the type of a layer by the name of its class in Keras 1 to 3, None for one that is not
    supported.
    """
    return KINDS.get(_OLD_NAMES.get(name, name))


def is_for_training(name: str) -> bool:
    """Return whether a layer of a class that is no kind of ours changes nothing outside of
    training, by its name.
    """
    return name in _FOR_TRAINING or (name.startswith("Random") and name != "RandomCrop")


def scaling_layer(model: keras.Model) -> Any:
    """Return the first layer that scales or normalises pixels of 0 to 255 before one with weights;
    None without.

    A layer that normalises by statistics of smaller numbers does not: its author scaled the pixels
    before.
    """
    inner = (
        each
        for layer in model.layers
        for each in (
            getattr(layer.layer, "layers", [layer.layer]) if hasattr(layer, "layer") else [layer]
        )
    )
    first = next((each for each in inner if isinstance(each, _SCALING) or each.weights), None)
    if isinstance(first, layers.BatchNormalization):
        statistics = first.moving_mean, first.moving_variance
    elif isinstance(first, layers.Normalization):
        statistics = first.mean, first.variance
    else:
        return first if isinstance(first, _SCALING) else None
    means, variances = map(keras.ops.convert_to_numpy, statistics)
    return first if np.abs(means).max() + np.sqrt(variances).max() > _OF_SCALED else None


def learned_weights(layer: keras.Layer, channels: int) -> int:
    """Return about how many weights a layer of kernels or units will have for so many channels; 0
    for others.
    """
    kernel, filters = math.prod(getattr(layer, "kernel_size", ())), getattr(layer, "filters", 0)
    if multiplier := getattr(
        layer, "depth_multiplier", 0
    ):  # a filter for each channel, and perhaps one for each pixel
        return int(channels * multiplier * (kernel + filters))
    if units := getattr(layer, "units", 0):
        return int(units * (4 * (channels + units) if isinstance(layer, RECURRENT) else channels))
    return int(kernel * channels * filters // getattr(layer, "groups", 1))


def layer_kind(layer: keras.Layer) -> LayerKind:
    """Return the type of a layer, without any property if it is not supported."""
    return KINDS.get(type(layer).__name__, LayerKind(keras.Layer))


def keeps_frames(layer: keras.Layer) -> bool:
    return type(layer) is layers.TimeDistributed or bool(layer_kind(layer).keeps_frames(layer))


def random_strength(layer: keras.Layer) -> float | None:
    """Return the rate or standard deviation of the numbers that a layer draws in training; None for
    other layers.
    """
    name = layer_kind(layer).random
    return float(getattr(layer, name)) if name else None


def layers_within(layer: keras.Layer) -> Iterator[keras.Layer]:
    """Yield a layer, such as a model, and all layers that it is made of, also those within others."""
    yield layer
    parts = list(getattr(layer, "layers", []))
    if hasattr(layer, "layer"):  # of TimeDistributed
        parts.append(layer.layer)
    for part in parts:
        yield from layers_within(part)


def frame_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers that process single frames of a window, as layers of one frame; empty
    without such layers.
    """
    single: list[keras.Layer] = []
    for layer in model.layers:
        if not isinstance(layer, layers.TimeDistributed):
            break
        single += layer.layer.layers if isinstance(layer.layer, keras.Sequential) else [layer.layer]
    return single
