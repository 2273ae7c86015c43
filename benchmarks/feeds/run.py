"""Benchmark "feeds": loaders, training, an uncached file, sample tables, the order of samples, the GPU."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bcclone.cluster.shards import open_store
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.settings import check_settings, parse_names, setting
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.train.train_settings import TrainSettings
from benchmarks.feeds import cold, many_samples
from benchmarks.feeds.gpu_load import measure_gpu
from benchmarks.feeds.meter import Benchmark, LoaderUnavailable, Timing, in_fresh_process
from benchmarks.feeds.rounds import AUGMENTED, GROUPS, SHARDED, LoaderResults, run_rounds
from benchmarks.measures import Measure, Report
from benchmarks.synthetic import (
    SYNTHETIC_FRAMES,
    draw_recording,
    given_or_synthetic_store,
    make_synthetic_store,
    number_of_shards,
    refuse_both,
    sharded_copy,
)

_TABLE_SAMPLES, _TABLE_FRAMES = 1_000_000, 300
_FASTEST, _WITH_PROCESSES = "hdf5-shuffle", "workers"
_OF_GATHER_PERCENT, _TIMES_JPEG, _TIMES_FASTEST, _AUGMENTED_MILLISECONDS = 70.0, 20.0, 1.0, 0.08
_SHARDS_TO_FILE = {"hdf5-shuffle-sharded": 0.9}  # bars


def rounds_setting() -> Any:
    """Return the field for the number of rounds."""
    return setting(3, "number of rounds; the figures are medians", minimum=1)


def seconds_setting() -> Any:
    """Return the field for the time of a measurement."""
    text = "time to measure each loader in a round, after its warm-up, in seconds"
    return setting(4.0, text, unit="SECONDS", minimum=0, maximum=60, above_minimum=True)


@dataclass(frozen=True)
class Settings:
    """How fast the feeds, and the loaders that they are compared with, deliver batches.

    only: names of loaders and other measurements, empty for all.
    """

    only: tuple[str, ...] = setting(
        (),
        "measure only these loaders and measurements, separated by commas",
        unit="NAMES",
        parse=parse_names,
        shown="all",
    )
    batch_size: int = setting(
        TrainSettings().batch_size, "batch size of the measurement gpu, which trains", minimum=1, maximum=1 << 16
    )
    store: Path | None = setting(None, "store to measure on", unit="PATH", shown="a synthetic one")
    frames: int | None = setting(
        None, "number of distinct frames of the synthetic store", minimum=60, shown=str(SYNTHETIC_FRAMES)
    )
    shards: int = setting(
        0,
        "also measure the feeds that read a store on a copy of it in this many shards",
        minimum=2,
        maximum=10_000,
        zero="only one file",
    )
    rounds: int = rounds_setting()
    seconds: float = seconds_setting()
    chart: Path | None = setting(
        None,
        "draw the samples per second into this picture, and with a GPU its utilization into a second one with -gpu in "
        "its name; with --only gpu, draw only the utilization",
        unit="PNG",
        shown="none",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        refuse_both(self, "store")

    def wants(self, name: str) -> bool:
        """Return whether a loader or another measurement was asked for."""
        return not self.only or name in self.only


def measure(settings: Settings, notify: Callable[[str], None] = lambda line: None) -> Report:
    """Measure everything that is wanted, in fresh processes, and draw it; raises UserError for an unknown name."""
    names = (*names_in_order(bool(settings.shards)), *_MORE, "order", "gpu")
    if unknown := [name for name in settings.only if name not in names]:
        raise UserError(f"no loader or measurement is called {', '.join(unknown)}; choose from {', '.join(names)}")
    if settings.chart:
        atomic.check_output(settings.chart, True, "")
    with ExitStack() as stack:
        path = stack.enter_context(given_or_synthetic_store(settings.store, settings.frames or SYNTHETIC_FRAMES))
        shards = stack.enter_context(sharded_copy(path, settings.shards)) if settings.shards else None
        return _measure(path, shards, settings, notify)


def _measure(path: Path, shards: Path | None, settings: Settings, notify: Callable[[str], None]) -> Report:
    with open_store(path) as store:
        samples = int(store.split_indices(validation=False).size)
    benchmark = Benchmark(path, workers=os.cpu_count() or 1, shards=shards)
    timing = Timing(warm_samples=samples, seconds=settings.seconds)
    names = [name for name in names_in_order(bool(shards)) if settings.wants(name)]
    results = run_rounds(names, benchmark, timing, settings.rounds, notify)
    measures, skipped, failed = loader_measures(results), dict(results.skipped), dict(results.failed)
    for name in (name for name in _MORE if settings.wants(name)):
        notify(f"measuring: {name}")
        try:
            measures += _MORE[name](path, settings.rounds)
        except LoaderUnavailable as reason:
            skipped[name] = str(reason)
        except UserError as error:
            failed[name] = str(error)
    orders, gpu = [], None
    if settings.wants("order"):
        notify("measuring: order")
        orders = in_fresh_process(many_samples.order_costs)
        measures += many_samples.order_measures(orders)
    if settings.wants("gpu"):
        gpu = measure_gpu(path, settings.seconds, settings.batch_size, notify)
        failed |= {f"training on {name}": reason for name, reason in gpu.failed.items()}
    if settings.chart:
        from benchmarks.feeds.charts import draw_charts  # loads matplotlib, which spawned loaders need not

        draw_charts(results, gpu, settings.chart)
    results = LoaderResults(results.rounds, skipped, failed)
    values = results.as_json() | {
        "samples": samples,
        "shards": number_of_shards(shards) if shards else 0,
        "cores": os.cpu_count(),
        "orders": [asdict(cost) for cost in orders],
        "gpu": gpu.as_json() if gpu else None,
    }
    blocks = [results.to_rows(), many_samples.to_rows(orders), gpu.to_rows() if gpu else []]
    return Report(measures, [line for block in blocks if block for line in (*block, "")], values, failed)


def names_in_order(sharded: bool = False) -> Sequence[str]:
    """Return the names of all loaders; the ones that are compared with each other follow each other.

    sharded: include the feeds on shards.
    """
    first = ("gather", _FASTEST, AUGMENTED, _WITH_PROCESSES)
    others = (*GROUPS["strategies"], *GROUPS["alternatives"], *GROUPS["rooflines"])
    names = [*first, *(name for name in others if name not in first)]
    if sharded:
        for name, feed in SHARDED.items():
            names.insert(names.index(feed) + 1, name)
    return names


def loader_measures(results: LoaderResults) -> list[Measure]:
    """Return the measures of the loaders that were measured."""
    return list(_measures(results))


def _measures(results: LoaderResults) -> Iterator[Measure]:
    measured = results.rounds
    if _FASTEST in measured and "gather" in measured:
        percent = 100 * results.ratio(_FASTEST, "gather")
        yield Measure(f"{_FASTEST} to one thread's gather", percent, "%", _OF_GATHER_PERCENT)
    jpeg = [name for name in GROUPS["alternatives"] if name in measured and _is_jpeg(name)]
    if _FASTEST in measured and jpeg:
        best = max(jpeg, key=lambda name: results.median(name).samples_per_second)
        yield Measure(f"{_FASTEST} to {best}", results.ratio(_FASTEST, best), "x", _TIMES_JPEG)
    if _FASTEST in measured and _WITH_PROCESSES in measured:
        yield Measure(f"{_WITH_PROCESSES} to {_FASTEST}", results.ratio(_WITH_PROCESSES, _FASTEST), "x", _TIMES_FASTEST)
    for name, feed in SHARDED.items():
        if name in measured and feed in measured:
            yield Measure(f"{name} to {feed}", results.ratio(name, feed), "x", _SHARDS_TO_FILE.get(name))
    if AUGMENTED in measured:
        costs = [figures.core_milliseconds for figures in measured[AUGMENTED]]
        yield Measure(f"{AUGMENTED}, of one core a sample", median(costs), "ms", _AUGMENTED_MILLISECONDS, least=False)


def _is_jpeg(name: str) -> bool:
    return name == "python-generator" or name.endswith("-jpeg")


def _training(store: Path, rounds: int) -> list[Measure]:
    return in_fresh_process(measure_training_here, store, rounds)


def measure_training_here(store: Path, rounds: int) -> list[Measure]:
    """Measure the training in this process, which loads TensorFlow as model.py does."""
    load_tensorflow()
    from benchmarks.feeds.fed_training import measure_training

    return measure_training(store, rounds)


def _cold(store: Path, rounds: int) -> list[Measure]:
    if not cold.can_drop_pages():
        raise LoaderUnavailable("this system does not let a program drop a file from the page cache")
    return cold.cold_measures(cold.measure_cold(store, rounds))


def _tables(store: Path, rounds: int) -> list[Measure]:
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        few = make_synthetic_store(draw_recording(folder / "recording", _TABLE_FRAMES), folder / "few.h5")
        return many_samples.measure_tables(folder, few, _TABLE_SAMPLES)


_MORE: dict[str, Callable[[Path, int], list[Measure]]] = {"training": _training, "cold": _cold, "tables": _tables}
