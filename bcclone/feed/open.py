"""Open the feed of a selection of samples, with the strategy of the settings, or choose a strategy for the samples."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from bcclone.dataset.store import Store
from bcclone.feed.feed import Feed
from bcclone.feed.feed_settings import AUTO, STRATEGIES, WINDOWS, FeedSettings, SamplingSettings
from bcclone.feed.order import WHOLE_BATCH, BatchPart, EpochOrder
from bcclone.feed.read_ahead import MEGABYTE, window_fetcher
from bcclone.feed.selection import Selection, TrainingData
from bcclone.system.errors import UserError
from bcclone.system.hardware import available_memory

# samples, their order, settings, batch size -> feed
MakeFeed = Callable[[Selection, EpochOrder, FeedSettings, int], Feed]

_USABLE_MEMORY = 0.8  # fraction of the available memory; the network needs some, too


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
    shard = selection.shard if settings.ordering.kind == WINDOWS else None
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
    from bcclone.feed.augmented import augmented  # loads Numba

    return augmented(feed, selection, epoch_order, settings, sampling)


def open_validation_feed(selection: Selection, batch_size: int, part: BatchPart = WHOLE_BATCH) -> Feed:
    """Open the feed of the validation samples, in their order; close it after use.

    part: the worker's part of each batch.
    """
    data, size = selection.data, part.span(batch_size).samples
    epoch_order = EpochOrder(len(selection), batch_size=batch_size, part=part)
    if isinstance(data, Store) and data.frames.is_far:
        return Feed(epoch_order, window_fetcher(selection, size))
    name = "hdf5" if isinstance(data, Store) else "files"
    return _strategy(name)(selection, epoch_order, FeedSettings(name), size)


def check_feed(data: TrainingData, settings: FeedSettings) -> None:
    """Raise UserError when the strategy cannot read the samples, or they do not fit into memory."""
    if settings.feed == AUTO:
        settings = replace(settings, feed=choose_feed(data)[0])
    strategy = STRATEGIES[settings.feed]
    if strategy.of_files and isinstance(data, Store):
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads images; give it the recording that the store was made of"
        )
    if not strategy.of_files and not isinstance(data, Store):
        raise UserError(
            f"{data.path}: --feed {settings.feed} reads a store; make one with: python preprocess.py {data.path} "
            "-o data.h5, or use --feed files"
        )
    if isinstance(data, Store):
        if data.frames.is_far and not strategy.at_url:
            raise UserError(
                f"{data.path}: --feed {settings.feed} reads local stores; use --feed shards, or copy the store here"
            )
        data.frames.check_cache(settings.cache_mb * MEGABYTE, settings.window_shards)
        if strategy.copies:
            _check_memory(data, strategy.copies)


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
    """Return the function that makes the feed of a strategy; its module may load TensorFlow."""
    module, function = STRATEGIES[name].makes.split(".")
    make_feed: MakeFeed = getattr(import_module(f"bcclone.feed.{module}"), function)
    return make_feed
