"""The kinds of monitors: what each learns from a store, kept as arrays, and how it scores prepared images.

ensemble: B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and scalable predictive uncertainty estimation using
deep ensembles", NeurIPS 2017, https://arxiv.org/abs/1612.01474.
dropout: Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation", ICML 2016, https://arxiv.org/abs/1506.02142.
features: K. Lee, K. Lee, H. Lee and J. Shin, "A simple unified framework for detecting out-of-distribution samples and
adversarial attacks", NeurIPS 2018, https://arxiv.org/abs/1807.03888; for driving models, the surprise of J. Kim,
R. Feldt and S. Yoo, "Guiding deep learning system testing using surprise adequacy", ICSE 2019,
https://arxiv.org/abs/1808.08444.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bcclone.dataset.images import Image
from bcclone.dataset.preprocessing import Preprocessing, seen_rows
from bcclone.dataset.sample_settings import VALIDATION
from bcclone.feed.keras_sequence import SampleDataset
from bcclone.lab.monitor import MonitorSettings
from bcclone.model.layer_kinds import CONVOLUTIONS, random_strength
from bcclone.model.model_file import ModelFile, load_model_file, model_content
from bcclone.system.arrays import Float32Array
from bcclone.system.atomic import write_bytes
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify

Arrays = Mapping[str, Any]  # name -> NumPy array
# prepared images, uint8 (batch, height, width, channels), to their scores, (batch,); the higher, the more unusual
Scorer = Callable[[Image], Float32Array]
_BATCH_SIZE = 64
_LEARNING_RATE = 1e-3
_LARGEST_SIDE = 64  # pixels of the members' inputs
_SHRINKAGE = 1e-3  # of each variance; so that directions in which the vectors hardly differ do not dominate


class UnsuitableNetwork(ValueError):
    """A network that a kind of monitor cannot score; the text is the reason and the remedy."""


def learn_ensemble(model: ModelFile, store: Path, settings: MonitorSettings, notify: Notify) -> Arrays:
    """Return the members as the contents of model files: those that the settings name, or trained ones."""
    contents = []
    for path in settings.member_models:
        member = load_model_file(path)
        if member.preprocessing != model.preprocessing or member.seq_length > 1:
            raise UserError(
                f"{path}: a member takes single frames, prepared as the model's: {model.preprocessing.describe()}; "
                "train it on a store with the same options"
            )
        contents.append(model_content(member.model, member.preprocessing, {}))
    for number in range(0 if contents else settings.members):
        seed = settings.seed * settings.members + number
        keras.utils.set_random_seed(seed + 1)
        network = member_network(model.preprocessing)
        network.compile(optimizer=keras.optimizers.Adam(_LEARNING_RATE), loss="mse")
        with SampleDataset.from_store(store, _BATCH_SIZE, seed) as samples:
            network.fit(samples, epochs=settings.epochs, verbose=0)
        with SampleDataset.from_store(store, 4 * _BATCH_SIZE, part=VALIDATION) as validation:
            loss = float(network.evaluate(validation, verbose=0))
        notify(f"member {number + 1} of {settings.members}: validation loss {loss:.5f}")
        contents.append(model_content(network, model.preprocessing, {}))
    return {f"member-{number:02d}": np.frombuffer(content, np.uint8) for number, content in enumerate(contents)}


def score_by_ensemble(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of the stored members: the standard deviation of their steering."""
    members = []
    for name in sorted(arrays):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "member.h5"  # read as safely as any other model file
            write_bytes(path, arrays[name].astype(np.uint8).tobytes())
            members.append(load_model_file(path, model.preprocessing).model)

    def deviation(images: Any) -> Any:
        steering = [member(tf.cast(images, member.inputs[0].dtype), training=False) for member in members]
        return tf.math.reduce_std(tf.cast(tf.concat(steering, axis=1), tf.float32), axis=1)

    return _compiled(model, deviation)


def member_network(preprocessing: Preprocessing) -> keras.Model:
    """Return an untrained member: uint8 (batch, height, width, channels) -> steering float32 (batch, 1).

    It is smaller than the model, because each frame passes through all members. Sky and bonnet are cropped as the
    model's own network does, and blocks of pixels are averaged.
    """
    height, width, _ = preprocessing.shape
    seen, block = seen_rows(height), round(min(height, width) / _LARGEST_SIDE)
    return keras.Sequential(
        [
            keras.Input(preprocessing.shape, dtype="uint8", name="frame"),
            layers.Cropping2D(((seen.start, height - seen.stop), (0, 0)), name="crop"),
            layers.Rescaling(1 / 127.5, offset=-1, name="scale"),
            *([layers.AveragePooling2D(block, name="reduce")] if block > 1 else []),
            layers.Conv2D(16, 5, strides=2, activation="elu", name="conv1"),
            layers.Conv2D(24, 5, strides=2, activation="elu", name="conv2"),
            layers.Conv2D(32, 3, activation="elu", name="conv3"),
            layers.Flatten(name="flatten"),
            layers.Dense(50, activation="elu", name="dense1"),
            layers.Dense(1, name="steering"),
        ],
        name="member",
    )


def learn_dropout(model: ModelFile, store: Path, settings: MonitorSettings, notify: Notify) -> Arrays:
    """Return the number of passes; nothing is trained."""
    _first_dropout(model)
    return {"passes": np.array(settings.passes)}


def score_by_dropout(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of a network: the standard deviation of its steering over passes through its own dropout.

    The layers before the first dropout are computed once; the passes after it are one batch. Raises UnsuitableNetwork
    for a network without dropout.
    """
    chain, first, passes = _single_frame_layers(model, "dropout"), _first_dropout(model), int(arrays["passes"])
    dtype = model.model.inputs[0].dtype

    def deviation(images: Any) -> Any:
        values = tf.cast(images, dtype)
        for layer in chain[:first]:
            values = layer(values, training=False)
        values = tf.repeat(values, passes, axis=0)
        for layer in chain[first:]:
            values = layer(values, training=random_strength(layer) is not None)
        return tf.math.reduce_std(tf.reshape(tf.cast(values[:, 0], tf.float32), (-1, passes)), axis=1)

    return _compiled(model, deviation)


def _first_dropout(model: ModelFile) -> int:
    """Return the index of the first layer with dropout."""
    for index, layer in enumerate(_single_frame_layers(model, "dropout")):
        if random_strength(layer):
            return index
    raise UnsuitableNetwork("it has no layer of dropout or noise; choose another --kind, such as ensemble")


def learn_features(model: ModelFile, store: Path, settings: MonitorSettings, notify: Notify) -> Arrays:
    """Return the distribution of the features over the training samples: mean, (n,), and scaling, (n, n)."""
    features = tf.function(_features_of(model), autograph=False, reduce_retracing=True)
    with SampleDataset.from_store(store, _BATCH_SIZE, settings.seed) as samples:
        batches = [features(tf.constant(samples[number][0])).numpy() for number in range(len(samples))]
    vectors = np.concatenate(batches).astype(np.float64)  # (samples, features)
    mean, deviation = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
    correlation = np.cov((vectors - mean) / deviation, rowvar=False) + _SHRINKAGE * np.eye(len(mean))
    values, axes = np.linalg.eigh(correlation)
    scaling = (axes / np.sqrt(np.maximum(values, _SHRINKAGE))) / deviation[:, None]
    return {"mean": mean.astype(np.float32), "scaling": scaling.astype(np.float32)}


def score_by_features(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of a stored distribution: the Mahalanobis distance of the features from it."""
    features, mean, scaling = _features_of(model), tf.constant(arrays["mean"]), tf.constant(arrays["scaling"])
    return _compiled(model, lambda images: tf.norm(tf.linalg.matmul(features(images) - mean, scaling), axis=1))


def _features_of(model: ModelFile) -> Callable[[Any], Any]:
    """Return the function from images to features, (batch, features).

    They are the averages of each feature map and the outputs of the first dense layer.
    """
    chain, dtype = _single_frame_layers(model, "features"), model.model.inputs[0].dtype
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


def _compiled(model: ModelFile, compute: Callable[[Any], Any]) -> Scorer:
    """Return a scorer that is compiled as one call. compute: prepared images of a model to scores, (batch,)."""
    shape = (None, *model.preprocessing.shape)
    compute_now = tf.function(compute, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    return lambda images: np.asarray(compute_now(tf.constant(images)).numpy(), np.float32)


def _single_frame_layers(model: ModelFile, kind: str) -> list[Any]:
    """Return the layers of a network of single frames; raises UnsuitableNetwork. kind: of the monitor."""
    if model.seq_length > 1:
        raise UnsuitableNetwork(
            f"a monitor of kind {kind} needs a network of single frames, this one takes windows of "
            f"{model.seq_length}; choose --kind ensemble"
        )
    return list(model.model.layers)


# kind -> what it learns, and its scorer
KINDS = {
    "ensemble": (learn_ensemble, score_by_ensemble),
    "dropout": (learn_dropout, score_by_dropout),
    "features": (learn_features, score_by_features),
}
