"""Open the feed of a selection of samples, by the strategy that the settings name or that suits the
samples.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from bcclone.dataset.store import Store
from bcclone.feed import strategies
from bcclone.feed.augment import AugmentationInputs
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.augment.random_numbers import draw
from bcclone.feed.feed_settings import (
    AUTO,
    DEVICE,
    STRATEGIES,
    WINDOWS,
    FeedSettings,
    SamplingSettings,
)
from bcclone.feed.order import ALL, BatchPart, EpochOrder, Order
from bcclone.feed.selection import Selection, TrainingData, lookahead_of
from bcclone.feed.source import Batch, Buffers
from bcclone.feed.strategies import Augment, Feed
from bcclone.system.errors import UserError
from bcclone.system.hardware import available_memory

_USABLE_MEMORY, _USABLE_GPU_MEMORY = (
    0.8,
    0.6,
)  # fraction of the available memory; the network needs some, too


def open_feed(
    selection: Selection, settings: FeedSettings, sampling: SamplingSettings, part: BatchPart = ALL
) -> Feed:
    """Return the feed of the training samples, to be used in a `with` block.

    Every strategy gives each sample once per epoch; all that shuffle the whole selection give the
    same batches. Samples of zero steering are left out of each epoch down to
    sampling.zero_fraction. Samples are augmented in the rows that the network sees, on the
    processor or on the device. part: of each batch that this worker trains on. Raises UserError
    when the strategy cannot read these samples, or they do not fit into memory.
    """
    data = selection.data
    if settings.feed == AUTO:
        settings = replace(settings, feed=choose_feed(data)[0])
    check_feed(data, settings)
    order = EpochOrder(
        size=len(selection),
        ordering=settings.ordering,
        seed=sampling.seed,
        zero_steering=selection.zero_steering if sampling.zero_fraction < 1 else None,
        zero_fraction=sampling.zero_fraction,
        batch_size=sampling.batch_size,
        shard=selection.shard if settings.ordering.kind == WINDOWS else None,
        part=part,
    )
    if sampling.zero_fraction < 1 and not len(order):
        raise UserError(
            f"{data.path}: all steering is 0, so --zero-fraction leaves no sample; train without that option"
        )
    strategy = STRATEGIES[settings.feed]
    feed = _maker(settings.feed)(selection, order, settings)
    if not sampling.augmentation.augment:
        return feed
    if sampling.augmentation.augment_on == "device":
        feed.augment = _drawing(selection, sampling, packed=True)
        return feed
    # a network that trains on the processor needs the other half: with a thread per core it is
    # slower (decision 0016)
    usual = feed.threads if strategy.of_files else max((os.cpu_count() or 1) // 2, 1)
    feed.threads = settings.feed_workers or usual
    kept = max(feed.ahead, 2 * feed.threads) + feed.threads + 2
    feed.augment, feed.augments_images = _augmenting(selection, sampling, kept), True
    return feed


def _maker(name: str) -> Callable[[Selection, EpochOrder, FeedSettings], Feed]:
    """Return what makes the feed of a strategy; it may load TensorFlow."""
    module, function = STRATEGIES[name].makes.split(".")
    make: Callable[[Selection, EpochOrder, FeedSettings], Feed] = getattr(
        import_module(f"bcclone.feed.{module}"), function
    )
    return make


def _drawing(selection: Selection, sampling: SamplingSettings, packed: bool = False) -> Augment:
    """Return a function that draws the random numbers of a batch for what augments it. packed: for
    a device.
    """
    lookahead_m = lookahead_of(selection.data, selection.row)

    def add_inputs(batch: Batch, positions: Order, epoch: int, first: int) -> Batch:
        draws = draw(batch.global_size, (sampling.seed, epoch, first))
        begin = (
            batch.span.first if batch.span else 0
        )  # a worker's part has the numbers that it has in the whole batch
        own = (each[begin : begin + len(batch)] for each in draws)
        inputs = AugmentationInputs(
            selection.arrays.flipped[positions], lookahead_m[positions], *own
        )
        return replace(batch, augmentation=inputs.packed() if packed else inputs)

    return add_inputs


def _augmenting(selection: Selection, sampling: SamplingSettings, kept: int) -> Augment:
    """Return a function that augments a batch, in the rows that the network sees. kept: batches
    alive at a time.
    """
    preprocessing, add_inputs = selection.data.preprocessing, _drawing(selection, sampling)
    buffers = Buffers(
        sampling.batch_size, (*selection.arrays.frame.shape[1:], *preprocessing.shape), kept
    )
    augmenter = CpuAugmenter(sampling.augmentation, preprocessing, sampling.whole_images)

    def augment(batch: Batch, *place: Any) -> Batch:
        inputs = AugmentationInputs(*add_inputs(batch, *place).augmentation)
        images, into, labels = (
            np.asarray(batch.images),
            buffers.take(len(batch)),
            np.array(batch.labels),
        )
        labels[:, :1] = augmenter.augment(images, labels[:, :1], inputs, into)
        return replace(batch, images=into, labels=labels)

    return augment


def open_validation_feed(
    selection: Selection, batch_size: int, part: BatchPart = ALL, feed: str = ""
) -> Feed:
    """Return the feed of the validation samples, in their order, to be used in a `with` block.

    part: of each batch that this worker evaluates; feed: of the training samples; with DEVICE,
    these frames are on the device, too.
    """
    data, order = selection.data, EpochOrder(len(selection), batch_size=batch_size, part=part)
    if isinstance(data, Store):
        if feed == DEVICE and len(selection):
            return _maker(DEVICE)(selection, order, FeedSettings())
        make = strategies.windows if data.frames.is_far else strategies.hdf5_shuffle
        return make(selection, order, FeedSettings())
    return strategies.files(selection, order, FeedSettings())


def check_feed(data: TrainingData, settings: FeedSettings) -> None:
    """Raise UserError when the strategy, which is not AUTO, cannot read the samples, or they do not
    fit into memory.
    """
    strategy = STRATEGIES[settings.feed]
    if strategy.of_files and isinstance(data, Store):
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads images; give it the recording that the store was made of"
        )
    if not strategy.of_files and not isinstance(data, Store):
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads a store; make one with: bcclone preprocess {data.path} "
            "-o data.h5, or use --feed files"
        )
    if isinstance(data, Store):
        if data.frames.is_far and not strategy.at_url:
            raise UserError(
                f"{data.path}: --feed {settings.feed} reads local stores; use --feed shards, or copy the store here"
            )
        data.frames.check_cache(settings.cache_bytes, settings.window_shards)
        needed, available = strategy.copies * data.frames.nbytes / 1e9, available_memory() / 1e9
        if needed > _USABLE_MEMORY * available:
            raise UserError(
                f"{data.path}: loading its frames takes {needed:.1f} GB of memory, and {available:.1f} GB are "
                "available; use --feed hdf5-chunks, which needs little"
            )


def choose_feed(data: TrainingData, gpu_memory: float = 0.0) -> tuple[str, str]:
    """Return the strategy that suits the samples and this machine, and the reason.

    gpu_memory: free bytes of the GPU that trains, 0.0 without one.
    """
    if not isinstance(data, Store):
        return "files", "there is no store; preprocess.py makes one, which is many times faster"
    if data.frames.is_far:
        return "shards", "the store is at a URL"
    needed, available = data.frames.nbytes / 1e9, available_memory() / 1e9
    fits = STRATEGIES[DEVICE].copies * needed < _USABLE_MEMORY * available
    if fits and needed < _USABLE_GPU_MEMORY * gpu_memory / 1e9:
        return DEVICE, f"{needed:.2f} GB of frames, {gpu_memory / 1e9:.1f} GB of GPU memory free"
    reason = f"{needed:.2f} GB of frames, {available:.1f} GB of memory available"
    if needed < _USABLE_MEMORY * available:
        return "hdf5-shuffle", reason
    return ("shards" if len(data.frames.files) > 1 else "hdf5-chunks"), reason
