"""The feed "device": keep all frames on the device that trains, and gather shuffled batches there.

In: the positions of each batch. Out: batches of tensors, or of positions for a training step that gathers itself.
"""

from contextlib import ExitStack
from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.dataset.images import Image
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import EpochOrder, Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, FrameSource, Gather, SampleArrays
from bcclone.feed.strategies import Feed, Place
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import compiles_for_gpu


class DeviceFeed(Feed):
    """Gather each batch on the GPU, or in TensorFlow's memory if there is none; only positions are sent there.

    The block copies the frames to the device, and raises UserError when they do not fit; leaving it frees them.
    """

    source: FrameSource

    def __init__(self, selection: Selection, order: EpochOrder, settings: FeedSettings) -> None:
        super().__init__(selection.memory_source(), order, ahead=1, threads=1)
        self._path, self._in_step = selection.data.path, False

    def _open(self, opened: ExitStack) -> None:
        super()._open(opened)
        self._device = "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
        frames, by_xla = self.source.frames, self._in_step or compiles_for_gpu()
        try:
            with tf.device(self._device):
                self._gather = _gather_from(np.asarray(frames), self.source.arrays, by_xla)
        except tf.errors.ResourceExhaustedError:
            raise UserError(
                f"{self._path}: {frames.nbytes / 1e9:.1f} GB of frames do not fit on {self._device}; use --feed "
                "hdf5-shuffle"
            ) from None
        self._compiled = tf.function(self._gather, jit_compile=by_xla, reduce_retracing=True, autograph=False)
        for name in ("_gather", "_compiled"):
            opened.callback(self.__dict__.pop, name)

    def serve(self, steps: int, place: Place) -> None:
        self._in_step, self.ahead = bool(steps), 2 * steps or self.ahead

    def load(self, positions: Order) -> Batch:
        labels, positions = self.source.arrays.labels[positions], positions.astype(np.int32)
        if self._in_step:
            return Batch(positions, labels, gather=self._gather)
        with tf.device(self._device):
            return Batch(self._compiled(tf.constant(positions)), labels)


def _gather_from(images: Image, arrays: SampleArrays, by_xla: bool) -> Gather:
    """Copy the frames to the device; return a function from the positions of a batch to its images."""
    frames, frame, flipped = tf.constant(images), tf.constant(arrays.frame.astype("int64")), tf.constant(arrays.flipped)
    flip = flip_by_selection if by_xla else flip_by_stitching
    return lambda positions: flip(frames, tf.gather(frame, positions), tf.gather(flipped, positions))


def flip_by_stitching(frames: Any, frame: Any, flipped: Any) -> Any:
    """Gather plain and mirrored images separately and stitch them; five times faster than selection on a CPU."""
    indices = tf.dynamic_partition(tf.range(tf.size(flipped)), tf.cast(flipped, tf.int32), 2)
    plain, mirrored = (tf.gather(frames, tf.gather(frame, index)) for index in indices)
    return tf.dynamic_stitch(indices, [plain, tf.reverse(mirrored, [-2])])


def flip_by_selection(frames: Any, frame: Any, flipped: Any) -> Any:
    """Mirror all images and select; a GPU does it in one kernel."""
    images = tf.gather(frames, frame)
    selected = tf.reshape(flipped, [-1] + [1] * (len(images.shape) - 1))
    return tf.where(selected, tf.reverse(images, [-2]), images)
