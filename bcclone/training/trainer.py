"""A network and its optimizer -> steps of training and of validation, compiled by TensorFlow."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.layers import BatchNormalization

from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.source import Batch, Gather
from bcclone.feed.strategies import Feed
from bcclone.model.layer_kinds import RECURRENT, layers_within
from bcclone.system.arrays import FloatArray
from bcclone.training.train_settings import HUBER_DELTA, LOG_SCALE, ON, LearningSettings

STEPS_A_CALL = 20  # of a program that gathers its batches itself
_STEERING_WEIGHT, _OTHER_WEIGHT = (
    1.0,
    0.1,
)  # in the loss that is minimised; the reported loss is the steering's


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled.

    exported: the network that takes the weights to be saved, when the trained one computes in 16
    bits or has outputs that only help in training; augmenter: augments each batch as the first part
    of a step, None when the feed does or samples are not augmented. With settings.jit_compile "on",
    XLA compiles whole steps into one program, for batches of one size: smaller ones are padded with
    samples that do not count.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        settings: LearningSettings,
        exported: keras.Model | None = None,
        augmenter: DeviceAugmenter | None = None,
    ) -> None:
        self.model, self.optimizer, self.totals = model, optimizer, Totals()
        self._loss = settings.loss
        self._label_weights = [_STEERING_WEIGHT] + [_OTHER_WEIGHT] * (model.output_shape[-1] - 1)
        self._exported, self._augmenter = exported, augmenter
        self.is_one_program = settings.jit_compile == ON
        self._batch_size = settings.batch_size
        # batch normalization would take padding for samples, so the last batch of an epoch has a
        # program of its own
        layers = list(layers_within(model))
        self._pads = self.is_one_program and not any(
            isinstance(layer, BatchNormalization) for layer in layers
        )
        for layer in layers:
            if self.is_one_program and isinstance(layer, RECURRENT):
                layer.use_cudnn = False  # XLA cannot compile its operations
        images_and_labels = (
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, model.output_shape[-1]), tf.float32),
        )
        self.samples_signature = images_and_labels + (
            augmenter.input_signature if augmenter else ()
        )
        step = [self.samples_signature, tf.TensorSpec((), tf.float32)]
        self._step = tf.function(self._train_step, input_signature=step, autograph=False)
        self._program = tf.function(self._train_steps, jit_compile=True, autograph=False)
        # a program fixes its shapes, a graph takes any
        known = {"jit_compile": True} if self.is_one_program else {
            "input_signature": (*images_and_labels, tf.TensorSpec((), tf.int32))
        }  # fmt: skip
        self._validate = tf.function(partial(self._score, model), autograph=False, **known)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all variables that training changes: weights, dropout generators, the optimizer's
        moments.
        """
        return [*self.model.variables, *self.optimizer.variables]

    def train(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Take a step down the gradient of the mean loss for each batch, and add the batches to the
        totals.

        More than one are batches of positions of one feed, STEPS_A_CALL at most.
        """
        if not self.is_one_program:
            for batch, rate in zip(batches, rates, strict=True):
                self._step(batch.inputs, np.float32(rate))
            return
        if not self._pads and len(batches[-1]) < len(batches[0]):
            self.train(batches[:-1], rates[:-1])
            batches, rates = batches[-1:], rates[-1:]
        self._program(*self.inputs_of(batches, rates))

    def inputs_of(self, batches: Sequence[Batch], rates: Sequence[float]) -> tuple[Any, ...]:
        """Return what the program takes for a step with each batch, always of the same shapes.

        Padding is counted out twice: `sizes` within a batch, `count` within a call.
        """
        count, gather, size = (
            len(batches),
            batches[0].gather,
            self._batch_size if self._pads else len(batches[0]),
        )
        steps = STEPS_A_CALL if gather else 1
        filled = [*batches, *[batches[-1]] * (steps - count)]
        samples = tuple(
            _stacked(values)
            for values in zip(*(_padded(batch, size) for batch in filled), strict=True)
        )
        sizes = np.array([len(batch) for batch in filled], np.int32)
        return (
            samples,
            sizes,
            np.resize(np.array(rates, np.float32), steps),
            np.int32(count),
            gather,
        )

    def take_from(self, feed: Feed) -> None:
        """Let a feed, before its block, give the batches that suit the step."""
        if self.is_one_program:
            feed.serve(STEPS_A_CALL, self._on_device)

    def _on_device(self, batch: Batch) -> Batch:
        """Return a batch whose images are copied to the device, if the step takes them as they are."""
        whole = len(batch) == self._batch_size
        return replace(batch, images=tf.convert_to_tensor(batch.images)) if whole else batch

    def evaluate(
        self,
        batches: Iterable[Batch],
        joined: Callable[[FloatArray], FloatArray] = lambda sums: sums,
        model: keras.Model | None = None,
    ) -> tuple[float, float, FloatArray]:
        """Return mean loss and mean absolute error over batches, and the steering, (samples,),
        without dropout.

        joined: sums of the batches of this worker -> of all workers; model: another network than
        the trained one.
        """
        self.totals.reset()
        score: Callable[..., tuple[Any, Any]] = (
            self._validate if model is None else partial(self._score, model)
        )
        steering, size = [], 0
        for batch in batches:
            steering.append(np.zeros(batch.global_size))
            if count := batch.samples:
                first, size = batch.span.first if batch.span else 0, size or len(batch)
                padded = _padded(batch, size) if self.is_one_program else batch.inputs
                sums, answers = score(
                    *padded[:2], np.int32(count), *([batch.gather] if batch.gather else [])
                )
                steering[-1][first : first + count] = answers[:count]
                self.totals.add(sums)
        self.totals.write(joined(self.totals.read()))
        return *self.totals.means(), joined(np.concatenate(steering))

    def export(self) -> keras.Model:
        """Return the network to save, which computes in 32 bits, with the layers and outputs that
        drive alone.
        """
        if self._exported is None:
            return self.model
        weights = zip(self.model.get_weights(), self._exported.get_weights(), strict=True)
        self._exported.set_weights([trained[..., : saved.shape[-1]] for trained, saved in weights])
        return self._exported

    def _train_steps(
        self, samples: tuple[Any, ...], sizes: Any, rates: Any, count: Any, gather: Gather | None
    ) -> None:
        """Take the first `count` steps. samples: as _train_step() takes them, (steps, samples, ...)
        each.
        """

        def take(step: Any = 0) -> Any:
            images, *others = (values[step] for values in samples)
            weights = tf.cast(tf.range(tf.shape(images)[0]) < sizes[step], tf.float32)[:, None]
            self._train_step(
                (gather(images) if gather else images, *others), rates[step], sizes[step], weights
            )
            return step + 1

        if rates.shape[0] > 1:
            tf.while_loop(lambda step: step < count, take, [0])
        else:
            take()

    def _train_step(
        self, samples: tuple[Any, ...], learning_rate: Any, size: Any = None, weights: Any = None
    ) -> None:
        """Take a step. samples: images, labels and the other inputs of the augmenter; (samples,
        ...) each.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        gradients, sums = self.gradients(
            samples, tf.shape(samples[1])[0] if size is None else size, weights
        )
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.totals.add(sums)

    def _score(
        self, model: keras.Model, images: Any, labels: Any, size: Any, gather: Gather | None = None
    ) -> tuple[Any, Any]:
        """Return the sums of the first `size` samples for the totals, and the steering, (samples,),
        without dropout.
        """
        answers = answers_of(model, gather(images) if gather else images, training=False)
        weights = tf.cast(tf.range(tf.shape(labels)[0]) < size, tf.float32)[:, None]
        errors = (answers - labels) * weights
        return sums_of(losses_of(self._loss, errors, labels), errors, weights), answers[:, 0]

    def gradients(
        self, samples: tuple[Any, ...], size: Any, weights: Any = None
    ) -> tuple[list[Any], Any]:
        """Return the gradient of the loss for each trainable variable, and the sums of the samples
        for the totals.

        size: number of samples in the batch, by which the loss is divided; weights: float32
        (samples, 1), 0 or 1, None for 1.
        """
        images, labels, *others = samples
        if self._augmenter:  # it changes no label but the steering
            images, steering = self._augmenter(images, labels[:, :1], *others)
            labels = tf.concat([steering, labels[:, 1:]], axis=1)
        with tf.GradientTape() as tape:
            errors = answers_of(self.model, images, training=True) - labels
            errors = errors if weights is None else errors * weights
            each = losses_of(self._loss, errors, labels)
            loss = tf.reduce_sum(each * self._label_weights) / tf.cast(size, tf.float32)
            loss = self.optimizer.scale_loss(loss)
        return tape.gradient(loss, self.model.trainable_variables), sums_of(each, errors, weights)


def _padded(batch: Batch, size: int) -> tuple[Any, ...]:
    """Return the inputs of a batch, filled up to a size with its first sample."""
    missing = size - len(batch)
    return tuple(
        np.append(each, np.repeat(each[:1], missing, 0), 0) if missing else each
        for each in batch.inputs
    )


def _stacked(values: Sequence[Any]) -> Any:
    return np.stack(values) if len(values) > 1 else values[0][None]


def losses_of(kind: str, errors: Any, labels: Any) -> Any:
    """Return the loss of each error, (samples, labels), for each label. kind: one of
    train_settings.LOSSES.
    """
    if kind == "mse":
        return tf.square(errors)
    if kind == "log":
        labels = tf.cast(labels, errors.dtype)
        return tf.square(
            LOG_SCALE * (tf.asinh((errors + labels) / LOG_SCALE) - tf.asinh(labels / LOG_SCALE))
        )
    absolute = tf.abs(errors)
    if kind == "mae":
        return absolute
    linear = HUBER_DELTA * (absolute - HUBER_DELTA / 2)
    return tf.where(absolute <= HUBER_DELTA, tf.square(errors) / 2, linear)


def answers_of(model: Any, images: Any, training: bool) -> Any:
    """Return what the network predicts, float32 (samples, outputs); the first output is the
    steering.
    """
    images = tf.cast(
        images, model.inputs[0].dtype
    )  # networks of bcclone take uint8, others float32
    return tf.cast(model(images, training=training), tf.float32)


def sums_of(losses: Any, errors: Any, weights: Any = None) -> Any:
    """Return the sums of the loss and the absolute errors of the steering, and of the weights, None
    for 1.
    """
    steering = errors[:, :1]
    values = losses[:, :1], tf.abs(steering), tf.ones_like(steering) if weights is None else weights
    return tf.stack([tf.reduce_sum(tf.cast(each, tf.float64)) for each in values])


class Totals:
    """Sums of losses and absolute errors over samples, kept on the device."""

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
        loss, absolute, count = self.read().tolist()
        return loss / max(count, 1.0), absolute / max(count, 1.0)
