"""Samples + settings -> the network and its optimizer, ready for the first step."""

from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from bcclone.augment.on_device import DeviceAugmenter
from bcclone.errors import UserError
from bcclone.feed.opening import TrainingData
from bcclone.images import seen_rows
from bcclone.model_file import ForeignModel, open_model
from bcclone.network import build_network
from bcclone.train.settings import TrainSettings
from bcclone.train.step import StepOptions, Trainer


def prepare(data: TrainingData, settings: TrainSettings, start: Path | None = None) -> Trainer:
    """Return the untrained network of the seed, or that of the model file `start`.

    Raises UserError where the samples do not suit it, or there are not so many GPUs.
    """
    if not data.part(validation=False).size:
        raise UserError(f"{data.path}: holds no training samples; make it with more driving or less --validation")
    keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    return make_trainer(data, settings, start, _strategy(settings.gpus))


def make_trainer(
    data: TrainingData, settings: TrainSettings, start: Path | None, strategy: tf.distribute.Strategy | None
) -> Trainer:
    """Return the network and its optimizer on the devices of the strategy; None for one."""
    if not settings.mixed_precision:
        return _make_trainer(data, settings, start, strategy, exported=None)
    exported = _network(data, settings, start)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return _make_trainer(data, settings, start, strategy, exported)
    finally:
        keras.config.set_dtype_policy(before)


def _make_trainer(
    data: TrainingData,
    settings: TrainSettings,
    start: Path | None,
    strategy: tf.distribute.Strategy | None,
    exported: keras.Model | None,
) -> Trainer:
    with (strategy or tf.distribute.get_strategy()).scope():
        model = _network(data, settings, start)
        # each device hands Keras its share of the gradient (see step)
        longest = settings.clip_norm / (strategy.num_replicas_in_sync if strategy else 1)
        adam = keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.weight_decay, global_clipnorm=longest or None
        )
        adam.exclude_from_weight_decay(var_names=["bias"])
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if exported else adam
        optimizer.build(model.trainable_variables)
        options = StepOptions(settings.loss, strategy, exported, _augmenter(data, settings))
    return Trainer(model, optimizer, options)


def with_augmentation_place(settings: TrainSettings) -> TrainSettings:
    """Return the settings with the place of augmentation chosen: the device where it is a GPU, else the processor."""
    if settings.augment_on != "auto":
        return settings
    return replace(settings, augment_on="device" if tf.config.list_logical_devices("GPU") else "cpu")


def _augmenter(data: TrainingData, settings: TrainSettings) -> DeviceAugmenter | None:
    if not settings.augment or settings.augment_on != "device":
        return None
    return DeviceAugmenter(settings, data.preprocessing, seen_rows(data.preprocessing.height))


def _network(data: TrainingData, settings: TrainSettings, start: Path | None) -> keras.Model:
    made = data.preprocessing
    if start is None:
        return build_network(made.height, made.width, seq_length=settings.seq_length, network=settings.network)
    file = open_model(start)
    if isinstance(file, ForeignModel):
        raise UserError(
            f"{start}: an older model; first make one of ours of it: bcclone import-model {start} -o NEW.h5"
        )
    if file.seq_length != settings.seq_length:
        raise UserError(
            f"{start} takes {file.seq_length} frames at a time; train on from it with --seq-length {file.seq_length}"
        )
    trained_as = file.training.get("settings", {}).get("network", settings.network)
    if trained_as != settings.network:
        raise UserError(f"{start} is a network of another kind; train on from it with --network {trained_as}")
    if file.preprocessing != made:
        raise UserError(
            f"{start} takes other images than {data.path} holds; make the store anew as the model wants them:\n"
            f"  the model: {file.preprocessing.describe()}\n  the store: {made.describe()}"
        )
    return file.model


def _strategy(wanted: int) -> tf.distribute.Strategy | None:
    """Return what shares batches among so many GPUs, 0 for all; None where there is one device, or none but the CPU."""
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if wanted > max(len(gpus), 1):
        raise UserError(f"--gpus {wanted}, but TensorFlow sees {len(gpus)}; see bcclone doctor --full")
    count = wanted or len(gpus)
    return tf.distribute.MirroredStrategy(gpus[:count]) if count > 1 else None


def layer_table(model: keras.Model) -> str:
    """Return the network's layers with their output shapes and numbers of parameters, a line each."""
    rows = [("layer", "type", "output", "parameters")]
    rows.append((model.inputs[0].name, "Input", _shape(model.input_shape), ""))
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            rows.append(_row(layer, layer.name))
        if isinstance(layer, keras.layers.TimeDistributed) and isinstance(layer.layer, keras.Sequential):
            rows += [_row(each, f"  {each.name}") for each in layer.layer.layers]
    rows.append(("total", "", "", f"{model.count_params():,}"))
    return "\n".join(
        f"{name:<20}{kind:<20}{shape:<18}{parameters:>11}".rstrip() for name, kind, shape, parameters in rows
    )


def _row(layer: keras.Layer, name: str) -> tuple[str, str, str, str]:
    parameters = layer.count_params()
    return name, type(layer).__name__, _shape(layer.output.shape), f"{parameters:,}" if parameters else ""


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join(map(str, shape[1:]))
