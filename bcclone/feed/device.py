"""device: the frames live where the network is trained and are gathered there, shuffled; no batch is copied to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from bcclone.errors import UserError
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.order import Epochs, Order
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, MemorySource
from bcclone.store import Store


class TensorSource:
    """The samples of one side of the split on a device. device: TensorFlow's name for it, for example "GPU:0".

    Raises UserError where they do not fit.
    """

    def __init__(self, source: MemorySource, device: str) -> None:
        self.device = device
        columns = source.columns
        try:
            with tf.device(device):
                self._frames = tf.constant(source.frames)
                self._frame = tf.constant(columns.frame.astype("int64"))
                self._flipped = tf.constant(columns.flipped)
                self._steering = tf.constant(columns.steering[:, None])
        except tf.errors.ResourceExhaustedError:
            raise UserError(
                f"{source.frames.nbytes / 1e9:.1f} GB of frames do not fit on {device}; take --feed hdf5-shuffle"
            ) from None
        self._flip = _flip_by_selection if "GPU" in device else _flip_by_stitching

    def gather(self, positions: Any) -> tuple[Any, Any]:
        """Return images, uint8 (positions, height, width, 3), or windows of them, and steering, float32 (positions, 1).

        positions: int64 tensor; to be called within a tf.function.
        """
        images = self._flip(self._frames, tf.gather(self._frame, positions), tf.gather(self._flipped, positions))
        return images, tf.gather(self._steering, positions)


def _flip_by_stitching(frames: Any, frame: Any, flipped: Any) -> Any:
    """Gather plain and mirrored images apart and put them together; five times faster on a CPU than selection."""
    places = tf.dynamic_partition(tf.range(tf.size(flipped)), tf.cast(flipped, tf.int32), 2)
    plain, mirrored = (tf.gather(frames, tf.gather(frame, place)) for place in places)
    return tf.dynamic_stitch(places, [plain, tf.reverse(mirrored, [-2])])


def _flip_by_selection(frames: Any, frame: Any, flipped: Any) -> Any:
    """Mirror all and select, which a GPU does in one kernel."""
    images = tf.gather(frames, frame)
    which = tf.reshape(flipped, [-1] + [1] * (len(images.shape) - 1))
    return tf.where(which, tf.reverse(images, [-2]), images)


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples; raises UserError when the device has no room for their frames."""
    source = MemorySource.of(store, columns)
    device = "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
    return Feed(epochs, DeviceFetcher(TensorSource(source, device), batch_size))


class DeviceFetcher:
    """Batches gathered when they are asked for; only their number goes to the device."""

    def __init__(self, source: TensorSource, batch_size: int) -> None:
        self._source, self._batch_size = source, batch_size
        on_gpu = "GPU" in source.device
        self._gather = tf.function(source.gather, jit_compile=on_gpu, reduce_retracing=True)

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        with tf.device(self._source.device):
            positions = tf.constant(order.astype("int64"))
        yield self._batches(positions, len(order))

    def _batches(self, positions: Any, size: int) -> Iterator[Batch]:
        for start in range(0, size, self._batch_size):
            with tf.device(self._source.device):
                batch = Batch(*self._gather(positions[start : start + self._batch_size]))
            yield batch  # outside: the network trains where it likes

    def close(self) -> None:
        """The frames go when the feed does."""
