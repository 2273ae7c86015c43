"""The layer of a network that scales its pixels, as Preprocessing.scale says.

with_scale() takes a network and a scale such as "0..1", and returns a network that begins with this
layer. A model file stores the scale as this layer alone; stated_scale() reads it from the layer.
"""

from typing import Any

import keras

from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW, Scaling, scale_text, scaling_of
from bcclone.model.layer_kinds import scaling_layer

_NAME = "scale"  # name of the layer, by which stated_scale() tells it from other scaling layers


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
            name=_NAME,
        )
    else:
        scaling = scaling_of(scale)
        layer = keras.layers.Rescaling(scaling.scale, scaling.offset, name=_NAME)
    # in front of layers for single frames, this layer has to take single frames, too
    if isinstance(model.layers[0], keras.layers.TimeDistributed):
        layer = keras.layers.TimeDistributed(layer, name=_NAME)
    image = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="frame")
    return keras.Sequential([image, layer, *model.layers], name=model.name)


def stated_scale(model: keras.Model) -> str:
    """Return the scale that with_scale() gave a network.

    RAW if no layer scales its pixels, "" if a layer of the network's author does.
    """
    layer = scaling_layer(model)
    if not layer:
        return RAW
    if layer.name != _NAME:
        return ""
    if isinstance(layer, keras.layers.LayerNormalization):
        return EACH_IMAGE
    return scale_text(Scaling(layer.scale, layer.offset))
