"""Augment the batches of a feed in threads, or add the random numbers with which the training step augments them."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from bcclone.dataset.images import seen_rows
from bcclone.feed.augment.kind import AugmentationInputs, Draws
from bcclone.feed.augment.kinds import draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.feed import Augmentation, Batch, Buffers, Feed
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.order import EpochOrder
from bcclone.feed.selection import Selection
from bcclone.system.prefetch import prefetch_ordered

Seed = tuple[int, int, int]
# batch, augmentation inputs, seed of the draws -> augmented batch; called in threads
Work = Callable[[Batch, AugmentationInputs, Seed], Batch]
_Task = tuple[Batch, AugmentationInputs, Seed]

_AHEAD = 2  # batches per thread


class AugmentedFeed(Feed):
    """Apply `work` to the batches of a feed; its seed is (seed, epoch, first sample of the batch over all workers).

    So a resume is exact, and several workers augment the samples like one.

    epoch_order: that of the feed; inputs: augmentation inputs of its samples, by position; threads: number of workers.
    """

    def __init__(
        self, feed: Feed, epoch_order: EpochOrder, inputs: AugmentationInputs, work: Work, threads: int
    ) -> None:
        self._feed, self._epoch_order, self._inputs, self._work = feed, epoch_order, inputs, work
        self._ahead, self._pool = _AHEAD * threads, ThreadPoolExecutor(threads, "bcclone-augment")

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch."""
        with (
            self._feed.epoch(number, start) as batches,
            prefetch_ordered(self._apply, self._tasks(batches, number, start), self._pool, self._ahead) as augmented,
        ):
            yield augmented

    def _tasks(self, batches: Iterator[Batch], number: int, start: int) -> Iterator[_Task]:
        positions, fetched, first = self._epoch_order.positions(number, start), 0, start
        while (batch := next(batches, None)) is not None:
            inputs = self._inputs.at(positions[fetched : fetched + len(batch)])
            task = [(batch, inputs, (self._epoch_order.seed, number, first))]
            fetched += len(batch)
            first += batch.global_size
            del batch, inputs  # no reference is kept here, so that the batch's memory can be used again
            yield task.pop()

    def _apply(self, task: _Task) -> Batch:
        return self._work(*task)

    def close(self) -> None:
        """Stop the threads and close the feed."""
        self._pool.shutdown(cancel_futures=True)
        self._feed.close()


def augmented(
    feed: Feed, selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, sampling: SamplingSettings
) -> Feed:
    """Return the feed with its samples augmented, or with the random numbers for the training step to augment them."""
    inputs = selection.augmentation_inputs
    if sampling.augmentation.augment_on == "device":
        return AugmentedFeed(feed, epoch_order, inputs, draw_for_device, threads=1)
    # a network that trains on the processor needs the other half: with a thread per core it is slower (decision 0016)
    threads = settings.feed_workers or max((os.cpu_count() or 1) // 2, 1)
    preprocessing = selection.data.preprocessing
    shape = *selection.arrays.frame.shape[1:], preprocessing.height, preprocessing.width, 3
    buffers = Buffers(epoch_order.part.span(sampling.batch_size).samples, shape, kept=_AHEAD * threads + 2)
    rows = slice(None) if sampling.whole_images else seen_rows(preprocessing.height)
    augmenter = CpuAugmenter(sampling.augmentation, preprocessing, rows)

    def augment(batch: Batch, inputs: AugmentationInputs, seed: Seed) -> Batch:
        images, into = np.asarray(batch.images), buffers.take(len(batch))
        labels = np.array(batch.labels)
        labels[:, :1] = augmenter.augment(images, labels[:, :1], inputs, _draws(batch, seed), into)
        return replace(batch, images=into, labels=labels)

    return AugmentedFeed(feed, epoch_order, inputs, augment, threads)


def draw_for_device(batch: Batch, inputs: AugmentationInputs, seed: Seed) -> Batch:
    """Return the batch with the random numbers that the training step augments it by."""
    return replace(batch, augmentation=Augmentation(inputs, _draws(batch, seed)))


def _draws(batch: Batch, seed: Seed) -> Draws:
    """Return the random numbers of a batch; those of a part are the same as in the whole batch."""
    draws = draw(batch.global_size, seed)
    return draws if batch.span is None else draws.at(batch.span.first, len(batch))
