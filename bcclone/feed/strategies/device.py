"""device: the frames live where the network is trained and are gathered there, shuffled; no batch is copied to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from bcclone.feed.batch import Batch
from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.order import Order
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, MemorySource
from bcclone.feed.tensors import TensorSource
from bcclone.store import Store


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
