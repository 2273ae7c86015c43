"""Kind `features`: the Mahalanobis distance of the model's own features from the features of the store.

K. Lee, K. Lee, H. Lee and J. Shin, "A simple unified framework for detecting out-of-distribution samples and
adversarial attacks", NeurIPS 2018, https://arxiv.org/abs/1807.03888; for driving models, the surprise of J. Kim,
R. Feldt and S. Yoo, "Guiding deep learning system testing using surprise adequacy", ICSE 2019,
https://arxiv.org/abs/1808.08444. The features are the averages of each feature map and the outputs of the first dense
layer; nothing is trained.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import layers

from bcclone.feed.keras_sequence import SampleDataset
from bcclone.lab.monitor.scorer import (
    Arrays,
    FitInputs,
    Scorer,
    UnsuitableNetwork,
    compiled_scorer,
    single_frame_layers,
)
from bcclone.model.layer_kinds import CONVOLUTIONS
from bcclone.model.model_file import ModelFile
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.progress import Notify

_BATCH_SIZE = 64
_SHRINKAGE = 1e-3  # of each variance; so that directions in which the vectors hardly differ do not dominate


def learn(inputs: FitInputs, notify: Notify) -> Arrays:
    """Return the distribution of the features over the training samples."""
    features = tf.function(_features_of(inputs.model), autograph=False, reduce_retracing=True)
    with SampleDataset.from_store(inputs.store, _BATCH_SIZE, inputs.settings.seed) as samples:
        batches = (samples[number][0] for number in range(len(samples)))
        return _measure_distribution(features(tf.constant(images)).numpy() for images in batches)


def make_scorer(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of a stored distribution."""
    features, mean, scaling = _features_of(model), tf.constant(arrays["mean"]), tf.constant(arrays["scaling"])

    def distance(images: Any) -> Any:
        return tf.norm(tf.linalg.matmul(features(images) - mean, scaling), axis=1)

    return compiled_scorer(model, distance)


def _measure_distribution(batches: Iterable[Float32Array]) -> Arrays:
    """Return mean, (n,), and scaling, (n, n), of vectors in batches, (batch, n)."""
    vectors: FloatArray = np.concatenate([np.asarray(batch, np.float64) for batch in batches])
    mean, deviation = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
    correlation = np.cov((vectors - mean) / deviation, rowvar=False) + _SHRINKAGE * np.eye(len(mean))
    values, axes = np.linalg.eigh(correlation)
    scaling = (axes / np.sqrt(np.maximum(values, _SHRINKAGE))) / deviation[:, None]
    return {"mean": mean.astype(np.float32), "scaling": scaling.astype(np.float32)}


def _features_of(model: ModelFile) -> Any:
    """Return the function from images to features, (batch, features)."""
    chain, dtype = single_frame_layers(model, "features"), model.model.inputs[0].dtype
    dense = [index for index, layer in enumerate(chain) if isinstance(layer, layers.Dense)]
    if not any(isinstance(layer, CONVOLUTIONS) for layer in chain) or len(dense) < 2:
        raise UnsuitableNetwork(
            "a monitor of kind features needs a network of convolutions and two dense layers or more; choose another "
            "--kind, such as ensemble"
        )

    def features(images: Any) -> Any:
        values, parts = tf.cast(images, dtype), []
        for layer in chain[: dense[0] + 1]:
            values = layer(values, training=False)
            if isinstance(layer, CONVOLUTIONS):
                parts.append(tf.reduce_mean(tf.cast(values, tf.float32), axis=(1, 2)))
        return tf.concat([*parts, tf.cast(values, tf.float32)], axis=1)

    return features
