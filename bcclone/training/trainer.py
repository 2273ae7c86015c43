"""A network and its optimizer -> steps of training and of validation, compiled by TensorFlow."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.layers import BatchNormalization

from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.source import Batch, Gather
from bcclone.model.layer_kinds import RECURRENT, layers_within
from bcclone.system.arrays import FloatArray
from bcclone.training.train_settings import HUBER_DELTA, LOG_SCALE, ON, LearningSettings

STEPS_A_CALL = 20  # of a program that gathers its batches itself

# sums of the batches of this worker -> of the batches of all workers
AllSum = Callable[[FloatArray], FloatArray]


def alone(sums: FloatArray) -> FloatArray:
    """Return the sums of a worker that trains alone."""
    return sums


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled.

    With settings.jit_compile "on", XLA compiles whole steps into one program, for batches of one
    size: smaller ones are padded with samples that do not count.

    exported: the network that takes the weights to be saved, when the trained one computes in 16
        bits or has outputs that only help in training
    augmenter: augments each batch as the first part of a step; None when the feed does, or when
        samples are not augmented
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        settings: LearningSettings,
        exported: keras.Model | None = None,
        augmenter: DeviceAugmenter | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.totals = Totals()
        self.is_one_program = settings.jit_compile == ON
        self._loss = settings.loss
        self._label_weights = _label_weights(model.output_shape[-1])
        self._exported = exported
        self._augmenter = augmenter
        self._batch_size = settings.batch_size
        # batch normalization would take padding for samples, so the last batch of an epoch has a
        # program of its own
        layers = list(layers_within(model))
        normalizes = any(isinstance(layer, BatchNormalization) for layer in layers)
        self._pads = self.is_one_program and not normalizes
        for layer in layers:
            if self.is_one_program and isinstance(layer, RECURRENT):
                layer.use_cudnn = False  # XLA cannot compile its operations
        self._compile()

    def _compile(self) -> None:
        """Make the compiled functions; TensorFlow traces them when they are first called."""
        images_and_labels = (
            tf.TensorSpec((None, *self.model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, self.model.output_shape[-1]), tf.float32),
        )
        augmentation = self._augmenter.input_signature if self._augmenter else ()
        self.samples_signature = images_and_labels + augmentation
        step = [self.samples_signature, tf.TensorSpec((), tf.float32)]
        self._step = tf.function(self._train_step, input_signature=step, autograph=False)
        self._program = tf.function(self._train_steps, jit_compile=True, autograph=False)
        # a program fixes its shapes, a graph takes any
        shapes: dict[str, Any] = {"jit_compile": True}
        if not self.is_one_program:
            size = tf.TensorSpec((), tf.int32)
            shapes = {"input_signature": (*images_and_labels, size)}
        score = partial(self._score, self.model)
        self._validate = tf.function(score, autograph=False, **shapes)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all that training changes: weights, dropout generators, moments of the optimizer.

        A checkpoint has them in this order.
        """
        return [*self.model.variables, *self.optimizer.variables]

    @property
    def program_steps(self) -> int:
        """Return how many steps a call of the program takes at most; 0 without a program."""
        return STEPS_A_CALL if self.is_one_program else 0

    # ---- training

    def train(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Take a step down the gradient of the mean loss for each batch; add them to the totals.

        More than one are batches of positions of one feed, STEPS_A_CALL at most.

        rates: learning rate of each step
        """
        if not self.is_one_program:
            for batch, rate in zip(batches, rates, strict=True):
                self._step(batch.inputs, np.float32(rate))
            return
        if not self._pads and len(batches[-1]) < len(batches[0]):
            self.train(batches[:-1], rates[:-1])
            batches = batches[-1:]
            rates = rates[-1:]
        self._program(*self.inputs_of(batches, rates))

    def inputs_of(self, batches: Sequence[Batch], rates: Sequence[float]) -> tuple[Any, ...]:
        """Return what the program takes for a step with each batch, always of the same shapes.

        Padding is counted out twice: `sizes` within a batch, `count` within a call.
        """
        count = len(batches)
        gather = batches[0].gather
        steps = STEPS_A_CALL if gather else 1
        size = self._batch_size if self._pads else len(batches[0])
        filled = [*batches, *[batches[-1]] * (steps - count)]
        padded = [_padded(batch, size) for batch in filled]
        samples = tuple(_stacked(values) for values in zip(*padded, strict=True))
        sizes = np.array([len(batch) for batch in filled], np.int32)
        all_rates = np.resize(np.array(rates, np.float32), steps)
        return samples, sizes, all_rates, np.int32(count), gather

    def _train_steps(
        self, samples: tuple[Any, ...], sizes: Any, rates: Any, count: Any, gather: Gather | None
    ) -> None:
        """Take the first `count` steps.

        samples: as _train_step() takes them, (steps, samples, ...) each
        """

        def take(step: Any = 0) -> Any:
            images, *others = (values[step] for values in samples)
            if gather:
                images = gather(images)
            weights = _sample_weights(images, sizes[step])
            self._train_step((images, *others), rates[step], sizes[step], weights)
            return step + 1

        if rates.shape[0] > 1:
            tf.while_loop(lambda step: step < count, take, [0])
        else:
            take()

    def _train_step(
        self, samples: tuple[Any, ...], learning_rate: Any, size: Any = None, weights: Any = None
    ) -> None:
        """Take a step.

        samples: images, labels and the other inputs of the augmenter; (samples, ...) each
        """
        self.optimizer.learning_rate.assign(learning_rate)
        if size is None:
            size = tf.shape(samples[1])[0]
        gradients, sums = self.gradients(samples, size, weights)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.totals.add(sums)

    def gradients(
        self, samples: tuple[Any, ...], size: Any, weights: Any = None
    ) -> tuple[list[Any], Any]:
        """Return the gradient of the loss for each trainable variable, and the samples' sums.

        size: number of samples in the batch, by which the loss is divided
        weights: float32 (samples, 1), 0 or 1; None for 1
        """
        images, labels, *others = samples
        if self._augmenter:  # it changes no label but the steering
            images, steering = self._augmenter(images, labels[:, :1], *others)
            labels = tf.concat([steering, labels[:, 1:]], axis=1)
        with tf.GradientTape() as tape:
            errors = answers_of(self.model, images, training=True) - labels
            if weights is not None:
                errors = errors * weights
            losses = losses_of(self._loss, errors, labels)
            loss = tf.reduce_sum(losses * self._label_weights) / tf.cast(size, tf.float32)
            loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return gradients, sums_of(losses, errors, weights)

    # ---- validation, and the model to save

    def evaluate(
        self,
        batches: Iterable[Batch],
        all_sum: AllSum = alone,
        model: keras.Model | None = None,
    ) -> tuple[float, float, FloatArray]:
        """Return mean loss and mean absolute error over batches, and the steering, (samples,).

        Nothing is dropped out.

        model: another network than the trained one
        """
        self.totals.reset()
        score: Callable[..., tuple[Any, Any]] = self._validate
        if model is not None:
            score = partial(self._score, model)
        parts = []  # of the steering: each batch of all workers, 0 outside this worker's part
        size = 0  # of the first batch, to which a program pads the others
        for batch in batches:
            steering = np.zeros(batch.global_size)
            parts.append(steering)
            count = batch.samples
            if not count:
                continue
            size = size or len(batch)
            images, labels, *_ = _padded(batch, size) if self.is_one_program else batch.inputs
            gather = [batch.gather] if batch.gather else []
            sums, answers = score(images, labels, np.int32(count), *gather)
            first = batch.span.first if batch.span else 0
            steering[first : first + count] = answers[:count]
            self.totals.add(sums)
        self.totals.write(all_sum(self.totals.read()))
        return *self.totals.means(), all_sum(np.concatenate(parts))

    def _score(
        self, model: keras.Model, images: Any, labels: Any, size: Any, gather: Gather | None = None
    ) -> tuple[Any, Any]:
        """Return the sums of the first `size` samples, and the steering of all, (samples,)."""
        if gather:
            images = gather(images)
        answers = answers_of(model, images, training=False)
        weights = _sample_weights(labels, size)
        errors = (answers - labels) * weights
        return sums_of(losses_of(self._loss, errors, labels), errors, weights), answers[:, 0]

    def export(self) -> keras.Model:
        """Return the network to save.

        It computes in 32 bits, with the layers and outputs that drive alone.
        """
        if self._exported is None:
            return self.model
        weights = zip(self.model.get_weights(), self._exported.get_weights(), strict=True)
        self._exported.set_weights([trained[..., : saved.shape[-1]] for trained, saved in weights])
        return self._exported


# ---- batches of one size


def _padded(batch: Batch, size: int) -> tuple[Any, ...]:
    """Return the inputs of a batch, filled up to a size with its first sample."""
    missing = size - len(batch)
    if not missing:
        return batch.inputs
    return tuple(np.append(values, np.repeat(values[:1], missing, 0), 0) for values in batch.inputs)


def _stacked(values: Sequence[Any]) -> Any:
    return np.stack(values) if len(values) > 1 else values[0][None]


def _sample_weights(samples: Any, size: Any) -> Any:
    """Return 1 for the first `size` samples and 0 for the padding, float32 (samples, 1)."""
    return tf.cast(tf.range(tf.shape(samples)[0]) < size, tf.float32)[:, None]


# ---- losses


def _label_weights(labels: int) -> list[float]:
    """Return the weight of each label in the loss that is minimised.

    The reported loss is the steering's, and the other labels matter less.
    """
    other = 0.1
    return [1.0] + [other] * (labels - 1)


def losses_of(kind: str, errors: Any, labels: Any) -> Any:
    """Return the loss of each error, (samples, labels), for each label.

    kind: one of train_settings.LOSSES
    """
    if kind == "mse":
        return tf.square(errors)
    if kind == "log":
        labels = tf.cast(labels, errors.dtype)
        answers = tf.asinh((errors + labels) / LOG_SCALE)
        return tf.square(LOG_SCALE * (answers - tf.asinh(labels / LOG_SCALE)))
    absolute = tf.abs(errors)
    if kind == "mae":
        return absolute
    linear = HUBER_DELTA * (absolute - HUBER_DELTA / 2)
    return tf.where(absolute <= HUBER_DELTA, tf.square(errors) / 2, linear)


def answers_of(model: Any, images: Any, training: bool) -> Any:
    """Return what the network predicts, float32 (samples, outputs), the steering first."""
    # networks of bcclone take uint8, others float32
    images = tf.cast(images, model.inputs[0].dtype)
    return tf.cast(model(images, training=training), tf.float32)


def sums_of(losses: Any, errors: Any, weights: Any = None) -> Any:
    """Return the sums of losses and absolute errors of the steering, and of the weights.

    weights: float32 (samples, 1), None for 1
    """
    steering = errors[:, :1]
    if weights is None:
        weights = tf.ones_like(steering)
    values = (losses[:, :1], tf.abs(steering), weights)
    return tf.stack([tf.reduce_sum(tf.cast(value, tf.float64)) for value in values])


class Totals:
    """Sums of losses, absolute errors and weights over samples, kept on the device."""

    def __init__(self) -> None:
        self._sums = tf.Variable(tf.zeros(3, tf.float64), trainable=False)

    def reset(self) -> None:
        self._sums.assign(tf.zeros(3, tf.float64))

    def add(self, sums: Any) -> None:
        self._sums.assign_add(sums)

    def read(self) -> FloatArray:
        return np.asarray(self._sums.numpy())

    def write(self, sums: FloatArray) -> None:
        self._sums.assign(sums)

    def means(self) -> tuple[float, float]:
        """Return the mean loss and the mean absolute error; waits for the device."""
        loss, absolute, count = self.read().tolist()
        return loss / max(count, 1.0), absolute / max(count, 1.0)
