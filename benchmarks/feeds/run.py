"""Benchmark "feeds": Settings -> samples per second of feeds and other loaders, and of the training
on them.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone import TrainSettings, UserError, open_store
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Names, setting
from benchmarks.feeds import training
from benchmarks.feeds.loaders import (
    loader_measures,
    measure_loader,
    names_in_order,
    result_rows,
    results_as_json,
)
from benchmarks.feeds.meter import Benchmark, Timing
from benchmarks.measures import Report
from benchmarks.rounds import rounds_setting, run_rounds, seconds_setting
from benchmarks.synthetic import (
    SYNTHETIC_FRAMES,
    given_or_synthetic_store,
    number_of_shards,
    sharded_copy,
)


@dataclass(frozen=True)
class Settings(Checked):
    """How fast the feeds, and the loaders that they are compared with, deliver batches.

    only: names of loaders and other measurements, empty for all.
    """

    only: Names = setting(
        (), "measure only these loaders and measurements, separated by commas", shown="all"
    )
    batch_size: Count = setting(
        TrainSettings().batch_size, "batch size of the measurement gpu, which trains", 1, 1 << 16
    )
    store: Path | None = setting(None, "store to measure on", unit="PATH", shown="a synthetic one")
    frames: int = setting(SYNTHETIC_FRAMES, "number of distinct frames of the synthetic store", 60)
    shards: int = setting(
        0,
        "also measure the feeds on a copy of the store in this many shards",
        2,
        10_000,
        zero="only one file",
    )
    rounds: int = rounds_setting()
    seconds: float = seconds_setting()


def measure(settings: Settings, notify: Notify) -> Report:
    """Measure everything that `only` names, in fresh processes; raises UserError for an unknown
    name.
    """
    loaders = names_in_order(bool(settings.shards))
    names = (*loaders, "training", "gpu")
    if unknown := [name for name in settings.only if name not in names]:
        raise UserError(
            f"no loader or measurement is called {', '.join(unknown)}; choose from "
            f"{', '.join(names)}"
        )
    wanted = [name for name in names if not settings.only or name in settings.only]
    rounds, seconds, batch_size = settings.rounds, settings.seconds, settings.batch_size
    with ExitStack() as stack:
        path = stack.enter_context(given_or_synthetic_store(settings.store, settings.frames))
        shards = (
            stack.enter_context(sharded_copy(path, settings.shards)) if settings.shards else None
        )
        with open_store(path) as store:
            samples = int(store.split_indices("training").size)
        measure_one = partial(
            measure_loader,
            benchmark=Benchmark(path, workers=os.cpu_count() or 1, shards=shards),
            timing=Timing(warm_samples=samples, seconds=seconds),
        )
        found = run_rounds(
            [name for name in loaders if name in wanted], measure_one, rounds, notify
        )
        measures, failed, rows = (
            list(loader_measures(found)),
            found.failed,
            [*result_rows(found), ""],
        )
        values = results_as_json(found) | {"samples": samples, "cores": os.cpu_count(), "gpu": None}
        values["shards"] = number_of_shards(shards) if shards else 0
        if "training" in wanted:
            try:
                measures += training.measure_training(path, rounds, seconds, notify)
            except UserError as error:
                failed["training"] = str(error)
        if "gpu" in wanted:
            load = partial(
                training.train_watched, store=path, seconds=seconds, batch_size=batch_size
            )
            gpu = run_rounds(training.FEEDS, load, 1, notify)
            failed |= {f"training on {name}": reason for name, reason in gpu.failed.items()}
            values["gpu"] = training.loads_as_json(gpu, batch_size, seconds)
            rows += [*training.load_rows(gpu, batch_size), ""]
    return Report(measures, rows, values, failed)
