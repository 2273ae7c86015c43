"""The types of layers that networks and model files may have, each once, and what each of them keeps apart.

A new type is a row of KINDS: loading, saliency, diagrams and drives frame by frame follow. A type of dropout stands in
DROPOUT, too: --dropout and monitors follow, and bcclone.cluster.part_dropout says what several workers draw.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from bcclone.model.keras_files import layers as stored
from bcclone.model.network import normalize

RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
POOLING_2D = (layers.MaxPooling2D, layers.AveragePooling2D)
# layers that multiply by a random mask or by noise in training, by a rate that --dropout sets
DROPOUT = (layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout)
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


@dataclass(frozen=True)
class LayerKind:
    """A type of layer.

    translate: the arguments that a file stores to those of the present class; axes: of its input, with the batch, 0 for
    any number; channels_first: whether a file may have the channels of its images first; keeps_pixels: whether each
    pixel of its output depends on the same pixel of its input alone; keeps_frames: returns whether a layer of this type
    processes each frame of a window independently.
    """

    type: type[keras.Layer]
    translate: stored.Translation
    axes: int = 0
    channels_first: bool = False
    keeps_pixels: bool = False
    keeps_frames: Callable[[keras.Layer], bool] = _never


def _elementwise(of: type[keras.Layer], translate: stored.Translation) -> LayerKind:
    """Return a type that computes each number of its output from the same number of its input."""
    return LayerKind(of, translate, channels_first=True, keeps_pixels=True, keeps_frames=_always)


_ALL = (
    LayerKind(layers.Conv2D, stored.convolution, 4, channels_first=True),
    LayerKind(
        layers.Conv3D, stored.convolution, 5, keeps_frames=lambda layer: layer.kernel_size[0] == layer.strides[0] == 1
    ),
    LayerKind(layers.SeparableConv2D, stored.separable_convolution, 4),
    LayerKind(layers.DepthwiseConv2D, stored.depthwise_convolution, 4),
    LayerKind(layers.MaxPooling2D, stored.pooling, 4, channels_first=True),
    LayerKind(layers.AveragePooling2D, stored.pooling, 4, channels_first=True),
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
    LayerKind(layers.Dense, stored.dense, keeps_frames=_always),
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
    ),
    _elementwise(layers.Dropout, stored.dropout),
    LayerKind(layers.SpatialDropout2D, stored.dropout, 4, channels_first=True, keeps_pixels=True),
    _elementwise(layers.GaussianDropout, stored.dropout),
    _elementwise(layers.AlphaDropout, stored.dropout),
    _elementwise(layers.GaussianNoise, stored.noise),
    _elementwise(layers.Activation, stored.activation),
    _elementwise(layers.ELU, stored.elu),
    _elementwise(layers.LeakyReLU, stored.leaky_relu),
    _elementwise(layers.ReLU, stored.relu),
    LayerKind(layers.PReLU, stored.prelu, keeps_pixels=True),
    LayerKind(layers.Softmax, stored.softmax),
    LayerKind(layers.GRU, stored.recurrent, 3),
    LayerKind(layers.LSTM, stored.recurrent, 3),
    LayerKind(layers.SimpleRNN, stored.recurrent, 3),
)
KINDS = {each.type.__name__: each for each in _ALL}


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


def _kind_of(layer: keras.Layer) -> LayerKind | None:
    """Return the type of a layer, None for a class or a function of somebody else, which may compute anything."""
    kind = KINDS.get(type(layer).__name__)
    is_ours = kind is not None and type(layer) is kind.type
    return kind if is_ours and not (type(layer) is layers.Lambda and layer.function is not normalize) else None


def frame_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers that process single frames of a window, as layers of one frame; empty without such layers."""
    single: list[keras.Layer] = []
    for layer in model.layers:
        if not isinstance(layer, layers.TimeDistributed):
            break
        single += layer.layer.layers if isinstance(layer.layer, keras.Sequential) else [layer.layer]
    return single
