"""Augment the batches of a feed in threads, or add the random numbers with which the training step augments them.

In: batches, and the inputs of augmentation by position. Out: the same batches, changed or with random numbers.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Self

import numpy as np

from bcclone.dataset.preprocessing import seen_rows
from bcclone.feed.augment.kind import AugmentationInputs, Draws
from bcclone.feed.augment.kinds import draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.order import EpochOrder, Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import Augmentation, Batch, Buffers
from bcclone.system.prefetch import prefetch_ordered

Seed = tuple[int, int, int]
# batch, augmentation inputs, seed of the draws -> augmented batch; called in threads
Work = Callable[[Batch, AugmentationInputs, Seed], Batch]
_Task = tuple[Batch, AugmentationInputs, Seed]

_AHEAD = 2  # batches per thread


class BatchAugmenter:
    """Applies `work` to batches in threads; its seed is (seed, epoch, first sample of the batch over all workers).

    So a resume is exact, and several workers augment the samples like one. A context manager: the first batch starts
    the threads, and leaving the block ends them.

    inputs: augmentation inputs of all samples, by position; threads: number of workers.
    """

    _pool: ThreadPoolExecutor

    def __init__(self, inputs: AugmentationInputs, seed: int, work: Work, threads: int) -> None:
        self._inputs, self._seed, self._work = inputs, seed, work
        self._threads = threads

    def augmented(
        self, batches: Iterator[Batch], positions: Order, epoch: int, start: int
    ) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions, augmented. start: first sample of the epoch that is in them."""
        tasks = self._tasks(batches, positions, epoch, start)
        return prefetch_ordered(lambda task: self._work(*task), tasks, self._pool, _AHEAD * self._threads)

    def _tasks(self, batches: Iterator[Batch], positions: Order, epoch: int, first: int) -> Iterator[_Task]:
        fetched = 0
        while (batch := next(batches, None)) is not None:
            inputs = self._inputs.at(positions[fetched : fetched + len(batch)])
            task = [(batch, inputs, (self._seed, epoch, first))]
            fetched += len(batch)
            first += batch.global_size
            del batch, inputs  # no reference is kept here, so that the batch's memory can be used again
            yield task.pop()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, "bcclone-augment")
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def make_augmenter(
    selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, sampling: SamplingSettings
) -> BatchAugmenter | None:
    """Return what augments the samples, or draws the random numbers for the training step; None if nothing does."""
    if not sampling.augmentation.augment:
        return None
    inputs, seed = selection.augmentation_inputs, epoch_order.seed
    if sampling.augmentation.augment_on == "device":
        return BatchAugmenter(inputs, seed, draw_for_device, threads=1)
    # a network that trains on the processor needs the other half: with a thread per core it is slower (decision 0016)
    threads = settings.feed_workers or max((os.cpu_count() or 1) // 2, 1)
    preprocessing = selection.data.preprocessing
    shape = *selection.arrays.frame.shape[1:], *preprocessing.shape
    buffers = Buffers(epoch_order.batch_samples, shape, kept=_AHEAD * threads + 2)
    rows = slice(None) if sampling.whole_images else seen_rows(preprocessing.height)
    augmenter = CpuAugmenter(sampling.augmentation, preprocessing, rows)

    def augment(batch: Batch, inputs: AugmentationInputs, seed: Seed) -> Batch:
        images, into = np.asarray(batch.images), buffers.take(len(batch))
        labels = np.array(batch.labels)
        labels[:, :1] = augmenter.augment(images, labels[:, :1], inputs, _draws(batch, seed), into)
        return replace(batch, images=into, labels=labels)

    return BatchAugmenter(inputs, seed, augment, threads)


def draw_for_device(batch: Batch, inputs: AugmentationInputs, seed: Seed) -> Batch:
    """Return the batch with the random numbers that the training step augments it by."""
    return replace(batch, augmentation=Augmentation(inputs, _draws(batch, seed)))


def _draws(batch: Batch, seed: Seed) -> Draws:
    """Return the random numbers of a batch; those of a part are the same as in the whole batch."""
    draws = draw(batch.global_size, seed)
    return draws if batch.span is None else draws.at(batch.span.first, len(batch))
