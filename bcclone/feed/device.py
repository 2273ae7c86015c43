"""The feed "device": keep all frames on the device that trains, and gather batches there.

To gather is to pick the frames of a batch, and to mirror those of mirror images. In: the positions
of each batch. Out: batches with tensors of images; or with the positions, if the training step
itself gathers the images.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bcclone.feed.loading import Feed, Transform
from bcclone.feed.order import Order, Positions
from bcclone.feed.selection import Batch, Selection
from bcclone.system.errors import UserError
from bcclone.system.xla import compiles_for_gpu


def copying_to_device(batch_size: int) -> Transform:
    """Return what copies the images of full batches to the device, ahead of their step.

    Smaller batches are not copied, since the trainer first pads them to the full size.
    """

    def transform(batch: Batch, positions: Positions, place: tuple[int, int]) -> Batch:
        if len(batch) < batch_size:
            return batch
        return replace(batch, images=tf.convert_to_tensor(batch.images))

    return transform


class DeviceFeed(Feed):
    """Gather each batch on a GPU that XLA can compile for, otherwise in TensorFlow's memory.

    Only the positions of a batch are sent to the device. Entering the feed copies all frames there,
    and raises UserError when they do not fit; leaving it frees them.
    """

    def __init__(
        self,
        selection: Selection,
        order: Order,
        transforms: Sequence[Transform],
        threads: int,
        steps_a_call: int,
    ) -> None:
        # loading only looks up labels, so one batch ahead is enough; for a program that takes
        # several batches in a call, those of the next call are loaded meanwhile
        ahead = 2 * steps_a_call if steps_a_call > 1 else 1
        source = selection.source(in_memory=True)
        super().__init__(source, order, transforms, threads, ahead, steps_a_call)
        self._path = selection.data.path

    def _open(self, opened: ExitStack) -> None:
        super()._open(opened)
        frames = self.source.frames
        on_gpu = compiles_for_gpu()
        by_xla = on_gpu or self.steps_a_call > 1
        # uncompiled, TensorFlow gathers uint8 on the CPU alone
        self._device = "GPU:0" if on_gpu else "CPU:0"
        try:
            with tf.device(self._device):
                self._gather = GatherOnDevice(
                    frames=tf.constant(np.asarray(frames)),
                    frame=tf.constant(self.source.frame.astype("int64")),
                    flipped=tf.constant(self.source.flipped),
                )
        # InternalError is what copying to a full GPU raises
        except (tf.errors.ResourceExhaustedError, tf.errors.InternalError):
            raise UserError(
                f"{self._path}: {frames.nbytes / 1e9:.1f} GB of frames do not fit on "
                f"{self._device}; use --feed hdf5-shuffle"
            ) from None
        # leaving the feed frees the frames, which nothing else refers to
        opened.callback(self.__dict__.pop, "_gather")
        self._compiled = tf.function(
            GatherOnDevice.__call__, jit_compile=by_xla, reduce_retracing=True, autograph=False
        )

    def _load(self, positions: Positions) -> Batch:
        labels = self.source.labels[positions]
        indices = positions.astype(np.int32)
        if self.steps_a_call > 1:  # the compiled program gathers the images
            return Batch(indices, labels, gather=self._gather)
        with tf.device(self._device):
            return Batch(self._compiled(self._gather, tf.constant(indices)), labels)


class GatherOnDevice(NamedTuple):
    """The frames on the device, and a function that makes the images of a batch from them.

    It is passed to compiled functions as an argument, so that the frames can be freed: a tensor
    that a compiled function captures lives as long as the function.
    """

    frames: Any  # uint8 (frames, height, width, channels)
    frame: Any  # int64 (samples,) or (samples, seq_length), index into frames
    flipped: Any  # bool (samples,)

    def __call__(self, positions: Any) -> Any:
        images = tf.gather(self.frames, tf.gather(self.frame, positions))
        flipped = tf.gather(self.flipped, positions)
        # mirror all, and select the plain or the mirrored one: a GPU does this in one kernel
        selected = tf.reshape(flipped, [-1] + [1] * (len(images.shape) - 1))
        columns = -2  # the axis; images or windows of them are (..., height, width, channels)
        return tf.where(selected, tf.reverse(images, [columns]), images)
