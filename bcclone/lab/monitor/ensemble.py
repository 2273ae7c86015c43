"""Kind `ensemble`: the standard deviation of the steering of several networks, trained from different seeds.

B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and scalable predictive uncertainty estimation using deep
ensembles", NeurIPS 2017, https://arxiv.org/abs/1612.01474. The members are smaller than the model, because
each frame passes through all of them.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bcclone.dataset.preprocessing import Preprocessing, seen_rows
from bcclone.dataset.sample_settings import VALIDATION
from bcclone.feed.keras_sequence import SampleDataset
from bcclone.lab.monitor.scorer import Arrays, FitInputs, Scorer, compiled_scorer
from bcclone.model.model_file import ModelFile, load_model_file, model_content
from bcclone.system.atomic import write_bytes
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify

_BATCH_SIZE = 64
_LEARNING_RATE = 1e-3
_LARGEST_SIDE = 64  # pixels of the members' inputs


def learn(inputs: FitInputs, notify: Notify) -> Arrays:
    """Return the members as the contents of model files: those that the settings name, or trained ones."""
    settings, model = inputs.settings, inputs.model
    if settings.member_models:
        return _arrays([_read_member(path, model) for path in settings.member_models])
    members = []
    for number in range(settings.members):
        seed = settings.seed * settings.members + number
        keras.utils.set_random_seed(seed + 1)
        members.append(member_network(model.preprocessing))
        loss = _train_steering(members[-1], inputs.store, settings.epochs, seed)
        notify(f"member {number + 1} of {settings.members}: validation loss {loss:.5f}")
    return _arrays([model_content(member, model.preprocessing, {}) for member in members])


def make_scorer(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of the stored members."""
    members = [_member(arrays[name], model) for name in sorted(arrays)]

    def deviation(images: Any) -> Any:
        steering = [member(tf.cast(images, member.inputs[0].dtype), training=False) for member in members]
        return tf.math.reduce_std(tf.cast(tf.concat(steering, axis=1), tf.float32), axis=1)

    return compiled_scorer(model, deviation)


def member_network(preprocessing: Preprocessing) -> keras.Model:
    """Return an untrained member: uint8 (batch, height, width, channels) -> steering float32 (batch, 1).

    Sky and bonnet are cropped as the model's own network does, and blocks of pixels are averaged.
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


def _train_steering(network: keras.Model, store: Path, epochs: int, seed: int) -> float:
    """Train a network to steer, on the training samples; return its validation loss."""
    network.compile(optimizer=keras.optimizers.Adam(_LEARNING_RATE), loss="mse")
    with SampleDataset.from_store(store, _BATCH_SIZE, seed) as samples:
        network.fit(samples, epochs=epochs, verbose=0)
    with SampleDataset.from_store(store, 4 * _BATCH_SIZE, part=VALIDATION) as validation:
        return float(network.evaluate(validation, verbose=0))


def _read_member(path: Path, model: ModelFile) -> bytes:
    member = load_model_file(path)
    if member.preprocessing != model.preprocessing or member.seq_length > 1:
        raise UserError(
            f"{path}: a member takes single frames, prepared as the model's: {model.preprocessing.describe()}; "
            "train it on a store with the same options"
        )
    return model_content(member.model, member.preprocessing, {})


def _arrays(contents: list[bytes]) -> Arrays:
    return {f"member-{number:02d}": np.frombuffer(content, np.uint8) for number, content in enumerate(contents)}


def _member(content: Any, model: ModelFile) -> keras.Model:
    """Return a member from the content of its model file, read as safely as any other."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "member.h5"
        write_bytes(path, content.astype(np.uint8).tobytes())
        return load_model_file(path, model.preprocessing).model
