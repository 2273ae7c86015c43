"""The feed "tf-data": a tf.data pipeline that reads several batches of the memory-mapped store at once, shuffled.

In: positions. Out: batches of tensors.

Two variants were tried and dropped. The frames as a constant of the pipeline: slower by a third to a half, with twice
the store in memory. AUTOTUNE: its thread sleeps ever longer, and the first batch of an epoch waits until it wakes.
"""

import os
import traceback
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import tensorflow as tf

from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.fetcher import Fetcher, Reader
from bcclone.feed.order import EpochOrder, Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, Source

_KEPT, _AHEAD = 16, 4


def tf_data(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "PipelineFetcher":
    """Read the memory-mapped store in a pipeline."""
    return PipelineFetcher(selection.mapped_source(), epoch_order.batch_samples, settings)


class PipelineFetcher(Fetcher):
    """Fetch batches in order with tf.data; by default one batch per core at once, and four ahead."""

    def __init__(self, source: Source, batch_size: int, settings: FeedSettings) -> None:
        super().__init__(source, batch_size)
        self._reader = Reader(source, batch_size, kept=_KEPT)
        self._error: Exception | None = None
        self._calls = settings.feed_workers or os.cpu_count() or 1
        self._ahead = settings.max_queue_size or _AHEAD

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        options = tf.data.Options()
        options.autotune.enabled = False
        with tf.device("CPU:0"):
            positions = tf.data.Dataset.from_tensor_slices(order).batch(self._batch_size)
            pipeline = positions.map(self._read_in_graph, num_parallel_calls=self._calls).prefetch(self._ahead)
            pipeline = pipeline.with_options(options)
        with closing(self._batches(pipeline)) as batches:
            yield batches  # outside of tf.device, so that the network trains on its own device

    def _batches(self, pipeline: Any) -> Generator[Batch]:
        """Yield the batches; the pipeline's threads have ended when this generator has.

        An iterator that outlives it, in a reference cycle, might be collected as garbage in one of its own threads,
        which would wait for itself for ever.
        """
        try:
            for images, labels in pipeline:
                yield Batch(images, labels)
        except tf.errors.OpError as ended:
            traceback.clear_frames(ended.__traceback__)  # they hold the iterator
            if self._error is None:
                raise
            error, self._error = self._error, None
            raise error from None

    def _read_in_graph(self, positions: Any) -> tuple[Any, Any]:
        images, labels = tf.numpy_function(self._read, [positions], (tf.uint8, tf.float32))
        shape = None, self._source.arrays.labels.shape[1]
        return tf.ensure_shape(images, (None, *self._source.shape)), tf.ensure_shape(labels, shape)

    def _read(self, positions: Order) -> tuple[Any, Any]:
        try:
            batch = self._reader.read(positions)
        except Exception as error:  # TensorFlow replaces it by one of its own
            self._error = error
            raise
        return batch.images, batch.labels
