"""A layer's kind and configuration, as Keras 1 to 3 wrote them -> the same layer of the current Keras."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers as current

from bcclone.model_import import Refused
from bcclone.model_import import convolutions as moving
from bcclone.model_import import layers as staying
from bcclone.model_import.arguments import Arguments, Shape

Keywords = Callable[[Arguments, Shape], dict[str, Any]]

_KINDS: dict[str, tuple[type[keras.Layer], Keywords]] = {
    "Conv2D": (current.Conv2D, moving.convolution),
    "Convolution2D": (current.Conv2D, moving.convolution),
    "Conv3D": (current.Conv3D, moving.convolution),
    "SeparableConv2D": (current.SeparableConv2D, moving.separable_convolution),
    "SeparableConvolution2D": (current.SeparableConv2D, moving.separable_convolution),
    "DepthwiseConv2D": (current.DepthwiseConv2D, moving.depthwise_convolution),
    "MaxPooling2D": (current.MaxPooling2D, moving.pooling),
    "AveragePooling2D": (current.AveragePooling2D, moving.pooling),
    "MaxPooling3D": (current.MaxPooling3D, moving.pooling),
    "AveragePooling3D": (current.AveragePooling3D, moving.pooling),
    "GlobalAveragePooling2D": (current.GlobalAveragePooling2D, moving.global_pooling),
    "GlobalMaxPooling2D": (current.GlobalMaxPooling2D, moving.global_pooling),
    "Cropping2D": (current.Cropping2D, moving.cropping),
    "Cropping3D": (current.Cropping3D, moving.cropping),
    "ZeroPadding2D": (current.ZeroPadding2D, moving.zero_padding),
    "UpSampling2D": (current.UpSampling2D, moving.up_sampling),
    "Resizing": (current.Resizing, moving.resizing),
    "Dense": (current.Dense, staying.dense),
    "Flatten": (current.Flatten, staying.nothing),
    "Reshape": (current.Reshape, staying.reshape),
    "Permute": (current.Permute, staying.permute),
    "Lambda": (current.Lambda, staying.lambda_),
    "Rescaling": (current.Rescaling, staying.rescaling),
    "BatchNormalization": (current.BatchNormalization, staying.batch_normalization),
    "BatchNormalizationV1": (current.BatchNormalization, staying.batch_normalization),
    "Dropout": (current.Dropout, staying.dropout),
    "SpatialDropout2D": (current.SpatialDropout2D, staying.dropout),
    "GaussianDropout": (current.GaussianDropout, staying.dropout),
    "AlphaDropout": (current.AlphaDropout, staying.dropout),
    "GaussianNoise": (current.GaussianNoise, staying.noise),
    "Activation": (current.Activation, staying.activation),
    "ELU": (current.ELU, staying.elu),
    "LeakyReLU": (current.LeakyReLU, staying.leaky_relu),
    "ReLU": (current.ReLU, staying.relu),
    "PReLU": (current.PReLU, staying.prelu),
    "Softmax": (current.Softmax, staying.softmax),
    "GRU": (current.GRU, staying.recurrent),
    "LSTM": (current.LSTM, staying.recurrent),
    "SimpleRNN": (current.SimpleRNN, staying.recurrent),
}
# extents of the input, the batch included, that a kind takes
_RANKS = {"2D": 4, "3D": 5, "GRU": 3, "LSTM": 3, "SimpleRNN": 3, "Resizing": 4}


def rebuild_layer(kind: str, config: Mapping[str, Any], shape: Shape, name: str, channels_first: bool) -> keras.Layer:
    """Return the layer of class `kind` for an input of `shape`, the batch first, under `name`; raises Refused.

    channels_first: how the file counts axes; `shape` and the result have the channels last. Raises also ValueError,
    TypeError and LookupError, from Keras too, for values that no such layer takes.
    """
    if kind not in _KINDS:
        raise Refused(f"layers of this kind are not rebuilt; known are {', '.join(_KINDS)}")
    for ending, rank in _RANKS.items():
        if kind.endswith(ending) and len(shape) != rank:
            raise Refused(f"takes {rank} extents with the batch, and is given {shape}")
    made, keywords_of = _KINDS[kind]
    arguments = Arguments(config, channels_first)
    keywords = {key: value for key, value in keywords_of(arguments, shape).items() if value is not None}
    arguments.check_rest()
    if "scale" in keywords and made is current.Lambda:
        made = current.Rescaling
    layer = made(**keywords, name=name)
    layer.trainable = config.get("trainable", True) is not False
    return layer
