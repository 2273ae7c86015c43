"""The feed "device": keep all frames on the device that trains, and gather shuffled batches there.

In: the positions of each batch. Out: batches of tensors, or of positions for a training step that
gathers itself.
"""

from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import EpochOrder, Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, FrameSource
from bcclone.feed.strategies import Feed, Place
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import compiles_for_gpu


class DeviceFeed(Feed):
    """Gather each batch on a GPU that XLA can compile for, otherwise in TensorFlow's memory; only
    positions are sent.

    The block copies the frames to the device, and raises UserError when they do not fit; leaving it
    frees them.
    """

    source: FrameSource

    def __init__(self, selection: Selection, order: EpochOrder, settings: FeedSettings) -> None:
        super().__init__(selection.memory_source(), order, ahead=1, threads=1)
        self._path = selection.data.path

    def _open(self, opened: ExitStack) -> None:
        super()._open(opened)
        frames, arrays, on_gpu = self.source.frames, self.source.arrays, compiles_for_gpu()
        by_xla = on_gpu or self.steps_a_call > 1
        self._device = (
            "GPU:0" if on_gpu else "CPU:0"
        )  # uncompiled, TensorFlow gathers uint8 on the CPU alone
        try:
            with tf.device(self._device):
                copied = tf.constant(np.asarray(frames)), tf.constant(arrays.frame.astype("int64"))
                self._gather = GatherOnDevice(*copied, tf.constant(arrays.flipped), by_xla)
        except (
            tf.errors.ResourceExhaustedError,
            tf.errors.InternalError,
        ):  # the second from copying to a GPU
            raise UserError(
                f"{self._path}: {frames.nbytes / 1e9:.1f} GB of frames do not fit on {self._device}; use --feed "
                "hdf5-shuffle"
            ) from None
        opened.callback(self.__dict__.pop, "_gather")
        self._compiled = tf.function(
            GatherOnDevice.__call__, jit_compile=by_xla, reduce_retracing=True, autograph=False
        )

    def serve(self, steps: int, place: Place) -> None:
        if self.augments_images:
            super().serve(steps, place)
        else:
            self.steps_a_call, self.ahead = steps, 2 * steps

    def load(self, positions: Order) -> Batch:
        labels, positions = self.source.arrays.labels[positions], positions.astype(np.int32)
        if self.steps_a_call > 1:
            return Batch(positions, labels, gather=self._gather)
        with tf.device(self._device):
            return Batch(self._compiled(self._gather, tf.constant(positions)), labels)


class GatherOnDevice(NamedTuple):
    """The frames on a device, and frame and flip of each sample; makes the images of positions.

    An argument of compiled functions: what they capture would live as long as they do.
    """

    frames: Any
    frame: Any
    flipped: Any
    by_xla: bool

    def __call__(self, positions: Any) -> Any:
        flip = flip_by_selection if self.by_xla else flip_by_stitching
        return flip(
            self.frames, tf.gather(self.frame, positions), tf.gather(self.flipped, positions)
        )


def flip_by_stitching(frames: Any, frame: Any, flipped: Any) -> Any:
    """Gather plain and mirrored images separately and stitch them; five times faster than selection
    on a CPU.
    """
    indices = tf.dynamic_partition(tf.range(tf.size(flipped)), tf.cast(flipped, tf.int32), 2)
    plain, mirrored = (tf.gather(frames, tf.gather(frame, index)) for index in indices)
    return tf.dynamic_stitch(indices, [plain, tf.reverse(mirrored, [-2])])


def flip_by_selection(frames: Any, frame: Any, flipped: Any) -> Any:
    """Mirror all images and select; a GPU does it in one kernel."""
    images = tf.gather(frames, frame)
    selected = tf.reshape(flipped, [-1] + [1] * (len(images.shape) - 1))
    return tf.where(selected, tf.reverse(images, [-2]), images)
