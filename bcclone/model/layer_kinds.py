"""The types of layers that networks and model files may have, and what follows from the type.

Saliency follows a type that keeps its pixels, and convolutions and poolings of images. A layer of
another type is refused in a file. Below: the layer that scales the pixels of a network.
"""

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW, Scaling, scale_text, scaling_of

# name of the layer of with_scale(), by which stated_scale() tells it from other scaling layers
_SCALE = "scale"


CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D)  # of images
POOLINGS = (layers.MaxPooling2D, layers.AveragePooling2D)
# the types whose rate --dropout sets
DROPOUT = (layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout, layers.AlphaDropout)
RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)  # of windows, not backwards, not stateful
# each pixel of the output of such a layer depends on the same pixel of its input, and besides only
# on the mean and the variance of the image
KEEPS_PIXELS = (
    *DROPOUT,
    layers.GaussianNoise,
    layers.Rescaling,
    layers.Normalization,
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Activation,
    layers.ELU,
    layers.LeakyReLU,
    layers.ReLU,
    layers.PReLU,
)
_OF_IMAGES = (
    *CONVOLUTIONS,
    *POOLINGS,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.Cropping2D,
    layers.ZeroPadding2D,
    layers.UpSampling2D,
    layers.Resizing,
    layers.SpatialDropout2D,
)
_OF_WINDOWS = (
    layers.Conv3D,
    layers.MaxPooling3D,
    layers.AveragePooling3D,
    layers.Cropping3D,
)
_OF_ANY = (layers.Dense, layers.Flatten, layers.Reshape, layers.Permute, layers.Softmax)
# every type, by the name of its class
KINDS: dict[str, type[keras.Layer]] = {
    kind.__name__: kind for kind in (*_OF_IMAGES, *_OF_WINDOWS, *RECURRENT, *KEEPS_PIXELS, *_OF_ANY)
}


def axes_of(kind: type[keras.Layer]) -> int | None:
    """Return how many axes the input of a type has, with the batch; None for any number."""
    for kinds, axes in ((_OF_IMAGES, 4), (_OF_WINDOWS, 5), (RECURRENT, 3)):
        if kind in kinds:
            return axes
    return None


# ---- the scale of a network's pixels


def scaling_layer(model: keras.Model) -> Any:
    """Return the first layer that scales or normalises pixels of 0 to 255; None if none does.

    Only layers before the first layer of learned weights are looked at. A layer that normalises by
    mean and deviation of smaller numbers does not count: the pixels were scaled before the network.
    """
    scaling = (layers.Rescaling, layers.GroupNormalization, layers.LayerNormalization)
    # for pixels of 0 to 1 or -1 to 1, mean + deviation is at most 2; for 0 to 255, it is more
    most_if_scaled = 2.0
    for layer in layers_within(model):
        if isinstance(layer, layers.BatchNormalization):
            mean, variance = layer.moving_mean, layer.moving_variance
        elif isinstance(layer, layers.Normalization):
            mean, variance = layer.mean, layer.variance
        elif isinstance(layer, scaling):
            return layer
        elif hasattr(layer, "layers") or hasattr(layer, "layer") or not layer.weights:
            continue
        else:
            return None
        largest = keras.ops.max(keras.ops.abs(mean)) + keras.ops.max(keras.ops.sqrt(variance))
        return layer if largest > most_if_scaled else None
    return None


def with_scale(model: keras.Model, scale: str) -> keras.Model:
    """Return the network with a new first layer that scales its pixels, 0 to 255.

    scale: as Preprocessing.scale; "" or RAW returns the network as it is
    """
    if scale in ("", RAW):
        return model
    if scale == EACH_IMAGE:
        layer: Any = keras.layers.GroupNormalization(
            groups=1,  # all numbers of an image
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
    if isinstance(layer, keras.layers.GroupNormalization):
        return EACH_IMAGE
    return scale_text(Scaling(layer.scale, layer.offset))


# ---- the layers of a network


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
        frame_wise += getattr(layer.layer, "layers", [layer.layer])
    return frame_wise
