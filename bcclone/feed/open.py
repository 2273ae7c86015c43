"""Open the feed of a selection of samples with the strategy that the settings name."""

import os
from dataclasses import replace
from importlib import import_module

from bcclone.errors import UserError
from bcclone.feed.augmented import AHEAD, AugmentedFeed, augment_on_cpu, draw_for_device
from bcclone.feed.buffers import Buffers
from bcclone.feed.feed import Feed
from bcclone.feed.order import EpochOrder
from bcclone.feed.selection import Selection, TrainingData
from bcclone.feed.settings import FeedSettings, SamplingSettings
from bcclone.feed.source import FileSource, StoreSource
from bcclone.feed.store_strategies import STORE_STRATEGIES, MakeFeed
from bcclone.feed.threads import ThreadFetcher
from bcclone.images import seen_rows
from bcclone.memory import available_memory
from bcclone.store import Store

_USABLE_MEMORY = 0.8  # fraction of the available memory; the network needs some, too
_COPIES = {"memory": 1, "device": 2}  # of the frames in memory; TensorFlow copies what it is given

_WITH_TENSORFLOW = {
    "sequence": "bcclone.feed.keras_sequence",
    "tf-data": "bcclone.feed.tf_data",
    "device": "bcclone.feed.device",
}


def open_feed(selection: Selection, settings: FeedSettings, sampling: SamplingSettings) -> Feed:
    """Open the feed of the training samples; close it after use.

    Every strategy gives each sample once per epoch; all that shuffle the whole selection give the same batches.
    Samples of zero steering are left out of each epoch down to sampling.zero_fraction. Samples are augmented in the
    rows that the network sees, on the processor or on the device.
    Raises UserError when the strategy cannot read these samples, or they do not fit into memory.
    """
    data = selection.data
    check_feed(data, settings)
    epoch_order = EpochOrder.of(settings, len(selection), sampling.seed)
    if sampling.zero_fraction < 1:
        epoch_order = replace(epoch_order, zero_steering=selection.zero_steering, zero_fraction=sampling.zero_fraction)
        if not len(epoch_order):
            raise UserError(f"{data.path}: all of its steering is 0; without --zero-fraction it can be trained on")
    feed = _strategy(settings.feed)(selection, epoch_order, settings, sampling.batch_size)
    if not sampling.augmentation.augment:
        return feed
    return _augmented(feed, selection, epoch_order, settings, sampling)


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
    from bcclone.augment.on_cpu import CpuAugmenter  # loads Numba

    # a network that trains on the processor needs the other half: with a thread per core it is slower (decision 0016)
    threads = settings.workers or max((os.cpu_count() or 1) // 2, 1)
    preprocessing = selection.data.preprocessing
    shape = *selection.arrays.frame.shape[1:], preprocessing.height, preprocessing.width, 3
    buffers = Buffers(sampling.batch_size, shape, kept=AHEAD * threads + 2)
    augmenter = CpuAugmenter(sampling.augmentation, preprocessing, seen_rows(preprocessing.height))
    return AugmentedFeed(feed, epoch_order, inputs, augment_on_cpu(augmenter, buffers), threads)


def open_validation_feed(selection: Selection, batch_size: int) -> Feed:
    """Open the feed of the validation samples, in their order; close it after use."""
    data, arrays = selection.data, selection.arrays
    source = StoreSource.of(data, arrays) if isinstance(data, Store) else FileSource.of(data, arrays)
    return Feed(EpochOrder(len(source)), ThreadFetcher(source, batch_size))


def check_feed(data: TrainingData, settings: FeedSettings) -> None:
    """Raise UserError when the strategy cannot read the samples, or they do not fit into memory."""
    if settings.feed == "files" and isinstance(data, Store):
        raise UserError(f"{data.path}: --feed files reads images; give it the recording that the store was made of")
    if settings.feed != "files" and not isinstance(data, Store):
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads a store; make one with: python preprocess.py {data.path} "
            "-o data.h5, or use --feed files"
        )
    if settings.feed in _COPIES and isinstance(data, Store):
        _check_memory(data, _COPIES[settings.feed])


def _check_memory(store: Store, copies: int) -> None:
    needed, available = copies * store.frames.nbytes / 1e9, available_memory()
    if available is not None and needed > _USABLE_MEMORY * available / 1e9:
        raise UserError(
            f"{store.path}: loading its frames takes {needed:.1f} GB of memory, and {available / 1e9:.1f} GB are "
            "available; use --feed hdf5-chunks, which needs little"
        )


def choose_feed(data: TrainingData) -> tuple[str, str]:
    """Return the strategy that suits the samples and this machine, and the reason."""
    if not isinstance(data, Store):
        return "files", "there is no store; preprocess.py makes one, which is many times faster"
    needed, available = data.frames.nbytes / 1e9, available_memory()
    if available is None:
        return "hdf5-shuffle", f"{needed:.2f} GB of frames"
    reason = f"{needed:.2f} GB of frames, {available / 1e9:.1f} GB of memory available"
    return ("hdf5-shuffle" if needed < _USABLE_MEMORY * available / 1e9 else "hdf5-chunks"), reason
