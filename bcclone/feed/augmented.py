"""Augment a batch in the thread that loads it, or add the random numbers with which the training step augments it.

In: a batch, and its positions. Out: the same batch, changed or with random numbers.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bcclone.dataset.preprocessing import seen_rows
from bcclone.feed.augment.kind import Draws
from bcclone.feed.augment.kinds import draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.feed_settings import SamplingSettings
from bcclone.feed.order import Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, Buffers

# batch, positions of its samples, number of the epoch, first sample of the whole batch in the epoch -> the batch
Augment = Callable[[Batch, Order, int, int], Batch]


def on_device(selection: Selection, sampling: SamplingSettings) -> Augment:
    """Return what draws the random numbers of a batch for the training step, which augments it."""
    inputs = selection.augmentation_inputs

    def add_draws(batch: Batch, positions: Order, epoch: int, first: int) -> Batch:
        own, draws = inputs.at(positions), _draws(batch, sampling.seed, epoch, first)
        return replace(batch, augmentation=(own.flipped, own.lookahead_m, draws.normal, draws.uniform))

    return add_draws


def on_cpu(selection: Selection, sampling: SamplingSettings, kept: int) -> Augment:
    """Return what augments a batch, in the rows that the network sees. kept: number of batches alive at a time."""
    inputs, preprocessing = selection.augmentation_inputs, selection.data.preprocessing
    shape = *selection.arrays.frame.shape[1:], *preprocessing.shape
    buffers = Buffers(sampling.batch_size, shape, kept)
    rows = slice(None) if sampling.whole_images else seen_rows(preprocessing.height)
    augmenter = CpuAugmenter(sampling.augmentation, preprocessing, rows)

    def augment(batch: Batch, positions: Order, epoch: int, first: int) -> Batch:
        images, into, labels = np.asarray(batch.images), buffers.take(len(batch)), np.array(batch.labels)
        draws = _draws(batch, sampling.seed, epoch, first)
        labels[:, :1] = augmenter.augment(images, labels[:, :1], inputs.at(positions), draws, into)
        return replace(batch, images=into, labels=labels)

    return augment


def _draws(batch: Batch, seed: int, epoch: int, first: int) -> Draws:
    """Return the random numbers of a batch; those of one worker's part are the same as in the whole batch."""
    draws = draw(batch.global_size, (seed, epoch, first))
    return draws if batch.span is None else draws.at(batch.span.first, len(batch))
