"""The feed "device": keep all frames on the device that trains, and gather batches there.

To gather is to pick the frames of a batch, and to mirror those of mirror images. In: the positions
of each batch. Out: batches with tensors of images; or with the positions, if the training step
itself gathers the images. `CopyToDevice` is for the other feeds, which load images.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import EpochOrder, Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, FrameSource
from bcclone.feed.strategies import AS_LOADED, BatchPlace, Delivery, Feed
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import compiles_for_gpu


@dataclass(frozen=True)
class CopyToDevice:
    """Copies the images of full batches to the device, ahead of their step; a `Transform`.

    Smaller batches are not copied, since the trainer first pads them to the full size.
    """

    batch_size: int  # number of samples in a full batch

    def __call__(self, batch: Batch, place: BatchPlace) -> Batch:
        if len(batch) < self.batch_size:
            return batch
        return replace(batch, images=tf.convert_to_tensor(batch.images))


class DeviceFeed(Feed):
    """Gather each batch on a GPU that XLA can compile for, otherwise in TensorFlow's memory.

    Only the positions of a batch are sent to the device. Entering the feed copies all frames there,
    and raises UserError when they do not fit; leaving it frees them.
    """

    source: FrameSource

    def __init__(
        self,
        selection: Selection,
        order: EpochOrder,
        settings: FeedSettings,
        delivery: Delivery = AS_LOADED,
    ) -> None:
        # loading only looks up labels, so one batch ahead is enough; for a program that takes
        # several batches in a call, those of the next call are loaded meanwhile
        ahead = 1
        if delivery.steps_a_call > 1:
            ahead = 2 * delivery.steps_a_call
        super().__init__(selection.memory_source(), order, delivery, ahead, threads=1)
        self._path = selection.data.path

    def _open(self, opened: ExitStack) -> None:
        super()._open(opened)
        frames = self.source.frames
        arrays = self.source.arrays
        on_gpu = compiles_for_gpu()
        by_xla = on_gpu or self.steps_a_call > 1
        # uncompiled, TensorFlow gathers uint8 on the CPU alone
        self._device = "GPU:0" if on_gpu else "CPU:0"
        try:
            with tf.device(self._device):
                self._gather = GatherOnDevice(
                    frames=tf.constant(np.asarray(frames)),
                    frame=tf.constant(arrays.frame.astype("int64")),
                    flipped=tf.constant(arrays.flipped),
                    by_xla=by_xla,
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

    def load(self, positions: Order) -> Batch:
        labels = self.source.arrays.labels[positions]
        positions = positions.astype(np.int32)
        if self.steps_a_call > 1:  # the compiled program gathers the images
            return Batch(positions, labels, gather=self._gather)
        with tf.device(self._device):
            return Batch(self._compiled(self._gather, tf.constant(positions)), labels)


class GatherOnDevice(NamedTuple):
    """The frames on the device, and a function that makes the images of a batch from them.

    It is passed to compiled functions as an argument, so that the frames can be freed: a tensor
    that a compiled function captures lives as long as the function.
    """

    frames: Any  # uint8 (frames, height, width, channels)
    frame: Any  # int64 (samples,) or (samples, seq_length), index into frames
    flipped: Any  # bool (samples,)
    by_xla: bool  # whether XLA compiles the gathering

    def __call__(self, positions: Any) -> Any:
        flip = flip_by_selection if self.by_xla else flip_by_stitching
        frame = tf.gather(self.frame, positions)
        flipped = tf.gather(self.flipped, positions)
        return flip(self.frames, frame, flipped)


_COLUMNS_AXIS = -2  # of images or windows of them, (..., height, width, channels)


def flip_by_stitching(frames: Any, frame: Any, flipped: Any) -> Any:
    """Gather the images of a batch, for a CPU: plain and mirrored ones apart, then put together.

    On a CPU this is five times as fast as flip_by_selection(), which mirrors all images.
    """
    indices = tf.dynamic_partition(tf.range(tf.size(flipped)), tf.cast(flipped, tf.int32), 2)
    plain, mirrored = (tf.gather(frames, tf.gather(frame, index)) for index in indices)
    return tf.dynamic_stitch(indices, [plain, tf.reverse(mirrored, [_COLUMNS_AXIS])])


def flip_by_selection(frames: Any, frame: Any, flipped: Any) -> Any:
    """Gather the images of a batch, for XLA: mirror all, and select the plain or the mirrored one.

    A GPU does this in one kernel.
    """
    images = tf.gather(frames, frame)
    selected = tf.reshape(flipped, [-1] + [1] * (len(images.shape) - 1))
    return tf.where(selected, tf.reverse(images, [_COLUMNS_AXIS]), images)
