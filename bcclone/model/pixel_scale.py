"""The layer of a network that scales its pixels, as Preprocessing.scale says.

A model file keeps the scale as this layer; the preprocessing only states it.
"""

from typing import Any

import keras

from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW, Scaling, scale_text, scaling_of
from bcclone.model.layer_kinds import scaling_layer

_NAME = "scale"  # of the layer


def with_scale(model: keras.Model, scale: str) -> keras.Model:
    """Return the network behind a layer that scales its pixels, 0 to 255."""
    if scale in ("", RAW):
        return model
    if scale == EACH_IMAGE:
        layer: Any = keras.layers.LayerNormalization(
            axis=[-3, -2, -1],
            epsilon=1e-9,  # an even image becomes zeros
            center=False,
            scale=False,
            name=_NAME,
        )
    else:
        scaling = scaling_of(scale)
        layer = keras.layers.Rescaling(scaling.scale, scaling.offset, name=_NAME)
    # layers of single frames come first, if there are any
    if isinstance(model.layers[0], keras.layers.TimeDistributed):
        layer = keras.layers.TimeDistributed(layer, name=_NAME)
    image = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="frame")
    return keras.Sequential([image, layer, *model.layers], name=model.name)


def stated_scale(model: keras.Model) -> str:
    """Return the scale that with_scale() gave a network.

    RAW if nothing scales its pixels, "" if a layer of its author does.
    """
    layer = scaling_layer(model)
    if not layer:
        return RAW
    if layer.name != _NAME:
        return ""
    if isinstance(layer, keras.layers.LayerNormalization):
        return EACH_IMAGE
    return scale_text(Scaling(layer.scale, layer.offset))
