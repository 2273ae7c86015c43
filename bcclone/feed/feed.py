"""Open the feed of a selection of samples, and give its batches, epoch by epoch.

In: a `Selection` and settings. Out: a `Feed`, whose epochs give batches.

A strategy is a function from samples, their order and the settings to a fetcher. Its module, which may load TensorFlow,
is imported when it is used.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from threading import Event
from typing import Any, Self

import numpy as np

from bcclone.dataset.preprocessing import seen_rows
from bcclone.dataset.store import Store
from bcclone.feed.augment.kind import Draws
from bcclone.feed.augment.kinds import draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.feed_settings import AUTO, STRATEGIES, WINDOWS, FeedSettings, SamplingSettings
from bcclone.feed.fetcher import Fetcher
from bcclone.feed.order import ALL, Batches, BatchPart, BatchSpan, EpochOrder, Order
from bcclone.feed.selection import Selection, TrainingData
from bcclone.feed.source import Batch, Buffers
from bcclone.system.errors import UserError
from bcclone.system.hardware import available_memory
from bcclone.system.prefetch import prefetch_ordered

# batch, positions of its samples, number of the epoch, first sample of the whole batch in the epoch -> the batch
Augment = Callable[[Batch, Order, int, int], Batch]

_USABLE_MEMORY = 0.8  # fraction of the available memory; the network needs some, too


class Feed:
    """The batches of one side of the split, epoch by epoch. A context manager, which opens and closes its fetcher.

    order: decides alone which sample comes next, so that every fetcher gives the same batches; augment: of each batch,
    None for unchanged samples; its draws depend on (seed, epoch, first sample of the batch over all workers), so that a
    resume is exact; threads: that load and augment, 0 for the one that asks for a batch.
    """

    def __init__(
        self, order: EpochOrder, fetcher: Fetcher, augment: Augment | None = None, threads: int | None = None
    ) -> None:
        self._order, self._fetcher, self._augment = order, fetcher, augment
        self._threads = fetcher.threads if threads is None else threads

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return len(self._order)

    @property
    def has_started(self) -> bool:
        return self._fetcher.has_started

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch; each sample comes once.

        The last batch may be smaller. start: number of samples of the epoch to skip, used before a resume. An error in
        a worker is raised when the batch is asked for.
        """
        batches, stop = self._order.batches(number, start), Event()

        def load(piece: Any, positions: Order, span: BatchSpan, first: int) -> Batch:
            batch = self._fetcher.load(piece)
            if batches.part.count > 1:
                batch = replace(batch, span=span)
            return self._augment(batch, positions, number, first) if self._augment else batch

        ahead = max(self._fetcher.ahead, 2 * self._threads)
        with (
            self._fetcher.pieces(batches, stop) as pieces,
            prefetch_ordered(lambda item: load(*item), _tasks(pieces, batches, start), self._threads, ahead) as loaded,
        ):
            try:
                yield loaded
            finally:
                stop.set()  # first, since a thread may wait for a window of samples

    def __enter__(self) -> Self:
        self._fetcher.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._fetcher.__exit__(*error)


def _tasks(pieces: Iterator[Any], batches: Batches, start: int) -> Iterator[tuple[Any, Order, BatchSpan, int]]:
    """Return, for each batch, its piece, its positions, the part of the whole batch, and the batch's first sample."""
    firsts = range(start, start + len(batches.order), batches.size)
    # zip() would refer to the last piece, and so to its memory
    return map(lambda *each: each, pieces, batches, map(batches.span, range(len(batches))), firsts)


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
    fetcher = _make_fetcher(strategy.makes, selection, order, settings)
    if not sampling.augmentation.augment:
        return Feed(order, fetcher)
    if sampling.augmentation.augment_on == "device":
        return Feed(order, fetcher, _drawing(selection, sampling))
    # a network that trains on the processor needs the other half: with a thread per core it is slower (decision 0016)
    threads = settings.feed_workers or (fetcher.threads if strategy.of_files else max((os.cpu_count() or 1) // 2, 1))
    kept = max(fetcher.ahead, 2 * threads) + threads + 2
    return Feed(order, fetcher, _augmenting(selection, sampling, kept), threads)


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
        makes = "fetcher.files"
    else:
        makes = "fetcher.windows" if data.frames.is_far else "fetcher.hdf5_shuffle"
    return Feed(order, _make_fetcher(makes, selection, order, FeedSettings()))


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


def _make_fetcher(makes: str, selection: Selection, order: EpochOrder, settings: FeedSettings) -> Fetcher:
    """Return the fetcher that a function of bcclone.feed makes, given as MODULE.FUNCTION."""
    module, function = makes.split(".")
    fetcher: Fetcher = getattr(import_module(f"bcclone.feed.{module}"), function)(selection, order, settings)
    return fetcher
