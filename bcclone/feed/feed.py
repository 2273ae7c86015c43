"""Open the feed of a selection of samples, and give its batches, epoch by epoch.

In: a `Selection` and settings. Out: a `Feed`, whose epochs give batches.

A strategy is a function from samples, their order and the settings to a fetcher, which has threads or processes. Its
module, which may load TensorFlow, is imported when it is used.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any, Self

from bcclone.dataset.store import Store
from bcclone.feed.augmented import BatchAugmenter, make_augmenter
from bcclone.feed.feed_settings import AUTO, STRATEGIES, WINDOWS, FeedSettings, SamplingSettings
from bcclone.feed.fetcher import Fetcher
from bcclone.feed.order import EpochOrder
from bcclone.feed.selection import Selection, TrainingData
from bcclone.feed.source import Batch
from bcclone.system.errors import UserError
from bcclone.system.hardware import available_memory

_USABLE_MEMORY = 0.8  # fraction of the available memory; the network needs some, too


class Feed:
    """The batches of one side of the split, epoch by epoch. A context manager, which opens and closes its fetcher.

    epoch_order: decides alone which sample comes next, so that every fetcher gives the same batches; augmenter:
    augments them, None for unchanged samples.
    """

    def __init__(self, epoch_order: EpochOrder, fetcher: Fetcher, augmenter: BatchAugmenter | None = None) -> None:
        self._epoch_order, self._fetcher, self._augmenter = epoch_order, fetcher, augmenter
        self._opened = ExitStack()

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return len(self._epoch_order)

    @property
    def has_started(self) -> bool:
        """Return whether the processes that load have started; until then the first batch waits."""
        return self._fetcher.has_started

    @contextmanager
    def epoch(self, number: int, start: int = 0) -> Iterator[Iterator[Batch]]:
        """Give the batches of an epoch; each sample comes once.

        The last batch may be smaller. start: number of samples of the epoch to skip, used before a resume. An error in
        a worker is raised when the batch is asked for.
        """
        positions = self._epoch_order.positions(number, start)
        with ExitStack() as fetching:
            batches = fetching.enter_context(self._fetcher.fetch(positions))
            if spans := self._epoch_order.spans(start):
                batches = map(Batch.with_span, batches, spans)
            if self._augmenter:
                batches = fetching.enter_context(self._augmenter.augmented(batches, positions, number, start))
            yield batches

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self._fetcher)
            if self._augmenter:
                opening.enter_context(self._augmenter)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)


def open_feed(
    selection: Selection,
    settings: FeedSettings,
    sampling: SamplingSettings,
    make_order: Callable[..., EpochOrder] = EpochOrder,
) -> Feed:
    """Return the feed of the training samples, to be used in a `with` block.

    Every strategy gives each sample once per epoch; all that shuffle the whole selection give the same batches.
    Samples of zero steering are left out of each epoch down to sampling.zero_fraction. Samples are augmented in the
    rows that the network sees, on the processor or on the device. make_order: makes the order, of the fields of
    EpochOrder. Raises UserError when the strategy cannot read these samples, or they do not fit into memory.
    """
    data = selection.data
    if settings.feed == AUTO:
        settings = replace(settings, feed=choose_feed(data)[0])
    check_feed(data, settings)
    epoch_order = make_order(
        size=len(selection),
        ordering=settings.ordering,
        seed=sampling.seed,
        zero_steering=selection.zero_steering if sampling.zero_fraction < 1 else None,
        zero_fraction=sampling.zero_fraction,
        batch_size=sampling.batch_size,
        shard=selection.shard if settings.ordering.kind == WINDOWS else None,
    )
    if sampling.zero_fraction < 1 and not len(epoch_order):
        raise UserError(
            f"{data.path}: all steering is 0, so --zero-fraction leaves no sample; train without that option"
        )
    augmenter = make_augmenter(selection, epoch_order, settings, sampling)
    return Feed(epoch_order, _strategy(STRATEGIES[settings.feed].makes)(selection, epoch_order, settings), augmenter)


def open_validation_feed(
    selection: Selection, batch_size: int, make_order: Callable[..., EpochOrder] = EpochOrder
) -> Feed:
    """Return the feed of the validation samples, in their order, to be used in a `with` block.

    make_order: as for open_feed().
    """
    data, epoch_order = selection.data, make_order(size=len(selection), batch_size=batch_size)
    if not isinstance(data, Store):
        makes = "threads.files"
    else:
        makes = "read_ahead.windows" if data.frames.is_far else "threads.hdf5"
    return Feed(epoch_order, _strategy(makes)(selection, epoch_order, FeedSettings()))


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


def _strategy(makes: str) -> Callable[[Selection, EpochOrder, FeedSettings], Fetcher]:
    """Return a function of bcclone.feed that makes a fetcher, by the names of its module and its own."""
    module, function = makes.split(".")
    make_fetcher: Callable[[Selection, EpochOrder, FeedSettings], Fetcher]
    make_fetcher = getattr(import_module(f"bcclone.feed.{module}"), function)
    return make_fetcher
