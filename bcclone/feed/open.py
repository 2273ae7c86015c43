"""Settings and samples -> the feed: which strategy, and whether the samples suit it."""

import os
from dataclasses import replace
from importlib import import_module

from bcclone.errors import UserError
from bcclone.feed.augmented import AHEAD, AugmentedFeed, augment_on_cpu, draw_for_device
from bcclone.feed.buffers import Buffers
from bcclone.feed.feed import Feed
from bcclone.feed.order import Epochs
from bcclone.feed.selection import augmentation_inputs, select, straight_of
from bcclone.feed.settings import DrawSettings, FeedSettings
from bcclone.feed.source import Columns, FileSource, Source, StoreSource
from bcclone.feed.store_strategies import STORE_STRATEGIES, MakeFeed
from bcclone.feed.threads import ThreadFetcher
from bcclone.images import seen_rows
from bcclone.memory import available_memory
from bcclone.store import Store
from bcclone.store.image_samples import ImageSamples

_SHARE_OF_MEMORY = 0.8  # the network wants some, too
_COPIES = {"memory": 1, "device": 2}  # of the frames in memory; TensorFlow copies what it is given

_WITH_TENSORFLOW = {
    "sequence": "bcclone.feed.keras_sequence",
    "tf-data": "bcclone.feed.tf_data",
    "device": "bcclone.feed.device",
}

TrainingData = Store | ImageSamples


def open_feed(data: TrainingData, settings: FeedSettings, drawn: DrawSettings) -> Feed:
    """Open the feed of the training samples, or of their windows, to be closed.

    Every strategy gives each sample once an epoch; those that shuffle truly give the same batches. Of the samples that
    drive straight on so many are left out of each epoch, others each time, that zero_share of it is of them at most.
    Samples are augmented in those rows that the network sees, by drawn.augment_on.
    Raises UserError when the samples are not in a form that the strategy reads, or do not fit where it wants them.
    """
    check_feed(data, settings)
    columns = select(data, False, drawn.seq_length)
    epochs = Epochs.of(settings, len(columns.frame), drawn.seed)
    if drawn.zero_share < 1:
        epochs = replace(epochs, straight=straight_of(data, False, drawn.seq_length), zero_share=drawn.zero_share)
        if not len(epochs):
            raise UserError(f"{data.path}: all of its steering is 0; without --zero-share it can be trained on")
    feed = _strategy(settings.feed)(data, columns, epochs, settings, drawn.batch_size)
    return _augmented(feed, data, epochs, settings, drawn) if drawn.augment.augment else feed


def _strategy(name: str) -> MakeFeed:
    """Return what makes the feed of a strategy; only those of Keras and TensorFlow load them."""
    if name in STORE_STRATEGIES:
        return STORE_STRATEGIES[name]
    make_feed: MakeFeed = import_module(_WITH_TENSORFLOW[name]).make_feed
    return make_feed


def _augmented(feed: Feed, data: TrainingData, epochs: Epochs, settings: FeedSettings, drawn: DrawSettings) -> Feed:
    """Return the feed with its samples augmented, or drawn for the training step to augment them."""
    inputs = augmentation_inputs(data, False, drawn.seq_length)
    if drawn.augment_on == "device":
        return AugmentedFeed(feed, epochs, inputs, draw_for_device, threads=1)
    from bcclone.augment.on_cpu import CpuAugmenter  # loads Numba

    # a network that is trained on the processor needs the other half: with a thread a core it is slower (decision 0016)
    threads, made = settings.workers or max((os.cpu_count() or 1) // 2, 1), data.preprocessing
    shape = *((drawn.seq_length,) if drawn.seq_length > 1 else ()), made.height, made.width, 3
    buffers = Buffers(drawn.batch_size, shape, kept=AHEAD * threads + 2)
    augmenter = CpuAugmenter(drawn.augment, made, seen_rows(made.height))
    return AugmentedFeed(feed, epochs, inputs, augment_on_cpu(augmenter, buffers), threads)


def check_feed(data: TrainingData, settings: FeedSettings) -> None:
    """Raise UserError when the samples are not in a form that the strategy reads, or do not fit into memory."""
    if settings.feed == "files" and isinstance(data, Store):
        raise UserError(f"{data.path}: --feed files reads images; give it the recording that the store was made of")
    if settings.feed != "files" and not isinstance(data, Store):
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads a store; make one with: python preprocess.py {data.path} "
            "-o data.h5, or take --feed files"
        )
    if settings.feed in _COPIES and isinstance(data, Store):
        _check_memory(data, _COPIES[settings.feed])


def _check_memory(store: Store, copies: int) -> None:
    needed, available = copies * store.frames.nbytes / 1e9, available_memory()
    if available is not None and needed > _SHARE_OF_MEMORY * available / 1e9:
        raise UserError(
            f"{store.path}: its frames take {needed:.1f} GB on their way into memory, and {available / 1e9:.1f} GB are "
            "available; take --feed hdf5-chunks, which needs little"
        )


def open_validation_feed(data: TrainingData, batch_size: int, seq_length: int = 1) -> Feed:
    """Open the feed of the validation samples, or of their windows, in their order, to be closed."""
    source = _source(data, select(data, True, seq_length))
    return Feed(Epochs(len(source)), ThreadFetcher(source, batch_size))


def _source(data: TrainingData, columns: Columns) -> Source:
    return StoreSource.of(data, columns) if isinstance(data, Store) else FileSource.of(data, columns)


def choose_feed(data: TrainingData) -> tuple[str, str]:
    """Return the strategy that suits the samples and this machine, and why."""
    if not isinstance(data, Store):
        return "files", "there is no store; preprocess.py makes one, which is many times faster"
    needed, available = data.frames.nbytes / 1e9, available_memory()
    if available is None:
        return "hdf5-shuffle", f"{needed:.2f} GB of frames"
    told = f"{needed:.2f} GB of frames, {available / 1e9:.1f} GB of memory available"
    return ("hdf5-shuffle" if needed < _SHARE_OF_MEMORY * available / 1e9 else "hdf5-chunks"), told
