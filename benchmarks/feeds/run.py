"""Benchmark "feeds": loaders, training, an uncached file, sample tables, the order of samples, the GPU."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bcclone.cluster.shards import open_store
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.train.train_settings import TrainSettings
from benchmarks import Measure
from benchmarks.feeds import cold, many_samples
from benchmarks.feeds.gpu_load import GpuReport, measure_gpu
from benchmarks.feeds.many_samples import OrderCost
from benchmarks.feeds.meter import Benchmark, Timing, in_fresh_process
from benchmarks.feeds.rounds import (
    ALTERNATIVES,
    AUGMENTED,
    OURS,
    ROOFLINES,
    SHARDED,
    BenchmarkResults,
    LoaderUnavailable,
    run_benchmark,
)
from benchmarks.feeds.synthetic import (
    draw_recording,
    given_or_synthetic_store,
    make_synthetic_store,
    number_of_shards,
    sharded_copy,
)
from benchmarks.settings import SYNTHETIC_FRAMES, FeedsBenchSettings

_TRAINING_STEPS, _TABLE_SAMPLES, _TABLE_FRAMES = 200, 1_000_000, 300
_GPU_BATCHES = 256, 1024
_FASTEST, _WITH_PROCESSES = "hdf5-shuffle", "workers"
_OF_GATHER_PERCENT, _TIMES_JPEG, _TIMES_FASTEST, _AUGMENTED_MILLISECONDS = 70.0, 20.0, 1.0, 0.08
_SHARDS_TO_FILE = {"hdf5-shuffle-sharded": 0.9}  # bars


@dataclass(frozen=True)
class FeedsReport:
    """The results of the benchmark.

    results: of the loaders; measures: with their bars; orders: cost of the order of samples; samples: training samples
    of the store; shards: number of those of its sharded copy; gpu: the trainings with a watched GPU, None if not
    measured.
    """

    results: BenchmarkResults
    measures: tuple[Measure, ...] = ()
    orders: tuple[OrderCost, ...] = ()
    samples: int = 0
    shards: int = 0
    gpu: GpuReport | None = None

    @property
    def is_good(self) -> bool:
        """Return whether nothing failed and no bar was missed."""
        return not self.has_failures and all(measure.reached is not False for measure in self.measures)

    @property
    def has_failures(self) -> bool:
        """Return whether a loader failed."""
        return bool(self.results.failed)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return self.results.as_json() | {
            "samples": self.samples,
            "shards": self.shards,
            "cores": os.cpu_count(),
            "orders": [asdict(cost) for cost in self.orders],
            "measures": [measure.as_json() for measure in self.measures],
            "gpu": self.gpu.as_json() if self.gpu else None,
        }

    def to_rows(self) -> list[str]:
        """Return the report as the lines of its tables."""
        measures = [measure.as_row() for measure in self.measures]
        gpu = self.gpu.to_rows() if self.gpu else []
        blocks = [self.results.to_rows(), many_samples.to_rows(self.orders), measures, gpu]
        return [line for block in blocks if block for line in (*block, "")][:-1]


def measure_feeds(settings: FeedsBenchSettings, notify: Callable[[str], None] = lambda text: None) -> FeedsReport:
    """Measure everything that is wanted, in fresh processes, and draw it; raises UserError for an unknown name."""
    known = (*names_in_order(bool(settings.shards)), *_FURTHER, "order", "gpu")
    if unknown := [name for name in settings.only if name not in known]:
        raise UserError(f"no loader or measurement is called {', '.join(unknown)}; choose from {', '.join(known)}")
    if settings.chart:
        atomic.check_output(settings.chart, True, "")
    with ExitStack() as stack:
        path = stack.enter_context(given_or_synthetic_store(settings.store, settings.frames or SYNTHETIC_FRAMES))
        shards = stack.enter_context(sharded_copy(path, settings.shards)) if settings.shards else None
        report = _measure(path, shards, settings, notify)
    if settings.chart:
        from benchmarks.feeds.charts import draw_charts

        draw_charts(report.results, report.gpu, settings.chart)
    return report


def _measure(
    path: Path, shards: Path | None, settings: FeedsBenchSettings, notify: Callable[[str], None]
) -> FeedsReport:
    with open_store(path) as store:
        samples = int(store.split_indices(validation=False).size)
    benchmark = Benchmark(path, workers=os.cpu_count() or 1, shards=shards)
    timing = Timing(warm_samples=samples, seconds=settings.seconds)
    names = [name for name in names_in_order(bool(shards)) if settings.wants(name)]
    results = run_benchmark(names, benchmark, timing, settings.rounds, notify)
    skipped, failed = dict(results.skipped), dict(results.failed)
    measures, orders, gpu = loader_measures(results), tuple[OrderCost, ...](), None
    for name in (name for name in _FURTHER if settings.wants(name)):
        notify(f"measuring: {name}")
        try:
            measures += _FURTHER[name](path, settings.rounds)
        except LoaderUnavailable as reason:
            skipped[name] = str(reason)
        except UserError as error:
            failed[name] = str(error)
    if settings.wants("order"):
        notify("measuring: order")
        orders = tuple(in_fresh_process(many_samples.order_costs))
        measures += many_samples.order_measures(orders)
    if settings.wants("gpu"):
        gpu = measure_gpu(path, settings.seconds, settings.batch_size, notify)
        failed.update({f"training on {name}": reason for name, reason in gpu.failed.items()})
    results = replace(results, skipped=skipped, failed=failed)
    return FeedsReport(results, tuple(measures), orders, samples, number_of_shards(shards) if shards else 0, gpu)


def names_in_order(sharded: bool = False) -> Sequence[str]:
    """Return the names of all loaders; those that are compared with each other are measured one after the other.

    sharded: include the feeds on shards.
    """
    first = ("gather", _FASTEST, AUGMENTED, _WITH_PROCESSES)
    names = [*first, *(name for name in (*OURS, *ALTERNATIVES, *ROOFLINES) if name not in first)]
    if sharded:
        for name, feed in SHARDED.items():
            names.insert(names.index(feed) + 1, name)
    return names


def loader_measures(results: BenchmarkResults) -> list[Measure]:
    """Return the measures of the loaders that were measured."""
    return list(_measures(results))


def _measures(results: BenchmarkResults) -> Iterator[Measure]:
    measured = results.rounds
    if _FASTEST in measured and "gather" in measured:
        percent = 100 * results.ratio(_FASTEST, "gather")
        yield Measure(f"{_FASTEST} to one thread's gather", percent, "%", _OF_GATHER_PERCENT)
    jpeg = [name for name in ALTERNATIVES if name in measured and _is_jpeg(name)]
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
    """Return whether an alternative decodes JPEG files."""
    return name == "python-generator" or name.endswith("-jpeg")


def _training(store: Path, rounds: int) -> list[Measure]:
    return in_fresh_process(measure_training_here, store, rounds)


def measure_training_here(store: Path, rounds: int) -> list[Measure]:
    """Measure the training in this process, which loads TensorFlow as model.py does."""
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    from benchmarks.feeds.training import measure_training, training_measures

    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    feed, sizes = ("device", _GPU_BATCHES) if on_gpu else (_FASTEST, (TrainSettings().batch_size,))
    measures: list[Measure] = []
    for size in sizes:
        rates = measure_training(store, _TRAINING_STEPS, rounds, size, feed)
        measures += training_measures(rates, f"{feed}, batches of {size}")
    return measures


def _cold(store: Path, rounds: int) -> list[Measure]:
    if not cold.can_drop_pages():
        raise LoaderUnavailable("this system does not let a program drop a file from the page cache")
    return cold.cold_measures(cold.measure_cold(store, rounds))


def _tables(store: Path, rounds: int) -> list[Measure]:
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        few = make_synthetic_store(draw_recording(folder / "recording", _TABLE_FRAMES), folder / "few.h5")
        return many_samples.measure_tables(folder, few, _TABLE_SAMPLES)


_FURTHER: dict[str, Callable[[Path, int], list[Measure]]] = {"training": _training, "cold": _cold, "tables": _tables}
