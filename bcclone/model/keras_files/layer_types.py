"""Rebuild one layer, as Keras 1 to 3 stored it, with the current Keras."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers as current

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files import layers as stored
from bcclone.model.keras_files.arguments import Arguments, Shape

Translation = Callable[[Arguments, Shape], dict[str, Any]]

_TYPES: dict[str, tuple[type[keras.Layer], Translation]] = {
    "Conv2D": (current.Conv2D, stored.convolution),
    "Convolution2D": (current.Conv2D, stored.convolution),
    "Conv3D": (current.Conv3D, stored.convolution),
    "SeparableConv2D": (current.SeparableConv2D, stored.separable_convolution),
    "SeparableConvolution2D": (current.SeparableConv2D, stored.separable_convolution),
    "DepthwiseConv2D": (current.DepthwiseConv2D, stored.depthwise_convolution),
    "MaxPooling2D": (current.MaxPooling2D, stored.pooling),
    "AveragePooling2D": (current.AveragePooling2D, stored.pooling),
    "MaxPooling3D": (current.MaxPooling3D, stored.pooling),
    "AveragePooling3D": (current.AveragePooling3D, stored.pooling),
    "GlobalAveragePooling2D": (current.GlobalAveragePooling2D, stored.global_pooling),
    "GlobalMaxPooling2D": (current.GlobalMaxPooling2D, stored.global_pooling),
    "Cropping2D": (current.Cropping2D, stored.cropping),
    "Cropping3D": (current.Cropping3D, stored.cropping),
    "ZeroPadding2D": (current.ZeroPadding2D, stored.zero_padding),
    "UpSampling2D": (current.UpSampling2D, stored.up_sampling),
    "Resizing": (current.Resizing, stored.resizing),
    "Dense": (current.Dense, stored.dense),
    "Flatten": (current.Flatten, stored.nothing),
    "Reshape": (current.Reshape, stored.reshape),
    "Permute": (current.Permute, stored.permute),
    "Lambda": (current.Lambda, stored.lambda_),
    "Rescaling": (current.Rescaling, stored.rescaling),
    "BatchNormalization": (current.BatchNormalization, stored.batch_normalization),
    "BatchNormalizationV1": (current.BatchNormalization, stored.batch_normalization),
    "Dropout": (current.Dropout, stored.dropout),
    "SpatialDropout2D": (current.SpatialDropout2D, stored.dropout),
    "GaussianDropout": (current.GaussianDropout, stored.dropout),
    "AlphaDropout": (current.AlphaDropout, stored.dropout),
    "GaussianNoise": (current.GaussianNoise, stored.noise),
    "Activation": (current.Activation, stored.activation),
    "ELU": (current.ELU, stored.elu),
    "LeakyReLU": (current.LeakyReLU, stored.leaky_relu),
    "ReLU": (current.ReLU, stored.relu),
    "PReLU": (current.PReLU, stored.prelu),
    "Softmax": (current.Softmax, stored.softmax),
    "GRU": (current.GRU, stored.recurrent),
    "LSTM": (current.LSTM, stored.recurrent),
    "SimpleRNN": (current.SimpleRNN, stored.recurrent),
}
# rank of the input, with the batch, for the types with these endings
_RANKS = {"2D": 4, "3D": 5, "GRU": 3, "LSTM": 3, "SimpleRNN": 3, "Resizing": 4}


def rebuild_layer(kind: str, config: Mapping[str, Any], shape: Shape, name: str, channels_first: bool) -> keras.Layer:
    """Return the layer of class `kind`, called `name`, for an input of `shape`, with the batch.

    channels_first: the order of the axes in the file; `shape` and the result have the channels last. Raises
    UnsupportedModel for other layers, and ValueError, TypeError or LookupError, also from Keras, for invalid values.
    """
    if kind not in _TYPES:
        raise UnsupportedModel(f"layers of this type are not supported; known are {', '.join(_TYPES)}")
    for ending, rank in _RANKS.items():
        if kind.endswith(ending) and len(shape) != rank:
            raise UnsupportedModel(f"expected an input of {rank} axes with the batch, got {shape}")
    layer_type, translate = _TYPES[kind]
    arguments = Arguments(config, channels_first)
    keywords = {key: value for key, value in translate(arguments, shape).items() if value is not None}
    arguments.check_rest()
    if "scale" in keywords and layer_type is current.Lambda:
        layer_type = current.Rescaling
    layer = layer_type(**keywords, name=name)
    layer.trainable = config.get("trainable", True) is not False
    return layer
