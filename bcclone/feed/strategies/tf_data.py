"""tf-data: a tf.data pipeline over frames in memory, shuffled."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from bcclone.feed.batch import Batch
from bcclone.feed.feed import Feed
from bcclone.feed.order import Order
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import MemorySource
from bcclone.feed.tensors import TensorSource
from bcclone.store import Store


def make_feed(store: Store, settings: FeedSettings, batch_size: int, seed: int) -> Feed:
    """Return the feed of the training samples; raises UserError when their frames do not fit into memory."""
    source = MemorySource.of(store)
    fetcher = PipelineFetcher(TensorSource(source, "CPU:0"), batch_size, settings)
    return Feed.shuffled(len(source), seed, fetcher)


class PipelineFetcher:
    """Batches by tf.data, several at once and in their order; 0 workers or queue places: tf.data finds how many."""

    def __init__(self, source: TensorSource, batch_size: int, settings: FeedSettings) -> None:
        self._source, self._batch_size = source, batch_size
        self._calls = settings.workers or tf.data.AUTOTUNE
        self._ahead = settings.max_queue_size or tf.data.AUTOTUNE

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        with tf.device("CPU:0"):
            positions = tf.data.Dataset.from_tensor_slices(order.astype("int64")).batch(self._batch_size)
            pipeline = positions.map(self._source.gather, num_parallel_calls=self._calls).prefetch(self._ahead)
            yield (Batch(images, steering) for images, steering in pipeline)

    def close(self) -> None:
        """There is nothing to end between epochs."""
