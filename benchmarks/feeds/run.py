"""Benchmark "feeds": samples per second of feeds and other loaders, and of the training on them.

In: Settings. Out: a Report.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bcclone import TrainSettings, UserError, open_store
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Names, setting
from benchmarks.feeds import training
from benchmarks.feeds.loaders import (
    Results,
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
    """How fast the feeds, and the loaders that they are compared with, deliver batches."""

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
    """Measure everything that `only` names, in fresh processes.

    Raises UserError for an unknown name.
    """
    wanted = _wanted_names(settings)
    with given_or_synthetic_store(settings.store, settings.frames) as store:
        loaders, values = measure_loaders(wanted, store, settings, notify)
        measures = list(loader_measures(loaders))
        failed = loaders.failed
        rows = [*result_rows(loaders), ""]
        if "training" in wanted:
            try:
                measures += training.measure_training(
                    store, settings.rounds, settings.seconds, notify
                )
            except UserError as error:
                failed["training"] = str(error)
        if "gpu" in wanted:
            loads = measure_loads(store, settings, notify)
            failed |= {f"training on {name}": reason for name, reason in loads.failed.items()}
            values["gpu"] = training.loads_as_json(loads, settings.batch_size, settings.seconds)
            rows += [*training.load_rows(loads, settings.batch_size), ""]
    return Report(measures, rows, values, failed)


def _wanted_names(settings: Settings) -> list[str]:
    """Return the names of all that is measured, in its order."""
    names = [*names_in_order(bool(settings.shards)), "training", "gpu"]
    unknown = [name for name in settings.only if name not in names]
    if unknown:
        raise UserError(
            f"no loader or measurement is called {', '.join(unknown)}; choose from "
            f"{', '.join(names)}"
        )
    if not settings.only:
        return names
    return [name for name in names if name in settings.only]


def measure_loaders(
    wanted: Sequence[str], store: Path, settings: Settings, notify: Notify
) -> tuple[Results, dict[str, Any]]:
    """Measure the wanted loaders in rounds; return their results, also as JSON values."""
    names = [name for name in wanted if name not in ("training", "gpu")]
    with open_store(store) as data:
        samples = int(data.split_indices("training").size)
    cores = os.cpu_count()
    shards = 0
    with ExitStack() as stack:
        copy = None
        if settings.shards:
            copy = stack.enter_context(sharded_copy(store, settings.shards))
            shards = number_of_shards(copy)
        figures_of = partial(
            measure_loader,
            benchmark=Benchmark(store, workers=cores or 1, shards=copy),
            timing=Timing(warm_samples=samples, seconds=settings.seconds),
        )
        results = run_rounds(names, figures_of, settings.rounds, notify)
    values = results_as_json(results)
    values |= {"samples": samples, "cores": cores, "gpu": None, "shards": shards}
    return results, values


def measure_loads(store: Path, settings: Settings, notify: Notify) -> training.Loads:
    """Train on each feed once."""
    load_of = partial(
        training.train_watched,
        store=store,
        seconds=settings.seconds,
        batch_size=settings.batch_size,
    )
    return run_rounds(training.FEEDS, load_of, 1, notify)
