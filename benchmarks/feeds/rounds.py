"""Measure loaders by their names, in rounds through all of them, each time in a fresh process."""

import itertools
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from bcclone.cluster.shards import open_store
from bcclone.dataset.conversion import open_in_place
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed import Batch, Feed
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings, SamplingSettings
from bcclone.feed.open import open_feed
from bcclone.feed.selection import TrainingData, select
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import load_tensorflow
from benchmarks.feeds import rooflines
from benchmarks.feeds.meter import (
    Benchmark,
    LoaderFigures,
    LoaderUnavailable,
    Meter,
    OnBatch,
    Timing,
    in_fresh_process,
)
from benchmarks.feeds.other_loaders import OTHER_LOADERS

Loader = Callable[[Benchmark, OnBatch], None]
AUGMENTED = "hdf5-shuffle-augmented"  # as in a default training: samples augmented by a thread per core
ROOFLINES: dict[str, Loader] = {"gather": rooflines.gather, "decode": rooflines.decode}
# feeds that read a store, on a folder of shards: name -> feed
SHARDED = {f"{name}-sharded": name for name in ("hdf5-shuffle", "hdf5-chunks", "hdf5", "workers", "shards")}
GROUPS = {
    "strategies": (*STRATEGIES, AUGMENTED),
    "sharded": tuple(SHARDED),
    "alternatives": tuple(OTHER_LOADERS),
    "rooflines": tuple(ROOFLINES),
}
_PACKAGES = {"torch-jpeg": ("torch", "torchvision"), "pytables-chunks": ("tables",)}
_OF_TENSORFLOW = ("pydataset-jpeg", "tf-data-jpeg", "sequence", "tf-data", "device")
_PROCESSES = {"workers": 2}  # the other feeds choose for themselves
_PLAIN = AugmentSettings(augment=False)


@dataclass(frozen=True)
class LoaderResults:
    """The figures of each loader in each round. skipped: name -> what a loader lacks; failed: name -> why it failed."""

    rounds: Mapping[str, Sequence[LoaderFigures]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def median(self, name: str) -> LoaderFigures:
        """Return the medians of a loader's figures over the rounds."""
        rounds = [asdict(figures) for figures in self.rounds[name]]
        measured = [key for key, value in rounds[0].items() if value is not None]
        return LoaderFigures(**{key: float(np.median([figures[key] for figures in rounds])) for key in measured})

    def ratio(self, name: str, other: str) -> float:
        """Return the median over the rounds of the ratio of two loaders' samples per second."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return float(np.median([mine.samples_per_second / theirs.samples_per_second for mine, theirs in pairs]))

    def medians(self) -> dict[str, dict[str, LoaderFigures]]:
        """Return the medians of the measured loaders, by the names in GROUPS."""
        return {
            group: {name: self.median(name) for name in names if name in self.rounds} for group, names in GROUPS.items()
        }

    def as_json(self) -> dict[str, Any]:
        """Return the medians by group, the rounds, and what was skipped and why.

        rounds: name -> [samples per second, fraction of the CPU time used by other programs] of each round.
        """
        medians = self.medians()
        limits = medians.pop("rooflines")
        return {
            **{
                group: {name: _values(figures) for name, figures in loaders.items()}
                for group, loaders in medians.items()
            },
            "rooflines": {name: round(figures.samples_per_second, 1) for name, figures in limits.items()},
            "rounds": {
                name: [[round(one.samples_per_second, 1), round(one.others_cpu_share, 3)] for one in figures]
                for name, figures in self.rounds.items()
            },
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }

    def to_rows(self) -> list[str]:
        """Return the table: our feeds, the other loaders, the rooflines, and what was skipped."""
        head = f"{'':<24}{'samples/s':>11}{'first, s':>10}{'resident, MB':>14}{'own, MB':>9}{'CPU':>6}{'others':>8}"
        rows = [head] if self.rounds else []
        rows += [_row(name, figures) for group in self.medians().values() for name, figures in group.items()]
        return rows + [f"skipped: {name}: {reason}" for name, reason in self.skipped.items()]


def _values(figures: LoaderFigures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in vars(figures).items() if value is not None}


def _row(name: str, figures: LoaderFigures) -> str:
    own = "" if figures.anonymous_mb is None else f"{figures.anonymous_mb:.0f}"
    return (
        f"{name:<24}{figures.samples_per_second:>11,.0f}{figures.first_batch_seconds:>10.3f}"
        f"{figures.resident_mb:>14.0f}{own:>9}{figures.cpu_share:>6.0%}{figures.others_cpu_share:>8.0%}"
    )


def run_rounds(
    names: Sequence[str],
    benchmark: Benchmark,
    timing: Timing,
    rounds: int,
    notify: Callable[[str], None] = lambda text: None,
) -> LoaderResults:
    """Measure each loader in each round; one that fails is left out of the next rounds."""
    measured: dict[str, list[LoaderFigures]] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for name in (name for name in names if name not in skipped and name not in failed):
            try:
                figures = in_fresh_process(measure_loader, name, benchmark, timing)
            except LoaderUnavailable as reason:
                skipped[name] = str(reason)
                notify(f"skipped: {name}: {reason}")
            except UserError as error:
                measured.pop(name, None)
                failed[name] = str(error)
                notify(f"failed: {name}: {error}")
            else:
                measured.setdefault(name, []).append(figures)
                notify(f"round {number} of {rounds}: {name}: {figures.samples_per_second:,.0f} samples/s")
    return LoaderResults(measured, skipped, failed)


def measure_loader(name: str, benchmark: Benchmark, timing: Timing) -> LoaderFigures:
    """Run a loader in this process and return its figures; raises LoaderUnavailable."""
    loader = _loader(name)
    meter = Meter(timing)
    loader(benchmark, meter.take)
    return meter.figures()


def _loader(name: str) -> Loader:
    """Return the function of a loader, with its packages loaded; raises LoaderUnavailable."""
    if name in _OF_TENSORFLOW:
        load_tensorflow()
    if name in ROOFLINES:
        return ROOFLINES[name]
    if name in SHARDED:
        return partial(_deliver_from_shards, _loader(SHARDED[name]))
    if name == AUGMENTED:
        settings = FeedSettings("hdf5-shuffle", feed_workers=os.cpu_count() or 1)
        return partial(deliver, settings, augment=AugmentSettings())
    if name in STRATEGIES:
        return partial(deliver, FeedSettings(feed=name, feed_workers=_PROCESSES.get(name, 0)))
    for package in _PACKAGES.get(name, ()):
        try:
            import_module(package)
        except ImportError as error:
            raise LoaderUnavailable(f"{error.name} is not installed; pip install '.[bench]'") from None
    return OTHER_LOADERS[name]


def _deliver_from_shards(loader: Loader, benchmark: Benchmark, on_batch: OnBatch) -> None:
    if benchmark.shards is None:
        raise LoaderUnavailable("there are no shards to measure; make some with --shards")
    loader(replace(benchmark, store=benchmark.shards), on_batch)


def deliver(settings: FeedSettings, benchmark: Benchmark, on_batch: OnBatch, augment: AugmentSettings = _PLAIN) -> None:
    """Load batches by a feed, epoch after epoch, until there are enough."""
    sampling = SamplingSettings(benchmark.batch_size, benchmark.seed, augmentation=augment)
    with (
        open_data(settings, benchmark) as data,
        open_feed(select(data), settings, sampling) as feed,
        closing(endless_batches(feed)) as batches,
    ):
        for batch in batches:
            if not isinstance(batch.labels, np.ndarray):
                np.asarray(batch.labels)  # waits for a copy to a device: labels arrive after the images
            if not on_batch(len(batch)):
                return


@contextmanager
def open_data(settings: FeedSettings, benchmark: Benchmark) -> Iterator[TrainingData]:
    """Open the store or, for the feed `files`, the recordings that it was made of; raises LoaderUnavailable."""
    with open_store(benchmark.store) as store:
        if settings.feed != "files":
            yield store
            return
        logs = tuple(str(recording.path) for recording in store.recordings)
    try:
        data = open_in_place(logs, store.preprocessing, store.sample_settings)
    except UserError as error:
        raise LoaderUnavailable(f"the recording that {benchmark.store} was made of cannot be used: {error}") from None
    yield data


def endless_batches(feed: Feed) -> Generator[Batch]:
    """Yield the batches of one epoch after the other."""
    for epoch in itertools.count(1):
        with feed.epoch(epoch) as batches:
            yield from batches
