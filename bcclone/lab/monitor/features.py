"""Kind `features`: the Mahalanobis distance of the model's own features from those of the store.

K. Lee, K. Lee, H. Lee and J. Shin, "A simple unified framework for detecting out-of-distribution samples and
adversarial attacks", NeurIPS 2018, https://arxiv.org/abs/1807.03888; for driving models, the surprise of J. Kim,
R. Feldt and S. Yoo, "Guiding deep learning system testing using surprise adequacy", ICSE 2019,
https://arxiv.org/abs/1808.08444. The features are the averages of each feature map and the outputs of the first dense
layer; nothing is trained.
"""

from typing import Any

import tensorflow as tf
from keras import layers

from bcclone.lab.monitor.distance import measure_distribution
from bcclone.lab.monitor.scorer import (
    Arrays,
    FitInputs,
    Notify,
    Scorer,
    compiled_scorer,
    image_shape,
    single_frame_layers,
)
from bcclone.lab.monitor.training import training_batches
from bcclone.model.model_file import ModelFile
from bcclone.system.errors import UserError


def learn(inputs: FitInputs, notify: Notify) -> Arrays:
    """Return the distribution of the features over the training samples."""
    features = tf.function(_features_of(inputs.model), autograph=False, reduce_retracing=True)
    batches = training_batches(inputs.store, inputs.settings.seed)
    return measure_distribution(features(tf.constant(images)).numpy() for images in batches)


def make_scorer(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of a stored distribution."""
    features, mean, scaling = _features_of(model), tf.constant(arrays["mean"]), tf.constant(arrays["scaling"])

    def distance(images: Any) -> Any:
        return tf.norm(tf.linalg.matmul(features(images) - mean, scaling), axis=1)

    return compiled_scorer(image_shape(model), distance)


def _features_of(model: ModelFile) -> Any:
    """Return the function from images to features, (batch, features)."""
    chain, dtype = single_frame_layers(model, "features"), model.model.inputs[0].dtype
    dense = [index for index, layer in enumerate(chain) if isinstance(layer, layers.Dense)]
    if not any(isinstance(layer, layers.Conv2D) for layer in chain) or len(dense) < 2:
        raise UserError(
            "a monitor of kind features needs a network of convolutions and two dense layers or more; choose another "
            "--kind, such as ensemble"
        )

    def features(images: Any) -> Any:
        values, parts = tf.cast(images, dtype), []
        for layer in chain[: dense[0] + 1]:
            values = layer(values, training=False)
            if isinstance(layer, layers.Conv2D):
                parts.append(tf.reduce_mean(tf.cast(values, tf.float32), axis=(1, 2)))
        return tf.concat([*parts, tf.cast(values, tf.float32)], axis=1)

    return features
