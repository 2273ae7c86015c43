"""Benchmark "feeds": Settings -> samples per second of feeds and other loaders, and of the training on them."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone.cluster.shards import open_store
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.settings import Count, Names, check_settings, setting
from bcclone.train.train_settings import TrainSettings
from benchmarks.feeds import training
from benchmarks.feeds.loaders import loader_measures, measure_loader, names_in_order, result_rows, results_as_json
from benchmarks.feeds.meter import Benchmark, Timing
from benchmarks.measures import Report
from benchmarks.rounds import rounds_setting, run_rounds, seconds_setting
from benchmarks.synthetic import (
    SYNTHETIC_FRAMES,
    given_or_synthetic_store,
    number_of_shards,
    refuse_both,
    sharded_copy,
)


@dataclass(frozen=True)
class Settings:
    """How fast the feeds, and the loaders that they are compared with, deliver batches.

    only: names of loaders and other measurements, empty for all.
    """

    only: Names = setting((), "measure only these loaders and measurements, separated by commas", shown="all")
    batch_size: Count = setting(
        TrainSettings().batch_size, "batch size of the measurement gpu, which trains", 1, 1 << 16
    )
    store: Path | None = setting(None, "store to measure on", unit="PATH", shown="a synthetic one")
    frames: int | None = setting(
        None, "number of distinct frames of the synthetic store", 60, shown=str(SYNTHETIC_FRAMES)
    )
    shards: int = setting(
        0,
        "also measure the feeds that read a store on a copy of it in this many shards",
        2,
        10_000,
        zero="only one file",
    )
    rounds: int = rounds_setting()
    seconds: float = seconds_setting()

    def __post_init__(self) -> None:
        check_settings(self)
        refuse_both(self, "store")

    def wants(self, name: str) -> bool:
        """Return whether a loader or another measurement was asked for."""
        return not self.only or name in self.only


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Measure everything that `only` names, in fresh processes; raises UserError for an unknown name."""
    names = (*names_in_order(bool(settings.shards)), "training", "gpu")
    if unknown := [name for name in settings.only if name not in names]:
        raise UserError(f"no loader or measurement is called {', '.join(unknown)}; choose from {', '.join(names)}")
    with ExitStack() as stack:
        path = stack.enter_context(given_or_synthetic_store(settings.store, settings.frames or SYNTHETIC_FRAMES))
        shards = stack.enter_context(sharded_copy(path, settings.shards)) if settings.shards else None
        return _measure(path, shards, settings, notify)


def _measure(path: Path, shards: Path | None, settings: Settings, notify: Notify) -> Report:
    with open_store(path) as store:
        samples = int(store.split_indices("training").size)
    benchmark = Benchmark(path, workers=os.cpu_count() or 1, shards=shards)
    timing = Timing(warm_samples=samples, seconds=settings.seconds)
    names = [name for name in names_in_order(bool(shards)) if settings.wants(name)]
    measure_one = partial(measure_loader, benchmark=benchmark, timing=timing)
    loaders = run_rounds(names, measure_one, settings.rounds, notify)
    measures, failed, gpu = list(loader_measures(loaders)), dict(loaders.failed), None
    if settings.wants("training"):
        try:
            measures += training.measure_training(path, settings.rounds, settings.seconds, notify)
        except UserError as error:
            failed["training"] = str(error)
    if settings.wants("gpu"):
        load = partial(training.train_watched, store=path, seconds=settings.seconds, batch_size=settings.batch_size)
        gpu = run_rounds(training.FEEDS, load, 1, notify)
        failed |= {f"training on {name}": reason for name, reason in gpu.failed.items()}
    values = results_as_json(loaders) | {
        "samples": samples,
        "shards": number_of_shards(shards) if shards else 0,
        "cores": os.cpu_count(),
        "gpu": training.loads_as_json(gpu, settings.batch_size, settings.seconds) if gpu else None,
    }
    blocks = [result_rows(loaders), training.load_rows(gpu, settings.batch_size) if gpu else []]
    return Report(measures, [line for block in blocks if block for line in (*block, "")], values, failed)
