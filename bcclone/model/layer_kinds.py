"""The types of layers that networks and model files may have, and what each does.

Most functions take a layer, or the name of its class in a file, and return what is known of its
type. Saliency follows a type that keeps its pixels, and convolutions and poolings of images. A
layer of another type is refused in a file.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW, Scaling, scale_text, scaling_of

# name of the layer of with_scale(), by which stated_scale() tells it from other scaling layers
_SCALE = "scale"


@keras.saving.register_keras_serializable(package="bcclone")  # type: ignore[untyped-decorator]
def normalize(images: Any) -> Any:
    """Return uint8 images as float32 in -1..1: the Lambda of models/lake.h5."""
    return keras.ops.cast(images, "float32") / 127.5 - 1.0


@dataclass(frozen=True)
class LayerKind:
    """A type of layer."""

    type: type[keras.Layer]
    axes: int = 0  # number of its input's axes, with the batch; 0 for any number
    # whether each pixel of its output depends on the same pixel of its input alone
    keeps_pixels: bool = False
    # whether a layer of this type processes each frame of a window independently
    keeps_frames: Callable[[Any], bool] = lambda layer: False


def _image_layer(layer_type: type[keras.Layer], keeps_pixels: bool = False) -> LayerKind:
    return LayerKind(layer_type, axes=4, keeps_pixels=keeps_pixels)


def _elementwise(layer_type: type[keras.Layer]) -> LayerKind:
    """Return a type that computes each number of its output from the same number of its input."""
    return LayerKind(layer_type, keeps_pixels=True, keeps_frames=lambda layer: True)


# A 3D layer takes a window: its kernel, strides and cropping have the frames first, then the rows.


def _pooling_3d(layer_type: type[keras.Layer]) -> LayerKind:
    return LayerKind(
        layer_type,
        axes=5,
        keeps_frames=lambda layer: layer.pool_size[0] == layer.strides[0] == 1,
    )


CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D)  # of images
POOLINGS = (layers.MaxPooling2D, layers.AveragePooling2D)
# the types whose rate --dropout sets
DROPOUT = (layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout, layers.AlphaDropout)
RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
_ALL = (
    *map(_image_layer, (*CONVOLUTIONS, *POOLINGS)),
    LayerKind(
        layers.Conv3D,
        axes=5,
        keeps_frames=lambda layer: layer.kernel_size[0] == layer.strides[0] == 1,
    ),
    _pooling_3d(layers.MaxPooling3D),
    _pooling_3d(layers.AveragePooling3D),
    _image_layer(layers.GlobalAveragePooling2D),
    _image_layer(layers.GlobalMaxPooling2D),
    _image_layer(layers.Cropping2D),
    LayerKind(layers.Cropping3D, axes=5, keeps_frames=lambda layer: layer.cropping[0] == (0, 0)),
    _image_layer(layers.ZeroPadding2D),
    _image_layer(layers.UpSampling2D),
    _image_layer(layers.Resizing),
    LayerKind(layers.Dense, keeps_frames=lambda layer: True),
    LayerKind(layers.Flatten),
    LayerKind(
        layers.Reshape, keeps_frames=lambda layer: layer.output.shape[1] == layer.input.shape[1]
    ),
    LayerKind(layers.Permute, keeps_frames=lambda layer: layer.dims[0] == 1),
    _elementwise(layers.Lambda),  # only normalize(); other Lambdas become Rescaling
    _elementwise(layers.Rescaling),
    LayerKind(
        layers.Normalization, keeps_pixels=True, keeps_frames=lambda layer: 1 not in layer.axis
    ),
    LayerKind(
        layers.BatchNormalization,
        keeps_pixels=True,
        keeps_frames=lambda layer: layer.axis in (-1, len(layer.input.shape) - 1),
    ),
    # keeps_pixels: a pixel depends on itself, and besides only on the image's mean and variance
    LayerKind(
        layers.LayerNormalization,
        keeps_pixels=True,
        keeps_frames=lambda layer: 1 not in layer.axis,
    ),
    _elementwise(layers.Dropout),
    _image_layer(layers.SpatialDropout2D, keeps_pixels=True),
    _elementwise(layers.GaussianDropout),
    _elementwise(layers.AlphaDropout),
    _elementwise(layers.GaussianNoise),
    _elementwise(layers.Activation),
    _elementwise(layers.ELU),
    _elementwise(layers.LeakyReLU),
    _elementwise(layers.ReLU),
    LayerKind(layers.PReLU, keeps_pixels=True),
    LayerKind(layers.Softmax),
    # go_backwards and stateful are refused, in foreign/arguments.py
    *(LayerKind(layer_type, axes=3) for layer_type in RECURRENT),
)
KINDS = {kind.type.__name__: kind for kind in _ALL}


# ---- by the names in files


def stored_kind(name: str) -> LayerKind | None:
    """Return the type of a layer by its class in Keras 1 to 3, None if it is not supported."""
    names_now = {  # in Keras 1 and in tf.keras 1 -> today
        "Convolution2D": "Conv2D",
        "SeparableConvolution2D": "SeparableConv2D",
        "BatchNormalizationV1": "BatchNormalization",
    }
    return KINDS.get(names_now.get(name, name))


def is_random(name: str) -> bool:
    """Return whether a class of Keras changes images at random, which it does in training only."""
    # outside of training, RandomCrop changes the size in some versions
    return name.startswith("Random") and name != "RandomCrop"


# ---- of layers


def layer_kind(layer: keras.Layer) -> LayerKind:
    """Return the type of a layer, without any property if it is not supported."""
    return KINDS.get(type(layer).__name__, LayerKind(keras.Layer))


def keeps_frames(layer: keras.Layer) -> bool:
    return type(layer) is layers.TimeDistributed or bool(layer_kind(layer).keeps_frames(layer))


def learned_weights(layer: Any, channels: int) -> int:
    """Return about how many weights a layer of kernels or units will have, 0 for others.

    channels: number of channels of its input
    """
    if isinstance(layer, RECURRENT):
        return int(layer.units * 4 * (channels + layer.units))  # of an LSTM; others have fewer
    if isinstance(layer, layers.Dense):
        return int(layer.units * channels)
    if isinstance(layer, layers.SeparableConv2D | layers.DepthwiseConv2D):
        # kernels of one channel, and filters of one pixel
        kernels = channels * layer.depth_multiplier
        filters = layer.filters if isinstance(layer, layers.SeparableConv2D) else 0
        return int(kernels * (math.prod(layer.kernel_size) + filters))
    if isinstance(layer, layers.Conv2D | layers.Conv3D):
        return int(math.prod(layer.kernel_size) * channels * layer.filters // layer.groups)
    return 0


# ---- of networks: the scale of their pixels


def scaling_layer(model: keras.Model) -> Any:
    """Return the first layer that scales or normalises pixels of 0 to 255; None if none does.

    Only layers before the first layer of learned weights are looked at. A layer that normalises by
    mean and deviation of smaller numbers does not count: the pixels were scaled before the network.
    """
    # for pixels of 0 to 1 or -1 to 1, mean + deviation is at most 2; for 0 to 255, it is more
    most_if_scaled = 2.0
    first = _first_scaling_or_learned(model)
    if isinstance(first, layers.BatchNormalization):
        mean = first.moving_mean
        variance = first.moving_variance
    elif isinstance(first, layers.Normalization):
        mean = first.mean
        variance = first.variance
    else:
        return first if isinstance(first, _SCALING) else None
    largest_mean = np.abs(keras.ops.convert_to_numpy(mean)).max()
    largest_deviation = np.sqrt(keras.ops.convert_to_numpy(variance)).max()
    return first if largest_mean + largest_deviation > most_if_scaled else None


_SCALING = (
    layers.Rescaling,
    layers.Lambda,
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.Normalization,
)


def _first_scaling_or_learned(model: keras.Model) -> keras.Layer | None:
    """Return the first layer that scales its input or has weights."""
    for layer in model.layers:
        parts = [layer]
        if hasattr(layer, "layer"):  # a TimeDistributed, around a layer or a chain of layers
            parts = getattr(layer.layer, "layers", [layer.layer])
        for part in parts:
            if isinstance(part, _SCALING) or part.weights:
                return part
    return None


def with_scale(model: keras.Model, scale: str) -> keras.Model:
    """Return the network with a new first layer that scales its pixels, 0 to 255.

    scale: as Preprocessing.scale; "" or RAW returns the network as it is
    """
    if scale in ("", RAW):
        return model
    if scale == EACH_IMAGE:
        layer: Any = keras.layers.LayerNormalization(
            axis=[-3, -2, -1],
            epsilon=1e-9,  # avoids 0 / 0: an image of one colour becomes zeros
            center=False,
            scale=False,
            name=_SCALE,
        )
    else:
        scaling = scaling_of(scale)
        layer = keras.layers.Rescaling(scaling.scale, scaling.offset, name=_SCALE)
    # in front of layers for single frames, this layer has to take single frames, too
    if isinstance(model.layers[0], keras.layers.TimeDistributed):
        layer = keras.layers.TimeDistributed(layer, name=_SCALE)
    image = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="frame")
    return keras.Sequential([image, layer, *model.layers], name=model.name)


def stated_scale(model: keras.Model) -> str:
    """Return the scale that with_scale() gave a network.

    RAW if no layer scales its pixels, "" if a layer of the network's author does.
    """
    layer = scaling_layer(model)
    if not layer:
        return RAW
    if layer.name != _SCALE:
        return ""
    if isinstance(layer, keras.layers.LayerNormalization):
        return EACH_IMAGE
    return scale_text(Scaling(layer.scale, layer.offset))


# ---- of networks: their parts


def layers_within(layer: keras.Layer) -> Iterator[keras.Layer]:
    """Yield a layer, such as a model, and all layers within it, at any depth."""
    yield layer
    parts = list(getattr(layer, "layers", []))
    if hasattr(layer, "layer"):  # a TimeDistributed, around a layer
        parts.append(layer.layer)
    for part in parts:
        yield from layers_within(part)


def frame_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the first layers that process single frames of a window, as layers of one frame.

    The list is empty for a network without such layers.
    """
    frame_wise: list[keras.Layer] = []
    for layer in model.layers:
        if not isinstance(layer, layers.TimeDistributed):
            break
        applied = layer.layer
        if isinstance(applied, keras.Sequential):
            frame_wise += applied.layers
        else:
            frame_wise.append(applied)
    return frame_wise
