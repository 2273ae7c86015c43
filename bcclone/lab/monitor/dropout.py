"""Kind `dropout`: the standard deviation of the steering over random passes through the model's own dropout layers.

Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation", ICML 2016, https://arxiv.org/abs/1506.02142. The layers
before the first dropout are computed once; the passes after it are one batch.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.lab.monitor.scorer import (
    Arrays,
    FitInputs,
    Scorer,
    UnsuitableNetwork,
    compiled_scorer,
    single_frame_layers,
)
from bcclone.model.layer_kinds import random_strength
from bcclone.model.model_file import ModelFile
from bcclone.system.progress import Notify


def learn(inputs: FitInputs, notify: Notify) -> Arrays:
    """Return the number of passes; nothing is trained."""
    _first_dropout(inputs.model)
    return {"passes": np.array(inputs.settings.passes)}


def make_scorer(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of a network with dropout; raises UnsuitableNetwork for one without."""
    chain, first, passes = single_frame_layers(model, "dropout"), _first_dropout(model), int(arrays["passes"])
    if not 2 <= passes <= 1000:
        raise ValueError(f"{passes} passes, expected 2 to 1000")
    dtype = model.model.inputs[0].dtype

    def deviation(images: Any) -> Any:
        values = tf.cast(images, dtype)
        for layer in chain[:first]:
            values = layer(values, training=False)
        values = tf.repeat(values, passes, axis=0)
        for layer in chain[first:]:
            values = layer(values, training=random_strength(layer) is not None)
        return tf.math.reduce_std(tf.reshape(tf.cast(values[:, 0], tf.float32), (-1, passes)), axis=1)

    return compiled_scorer(model, deviation)


def _first_dropout(model: ModelFile) -> int:
    """Return the index of the first layer with dropout."""
    for index, layer in enumerate(single_frame_layers(model, "dropout")):
        if random_strength(layer):
            return index
    raise UnsuitableNetwork("it has no layer of dropout or noise; choose another --kind, such as ensemble")
