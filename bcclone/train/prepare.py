"""Prepare a training: its network on one or several devices, with the optimizer and the augmenter of its steps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from bcclone.cluster.part_dropout import BatchRows, with_dropout_rate, with_part_dropout
from bcclone.dataset.images import seen_rows
from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.feed_settings import PATH
from bcclone.feed.selection import TrainingData
from bcclone.model.architectures import ARCHITECTURES
from bcclone.system.errors import UserError
from bcclone.train.first_network import first_network
from bcclone.train.train_settings import TrainSettings
from bcclone.train.trainer import StepOptions, Trainer


def prepare(
    data: TrainingData,
    settings: TrainSettings,
    start: Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    learned: int = 1,
) -> Trainer:
    """Return the trainer of an untrained network, or of the network in the model file `start`.

    strategy: that of several workers; None to train on this machine alone; learned: number of labels of a sample.
    Raises UserError when the samples do not suit the network, or there are fewer GPUs than asked for.
    """
    if not data.split_indices(validation=False).size:
        raise UserError(f"{data.path}: no training samples; make the store with more driving or a smaller --validation")
    keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    return make_trainer(data, settings, start, strategy or _strategy(settings.gpus), learned)


def make_trainer(
    data: TrainingData,
    settings: TrainSettings,
    start: Path | None,
    strategy: tf.distribute.Strategy | None,
    learned: int = 1,
) -> Trainer:
    """Return the network and its optimizer on the devices of the strategy; None for one device.

    learned: number of labels of a sample.
    """

    def network(outputs: int) -> keras.Model:
        made = first_network(data, settings, start, outputs)
        return made if settings.dropout is None else with_dropout_rate(made, settings.dropout)

    helps = settings.predict == PATH
    exported = network(1 if helps else learned) if settings.mixed_precision or helps else None
    before = keras.config.dtype_policy()
    if settings.mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        return _make_trainer(data, settings, lambda: network(learned), strategy, exported)
    finally:
        keras.config.set_dtype_policy(before)


def _make_trainer(
    data: TrainingData,
    settings: TrainSettings,
    network: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy | None,
    exported: keras.Model | None,
) -> Trainer:
    if strategy and ARCHITECTURES[settings.network].batch_norm:
        raise UserError(f"--network {settings.network} trains on one device; use --gpus 1, and no further workers")
    if strategy and settings.jit_compile:
        raise UserError("--jit-compile trains on one device; use --gpus 1, and no further workers")
    batch_rows = BatchRows() if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) else None
    with (strategy or tf.distribute.get_strategy()).scope():
        model = network()
        if batch_rows:
            exported, model = exported or model, with_part_dropout(model, batch_rows)
        # each device passes its fraction of the gradient to Keras (see _descend)
        longest = settings.clip_norm / (strategy.num_replicas_in_sync if strategy else 1)
        adam = keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.weight_decay, global_clipnorm=longest or None
        )
        adam.exclude_from_weight_decay(var_names=["bias"])
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if settings.mixed_precision else adam
        optimizer.build(model.trainable_variables)
        augmenter = _augmenter(data, settings)
        options = StepOptions(settings.loss, strategy, exported, batch_rows, augmenter, settings.jit_compile)
    return Trainer(model, optimizer, options)


def with_augment_device(settings: TrainSettings) -> TrainSettings:
    """Return the settings with augment_on "auto" resolved: "device" when it is a GPU, else "cpu"."""
    if settings.augmentation.augment_on != "auto":
        return settings
    chosen = "device" if tf.config.list_logical_devices("GPU") else "cpu"
    return replace(settings, augmentation=replace(settings.augmentation, augment_on=chosen))


def _augmenter(data: TrainingData, settings: TrainSettings) -> DeviceAugmenter | None:
    augmentation = settings.augmentation
    if not augmentation.augment or augmentation.augment_on != "device":
        return None
    rows = slice(None) if settings.sampling.whole_images else seen_rows(data.preprocessing.height)
    return DeviceAugmenter(augmentation, data.preprocessing, rows)


def _strategy(wanted: int) -> tf.distribute.Strategy | None:
    """Return the strategy that divides batches among GPUs, 0 for all of them; None when there is one device."""
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if wanted > max(len(gpus), 1):
        raise UserError(f"--gpus {wanted}, but TensorFlow sees {len(gpus)}; see bcclone doctor --full")
    count = wanted or len(gpus)
    return tf.distribute.MirroredStrategy(gpus[:count]) if count > 1 else None
