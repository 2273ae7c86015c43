"""Measure how fast workers write shards, on processes and on Dask, and what Dask costs for each shard."""

import pickle
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bcclone.cluster.dask_workers import open_pool
from bcclone.cluster.sharded_store import ShardPlan, ShardSettings, write_shards
from bcclone.dataset.conversion_plan import make_plan
from bcclone.dataset.images import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import assign_validation
from bcclone.system.task_pool import TaskPool
from benchmarks.feeds.meter import busy_seconds, cpu_seconds
from benchmarks.measures import Measure, measure_in_rounds

_POOLS = {
    "1 process": ("", 1),
    "2 processes": ("", 2),
    "1 Dask worker": ("local:1", 0),
    "2 Dask workers": ("local:2", 0),
}
_SPEEDUP_BAR = 1.7
_EMPTY_TASKS = 500


@dataclass(frozen=True)
class Run:
    """One measurement. core_seconds: CPU time; others: cores that other programs used meanwhile, on average."""

    seconds: float
    core_seconds: float
    others: float


@dataclass(frozen=True)
class ShardingRates:
    """The time to write all shards by each pool in each round, and to run empty tasks.

    task_bytes: size of the task of a shard, as it is sent to a worker.
    """

    images: int
    shards: int
    shard_bytes: float
    task_bytes: float
    written: Mapping[str, Sequence[Run]]
    empty: Mapping[str, Sequence[Run]]

    def images_per_second(self, pool: str) -> float:
        """Return the median over the rounds."""
        return median(self.images / run.seconds for run in self.written[pool])

    @property
    def images_per_core_second(self) -> float:
        """Return the images that a core converts in a second of its own time, the median over the rounds."""
        return median(self.images / run.core_seconds for run in self.written["1 process"])

    def ratio(self, pool: str, other: str) -> float:
        """Return the median over the rounds of how many times faster a pool is than another."""
        pairs = zip(self.written[pool], self.written[other], strict=True)
        return median(theirs.seconds / mine.seconds for mine, theirs in pairs)

    def milliseconds_per_empty_task(self, pool: str) -> float:
        """Return the median over the rounds."""
        return median(1000 * run.seconds / _EMPTY_TASKS for run in self.empty[pool])

    @property
    def shard_milliseconds(self) -> float:
        """Return how much longer Dask takes for a shard than processes do, the median over the rounds."""
        pairs = zip(self.written["1 Dask worker"], self.written["1 process"], strict=True)
        return median(1000 * (dask.seconds - plain.seconds) / self.shards for dask, plain in pairs)

    @property
    def others(self) -> float:
        """Return how many cores other programs used, on average."""
        runs = [run for of_pool in self.written.values() for run in of_pool]
        return sum(run.others for run in runs) / len(runs)

    def measures(self) -> list[Measure]:
        """Return the measures with their bars."""
        pools = list(_POOLS)
        return [
            *(Measure(f"shards written by {name}", self.images_per_second(name), "images/s") for name in pools),
            Measure("images of a core in a second", self.images_per_core_second, "images"),
            Measure("2 processes to 1", self.ratio("2 processes", "1 process"), "x", _SPEEDUP_BAR),
            Measure("2 Dask workers to 1", self.ratio("2 Dask workers", "1 Dask worker"), "x", _SPEEDUP_BAR),
            Measure("Dask worker to process", self.ratio("1 Dask worker", "1 process"), "x"),
            Measure("a shard by Dask, beyond a process", self.shard_milliseconds, "ms"),
            *(
                Measure(f"an empty task, {name}", self.milliseconds_per_empty_task(name), "ms")
                for name in ("1 process", "1 Dask worker")
            ),
            Measure("size of a shard", self.shard_bytes / 1e6, "MB"),
            Measure("a shard, by one process", 1000 * self._seconds_per_shard("1 process"), "ms"),
            Measure("size of the task of a shard", self.task_bytes / 1e3, "kB"),
        ]

    def _seconds_per_shard(self, pool: str) -> float:
        return median(run.seconds / self.shards for run in self.written[pool])


def measure_sharding(recording: Path, folder: Path, shard_mb: int, rounds: int) -> ShardingRates:
    """Write the shards of a recording into a folder by each pool, in rounds. All workers wait, warm, for their turns.

    The work of the command itself, which reads the logs before and the shards' tables afterwards, is not included.
    """
    plan = make_plan((str(recording),), SampleSettings(), None)
    rows = plan.rows.assign(validation=assign_validation(plan.rows, SampleSettings(), None))
    settings = ShardSettings(Preprocessing(), SampleSettings(), shard_mb * 10**6, reuse=False)
    shards = ShardPlan.of(folder, 0, plan, rows, settings)
    with ExitStack() as stack:
        pools = {name: stack.enter_context(open_pool(*where)) for name, where in _POOLS.items()}
        written = measure_in_rounds({name: partial(_write, shards, pool) for name, pool in pools.items()}, rounds)
        empty = measure_in_rounds({name: partial(_run_empty, pool) for name, pool in pools.items()}, rounds)
    sizes = [path.stat().st_size for path in folder.glob("*.h5")]
    task_bytes = len(pickle.dumps(shards.task(0)))
    return ShardingRates(len(plan.files), len(shards), sum(sizes) / len(sizes), task_bytes, written, empty)


def _write(shards: ShardPlan, pool: TaskPool) -> Run:
    stopwatch = _Stopwatch()
    write_shards(shards, pool)
    return stopwatch.stop()


def _run_empty(pool: TaskPool) -> Run:
    stopwatch = _Stopwatch()
    for _ in pool.run(do_nothing, range(_EMPTY_TASKS)):
        pass
    return stopwatch.stop()


def do_nothing(number: int) -> int:
    """Return the number; a task without work, which the workers find by its name."""
    return number


class _Stopwatch:
    """Measures time, and the CPU time of other programs, from its creation on."""

    def __init__(self) -> None:
        self._since, self._busy, self._own = time.perf_counter(), busy_seconds(), cpu_seconds()

    def stop(self) -> Run:
        """Return what has been measured."""
        seconds = time.perf_counter() - self._since
        own = cpu_seconds() - self._own
        return Run(seconds, own, max(busy_seconds() - self._busy - own, 0.0) / seconds)
