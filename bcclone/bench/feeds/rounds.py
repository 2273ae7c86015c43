"""Measure loaders by their names, in rounds through all of them, each time in a fresh process."""

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
from bcclone.bench.feeds.meter import Benchmark, LoaderFigures, Meter, OnBatch, Timing, in_fresh_process
from bcclone.bench.feeds.other_loaders import OTHER_LOADERS
from bcclone.bench.feeds.rooflines import RecordingMissing
from bcclone.errors import UserError
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.open import open_feed
from bcclone.feed.selection import TrainingData, select
from bcclone.feed.settings import STRATEGIES, FeedSettings, SamplingSettings
from bcclone.preprocess import open_in_place
from bcclone.store import Store

AUGMENTED = "hdf5-shuffle-augmented"  # as in a default training: samples augmented by a thread per core
OURS = (*STRATEGIES, AUGMENTED)
ALTERNATIVES = tuple(OTHER_LOADERS)
ROOFLINES: dict[str, Callable[[Benchmark, OnBatch], None]] = {"gather": rooflines.gather, "decode": rooflines.decode}
_PACKAGES = {"torch-jpeg": ("bcclone.bench.feeds.torch_dataset",), "pytables-chunks": ("tables",)}
_OF_TENSORFLOW = ("pydataset-jpeg", "tf-data-jpeg", "sequence", "tf-data", "device")
_PROCESSES = {"workers": 2}  # the other feeds choose for themselves
_PLAIN = AugmentSettings(augment=False)


class LoaderUnavailable(Exception):
    """This machine or this store lacks what a loader needs; the message says what."""


@dataclass
class BenchmarkResults:
    """The figures of each loader in each round.

    skipped: name -> what a loader lacks; failed: name -> why a loader, or a further measurement, failed.
    """

    rounds: dict[str, list[LoaderFigures]] = field(default_factory=lambda: defaultdict(list))
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> LoaderFigures:
        """Return the medians of a loader's figures over the rounds."""
        rounds = [asdict(figures) for figures in self.rounds[name]]
        known = {key: [figures[key] for figures in rounds] for key, value in rounds[0].items() if value is not None}
        return LoaderFigures(**{key: float(np.median(values)) for key, values in known.items()})

    def ratio(self, name: str, other: str) -> float:
        """Return the median over the rounds of the ratio of two loaders' samples per second."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return float(np.median([mine.samples_per_second / theirs.samples_per_second for mine, theirs in pairs]))


def run_benchmark(
    names: Sequence[str],
    benchmark: Benchmark,
    timing: Timing,
    rounds: int,
    notify: Callable[[str], None] = lambda text: None,
) -> BenchmarkResults:
    """Measure each loader in each round; one that fails is left out of the next rounds."""
    results = BenchmarkResults()
    for number in range(1, rounds + 1):
        for name in names:
            if name in results.skipped or name in results.failed:
                continue
            try:
                figures = in_fresh_process(measure_loader, name, benchmark, timing)
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


def measure_loader(name: str, benchmark: Benchmark, timing: Timing) -> LoaderFigures:
    """Run a loader in this process and return its figures; raises LoaderUnavailable."""
    try:
        loader = _loader(name)
        meter = Meter(timing)
        loader(benchmark, meter.take)
    except RecordingMissing as error:
        raise LoaderUnavailable(str(error)) from None
    return meter.figures()


def _loader(name: str) -> Callable[[Benchmark, OnBatch], None]:
    """Return the function of a loader, with its packages loaded; raises LoaderUnavailable."""
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


def deliver(settings: FeedSettings, benchmark: Benchmark, on_batch: OnBatch, augment: AugmentSettings = _PLAIN) -> None:
    """Load batches by a feed, epoch after epoch, until there are enough."""
    sampling = SamplingSettings(benchmark.batch_size, benchmark.seed, augmentation=augment)
    with (
        open_data(settings, benchmark) as data,
        open_feed(select(data), settings, sampling) as feed,
        closing(endless_batches(feed)) as batches,
    ):
        for batch in batches:
            _wait_for(batch)
            if not on_batch(len(batch)):
                return


@contextmanager
def open_data(settings: FeedSettings, benchmark: Benchmark) -> Iterator[TrainingData]:
    """Open the store or, for the feed `files`, the recordings that it was made of; raises RecordingMissing."""
    with Store(benchmark.store) as store:
        if settings.feed != "files":
            yield store
            return
        logs = tuple(str(recording.path) for recording in store.recordings)
    try:
        data = open_in_place(logs, store.preprocessing, store.sample_settings)
    except UserError as error:
        raise RecordingMissing(f"the recording that {benchmark.store} was made of cannot be used: {error}") from None
    yield data


def endless_batches(feed: Feed) -> Generator[Batch]:
    """Yield the batches of one epoch after the other."""
    for epoch in itertools.count(1):
        with feed.epoch(epoch) as batches:
            yield from batches


def _wait_for(batch: Any) -> None:
    """Wait for a batch that is still being copied to a device; its steering arrives after its images."""
    if not isinstance(batch.steering, np.ndarray):
        np.asarray(batch.steering)
