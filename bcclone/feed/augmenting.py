"""Augment the batches of a feed on the CPU, or draw the random numbers for augmenting on a device.

In: a `Batch` and its place in the training. Out: the batch with changed images and steering, or
with the random numbers of the augmentation. The random numbers depend only on the seed, the epoch
and the place of the batch in the epoch, so that a resumed training gets the same ones.
"""

from dataclasses import replace

import numpy as np

from bcclone.feed.augment import AugmentationInputs
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.augment.random_numbers import draw
from bcclone.feed.feed_settings import SamplingSettings
from bcclone.feed.selection import Selection, sample_lookaheads
from bcclone.feed.source import Batch, Buffers
from bcclone.feed.strategies import BatchPlace


class RandomDraws:
    """Draws the random numbers of batches; a `Transform` for a device that augments with them."""

    def __init__(self, selection: Selection, seed: int) -> None:
        self._flipped = selection.arrays.flipped
        self._lookahead_m = sample_lookaheads(selection.data, selection.row)
        self._seed = seed

    def inputs_of(self, batch: Batch, place: BatchPlace) -> AugmentationInputs:
        """Return the inputs of the augmentation of a batch: flips, lookaheads, random numbers."""
        draws = draw(batch.global_size, (self._seed, place.epoch, place.first))
        # numbers are drawn for the batch of all workers, and this worker takes those of its part;
        # so a sample is augmented alike for any number of workers
        begin = batch.span.first if batch.span else 0
        normal, uniform = (numbers[begin : begin + len(batch)] for numbers in draws)
        flipped = self._flipped[place.positions]
        return AugmentationInputs(flipped, self._lookahead_m[place.positions], normal, uniform)

    def __call__(self, batch: Batch, place: BatchPlace) -> Batch:
        return replace(batch, augmentation=self.inputs_of(batch, place).packed())


class CpuAugmentation:
    """Augments the images and the steering of batches; a `Transform`.

    Unless sampling.whole_images, only the image rows that the network sees are changed.

    buffers: memory for the changed images
    """

    def __init__(self, selection: Selection, sampling: SamplingSettings, buffers: Buffers) -> None:
        self._draws = RandomDraws(selection, sampling.seed)
        self._buffers = buffers
        self._augmenter = CpuAugmenter(
            sampling, selection.data.preprocessing, sampling.whole_images
        )

    def __call__(self, batch: Batch, place: BatchPlace) -> Batch:
        inputs = self._draws.inputs_of(batch, place)
        labels = np.array(batch.labels)
        changed = self._buffers.take(len(batch))
        # augmentation changes the steering, which is the first label, and no other label
        labels[:, :1] = self._augmenter.augment(
            np.asarray(batch.images), labels[:, :1], inputs, changed
        )
        return replace(batch, images=changed, labels=labels)
