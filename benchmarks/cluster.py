"""Benchmark "cluster": what two workers gain over one, and what Dask, a shard and a row cost.

In: Settings. Out: a Report.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from bcclone import Preprocessing, PreprocessSettings, SampleSettings, convert, open_store
from bcclone.dataset.plan import make_plan
from bcclone.dataset.shard_writer import ShardTask, shard_tasks, write_shard
from bcclone.system.hardware import usable_cores
from bcclone.system.pool import open_pool, run_tasks
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, setting
from bcclone.training.training_state import read_history
from benchmarks.feeds.loaders import Results, loader_measures, measure_loader, results_as_json
from benchmarks.feeds.meter import Benchmark, Timing, Use
from benchmarks.measures import Measure, Report
from benchmarks.rounds import (
    free_ports,
    measure_in_rounds,
    median_ratio,
    rounds_setting,
    run_bcclone,
    run_rounds,
    seconds_setting,
)
from benchmarks.synthetic import (
    SYNTHETIC_IMAGES,
    draw_recording,
    make_synthetic_store,
    number_of_shards,
    sharded_copy,
)

# pools of workers
_PROCESS = "1 process"
_PROCESSES = "2 processes"
_DASK = "1 Dask worker"
_DASKS = "2 Dask workers"
_POOLS = {  # name -> number of processes, and whether they are workers of Dask
    _PROCESS: (1, False),
    _PROCESSES: (2, False),
    _DASK: (1, True),
    _DASKS: (2, True),
}
_EMPTY_TASKS = 500  # in each run
_BATCH_SIZE = 64  # of the trainings, over all workers


@dataclass(frozen=True)
class Settings(Checked):
    """What several workers gain, and what they cost, measured on this machine."""

    frames: int = setting(
        SYNTHETIC_IMAGES, "number of camera images of the synthetic recording", 60
    )
    rounds: int = rounds_setting()
    seconds: float = seconds_setting()


class Run(NamedTuple):
    """One measurement."""

    seconds: float
    others: float  # cores that other programs used meanwhile, on average


Runs = Mapping[str, Sequence[Run]]  # name of a pool -> its runs, in order of the rounds


def measure(settings: Settings, notify: Notify) -> Report:
    """Measure everything on generated data in the system's temporary folder; raises UserError."""
    load = 0.0  # of the machine: processes that ran in the minute before, on average
    if hasattr(os, "getloadavg"):
        load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        recording = draw_recording(folder / "recording", settings.frames)
        notify("measuring: shards")
        sharding = measure_sharding(recording, folder / "shards", settings)
        notify("measuring: feeds")
        feeding = measure_feeding(recording, folder / "data.h5", settings, notify)
        notify("measuring: training")
        alone, together = measure_steps(recording, folder, settings.rounds)
    cores = usable_cores()
    others = sharding.mean_others
    values = {
        "cores": cores,
        "load": round(load, 2),
        "others": round(others, 3),
        "free_cores": round(max(cores - others, 0.0), 3),
        "images": sharding.images,
        "shards": sharding.shards,
        "rounds": sharding.rounds_as_json(),
        "feeds": results_as_json(feeding.results),
        "training": {"alone": alone, "together": together},
    }
    measures = [
        *sharding_measures(sharding.written, sharding.empty, sharding.images, sharding.shards),
        Measure("planning a row", sharding.row_ms, "ms"),
        Measure("opening a shard", feeding.open_ms, "ms"),
        *loader_measures(feeding.results),
        *step_measures(alone, together),
    ]
    used = f"other programs used {others:.2f} of {cores} cores meanwhile"
    return Report(measures, [used, ""], values, feeding.results.failed)


# ---- writing shards


@dataclass(frozen=True)
class Sharding:
    """What was measured while the images of a recording were written as shards."""

    images: int
    shards: int
    row_ms: float  # CPU time to plan a row
    written: Runs  # all shards, by each pool
    empty: Runs  # tasks without work, in each pool

    @property
    def mean_others(self) -> float:
        """Return how many cores other programs used while shards were written, on average."""
        return mean(run.others for runs in self.written.values() for run in runs)

    def rounds_as_json(self) -> dict[str, list[list[float]]]:
        """Return of each pool: [images a second, cores that other programs used] of each round."""
        rounds: dict[str, list[list[float]]] = {}
        for pool, runs in self.written.items():
            rounds[pool] = [
                [round(self.images / run.seconds, 1), round(run.others, 3)] for run in runs
            ]
        return rounds


def measure_sharding(recording: Path, folder: Path, settings: Settings) -> Sharding:
    """Plan the shards of a recording, and write them with each pool."""
    folder.mkdir()
    since = time.process_time()
    plan = make_plan((str(recording),), SampleSettings(), None)
    wanted_shards = 16  # several for each worker, so that all workers end at about the same time
    frame_mb = 128 * 128 * 3 / 1e6
    shard_mb = max(round(settings.frames * frame_mb / wanted_shards), 1)
    chosen = PreprocessSettings((str(recording),), folder, shard_mb=shard_mb)
    tasks = shard_tasks(folder, chosen, Preprocessing(), SampleSettings(), plan)
    row_ms = 1000 * (time.process_time() - since) / len(plan.rows)
    return Sharding(
        images=len(plan.files),
        shards=len(tasks),
        row_ms=row_ms,
        written=_in_pools(partial(_write, tasks), settings.rounds),
        empty=_in_pools(_run_empty_tasks, settings.rounds),
    )


def _write(tasks: Sequence[ShardTask], pool: Executor) -> None:
    list(run_tasks(pool, write_shard, tasks))


def _in_pools(work: Callable[[Executor], object], rounds: int) -> dict[str, list[Run]]:
    """Do the work in each pool, in rounds. All workers wait, warm, for their turns.

    The work of the command itself, which reads the logs before and the shards' tables afterwards,
    is not included.
    """
    with ExitStack() as stack:
        functions = {}
        for name, (jobs, is_dask) in _POOLS.items():
            scheduler = ""
            if is_dask:
                from distributed import LocalCluster

                cluster = stack.enter_context(LocalCluster(n_workers=jobs, threads_per_worker=1))
                scheduler = cluster.scheduler_address
            pool = stack.enter_context(open_pool(jobs, scheduler))
            functions[name] = partial(_timed, work, pool)
        return measure_in_rounds(functions, rounds)


def _timed(work: Callable[[Executor], object], pool: Executor) -> Run:
    begin = Use.now()
    work(pool)
    end = Use.now()
    return Run(end.at - begin.at, end.others_since(begin))


def _run_empty_tasks(pool: Executor) -> None:
    list(run_tasks(pool, do_nothing, range(_EMPTY_TASKS)))


def do_nothing(number: int) -> int:
    """Return the number; a task without work, which the workers find by its name."""
    return number


def sharding_measures(written: Runs, empty: Runs, images: int, shards: int) -> list[Measure]:
    """Compare the pools, which wrote so many images and shards, and ran empty tasks."""
    least_speedup = 1.7  # of two workers to one
    seconds = {pool: [run.seconds for run in runs] for pool, runs in written.items()}
    measures = []
    for pool, pool_seconds in seconds.items():
        rate = images / median(pool_seconds)
        measures.append(Measure(f"shards written by {pool}", rate, "images/s"))

    processes_speedup = median_ratio(seconds[_PROCESS], seconds[_PROCESSES])
    dask_speedup = median_ratio(seconds[_DASK], seconds[_DASKS])
    dask_to_process = median_ratio(seconds[_PROCESS], seconds[_DASK])
    measures += [
        Measure(f"{_PROCESSES} to 1", processes_speedup, "x", least_speedup),
        Measure(f"{_DASKS} to 1", dask_speedup, "x", least_speedup),
        Measure("Dask worker to process", dask_to_process, "x"),
    ]

    # what Dask costs: for a shard, beyond what a process needs, and for a task without work
    pairs = zip(seconds[_DASK], seconds[_PROCESS], strict=True)
    extra_seconds = median(dask - process for dask, process in pairs)
    extra_ms = 1000 * extra_seconds / shards
    measures.append(Measure("a shard by Dask, beyond a process", extra_ms, "ms"))
    for pool in (_PROCESS, _DASK):
        task_ms = median(1000 * run.seconds / _EMPTY_TASKS for run in empty[pool])
        measures.append(Measure(f"an empty task, {pool}", task_ms, "ms"))
    return measures


# ---- feeds on shards


class Feeding(NamedTuple):
    """What was measured while feeds read a store as one file, and as shards."""

    results: Results
    open_ms: float  # CPU time to open a shard


def measure_feeding(recording: Path, store: Path, settings: Settings, notify: Notify) -> Feeding:
    """Write a recording as a store, measure a feed on it and on a copy of shards."""
    feeds = ("hdf5-shuffle", "hdf5-shuffle-sharded")
    make_synthetic_store(recording, store)
    with sharded_copy(store, shards=8) as copy:
        # opening what a single file has, too, is no cost of shards
        extra_ms = max(_milliseconds_to_open(copy) - _milliseconds_to_open(store), 0.0)
        open_ms = extra_ms / number_of_shards(copy)
        measure_feed = partial(
            measure_loader,
            benchmark=Benchmark(store, workers=usable_cores(), shards=copy),
            timing=Timing(warm_samples=2 * settings.frames, seconds=settings.seconds),
        )
        results = run_rounds(feeds, measure_feed, settings.rounds, notify)
    return Feeding(results, open_ms)


def _milliseconds_to_open(store: Path) -> float:
    """Return the CPU time to open a store, the median of three times."""
    milliseconds = []
    for _ in range(3):
        since = time.process_time()
        with open_store(store):
            milliseconds.append(1000 * (time.process_time() - since))
    return median(milliseconds)


# ---- training with two workers


def measure_steps(recording: Path, folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the samples a second of one worker, and of two with the same global batch.

    They train in turns, on the centre frames of a recording. Raises UserError.
    """
    store = folder / "center.h5"
    # a third of the samples: short epochs
    convert(PreprocessSettings((str(recording),), store, cameras=("center",)))
    alone = []
    together = []
    for number in range(rounds):
        alone.append(_train(store, folder / f"1 {number}", 1))
        together.append(_train(store, folder / f"2 {number}", 2))
    return alone, together


def _train(store: Path, runs: Path, workers: int) -> float:
    """Return the samples per second of the fastest epoch but the first.

    In the first epoch, TensorFlow compiles the step.
    """
    epochs = 3
    line: list[object] = ["model", store, "-o", runs / "model.h5", "--runs", runs, "--name", "run"]
    line += ["--epochs", epochs, "--batch-size", _BATCH_SIZE]
    line += ["--no-augment", "--no-plots", "--quiet"]
    runs.mkdir()
    if workers == 1:
        run_bcclone(*line)
    else:
        _run_joined(line, workers)
    history = read_history(runs / "run" / "history.csv")
    return max(epoch.samples_per_second for epoch in history[1:])


def _run_joined(line: Sequence[object], workers: int) -> None:
    """Run the same line as workers of one training, which talk over free ports."""
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(workers))

    def run_worker(index: int) -> None:
        run_bcclone(*line, "--workers", addresses, "--worker-index", index)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run_worker, range(workers)))


def step_measures(alone: Sequence[float], together: Sequence[float]) -> list[Measure]:
    """Compare the samples a second of one worker and of two, round by round.

    No measure has a bar, because the two workers share the cores of one.
    """
    extra_ms = []
    for rate_alone, rate_together in zip(alone, together, strict=True):
        extra_seconds = _BATCH_SIZE / rate_together - _BATCH_SIZE / rate_alone
        extra_ms.append(1000 * extra_seconds)
    return [
        Measure("training, one worker", median(alone), "samples/s"),
        Measure("training, two workers on its cores", median(together), "samples/s"),
        Measure("two workers to one", median_ratio(together, alone), "x"),
        Measure("a step of two workers, beyond one", median(extra_ms), "ms"),
    ]
