"""Augment the batches of a feed on the processor, or draw what a device needs to augment them.

In: a `Batch` and its place in the training. Out: the batch with changed images and steering, or
with the random numbers of the augmentation. They depend on the seed, the epoch and the first sample
of the batch alone, so that a resume is exact.
"""

from dataclasses import replace

import numpy as np

from bcclone.feed.augment import AugmentationInputs
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.augment.random_numbers import draw
from bcclone.feed.feed_settings import SamplingSettings
from bcclone.feed.selection import Selection, lookahead_of
from bcclone.feed.source import Batch, Buffers
from bcclone.feed.strategies import BatchPlace


class Drawing:
    """Draws the random numbers of batches; a `Transform` for a device that augments with them."""

    def __init__(self, selection: Selection, seed: int) -> None:
        self._flipped = selection.arrays.flipped
        self._lookahead_m = lookahead_of(selection.data, selection.row)
        self._seed = seed

    def inputs_of(self, batch: Batch, place: BatchPlace) -> AugmentationInputs:
        """Return what the augmentation of a batch depends on."""
        draws = draw(batch.global_size, (self._seed, place.epoch, place.first))
        # a worker's part has the numbers that it has in the whole batch
        begin = batch.span.first if batch.span else 0
        normal, uniform = (numbers[begin : begin + len(batch)] for numbers in draws)
        flipped = self._flipped[place.positions]
        return AugmentationInputs(flipped, self._lookahead_m[place.positions], normal, uniform)

    def __call__(self, batch: Batch, place: BatchPlace) -> Batch:
        return replace(batch, augmentation=self.inputs_of(batch, place).packed())


class CpuAugmentation:
    """Augments batches in the rows that the network sees; a `Transform`.

    buffers: for the changed images of as many batches as are alive at a time
    """

    def __init__(self, selection: Selection, sampling: SamplingSettings, buffers: Buffers) -> None:
        self._drawing = Drawing(selection, sampling.seed)
        self._buffers = buffers
        self._augmenter = CpuAugmenter(
            sampling.augmentation, selection.data.preprocessing, sampling.whole_images
        )

    def __call__(self, batch: Batch, place: BatchPlace) -> Batch:
        inputs = self._drawing.inputs_of(batch, place)
        labels = np.array(batch.labels)
        changed = self._buffers.take(len(batch))
        # augmentation changes the steering, which is the first label, and no other label
        labels[:, :1] = self._augmenter.augment(
            np.asarray(batch.images), labels[:, :1], inputs, changed
        )
        return replace(batch, images=changed, labels=labels)
