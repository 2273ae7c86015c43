"""A feed -> the same batches, augmented ahead of time by threads, or with what the training step augments them by."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bcclone.augment.draws import AugmentationInputs, draw
from bcclone.feed.buffers import Buffers
from bcclone.feed.feed import Augmentation, Batch, Feed
from bcclone.feed.order import Epochs
from bcclone.prefetch import prefetch_ordered

if TYPE_CHECKING:  # it loads Numba
    from bcclone.augment.on_cpu import CpuAugmenter

Seed = tuple[int, int, int]
# batch, augmentation inputs and seed -> the batch that is trained on; called in threads
Work = Callable[[Batch, AugmentationInputs, Seed], Batch]
_Task = tuple[Batch, AugmentationInputs, Seed]

AHEAD = 2  # batches for each thread


class AugmentedFeed(Feed):
    """Does some work on the batches of any feed; seed, epoch and place decide the result, so that a resume is exact.

    epochs: the orders of the feed; inputs: of its samples, by position; threads: how many do it.
    """

    def __init__(self, feed: Feed, epochs: Epochs, inputs: AugmentationInputs, work: Work, threads: int) -> None:
        self._feed, self._epochs, self._inputs, self._work = feed, epochs, inputs, work
        self._ahead, self._pool = AHEAD * threads, ThreadPoolExecutor(threads, "bcclone-augment")

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch."""
        with (
            self._feed.epoch(number, start) as batches,
            prefetch_ordered(self._apply, self._tasks(batches, number, start), self._pool, self._ahead) as augmented,
        ):
            yield augmented

    def _tasks(self, batches: Iterator[Batch], number: int, start: int) -> Iterator[_Task]:
        order, position = self._epochs.order(number), start
        while (batch := next(batches, None)) is not None:
            inputs = self._inputs.at(order[position : position + len(batch)])
            task = [(batch, inputs, (self._epochs.seed, number, position))]
            position += len(batch)
            del batch, inputs  # no reference is kept here, so that the batch's memory can be used again
            yield task.pop()

    def _apply(self, task: _Task) -> Batch:
        return self._work(*task)

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
