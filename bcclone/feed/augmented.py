"""A feed -> the same batches, augmented ahead of time by threads, or with what the training step augments them by."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bcclone.augment.draws import AugmentationInputs, draw
from bcclone.feed.buffers import Buffers
from bcclone.feed.feed import Augmentation, Batch, Feed
from bcclone.feed.order import Epochs

if TYPE_CHECKING:  # it loads Numba
    from bcclone.augment.on_cpu import CpuAugmenter

Seed = tuple[int, int, int]
# batch, augmentation inputs and seed -> the batch that is trained on; called in threads
Work = Callable[[Batch, AugmentationInputs, Seed], Batch]

AHEAD = 2  # batches for each thread


class AugmentedFeed(Feed):
    """Does some work on the batches of any feed; seed, epoch and place decide the result, so that a resume is exact.

    epochs: the orders of the feed; inputs: of its samples, by position; threads: how many do it.
    """

    def __init__(self, feed: Feed, epochs: Epochs, inputs: AugmentationInputs, work: Work, threads: int) -> None:
        self._feed, self._epochs, self._inputs, self._work = feed, epochs, inputs, work
        self._threads, self._pool = threads, ThreadPoolExecutor(threads, "bcclone-augment")

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
            while len(pending) < AHEAD * self._threads and (batch := next(batches, None)) is not None:
                inputs = self._inputs.at(order[place : place + len(batch)])
                pending.append(self._pool.submit(self._work, batch, inputs, (self._epochs.seed, number, place)))
                place += len(batch)
                del batch  # or its memory could not be used again
            if not pending:
                return
            yield pending.popleft().result()

    def close(self) -> None:
        """End the threads and the feed."""
        self._pool.shutdown(cancel_futures=True)
        self._feed.close()


def augment_on_cpu(augmenter: "CpuAugmenter", buffers: Buffers) -> Work:
    """Return the work that augments batches; each goes into memory that is used again."""

    def augment(batch: Batch, inputs: AugmentationInputs, seed: Seed) -> Batch:
        images, into = np.asarray(batch.images), buffers.take(len(batch))
        return Batch(into, augmenter.augment(images, np.asarray(batch.steering), inputs, seed, into))

    return augment


def draw_for_device(batch: Batch, inputs: AugmentationInputs, seed: Seed) -> Batch:
    """Return the batch with what it takes to augment it where the network is trained."""
    return Batch(batch.images, batch.steering, Augmentation(inputs, draw(len(batch), seed)))
