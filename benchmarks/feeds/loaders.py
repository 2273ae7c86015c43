"""Measure loaders by their names: our feeds, other loaders, and limits of the machine.

In: the name of a loader, and a store to load. Out: its `LoaderFigures`; for the rounds of all
loaders, a table, JSON values and measures.
"""

import itertools
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bcclone import open_store
from bcclone.dataset.store import Store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import STRATEGIES, AugmentSettings, FeedSettings
from bcclone.feed.loading import Feed
from bcclone.feed.selection import Batch, select
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

FASTEST = "hdf5-shuffle"
# augmented as in a training by default, which leaves half of the cores to the network
AUGMENTED = f"{FASTEST}-augmented"
AUGMENTED_ON_ALL = f"{AUGMENTED}-all-cores"  # by a thread for each core
_OF_TENSORFLOW = (
    "pydataset-jpeg",
    "tf-data-jpeg",
    "sequence",
    "sequence-processes",
    "tf-data",
    "device",
)
# feeds that read a store, on a folder of shards: name -> feed
SHARDED = {f"{feed}-sharded": feed for feed in (FASTEST, "hdf5-chunks", "shards")}
GROUPS = {
    "strategies": (*STRATEGIES, AUGMENTED, AUGMENTED_ON_ALL),
    "sharded": tuple(SHARDED),
    "alternatives": tuple(OTHER_LOADERS),
    "rooflines": tuple(ROOFLINES),
}


def names_in_order(sharded: bool = False) -> list[str]:
    """Return the names of all loaders; those that are compared with each other are neighbours.

    sharded: include the feeds on shards
    """
    names = ["gather", FASTEST, AUGMENTED, AUGMENTED_ON_ALL]
    for group in GROUPS.values():
        names += [name for name in group if name not in names and name not in SHARDED]
    if sharded:
        for name, feed in SHARDED.items():
            names.insert(names.index(feed) + 1, name)
    return names


# ---- figures


def results_as_json(results: Results) -> dict[str, Any]:
    """Return the medians by group, the rounds, and what was skipped and why.

    "rounds" has of each name: [samples per second, fraction of the CPU time that other programs
    used] of each round.
    """
    groups: dict[str, dict[str, Any]] = {}
    for group, loaders in _medians(results).items():
        groups[group] = {name: _known(figures) for name, figures in loaders.items()}
    # of the limits of the machine only the rate says something
    groups["rooflines"] = {
        name: round(figures["samples_per_second"], 1)
        for name, figures in groups["rooflines"].items()
    }
    rounds = {}
    for name, all_figures in results.results.items():
        rounds[name] = [
            [round(figures.samples_per_second, 1), round(figures.others_cpu_share, 3)]
            for figures in all_figures
        ]
    return {**rounded(groups), "rounds": rounds, "skipped": results.skipped}


def result_rows(results: Results) -> list[str]:
    """Return the table: our feeds, the other loaders, the rooflines, and what was skipped."""
    rows = [["", "samples/s", "first, s", "resident, MB", "own, MB", "CPU", "others"]]
    for loaders in _medians(results).values():
        for name, figures in loaders.items():
            own_mb = ""
            if figures.anonymous_mb is not None:
                own_mb = f"{figures.anonymous_mb:.0f}"
            row = [
                name,
                f"{figures.samples_per_second:,.0f}",
                f"{figures.first_batch_seconds:.3f}",
                f"{figures.resident_mb:.0f}",
                own_mb,
                f"{figures.cpu_share:.0%}",
                f"{figures.others_cpu_share:.0%}",
            ]
            rows.append(row)
    lines = []
    if results.results:
        lines = aligned(rows)
    return [*lines, *results.skipped_rows()]


def _medians(results: Results) -> dict[str, dict[str, LoaderFigures]]:
    """Return the medians over the rounds of the measured loaders, by the names in GROUPS."""
    medians: dict[str, dict[str, LoaderFigures]] = {}
    for group, names in GROUPS.items():
        medians[group] = {
            name: _median_figures(results.results[name])
            for name in names
            if name in results.results
        }
    return medians


def _median_figures(rounds: Sequence[LoaderFigures]) -> LoaderFigures:
    keys = _known(rounds[0])
    medians = {key: median(getattr(figures, key) for figures in rounds) for key in keys}
    return replace(rounds[0], **medians)


def _known(figures: LoaderFigures) -> dict[str, float]:
    """Return the figures that are known on this system, by their names."""
    return {key: value for key, value in vars(figures).items() if value is not None}


def loader_measures(results: Results) -> Iterator[Measure]:
    """Yield the measures of the loaders that were measured."""
    least_of_gather_percent = 70.0
    bars = {  # for pairs of loaders: how many times as fast the first is to be
        (f"{FASTEST}-sharded", FASTEST): 0.9,
    }
    rates: dict[str, list[float]] = {}
    for name, rounds in results.results.items():
        rates[name] = [figures.samples_per_second for figures in rounds]

    if FASTEST in rates and "gather" in rates:
        percent = 100 * median_ratio(rates[FASTEST], rates["gather"])
        yield Measure(f"{FASTEST} to one thread's gather", percent, "%", least_of_gather_percent)

    pairs = [*SHARDED.items()]
    # our default, and the fastest of the loaders that decode images
    jpeg_loaders = [name for name in JPEG_LOADERS if name in rates]
    if jpeg_loaders:
        best = max(jpeg_loaders, key=lambda name: median(rates[name]))
        bars[FASTEST, best] = 20.0
        pairs.insert(0, (FASTEST, best))
    for mine, theirs in pairs:
        if mine in rates and theirs in rates:
            ratio = median_ratio(rates[mine], rates[theirs])
            yield Measure(f"{mine} to {theirs}", ratio, "x", bars.get((mine, theirs)))

    if AUGMENTED in rates:
        most_ms = 0.08
        cost_ms = median(figures.core_milliseconds for figures in results.results[AUGMENTED])
        yield Measure(f"{AUGMENTED}, of one core a sample", cost_ms, "ms", most_ms, least=False)


# ---- loading


def measure_loader(name: str, benchmark: Benchmark, timing: Timing) -> LoaderFigures:
    """Run a loader in this process, and return its figures; raises Unavailable."""
    if name in SHARDED:
        if benchmark.shards is None:
            raise Unavailable("there are no shards to measure; make some with --shards")
        name = SHARDED[name]
        benchmark = replace(benchmark, store=benchmark.shards)
    _load_packages(name)
    meter = Meter(timing)
    _loader_of(name)(benchmark, meter.take)
    return meter.figures()


def _load_packages(name: str) -> None:
    """Load the packages of a loader, so that their loading is not measured; raises Unavailable."""
    if name in _OF_TENSORFLOW:
        load_tensorflow()
    if name == "torch-jpeg":
        try:
            import_module("torch")
            import_module("torchvision")
        except ImportError as error:
            raise Unavailable(f"{error.name} is not installed; pip install '.[bench]'") from None


def _loader_of(name: str) -> Loader:
    if name in OTHER_LOADERS:
        return OTHER_LOADERS[name]
    if name in ROOFLINES:
        return ROOFLINES[name]
    if name == AUGMENTED:
        return partial(deliver, FeedSettings(FASTEST), True)
    if name == AUGMENTED_ON_ALL:
        settings = FeedSettings(FASTEST, feed_workers=os.cpu_count() or 1)
        return partial(deliver, settings, True)
    return partial(deliver, FeedSettings(feed=name), False)


def deliver(
    settings: FeedSettings,
    augment: bool,
    benchmark: Benchmark,
    on_batch: OnBatch,
) -> None:
    """Load batches by a feed, epoch after epoch, until there are enough."""
    changes = AugmentSettings() if augment else None
    with (
        open_data(settings, benchmark.store) as data,
        open_feed(
            select(data), settings, benchmark.batch_size, benchmark.seed, augment=changes
        ) as feed,
        closing(endless_batches(feed)) as batches,
    ):
        for batch in batches:
            if not isinstance(batch.labels, np.ndarray):
                # waits for a copy to a device: labels arrive after the images
                np.asarray(batch.labels)
            if not on_batch(len(batch)):
                return


@contextmanager
def open_data(settings: FeedSettings, path: Path) -> Iterator[Store]:
    """Open the store or, for the feed `files`, the recordings that it was made of.

    Raises Unavailable.
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
