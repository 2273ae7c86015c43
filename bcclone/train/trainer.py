"""One batch -> better weights, as one compiled call; what it measures stays on the device until it is asked for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.augment.on_device import DeviceAugmenter
from bcclone.errors import UserError
from bcclone.feed.feed import Batch
from bcclone.feed.open import TrainingData
from bcclone.images import seen_rows
from bcclone.model_file import ForeignModel, open_model
from bcclone.network import build_network
from bcclone.train.settings import HUBER_DELTA, TrainSettings


class Totals:
    """Losses and absolute errors added up over samples, where the computing is done."""

    def __init__(self) -> None:
        self._sums = tf.Variable(tf.zeros(3, tf.float64), trainable=False)

    def reset(self) -> None:
        """Begin anew."""
        self._sums.assign(tf.zeros(3, tf.float64))

    def add(self, sums: Any) -> None:
        """Add a batch's loss, absolute errors and count, float64 (3,), each summed over its samples."""
        self._sums.assign_add(sums)

    def read(self) -> npt.NDArray[np.float64]:
        """Return the sums so far, float64 (3,), to be written back."""
        return np.asarray(self._sums.numpy())

    def write(self, sums: npt.NDArray[np.float64]) -> None:
        """Go on from what read() gave, float64 (3,)."""
        self._sums.assign(sums)

    def means(self) -> tuple[float, float]:
        """Return mean loss and mean absolute error over all samples since reset()."""
        loss, absolute, count = self.read().tolist()
        return loss / max(count, 1.0), absolute / max(count, 1.0)


@dataclass(frozen=True)
class StepOptions:
    """How a step is taken.

    loss: what is minimised; strategy: what the network was made under, to share each batch among several devices; None
    for one. exported: a network of the same weights, computing in 32 bits, where the trained one does not. augmenter:
    augments each batch as the first part of a step; None where its feed has done so, or nothing does.
    """

    loss: str = "mse"
    strategy: tf.distribute.Strategy | None = None
    exported: keras.Model | None = None
    augmenter: DeviceAugmenter | None = None


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled for any batch size."""

    def __init__(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, options: StepOptions = StepOptions()
    ) -> None:
        self.model, self.optimizer, self.totals = model, optimizer, Totals()
        self._strategy, self._loss, self._exported = options.strategy, options.loss, options.exported
        self._augmenter = options.augmenter
        self._input_dtype = model.inputs[0].dtype  # our networks take uint8, those of others float32
        shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8), tf.TensorSpec((None, 1), tf.float32)
        samples = shape + (self._augmenter.input_signature if self._augmenter else ())
        self._train = tf.function(self._train_step, input_signature=[samples, tf.TensorSpec((), tf.float32)])
        self._validate = tf.function(self._validate_step, input_signature=shape)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all that training changes: weights, the state of the dropouts' generators, Adam's moments."""
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batch: Batch, learning_rate: float) -> None:
        """Take one step down the gradient of the mean loss and add the batch to the totals."""
        samples: tuple[Any, ...] = batch.images, batch.steering
        if batch.augmentation is not None:
            inputs, draws = batch.augmentation.inputs, batch.augmentation.draws
            samples += inputs.flipped, inputs.lookahead_m, draws.normal, draws.uniform
        self._train(samples, np.float32(learning_rate))

    def validate(self, batch: Batch) -> None:
        """Add the batch's errors, without dropout, to the totals."""
        self._validate(batch.images, batch.steering)

    def export(self) -> keras.Model:
        """Return the network as it is to be saved."""
        if self._exported is None:
            return self.model
        self._exported.set_weights(self.model.get_weights())
        return self._exported

    def _train_step(self, samples: tuple[Any, ...], learning_rate: Any) -> None:
        """Take a step. samples: images, steering, and what the augmenter takes besides; (samples, ...) each."""
        self.optimizer.learning_rate.assign(learning_rate)
        if self._strategy is None:
            self.totals.add(self._descend(samples, tf.ones_like(samples[1])))
        else:
            self.totals.add(self._descend_together(self._strategy, samples))

    def _descend_together(self, strategy: tf.distribute.Strategy, samples: tuple[Any, ...]) -> Any:
        """Take the step with the devices of the strategy, each on an equal part of the batch.

        A batch that cannot be parted so is filled up with samples of no weight.
        """
        count, size = strategy.num_replicas_in_sync, tf.shape(samples[1])[0]
        part = -(-size // count)
        places = tf.range(part * count)

        def split(values: Any) -> Any:
            def part_of(context: Any) -> Any:
                first = context.replica_id_in_sync_group * part
                return tf.gather(values, places[first : first + part] % size)

            return strategy.experimental_distribute_values_from_function(part_of)

        def weights_of(context: Any) -> Any:
            first = context.replica_id_in_sync_group * part
            return tf.cast(places[first : first + part, tf.newaxis] < size, tf.float32)

        weights = strategy.experimental_distribute_values_from_function(weights_of)
        sums = strategy.run(self._descend, (tuple(split(values) for values in samples), weights, size))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

    def _descend(self, samples: tuple[Any, ...], weights: Any, size: Any = None) -> Any:
        """Take a step and return the sums of the loss, the absolute errors and the count over these samples.

        weights: float32 (samples, 1), 0 or 1; size: samples of the whole batch, of which these may be a part.
        """
        images, steering = self._augmenter(*samples) if self._augmenter else samples
        with tf.GradientTape() as tape:
            errors = self._errors(images, steering, training=True) * weights
            losses = self._losses(errors)
            loss = tf.reduce_sum(losses) / tf.cast(tf.size(steering) if size is None else size, tf.float32)
            loss = self.optimizer.scale_loss(loss)
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if self._strategy is not None:
            # Keras adds up what the devices have, but after it has shortened it; so each gets a share of the whole
            whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            gradients = [gradient / self._strategy.num_replicas_in_sync for gradient in whole]
        self.optimizer.apply(gradients, variables)
        return _sums(losses, errors, weights)

    def _validate_step(self, images: Any, steering: Any) -> None:
        errors = self._errors(images, steering, training=False)
        self.totals.add(_sums(self._losses(errors), errors, tf.ones_like(errors)))

    def _errors(self, images: Any, steering: Any, training: bool) -> Any:
        predicted = self.model(tf.cast(images, self._input_dtype), training=training)
        return tf.cast(predicted, tf.float32) - steering

    def _losses(self, errors: Any) -> Any:
        if self._loss == "mse":
            return tf.square(errors)
        absolute = tf.abs(errors)
        if self._loss == "mae":
            return absolute
        linear = HUBER_DELTA * (absolute - HUBER_DELTA / 2)
        return tf.where(absolute <= HUBER_DELTA, tf.square(errors) / 2, linear)


def _sums(losses: Any, errors: Any, weights: Any) -> Any:
    return tf.stack([tf.reduce_sum(tf.cast(part, tf.float64)) for part in (losses, tf.abs(errors), weights)])


def prepare(data: TrainingData, settings: TrainSettings, start: Path | None = None) -> Trainer:
    """Return the untrained network of the seed, or that of the model file `start`.

    Raises UserError where the samples do not suit it, or there are not so many GPUs.
    """
    if not data.split_indices(validation=False).size:
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
