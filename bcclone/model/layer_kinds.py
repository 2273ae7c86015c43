"""Which layers are recurrent, and which keep the pixels of an image or the frames of a window apart.

A new type of layer is listed here if it does either; saliency, diagrams and drives frame by frame follow.
"""

import keras
from keras import layers

from bcclone.model.network import normalize

RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
POOLING_2D = (layers.MaxPooling2D, layers.AveragePooling2D)
_POOLING_3D = (layers.MaxPooling3D, layers.AveragePooling3D)
# layers that compute each number of their output from the same number of their input
_ELEMENTWISE = (
    layers.Rescaling, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Dropout,
    layers.GaussianDropout, layers.AlphaDropout, layers.GaussianNoise,
)  # fmt: skip


def keeps_pixels(layer: keras.Layer) -> bool:
    """Return whether a layer is known to compute each pixel of its output from the same pixel of its input."""
    return _is_elementwise(layer) or type(layer) in (layers.BatchNormalization, layers.PReLU, layers.SpatialDropout2D)


def keeps_frames(layer: keras.Layer) -> bool:
    """Return whether a layer is known to process each frame of a window independently."""
    if isinstance(layer, layers.Conv3D):
        return bool(layer.kernel_size[0] == layer.strides[0] == 1)
    if isinstance(layer, _POOLING_3D):
        return bool(layer.pool_size[0] == layer.strides[0] == 1)
    if isinstance(layer, layers.Cropping3D):
        return bool(layer.cropping[0] == (0, 0))
    if isinstance(layer, layers.Reshape):
        return bool(layer.output.shape[1] == layer.input.shape[1])
    if isinstance(layer, layers.Permute):
        return bool(layer.dims[0] == 1)
    if isinstance(layer, layers.BatchNormalization):
        return bool(layer.axis in (-1, len(layer.input.shape) - 1))
    return _is_elementwise(layer) or type(layer) in (layers.TimeDistributed, layers.Dense)


def _is_elementwise(layer: keras.Layer) -> bool:
    # by its very type: a subclass may compute something else
    return type(layer) in _ELEMENTWISE or (type(layer) is layers.Lambda and layer.function is normalize)


def frame_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers that process single frames of a window, as layers of one frame; empty without such layers."""
    single: list[keras.Layer] = []
    for layer in model.layers:
        if not isinstance(layer, layers.TimeDistributed):
            break
        single += layer.layer.layers if isinstance(layer.layer, keras.Sequential) else [layer.layer]
    return single
