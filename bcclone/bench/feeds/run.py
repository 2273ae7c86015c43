"""Store -> every figure of `bcclone bench feeds`: the race, training, a cold file, tables, the order, the GPU."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bcclone.bench import Measure
from bcclone.bench.feeds import cold, many_samples
from bcclone.bench.feeds.fresh_process import in_fresh_process
from bcclone.bench.feeds.gpu_load import GpuReport, measure_gpu
from bcclone.bench.feeds.many_samples import OrderCost
from bcclone.bench.feeds.meter import Benchmark, Timing
from bcclone.bench.feeds.report import judge, names_in_order, to_json, to_rows
from bcclone.bench.feeds.rounds import Results, run_benchmark
from bcclone.bench.feeds.synthetic import draw_recording, make_store
from bcclone.errors import UserError
from bcclone.feed.settings import FeedSettings
from bcclone.store import Store
from bcclone.train.settings import TrainSettings

PARTS = ("training", "cold", "tables", "order", "gpu")
_TRAINING_STEPS, _TABLE_SAMPLES, _TABLE_FRAMES = 200, 1_000_000, 300
_GPU_BATCHES = 256, 1024


@dataclass(frozen=True)
class FeedsSettings:
    """only: contestants and parts to measure, empty for all; rounds: turns of each; seconds: how long one is timed;
    batch_size: samples of a batch where the GPU is watched.
    """

    only: tuple[str, ...] = ()
    rounds: int = 3
    seconds: float = 4.0
    batch_size: int = TrainSettings().batch_size

    def __post_init__(self) -> None:
        known = (*names_in_order(), *PARTS)
        if unknown := [name for name in self.only if name not in known]:
            raise ValueError(f"nothing to measure is called {', '.join(unknown)}, expected some of {', '.join(known)}")
        if self.rounds < 1:
            raise ValueError(f"{self.rounds} rounds, expected 1 or more")
        if not 0 < self.seconds <= 60:
            raise ValueError(f"{self.seconds:g} s a turn, expected more than 0 and up to 60")
        if not 1 <= self.batch_size <= 1 << 16:
            raise ValueError(f"batches of {self.batch_size}, expected 1 to 65536")

    def wants(self, name: str) -> bool:
        """Return whether a contestant or a part is to be measured."""
        return not self.only or name in self.only


@dataclass
class Report:
    """What was measured. results: of the race; measures: with their bars; orders: what the order costs; gpu: how busy
    it was while training on each feed, None where that was not measured.
    """

    results: Results
    measures: list[Measure] = field(default_factory=list)
    orders: list[OrderCost] = field(default_factory=list)
    samples: int = 0
    gpu: GpuReport | None = None

    @property
    def is_good(self) -> bool:
        """Return whether nothing failed and no bar was missed."""
        return not self.results.failed and all(measure.reached is not False for measure in self.measures)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return to_json(self.results) | {
            "samples": self.samples,
            "cores": os.cpu_count(),
            "orders": [asdict(cost) for cost in self.orders],
            "measures": [measure.to_json() for measure in self.measures],
            "gpu": self.gpu.to_json() if self.gpu else None,
        }


def measure_feeds(store: Path, settings: FeedsSettings, notify: Callable[[str], None]) -> Report:
    """Measure what is wanted on this store, in fresh processes; `notify` is told how far it is."""
    with Store(store) as opened:
        samples = int(opened.split_indices(validation=False).size)
    benchmark = Benchmark(store, workers=os.cpu_count() or 1)
    timing = Timing(warm_samples=samples, seconds=settings.seconds)
    names = [name for name in names_in_order() if settings.wants(name)]
    results = run_benchmark(names, benchmark, timing, settings.rounds, notify)
    report = Report(results, judge(results), samples=samples)
    for part in (part for part in _MEASURE if settings.wants(part)):
        notify(f"measuring: {part}")
        try:
            _MEASURE[part](report, store, settings.rounds)
        except UserError as error:
            results.failed[part] = str(error)
    if settings.wants("gpu"):
        report.gpu = measure_gpu(store, settings.seconds, settings.batch_size, notify)
        results.failed.update({f"training on {name}": reason for name, reason in report.gpu.failed.items()})
    return report


def _training(report: Report, store: Path, rounds: int) -> None:
    report.measures += in_fresh_process(train_in_turns, store, rounds)


def train_in_turns(store: Path, rounds: int) -> list[Measure]:
    """Measure the training in this process, which loads TensorFlow as model.py does."""
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    from bcclone.bench.feeds.training import judge_training, measure_training

    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    feed, sizes = ("device", _GPU_BATCHES) if on_gpu else (FeedSettings().feed, (TrainSettings().batch_size,))
    measures: list[Measure] = []
    for size in sizes:
        turns = measure_training(store, _TRAINING_STEPS, rounds, size, feed)
        measures += judge_training(turns, f"{feed}, batches of {size}")
    return measures


def _cold(report: Report, store: Path, rounds: int) -> None:
    if cold.can_drop_pages():
        report.measures += cold.judge_cold(cold.measure_cold(store, rounds))
    else:
        report.results.skipped["cold"] = "this system does not let a program drop a file from the page cache"


def _tables(report: Report, store: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        few = make_store(draw_recording(folder / "recording", _TABLE_FRAMES), folder / "few.h5")
        report.measures += many_samples.measure_tables(folder, few, _TABLE_SAMPLES)


def _order(report: Report, store: Path, rounds: int) -> None:
    report.orders = in_fresh_process(many_samples.order_costs)
    report.measures += many_samples.judge_order(report.orders)


_MEASURE: dict[str, Callable[[Report, Path, int], None]] = {
    "training": _training,
    "cold": _cold,
    "tables": _tables,
    "order": _order,
}


def to_text(report: Report) -> str:
    """Return the report as tables."""
    measures = [measure.to_row() for measure in report.measures]
    gpu = report.gpu.to_rows() if report.gpu else []
    blocks = [to_rows(report.results), many_samples.to_rows(report.orders), measures, gpu]
    return "\n\n".join("\n".join(block) for block in blocks if block)
