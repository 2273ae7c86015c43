"""Contestants' names -> their figures: rounds through all of them, each turn in a fresh process."""

import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from bcclone.augment.settings import AugmentSettings
from bcclone.bench.feeds import rooflines
from bcclone.bench.feeds.fresh_process import in_fresh_process
from bcclone.bench.feeds.meter import Benchmark, Figures, Meter, Taken, Timing
from bcclone.bench.feeds.other_loaders import OTHER_LOADERS
from bcclone.bench.feeds.rooflines import RecordingMissing
from bcclone.errors import UserError
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.open import open_feed
from bcclone.feed.selection import TrainingData, select
from bcclone.feed.settings import STRATEGIES, FeedSettings, SamplingSettings
from bcclone.preprocess import open_in_place
from bcclone.store import Store

_PLAIN = AugmentSettings(augment=False)


def deliver(settings: FeedSettings, benchmark: Benchmark, taken: Taken, augment: AugmentSettings = _PLAIN) -> None:
    """Hand over batches, epoch after epoch, until there are enough."""
    sampling = SamplingSettings(benchmark.batch_size, benchmark.seed, augmentation=augment)
    with (
        opened(settings, benchmark) as data,
        open_feed(select(data), settings, sampling) as feed,
        closing(endless(feed)) as batches,
    ):
        for batch in batches:
            _await(batch)
            if not taken(len(batch)):
                return


def endless(feed: Feed) -> Generator[Batch]:
    """Yield the batches of one epoch after the other."""
    for epoch in itertools.count(1):
        with feed.epoch(epoch) as batches:
            yield from batches


@contextmanager
def opened(settings: FeedSettings, benchmark: Benchmark) -> Iterator[TrainingData]:
    """Open the store, or, for the feed that reads images, the recordings that it was made of; raises RecordingGone."""
    with Store(benchmark.store) as store:
        if settings.feed != "files":
            yield store
            return
        logs = tuple(str(recording["path"]) for recording in store.recordings)
    try:
        data = open_in_place(logs, store.preprocessing, store.sample_settings)
    except UserError as error:
        raise RecordingMissing(f"the recording that {benchmark.store} was made of cannot be used: {error}") from None
    yield data


def _await(batch: Any) -> None:
    """Wait for a batch that is still on its way to a device; its steering arrives behind its images."""
    if not isinstance(batch.steering, np.ndarray):
        np.asarray(batch.steering)


AUGMENTED = "hdf5-shuffle-augmented"  # the default training: the feed's samples augmented by a thread a core
OURS = (*STRATEGIES, AUGMENTED)
ALTERNATIVES = tuple(OTHER_LOADERS)
ROOFLINES: dict[str, Callable[[Benchmark, Taken], None]] = {"gather": rooflines.gather, "decode": rooflines.decode}
_PACKAGES = {"torch-jpeg": ("bcclone.bench.feeds.torch_dataset",), "pytables-chunks": ("tables",)}
_OF_TENSORFLOW = ("pydataset-jpeg", "tf-data-jpeg", "sequence", "tf-data", "device")
_PROCESSES = {"workers": 2}  # of the others each chooses for itself


class LoaderUnavailable(Exception):
    """This machine or this store lacks what a contestant needs; the text says what."""


def take_turn(name: str, benchmark: Benchmark, timing: Timing) -> Figures:
    """Run a contestant in this process and return its figures; raises CannotTakePart, for a missing package, too."""
    try:
        contestant = _find(name)
        meter = Meter(timing)
        contestant(benchmark, meter.take)
    except RecordingMissing as error:
        raise LoaderUnavailable(str(error)) from None
    return meter.figures()


def _find(name: str) -> Callable[[Benchmark, Taken], None]:
    """Return what a contestant delivers its batches by, with its packages loaded; raises CannotTakePart without one."""
    if name in _OF_TENSORFLOW:
        from bcclone.tensorflow_quietly import load_tensorflow

        load_tensorflow()
    if name in ROOFLINES:
        return ROOFLINES[name]
    if name == AUGMENTED:
        return partial(deliver, FeedSettings(workers=os.cpu_count() or 1), augment=AugmentSettings())
    if name in STRATEGIES:
        return partial(deliver, FeedSettings(feed=name, workers=_PROCESSES.get(name, 0)))
    for package in _PACKAGES.get(name, ()):
        try:
            import_module(package)
        except ImportError as error:
            raise LoaderUnavailable(f"{error.name} is not installed; pip install '.[bench]'") from None
    return OTHER_LOADERS[name]


@dataclass
class Results:
    """The figures of every turn that was taken, a round after the other, and why some were not.

    skipped: who lacks what it needs; failed: who broke off, and the parts of the bench that did.
    """

    rounds: dict[str, list[Figures]] = field(default_factory=lambda: defaultdict(list))
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> Figures:
        """Return the median over the rounds of each figure of a contestant."""
        rounds = [asdict(figures) for figures in self.rounds[name]]
        known = {key: [figures[key] for figures in rounds] for key, value in rounds[0].items() if value is not None}
        return Figures(**{key: float(np.median(values)) for key, values in known.items()})

    def ratio(self, name: str, other: str) -> float:
        """Return how many times another's samples a second: the median over rounds, in which they are neighbours."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return float(np.median([mine.samples_per_second / theirs.samples_per_second for mine, theirs in pairs]))


def run_benchmark(
    names: Sequence[str],
    benchmark: Benchmark,
    timing: Timing,
    rounds: int,
    notify: Callable[[str], None] = lambda text: None,
) -> Results:
    """Let each take its turn, and again, `rounds` times; `notify` is told of each, and who fails is out."""
    results = Results()
    for number in range(1, rounds + 1):
        for name in names:
            if name in results.skipped or name in results.failed:
                continue
            try:
                figures = in_fresh_process(take_turn, name, benchmark, timing)
            except LoaderUnavailable as reason:
                results.skipped[name] = str(reason)
                notify(f"skipped: {name}: {reason}")
                continue
            except UserError as error:
                results.rounds.pop(name, None)
                results.failed[name] = str(error)
                notify(f"failed: {name}: {error}")
                continue
            results.rounds[name].append(figures)
            notify(f"round {number} of {rounds}: {name}: {figures.samples_per_second:,.0f} samples/s")
    return results
