"""Open the feed of a selection of samples, with the strategy of the settings, or choose a strategy for the samples.

Each strategy is a function that returns its feed; those that need Keras or TensorFlow have modules of their own.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from bcclone.dataset.images import seen_rows
from bcclone.dataset.store import Store
from bcclone.feed.augmented import AHEAD, AugmentedFeed, augment_on_cpu, draw_for_device
from bcclone.feed.feed import Buffers, Feed
from bcclone.feed.feed_settings import AUTO, FeedSettings, SamplingSettings
from bcclone.feed.order import WHOLE_BATCH, BatchPart, EpochOrder, Order, batches, split_into_windows
from bcclone.feed.processes import PipeFetcher, SharedMemoryFetcher
from bcclone.feed.read_ahead import ReadAheadFetcher
from bcclone.feed.selection import Selection, TrainingData
from bcclone.feed.source import FileSource, FrameSource
from bcclone.feed.threads import ThreadFetcher
from bcclone.system.errors import UserError
from bcclone.system.hardware import available_memory

MakeFeed = Callable[[Selection, EpochOrder, FeedSettings, int], Feed]

_MEGABYTE = 10**6
_QUEUE_SIZE = 8  # batches
_PROCESSES, _SLOTS_PER_PROCESS = 2, 4
_USABLE_MEMORY = 0.8  # fraction of the available memory; the network needs some, too
_COPIES = {"memory": 1, "device": 2}  # of the frames in memory; TensorFlow copies what it is given
_WITH_TENSORFLOW = {
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
    data, arrays, size = selection.data, selection.arrays, part.span(batch_size).samples
    epoch_order = EpochOrder(len(selection), batch_size=batch_size, part=part)
    if not isinstance(data, Store):
        return Feed(epoch_order, ThreadFetcher(FileSource.of(data, arrays), size, threads=1))
    if data.frames.is_far:
        return Feed(epoch_order, _window_fetcher(selection, size))
    return Feed(epoch_order, ThreadFetcher(FrameSource.mapped(data, arrays), size))


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
        data.frames.check_cache(settings.cache_mb * _MEGABYTE, settings.window_shards)
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
    if name in STORE_STRATEGIES:
        return STORE_STRATEGIES[name]
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
    return AugmentedFeed(feed, epoch_order, inputs, augment_on_cpu(augmenter, buffers), threads)


def hdf5(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of the memory-mapped store: hdf5 in the order of the store, hdf5-shuffle truly shuffled.

    Shuffling costs nothing while the file fits into memory.
    """
    source = FrameSource.mapped(selection.store, selection.arrays)
    return Feed(epoch_order, ThreadFetcher(source, batch_size, settings.max_queue_size))


def hdf5_chunks(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of chunks of the store, read ahead: for stores larger than memory."""
    source = FrameSource.mapped(selection.store, selection.arrays)

    def split(order: Order) -> list[Order]:
        return list(batches(order, settings.chunk_size))

    return Feed(epoch_order, ReadAheadFetcher(source, batch_size, settings.max_queue_size, split))


def shards(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of windows of a store's files, read ahead: for stores larger than memory, or far away.

    Raises UserError when the copies of far files do not fit into the cache.
    """
    frames, limit = selection.store.frames, settings.cache_mb * _MEGABYTE
    streams = -(-settings.ordering.streams // epoch_order.part.count)  # that this process draws its batches from
    frames.check_cache(limit, settings.window_shards * streams)
    frames.open_cache(Path(settings.cache) if settings.cache else None, limit)
    return Feed(epoch_order, _window_fetcher(selection, batch_size, settings.max_queue_size))


def _window_fetcher(selection: Selection, batch_size: int, ahead: int = 0) -> ReadAheadFetcher:
    """Return a fetcher that reads the next files of an order while batches are filled from the current ones."""
    source = FrameSource.mapped(selection.store, selection.arrays)

    def split(order: Order) -> list[Order]:
        return [order[part] for part in split_into_windows(selection.shard[order])]

    return ReadAheadFetcher(source, batch_size, ahead, split)


def memory(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of frames that are all read into memory first."""
    source = FrameSource.in_memory(selection.store, selection.arrays)
    return Feed(epoch_order, ThreadFetcher(source, batch_size, settings.max_queue_size))


def files(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed that reads and decodes the images of a recording for each batch; needs no store."""
    source = FileSource.of(selection.image_samples, selection.arrays, threads=settings.feed_workers)
    return Feed(epoch_order, ThreadFetcher(source, batch_size, settings.max_queue_size, threads=1))


def queue(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of one loader process, a pipe and a bounded queue."""
    source = FrameSource.mapped(selection.store, selection.arrays)
    return Feed(epoch_order, PipeFetcher(source, batch_size, settings.max_queue_size or _QUEUE_SIZE))


def workers(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of loader processes that write into shared memory; the order does not depend on their speed."""
    source = FrameSource.mapped(selection.store, selection.arrays)
    processes = settings.feed_workers or _PROCESSES
    slots = settings.max_queue_size or processes * _SLOTS_PER_PROCESS
    return Feed(epoch_order, SharedMemoryFetcher(source, batch_size, processes, slots))


STORE_STRATEGIES: dict[str, MakeFeed] = {
    "files": files,
    "memory": memory,
    "hdf5": hdf5,
    "hdf5-chunks": hdf5_chunks,
    "shards": shards,
    "hdf5-shuffle": hdf5,
    "queue": queue,
    "workers": workers,
}
