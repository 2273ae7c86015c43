"""Measure writing shards: a recording -> its time on one and two processes and Dask workers, and the cost of a task."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median

from bcclone.cluster.dask_workers import open_pool
from bcclone.cluster.shard_task import ShardPlan, ShardSettings
from bcclone.cluster.sharded_conversion import write_shards
from bcclone.dataset.conversion_plan import make_plan
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.task_pool import TaskPool
from benchmarks.feeds.meter import Use
from benchmarks.measures import Measure
from benchmarks.rounds import measure_in_rounds, median_ratio

_PROCESS, _PROCESSES, _DASK, _DASKS = "1 process", "2 processes", "1 Dask worker", "2 Dask workers"
_POOLS = {_PROCESS: ("", 1), _PROCESSES: ("", 2), _DASK: ("local:1", 0), _DASKS: ("local:2", 0)}
_SPEEDUP_BAR = 1.7
_EMPTY_TASKS = 500


@dataclass(frozen=True)
class Run:
    """One measurement. others: cores that other programs used meanwhile, on average."""

    seconds: float
    others: float


@dataclass(frozen=True)
class ShardingRates:
    """The time to write all shards by each pool in each round, and to run empty tasks.

    row_ms: of a core, to plan a row and the task that it is a part of.
    """

    images: int
    shards: int
    row_ms: float
    written: Mapping[str, Sequence[Run]]
    empty: Mapping[str, Sequence[Run]]

    @property
    def others(self) -> float:
        """Return how many cores other programs used, on average."""
        return mean(run.others for of_pool in self.written.values() for run in of_pool)

    def measures(self) -> list[Measure]:
        """Return the measures with their bars."""
        seconds = {pool: [run.seconds for run in runs] for pool, runs in self.written.items()}
        beyond = [dask - plain for dask, plain in zip(seconds[_DASK], seconds[_PROCESS], strict=True)]
        ratios = {
            f"{_PROCESSES} to 1": median_ratio(seconds[_PROCESS], seconds[_PROCESSES]),
            f"{_DASKS} to 1": median_ratio(seconds[_DASK], seconds[_DASKS]),
        }
        return [
            *(
                Measure(f"shards written by {pool}", self.images / median(of_rounds), "images/s")
                for pool, of_rounds in seconds.items()
            ),
            *(Measure(name, ratio, "x", _SPEEDUP_BAR) for name, ratio in ratios.items()),
            Measure("Dask worker to process", median_ratio(seconds[_PROCESS], seconds[_DASK]), "x"),
            Measure("a shard by Dask, beyond a process", 1000 * median(beyond) / self.shards, "ms"),
            *(
                Measure(f"an empty task, {pool}", median(1000 * run.seconds / _EMPTY_TASKS for run in runs), "ms")
                for pool, runs in self.empty.items()
                if pool in (_PROCESS, _DASK)
            ),
            Measure("planning a row", self.row_ms, "ms"),
        ]


def measure_sharding(recording: Path, folder: Path, shard_mb: int, rounds: int) -> ShardingRates:
    """Write the shards of a recording into a folder by each pool, in rounds. All workers wait, warm, for their turns.

    The work of the command itself, which reads the logs before and the shards' tables afterwards, is not included.
    """
    since = time.process_time()
    plan = make_plan((str(recording),), SampleSettings(), None)
    shards = ShardPlan.of(folder, 0, plan, ShardSettings(Preprocessing(), SampleSettings(), shard_mb * 10**6))
    list(shards.tasks())
    row_ms = 1000 * (time.process_time() - since) / len(plan.rows)
    with ExitStack() as stack:
        pools = {name: stack.enter_context(open_pool(*where)) for name, where in _POOLS.items()}
        written, empty = (
            measure_in_rounds({name: partial(_timed, work, pool) for name, pool in pools.items()}, rounds)
            for work in (partial(write_shards, shards), _run_empty)
        )
    return ShardingRates(len(plan.files), len(shards.blocks), row_ms, written, empty)


def _run_empty(pool: TaskPool) -> None:
    for _ in pool.run(do_nothing, range(_EMPTY_TASKS)):
        pass


def do_nothing(number: int) -> int:
    """Return the number; a task without work, which the workers find by its name."""
    return number


def _timed(work: Callable[[TaskPool], object], pool: TaskPool) -> Run:
    begin = Use.now()
    work(pool)
    end = Use.now()
    seconds = end.at - begin.at
    return Run(seconds, max(end.all_cpu - begin.all_cpu - (end.cpu - begin.cpu), 0.0) / seconds)
