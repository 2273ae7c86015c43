"""A feed -> the same batches, varied ahead of time by threads while the network trains."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import cv2
import numpy as np

from bcclone.augment.variation import Instants, Variation
from bcclone.feed.batch import Batch
from bcclone.feed.buffers import Buffers
from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.order import Order
from bcclone.images import Image

_THREADS = 2
_AHEAD = 4  # batches


class VariedFeed(Feed):
    """Varies what any feed gives; seed, epoch and place within it decide how, so that a resume goes on alike.

    epochs: the orders of the feed; instants: of its samples, by position.
    """

    def __init__(self, feed: Feed, epochs: Epochs, variation: Variation, instants: Instants, batch_size: int) -> None:
        self._feed, self._epochs = feed, epochs
        self._variation, self._instants, self._batch_size = variation, instants, batch_size
        self._pool = ThreadPoolExecutor(_THREADS, "bcclone-vary")
        cv2.setNumThreads(1)  # small images in threads of our own: OpenCV's would take twice the processor's time
        self._buffers: Buffers | None = None

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch."""
        pending: deque[Future[Batch]] = deque()
        with self._feed.epoch(number, start) as batches:
            try:
                yield self._batches(batches, number, start, pending)
            finally:
                for future in pending:
                    future.cancel()
                wait(pending)

    def _batches(
        self, batches: Iterator[Batch], number: int, start: int, pending: deque[Future[Batch]]
    ) -> Iterator[Batch]:
        order, place = self._epochs.order(number), start
        while True:
            while len(pending) < _AHEAD and (batch := next(batches, None)) is not None:
                positions, seed = order[place : place + len(batch)], (self._epochs.seed, number, place)
                pending.append(self._pool.submit(self._vary, batch, positions, seed, self._room_for(batch)))
                place += len(batch)
                del batch  # or its memory could not be used again
            if not pending:
                return
            yield pending.popleft().result()

    def _room_for(self, batch: Batch) -> Image:
        if self._buffers is None:
            self._buffers = Buffers(self._batch_size, tuple(batch.images.shape[1:]), kept=_AHEAD + 2)
        return self._buffers.take(len(batch))

    def _vary(self, batch: Batch, positions: Order, seed: tuple[int, int, int], into: Image) -> Batch:
        images, steering, instants = np.asarray(batch.images), np.asarray(batch.steering), self._instants.at(positions)
        return Batch(into, self._variation.vary(images, steering, instants, seed, into))

    def close(self) -> None:
        """End the threads and the feed."""
        self._pool.shutdown(cancel_futures=True)
        self._feed.close()
