"""Open the feed of a selection of samples, with the strategy of the settings, or choose a strategy for the samples.

A strategy is a function that returns its feed, in the module of its fetcher; modules that load TensorFlow are imported
when their strategy is used.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from bcclone.dataset.images import seen_rows
from bcclone.dataset.store import Store
from bcclone.feed.augmented import AHEAD, AugmentedFeed, augment_on_cpu, draw_for_device
from bcclone.feed.feed import Buffers, Feed
from bcclone.feed.feed_settings import AUTO, FeedSettings, SamplingSettings
from bcclone.feed.order import WHOLE_BATCH, BatchPart, EpochOrder
from bcclone.feed.processes import queue, workers
from bcclone.feed.read_ahead import MEGABYTE, hdf5_chunks, shards, window_fetcher
from bcclone.feed.selection import Selection, TrainingData
from bcclone.feed.threads import ThreadFetcher, files, hdf5, memory
from bcclone.system.errors import UserError
from bcclone.system.hardware import available_memory

MakeFeed = Callable[[Selection, EpochOrder, FeedSettings, int], Feed]

_USABLE_MEMORY = 0.8  # fraction of the available memory; the network needs some, too
_COPIES = {"memory": 1, "device": 2}  # of the frames in memory; TensorFlow copies what it is given
_FEEDS: dict[str, MakeFeed] = {
    "files": files,
    "memory": memory,
    "hdf5": hdf5,
    "hdf5-chunks": hdf5_chunks,
    "shards": shards,
    "hdf5-shuffle": hdf5,
    "queue": queue,
    "workers": workers,
}
_WITH_TENSORFLOW = {  # name -> module, whose make_feed() is used
    "sequence": "bcclone.feed.keras_sequence",
    "tf-data": "bcclone.feed.tf_data",
    "device": "bcclone.feed.device",
}


def open_feed(
    selection: Selection, settings: FeedSettings, sampling: SamplingSettings, part: BatchPart = WHOLE_BATCH
) -> Feed:
    """Open the feed of the training samples; close it after use.

    Every strategy gives each sample once per epoch; all that shuffle the whole selection give the same batches.
    Samples of zero steering are left out of each epoch down to sampling.zero_fraction. Samples are augmented in the
    rows that the network sees, on the processor or on the device. part: the worker's part of each batch.
    Raises UserError when the strategy cannot read these samples, or they do not fit into memory.
    """
    data = selection.data
    if settings.feed == AUTO:
        settings = replace(settings, feed=choose_feed(data)[0])
    check_feed(data, settings)
    shard = selection.shard if settings.ordering.kind == "windows" else None
    epoch_order = EpochOrder.of(settings, len(selection), sampling.seed, shard)
    epoch_order = replace(epoch_order, batch_size=sampling.batch_size, part=part)
    if sampling.zero_fraction < 1:
        epoch_order = replace(epoch_order, zero_steering=selection.zero_steering, zero_fraction=sampling.zero_fraction)
        if not len(epoch_order):
            raise UserError(
                f"{data.path}: all steering is 0, so --zero-fraction leaves no sample; train without that option"
            )
    feed = _strategy(settings.feed)(selection, epoch_order, settings, part.span(sampling.batch_size).samples)
    if not sampling.augmentation.augment:
        return feed
    return _augmented(feed, selection, epoch_order, settings, sampling)


def open_validation_feed(selection: Selection, batch_size: int, part: BatchPart = WHOLE_BATCH) -> Feed:
    """Open the feed of the validation samples, in their order; close it after use.

    part: the worker's part of each batch.
    """
    data, size = selection.data, part.span(batch_size).samples
    epoch_order = EpochOrder(len(selection), batch_size=batch_size, part=part)
    if not isinstance(data, Store):
        return Feed(epoch_order, ThreadFetcher(selection.file_source(), size, threads=1))
    if data.frames.is_far:
        return Feed(epoch_order, window_fetcher(selection, size))
    return Feed(epoch_order, ThreadFetcher(selection.mapped_source(), size))


def check_feed(data: TrainingData, settings: FeedSettings) -> None:
    """Raise UserError when the strategy cannot read the samples, or they do not fit into memory."""
    if settings.feed == "files" and isinstance(data, Store):
        raise UserError(f"{data.path}: --feed files reads images; give it the recording that the store was made of")
    if settings.feed != "files" and not isinstance(data, Store):
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads a store; make one with: python preprocess.py {data.path} "
            "-o data.h5, or use --feed files"
        )
    if isinstance(data, Store):
        if data.frames.is_far and settings.feed not in (AUTO, "shards"):
            raise UserError(
                f"{data.path}: --feed {settings.feed} reads local stores; use --feed shards, or copy the store here"
            )
        data.frames.check_cache(settings.cache_mb * MEGABYTE, settings.window_shards)
    if settings.feed in _COPIES and isinstance(data, Store):
        _check_memory(data, _COPIES[settings.feed])


def choose_feed(data: TrainingData) -> tuple[str, str]:
    """Return the strategy that suits the samples and this machine, and the reason."""
    if not isinstance(data, Store):
        return "files", "there is no store; preprocess.py makes one, which is many times faster"
    if data.frames.is_far:
        return "shards", "the store is at a URL"
    needed, available = data.frames.nbytes / 1e9, available_memory()
    if available is None:
        return "hdf5-shuffle", f"{needed:.2f} GB of frames"
    reason = f"{needed:.2f} GB of frames, {available / 1e9:.1f} GB of memory available"
    if needed < _USABLE_MEMORY * available / 1e9:
        return "hdf5-shuffle", reason
    return ("shards" if len(data.frames.files) > 1 else "hdf5-chunks"), reason


def _check_memory(store: Store, copies: int) -> None:
    needed, available = copies * store.frames.nbytes / 1e9, available_memory()
    if available is not None and needed > _USABLE_MEMORY * available / 1e9:
        raise UserError(
            f"{store.path}: loading its frames takes {needed:.1f} GB of memory, and {available / 1e9:.1f} GB are "
            "available; use --feed hdf5-chunks, which needs little"
        )


def _strategy(name: str) -> MakeFeed:
    """Return the function that makes the feed of a strategy; only those of Keras and TensorFlow load them."""
    if name in _FEEDS:
        return _FEEDS[name]
    make_feed: MakeFeed = import_module(_WITH_TENSORFLOW[name]).make_feed
    return make_feed


def _augmented(
    feed: Feed, selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, sampling: SamplingSettings
) -> Feed:
    """Return the feed with its samples augmented, or with the random numbers for the training step to augment them."""
    inputs = selection.augmentation_inputs
    if sampling.augmentation.augment_on == "device":
        return AugmentedFeed(feed, epoch_order, inputs, draw_for_device, threads=1)
    from bcclone.feed.augment.on_cpu import CpuAugmenter  # loads Numba

    # a network that trains on the processor needs the other half: with a thread per core it is slower (decision 0016)
    threads = settings.feed_workers or max((os.cpu_count() or 1) // 2, 1)
    preprocessing = selection.data.preprocessing
    shape = *selection.arrays.frame.shape[1:], preprocessing.height, preprocessing.width, 3
    buffers = Buffers(epoch_order.part.span(sampling.batch_size).samples, shape, kept=AHEAD * threads + 2)
    rows = slice(None) if sampling.whole_images else seen_rows(preprocessing.height)
    augmenter = CpuAugmenter(sampling.augmentation, preprocessing, rows)
    return AugmentedFeed(feed, epoch_order, inputs, augment_on_cpu(augmenter.augment, buffers), threads)
