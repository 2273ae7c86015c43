"""Open the feed of a selection of samples, by the strategy that the settings name or that suits the samples."""

import os
from dataclasses import replace
from importlib import import_module

import numpy as np

from bcclone.dataset.preprocessing import seen_rows
from bcclone.dataset.store import Store
from bcclone.feed.augment.kind import Draws
from bcclone.feed.augment.kinds import draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.feed_settings import AUTO, STRATEGIES, WINDOWS, FeedSettings, SamplingSettings
from bcclone.feed.order import ALL, BatchPart, EpochOrder, Order
from bcclone.feed.selection import Selection, TrainingData
from bcclone.feed.source import Batch, Buffers
from bcclone.feed.strategies import Augment, Feed
from bcclone.system.errors import UserError
from bcclone.system.hardware import available_memory

_USABLE_MEMORY = 0.8  # fraction of the available memory; the network needs some, too


def open_feed(selection: Selection, settings: FeedSettings, sampling: SamplingSettings, part: BatchPart = ALL) -> Feed:
    """Return the feed of the training samples, to be used in a `with` block.

    Every strategy gives each sample once per epoch; all that shuffle the whole selection give the same batches.
    Samples of zero steering are left out of each epoch down to sampling.zero_fraction. Samples are augmented in the
    rows that the network sees, on the processor or on the device. part: of each batch that this worker trains on.
    Raises UserError when the strategy cannot read these samples, or they do not fit into memory.
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
    feed = _make_feed(strategy.makes, selection, order, settings)
    if not sampling.augmentation.augment:
        return feed
    if sampling.augmentation.augment_on == "device":
        feed.augment = _drawing(selection, sampling)
        return feed
    # a network that trains on the processor needs the other half: with a thread per core it is slower (decision 0016)
    usual = feed.threads if strategy.of_files else max((os.cpu_count() or 1) // 2, 1)
    feed.threads = settings.feed_workers or usual
    kept = max(feed.ahead, 2 * feed.threads) + feed.threads + 2
    feed.augment = _augmenting(selection, sampling, kept)
    return feed


def _drawing(selection: Selection, sampling: SamplingSettings) -> Augment:
    """Return what draws the random numbers of a batch for the training step, which augments it."""
    inputs = selection.augmentation_inputs

    def add_draws(batch: Batch, positions: Order, epoch: int, first: int) -> Batch:
        own, draws = inputs.at(positions), _draws(batch, sampling.seed, epoch, first)
        return replace(batch, augmentation=(own.flipped, own.lookahead_m, draws.normal, draws.uniform))

    return add_draws


def _augmenting(selection: Selection, sampling: SamplingSettings, kept: int) -> Augment:
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


def open_validation_feed(selection: Selection, batch_size: int, part: BatchPart = ALL) -> Feed:
    """Return the feed of the validation samples, in their order, to be used in a `with` block.

    part: of each batch that this worker evaluates.
    """
    data, order = selection.data, EpochOrder(len(selection), batch_size=batch_size, part=part)
    if not isinstance(data, Store):
        makes = "strategies.files"
    else:
        makes = "strategies.windows" if data.frames.is_far else "strategies.hdf5_shuffle"
    return _make_feed(makes, selection, order, FeedSettings())


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
            f"{data.path}: --feed {settings.feed} reads a store; make one with: bcclone preprocess {data.path} "
            "-o data.h5, or use --feed files"
        )
    if isinstance(data, Store):
        if data.frames.is_far and not strategy.at_url:
            raise UserError(
                f"{data.path}: --feed {settings.feed} reads local stores; use --feed shards, or copy the store here"
            )
        data.frames.check_cache(settings.cache_bytes, settings.window_shards)
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


def _make_feed(makes: str, selection: Selection, order: EpochOrder, settings: FeedSettings) -> Feed:
    """Return the feed that a function of bcclone.feed makes, given as MODULE.FUNCTION; it may load TensorFlow."""
    module, function = makes.split(".")
    feed: Feed = getattr(import_module(f"bcclone.feed.{module}"), function)(selection, order, settings)
    return feed
