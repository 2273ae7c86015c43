"""Measure loaders by their names: our feeds, other loaders, limits of the machine -> figures, table
and measures.
"""

import itertools
import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bcclone import open_store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import STRATEGIES, AugmentSettings, FeedSettings, SamplingSettings
from bcclone.feed.selection import TrainingData, select
from bcclone.feed.source import Batch
from bcclone.feed.strategies import Feed
from bcclone.system.tensorflow_quietly import load_tensorflow
from benchmarks.feeds.meter import Benchmark, LoaderFigures, Meter, OnBatch, Timing
from benchmarks.feeds.other_loaders import (
    JPEG_LOADERS,
    OTHER_LOADERS,
    ROOFLINES,
    Loader,
    open_recordings,
)
from benchmarks.measures import Measure, aligned, rounded
from benchmarks.rounds import Rounds, Unavailable, median_ratio

Results = Rounds[LoaderFigures]
FASTEST, _WITH_PROCESSES = "hdf5-shuffle", "workers"
AUGMENTED = (
    "hdf5-shuffle-augmented"  # as in a default training: samples augmented by a thread per core
)
# feeds that read a store, on a folder of shards: name -> feed
SHARDED = {f"{name}-sharded": name for name in ("hdf5-shuffle", "hdf5-chunks", "workers", "shards")}
GROUPS = {
    "strategies": (*STRATEGIES, AUGMENTED),
    "sharded": tuple(SHARDED),
    "alternatives": tuple(OTHER_LOADERS),
    "rooflines": tuple(ROOFLINES),
}
_OF_TENSORFLOW = ("pydataset-jpeg", "tf-data-jpeg", "sequence", "tf-data", "device")
_PLAIN = AugmentSettings(augment=False)
# bars
_OF_GATHER_PERCENT, _TIMES_OTHERS, _TIMES_FASTEST, _AUGMENTED_MILLISECONDS = 70.0, 20.0, 1.0, 0.08
_SHARDS_TO_FILE = {"hdf5-shuffle-sharded": 0.9}


def results_as_json(results: Results) -> dict[str, Any]:
    """Return the medians by group, the rounds, and what was skipped and why.

    rounds: name -> [samples per second, fraction of the CPU time used by other programs] of each
    round.
    """
    groups: dict[str, Any] = {
        group: {
            name: {key: value for key, value in vars(one).items() if value is not None}
            for name, one in each.items()
        }
        for group, each in _medians(results).items()
    }
    groups["rooflines"] = {
        name: round(one["samples_per_second"], 1) for name, one in groups["rooflines"].items()
    }
    rounds = {
        name: [
            [round(one.samples_per_second, 1), round(one.others_cpu_share, 3)] for one in figures
        ]
        for name, figures in results.results.items()
    }
    return {**rounded(groups), "rounds": rounds, "skipped": results.skipped}


def result_rows(results: Results) -> list[str]:
    """Return the table: our feeds, the other loaders, the rooflines, and what was skipped."""
    rows = [["", "samples/s", "first, s", "resident, MB", "own, MB", "CPU", "others"]]
    for name, one in (
        (name, one) for group in _medians(results).values() for name, one in group.items()
    ):
        memory = [
            f"{one.resident_mb:.0f}",
            "" if one.anonymous_mb is None else f"{one.anonymous_mb:.0f}",
        ]
        shares = [f"{one.cpu_share:.0%}", f"{one.others_cpu_share:.0%}"]
        rows.append(
            [
                name,
                f"{one.samples_per_second:,.0f}",
                f"{one.first_batch_seconds:.3f}",
                *memory,
                *shares,
            ]
        )
    return [*(aligned(rows) if results.results else []), *results.skipped_rows()]


def _medians(results: Results) -> dict[str, dict[str, LoaderFigures]]:
    """Return the medians over the rounds of the measured loaders, by the names in GROUPS."""
    measured = {}
    for name, rounds in results.results.items():
        keys = [key for key, value in vars(rounds[0]).items() if value is not None]
        measured[name] = replace(
            rounds[0], **{key: median(getattr(one, key) for one in rounds) for key in keys}
        )
    return {
        group: {name: measured[name] for name in names if name in measured}
        for group, names in GROUPS.items()
    }


def loader_measures(results: Results) -> Iterator[Measure]:
    """Yield the measures of the loaders that were measured."""
    rates = {
        name: [one.samples_per_second for one in rounds] for name, rounds in results.results.items()
    }
    best = max(
        (name for name in JPEG_LOADERS if name in rates),
        key=lambda name: median(rates[name]),
        default="",
    )
    pairs = [
        (FASTEST, "gather", _OF_GATHER_PERCENT),
        (FASTEST, best, _TIMES_OTHERS),
        (_WITH_PROCESSES, FASTEST, _TIMES_FASTEST),
        *((name, feed, _SHARDS_TO_FILE.get(name)) for name, feed in SHARDED.items()),
    ]
    for mine, theirs, bar in pairs:
        if mine in rates and theirs in rates:
            ratio = median_ratio(rates[mine], rates[theirs])
            if theirs == "gather":
                yield Measure(f"{mine} to one thread's gather", 100 * ratio, "%", bar)
            else:
                yield Measure(f"{mine} to {theirs}", ratio, "x", bar)
    if AUGMENTED in rates:
        costs = [figures.core_milliseconds for figures in results.results[AUGMENTED]]
        yield Measure(
            f"{AUGMENTED}, of one core a sample",
            median(costs),
            "ms",
            _AUGMENTED_MILLISECONDS,
            least=False,
        )


def names_in_order(sharded: bool = False) -> list[str]:
    """Return the names of all loaders; the ones that are compared with each other follow each
    other.

    sharded: include the feeds on shards.
    """
    names = ["gather", FASTEST, AUGMENTED, _WITH_PROCESSES]
    names += [name for group in GROUPS.values() for name in group if name not in (*names, *SHARDED)]
    for name, feed in SHARDED.items() if sharded else ():
        names.insert(names.index(feed) + 1, name)
    return names


def measure_loader(name: str, benchmark: Benchmark, timing: Timing) -> LoaderFigures:
    """Run a loader in this process, with its packages loaded before, and return its figures; raises
    Unavailable.
    """
    if name in SHARDED:
        if benchmark.shards is None:
            raise Unavailable("there are no shards to measure; make some with --shards")
        name, benchmark = SHARDED[name], replace(benchmark, store=benchmark.shards)
    if name in _OF_TENSORFLOW:
        load_tensorflow()
    try:
        for package in ("torch", "torchvision") if name == "torch-jpeg" else ():
            import_module(package)
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed; pip install '.[bench]'") from None
    meter = Meter(timing)
    _LOADERS[name](benchmark, meter.take)
    return meter.figures()


def deliver(
    settings: FeedSettings,
    benchmark: Benchmark,
    on_batch: OnBatch,
    augment: AugmentSettings = _PLAIN,
) -> None:
    """Load batches by a feed, epoch after epoch, until there are enough."""
    sampling = SamplingSettings(benchmark.batch_size, benchmark.seed, augmentation=augment)
    with (
        open_data(settings, benchmark.store) as data,
        open_feed(select(data), settings, sampling) as feed,
        closing(endless_batches(feed)) as batches,
    ):
        for batch in batches:
            if not isinstance(batch.labels, np.ndarray):
                np.asarray(
                    batch.labels
                )  # waits for a copy to a device: labels arrive after the images
            if not on_batch(len(batch)):
                return


@contextmanager
def open_data(settings: FeedSettings, path: Path) -> Iterator[TrainingData]:
    """Open the store or, for the feed `files`, the recordings that it was made of; raises
    Unavailable.
    """
    if settings.feed == "files":
        yield open_recordings(path)
        return
    with open_store(path) as store:
        yield store


def endless_batches(feed: Feed) -> Generator[Batch]:
    """Yield the batches of one epoch after the other."""
    for epoch in itertools.count(1):
        with feed.epoch(epoch) as batches:
            yield from batches


_LOADERS: dict[str, Loader] = {
    **{name: partial(deliver, FeedSettings(feed=name)) for name in STRATEGIES},
    AUGMENTED: partial(
        deliver, FeedSettings(FASTEST, feed_workers=os.cpu_count() or 1), augment=AugmentSettings()
    ),
    **OTHER_LOADERS,
    **ROOFLINES,
}
