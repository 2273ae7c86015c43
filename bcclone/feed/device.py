"""The feed "device": keep all frames on the device that trains, and gather shuffled batches there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import EpochOrder, Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, FrameSource
from bcclone.system.errors import UserError


def device(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "DeviceFetcher":
    """Copy the frames of these samples to the device; raises UserError when they do not fit there."""
    place = "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
    return DeviceFetcher(selection.memory_source(), epoch_order.batch_samples, place)


class DeviceFetcher:
    """Gather each batch on the device when it is asked for; only positions are sent there.

    device: TensorFlow's name for it, for example "GPU:0". Raises UserError when the frames do not fit.
    """

    def __init__(self, source: FrameSource, batch_size: int, device: str) -> None:
        self._batch_size, self._device = batch_size, device
        arrays = source.arrays
        try:
            with tf.device(device):
                self._frames = tf.constant(np.asarray(source.frames))
                self._frame = tf.constant(arrays.frame.astype("int64"))
                self._flipped = tf.constant(arrays.flipped)
                self._labels = tf.constant(arrays.labels)
        except tf.errors.ResourceExhaustedError:
            raise UserError(
                f"{source.frames.nbytes / 1e9:.1f} GB of frames do not fit on {device}; use --feed hdf5-shuffle"
            ) from None
        on_gpu = "GPU" in device
        self._flip = flip_by_selection if on_gpu else flip_by_stitching
        self._gather = tf.function(self._samples_at, jit_compile=on_gpu, reduce_retracing=True)

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        with tf.device(self._device):
            positions = tf.constant(order.astype("int64"))
        yield self._batches(positions, len(order))

    def _batches(self, positions: Any, size: int) -> Iterator[Batch]:
        for start in range(0, size, self._batch_size):
            with tf.device(self._device):
                batch = Batch(*self._gather(positions[start : start + self._batch_size]))
            yield batch  # outside of tf.device, so that the network trains on its own device

    def _samples_at(self, positions: Any) -> tuple[Any, Any]:
        """Return images, uint8 (positions, height, width, 3), or windows of them, and labels, float32."""
        images = self._flip(self._frames, tf.gather(self._frame, positions), tf.gather(self._flipped, positions))
        return images, tf.gather(self._labels, positions)

    def close(self) -> None:
        """Do nothing; the frames are freed with the fetcher."""


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
