"""The compiled steps of training and of validation.

In: a network, its optimizer and batches. Out: changed weights, and sums of losses and errors.
TensorFlow compiles a step as a graph; XLA can compile it further into one program for the device.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.selection import Batch, Gather
from bcclone.system.arrays import FloatArray

# most steps in one call of an XLA program that gathers its batches on the device; the loss is read,
# and progress is shown, at every step whose number is a multiple of it
STEPS_A_CALL = 20


class Trainer:
    """A network and its optimizer, with the steps of training and of validation compiled.

    is_one_program: whether XLA compiles whole steps into one program, for batches of one size:
        smaller ones are padded with samples that do not count. Recurrent layers must then do
        without cuDNN, as those of prepare.make_trainer() do.
    exported: the network that takes the weights to be saved, when the trained one has outputs that
        only help in training, or layers that do not learn
    augmenter: augments each batch as the first part of a step; None when the feed does, or when
        samples are not augmented
    strategy: the strategy of tf.distribute that has the devices, if there are several; in its
        words, the devices of all workers are replicas, and each runs the same function
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
        is_one_program: bool = False,
        exported: keras.Model | None = None,
        augmenter: DeviceAugmenter | None = None,
        strategy: Any = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        # sums_of() all samples since the last reset, kept on the device
        self.totals = tf.Variable(tf.zeros(3, tf.float64), trainable=False)
        self.is_one_program = is_one_program
        # the other labels matter less than the steering: 0.1 is a choice, no measurement; the loss
        # that is reported is that of the steering alone
        self._label_weights = [1.0] + [0.1] * (model.output_shape[-1] - 1)
        self._exported = exported
        self._augmenter = augmenter
        self._batch_size = batch_size
        self._strategy = strategy
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
        counts = (tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int32))
        joint = [self.samples_signature, counts, tf.TensorSpec((), tf.float32)]
        self._joint_step = tf.function(self._train_part, input_signature=joint, autograph=False)
        self._program = tf.function(self._train_steps, jit_compile=True, autograph=False)
        # an XLA program is compiled for fixed shapes; a graph takes batches of any size
        options: dict[str, Any] = {"jit_compile": True}
        if not self.is_one_program:
            # the signature has no `gather`, which batches have only for an XLA program
            size = tf.TensorSpec((), tf.int32)
            options = {"input_signature": (*images_and_labels, size)}
        score = partial(self._score, self.model)
        self._validate = tf.function(score, autograph=False, **options)

    @property
    def variables(self) -> list[keras.Variable]:
        """Return all variables that training changes, in the order in which a checkpoint has them.

        These are the weights, the states of the dropout generators, and the optimizer's moments.
        """
        return [*self.model.variables, *self.optimizer.variables]

    @property
    def program_steps(self) -> int:
        """Return the most steps in one call of the XLA program; 0 if XLA does not compile steps."""
        return STEPS_A_CALL if self.is_one_program else 0

    def reset_totals(self) -> None:
        self.totals.assign(tf.zeros(3, tf.float64))

    def mean_errors(self) -> tuple[float, float]:
        """Return the mean loss and the mean absolute error since the last reset.

        This waits for the device.
        """
        loss, absolute, count = self.totals.numpy().tolist()
        return loss / max(count, 1.0), absolute / max(count, 1.0)

    # ---- what was compiled

    @property
    def compilations(self) -> int:
        """Return how many graphs and programs have been compiled so far, to train and to validate.

        More than two mean that batches came in several shapes; each new shape waits for a compiler.
        """
        functions = (self._step, self._joint_step, self._program, self._validate)
        return sum(function.experimental_get_tracing_count() for function in functions)

    def step_graph(self) -> Any:
        """Return the graph of a step, a GraphDef; TensorFlow runs it if XLA compiles no steps."""
        return self._step.get_concrete_function().graph.as_graph_def()

    def program_text(self, batches: Sequence[Batch], rates: Sequence[float]) -> str:
        """Return the XLA program of a call of train(), optimized for the device, as HLO text."""
        text_of = self._program.experimental_get_compiler_ir(*self._inputs_of(batches, rates))
        return str(text_of(stage="optimized_hlo"))

    # ---- training

    def train(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Take a training step for each batch, and add its losses and errors to the totals.

        batches: for an XLA program, more than one only if they hold positions (with `gather`);
            STEPS_A_CALL at most, all from one feed
        rates: the learning rate of each step
        """
        if self._strategy:
            # the losses and errors of all workers' batches are added to the totals
            for batch, rate in zip(batches, rates, strict=True):
                counts = (np.int32(batch.samples), np.int32(batch.global_size))
                self._joint_step(batch.inputs, counts, np.float32(rate))
            return
        if not self.is_one_program:
            for batch, rate in zip(batches, rates, strict=True):
                self._step(batch.inputs, np.float32(rate))
            return
        self._program(*self._inputs_of(batches, rates))

    def _inputs_of(self, batches: Sequence[Batch], rates: Sequence[float]) -> tuple[Any, ...]:
        """Return the arguments of the XLA program, always of the same shapes.

        Two kinds of padding keep the shapes. A small batch is filled up with samples that do not
        count; `sizes` has the true sizes. A call with fewer than STEPS_A_CALL batches is filled up
        with batches for which no step is taken; `count` is the true number of batches.
        """
        count = len(batches)
        gather = batches[0].gather
        steps = STEPS_A_CALL if gather else 1
        filled = [*batches, *[batches[-1]] * (steps - count)]
        padded = [_padded(batch, self._batch_size) for batch in filled]
        samples = tuple(_stacked(values) for values in zip(*padded, strict=True))
        sizes = np.array([len(batch) for batch in filled], np.int32)
        all_rates = np.resize(np.array(rates, np.float32), steps)
        return samples, sizes, all_rates, np.int32(count), gather

    def _train_steps(
        self, samples: tuple[Any, ...], sizes: Any, rates: Any, count: Any, gather: Gather | None
    ) -> None:
        """Take the first `count` steps; XLA compiles this function.

        samples: the arrays that _train_step() takes, each with a first axis for the steps:
            (steps, samples, ...)
        sizes: int32 (steps,), number of samples that count in each batch
        rates: float32 (steps,), learning rates
        gather: makes the images from positions; None if `samples` has the images themselves
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
        """Take one step.

        samples: images, labels and the other inputs of the augmenter; (samples, ...) each
        size: number of samples that count; None for all
        weights: as gradients() takes them
        """
        self.optimizer.learning_rate.assign(learning_rate)
        if size is None:
            size = tf.shape(samples[1])[0]
        gradients, sums = self.gradients(samples, size, weights)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.totals.assign_add(sums)

    def gradients(
        self, samples: tuple[Any, ...], size: Any, weights: Any = None
    ) -> tuple[list[Any], Any]:
        """Return the gradient of the mean loss for each trainable variable, and the sums_of().

        size: number by which the sum of the losses is divided: the samples of the whole batch, of
            all workers
        weights: float32 (samples, 1): 1 for samples that count, 0 for padding; None if all count
        """
        images, labels, *others = samples
        if self._augmenter:  # augmentation changes no label but the steering, which is the first
            images, steering = self._augmenter(images, labels[:, :1], *others)
            labels = tf.concat([steering, labels[:, 1:]], axis=1)
        with tf.GradientTape() as tape:
            errors = answers_of(self.model, images, training=True) - labels
            if weights is not None:
                errors = errors * weights
            losses = tf.square(errors)
            loss = tf.reduce_sum(losses * self._label_weights) / tf.cast(size, tf.float32)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return gradients, sums_of(losses, errors, weights)

    # ---- several devices

    def _train_part(
        self, samples: tuple[Any, ...], counts: tuple[Any, Any], learning_rate: Any
    ) -> None:
        """Take a step; each device of this machine gets an equal part of these samples.

        Samples that cannot be divided equally are padded with samples of weight 0.

        samples: this worker's part of the batch: images, labels and the other inputs of the
            augmenter
        counts: how many of these samples count, the first ones; and how many samples the batch of
            all workers has
        """
        self.optimizer.learning_rate.assign(learning_rate)
        devices = len(self._strategy.extended.worker_devices)
        size = tf.shape(samples[1])[0]
        part_size = -(-size // devices)  # divided and rounded up

        def part_of(context: Any) -> Any:
            """Return samples and weights of one device; replicas are numbered over all workers."""
            first = context.replica_id_in_sync_group % devices * part_size
            indices = tf.range(first, first + part_size)
            weights = tf.cast(indices[:, tf.newaxis] < counts[0], tf.float32)
            # padding repeats samples from the begin (% size); they have weight 0
            return tuple(tf.gather(values, indices % size) for values in samples), weights

        parts = self._strategy.experimental_distribute_values_from_function(part_of)
        sums = self._strategy.run(self._descend, (*parts, counts[1]))
        self.totals.assign_add(self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None))

    def _descend(self, samples: tuple[Any, ...], weights: Any, size: Any) -> Any:
        """Take a step on one device; return the sums over its samples that are added to the totals.

        weights: float32 (samples, 1): 1 for a sample that counts, 0 for padding
        size: number of samples in the batch of all workers
        """
        gradients, sums = self.gradients(samples, size, weights)
        context = tf.distribute.get_replica_context()
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        # Keras clips the gradients of each device, and then adds up those of all devices. So each
        # device passes an equal fraction of the summed gradients, which adds up to them again; for
        # the clipping, make_optimizer() has divided the norm by the number of devices, too.
        fractions = [gradient / self._strategy.num_replicas_in_sync for gradient in summed]
        self.optimizer.apply(fractions, self.model.trainable_variables)
        return sums

    # ---- validation, and the model to save

    def evaluate(
        self,
        batches: Iterable[Batch],
        all_sum: Callable[[FloatArray], FloatArray] = lambda values: values,
        model: keras.Model | None = None,
    ) -> tuple[float, float, FloatArray]:
        """Return mean loss, mean absolute error and the steering, (samples,), over all batches.

        Dropout is off. The totals are reset, and hold the sums of the evaluation afterwards.

        all_sum: adds up arrays of all workers, each of which evaluates a part of every batch
        model: the network to evaluate; None for the one that is trained
        """
        self.reset_totals()
        score: Callable[..., tuple[Any, Any]] = self._validate
        if model is not None:
            score = partial(self._score, model)
        # steering of each batch, whole, with 0 outside this worker's part; so the sum over all
        # workers is the steering of all samples
        parts = []
        size = 0  # number of samples in the first batch; an XLA program pads the others to it
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
            self.totals.assign_add(sums)
        self.totals.assign(all_sum(self.totals.numpy()))
        return *self.mean_errors(), all_sum(np.concatenate(parts))

    def _score(
        self, model: keras.Model, images: Any, labels: Any, size: Any, gather: Gather | None = None
    ) -> tuple[Any, Any]:
        """Return sums_of() the first `size` samples, and the steering of all, (samples,)."""
        if gather:
            images = gather(images)
        answers = answers_of(model, images, training=False)
        weights = _sample_weights(labels, size)
        errors = (answers - labels) * weights
        return sums_of(tf.square(errors), errors, weights), answers[:, 0]

    def export(self) -> keras.Model:
        """Return the network to save, with the current weights.

        All its layers can learn, and it lacks the outputs that only help in training.
        """
        if self._exported is None:
            return self.model
        # the last layer of the trained network may have more outputs; only the first ones are saved
        weights = zip(self.model.get_weights(), self._exported.get_weights(), strict=True)
        self._exported.set_weights([trained[..., : saved.shape[-1]] for trained, saved in weights])
        return self._exported


# ---- batches of one size


def _padded(batch: Batch, size: int) -> tuple[Any, ...]:
    """Return the inputs of a batch, filled up to `size` samples by its own samples in turn.

    The statistics of batch normalization are those of all these samples. So they hardly differ from
    those of the batch, where copies of one sample would change them.
    """
    if len(batch) == size:
        return batch.inputs
    return tuple(np.resize(values, (size, *values.shape[1:])) for values in batch.inputs)


def _stacked(values: Sequence[Any]) -> Any:
    """Stack arrays along a new first axis; a single one, perhaps a tensor, is not copied."""
    return np.stack(values) if len(values) > 1 else values[0][None]


def _sample_weights(samples: Any, size: Any) -> Any:
    """Return 1 for the first `size` samples and 0 for the padding, float32 (samples, 1)."""
    return tf.cast(tf.range(tf.shape(samples)[0]) < size, tf.float32)[:, None]


# ---- losses


def answers_of(model: Any, images: Any, training: bool) -> Any:
    """Return what the network predicts, float32 (samples, outputs), the steering first."""
    # bcclone's own networks take uint8 images, those of other programs mostly float32
    images = tf.cast(images, model.inputs[0].dtype)
    return tf.cast(model(images, training=training), tf.float32)


def sums_of(losses: Any, errors: Any, weights: Any = None) -> Any:
    """Return three sums over the samples, float64 (3,).

    They are the sum of the losses of the steering, of the absolute errors of the steering, and of
    the weights, which is the number of samples that count.

    losses, errors: (samples, labels), already 0 for samples of weight 0
    weights: float32 (samples, 1): 1 for samples that count, 0 for padding; None if all count
    """
    steering = errors[:, :1]
    if weights is None:
        weights = tf.ones_like(steering)
    values = (losses[:, :1], tf.abs(steering), weights)
    return tf.stack([tf.reduce_sum(tf.cast(value, tf.float64)) for value in values])
