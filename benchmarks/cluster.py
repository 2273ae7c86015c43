"""Benchmark "cluster": Settings -> what two workers gain over one, what Dask costs, and what grows
with the data.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from bcclone import Preprocessing, PreprocessSettings, SampleSettings, convert, open_store
from bcclone.cluster.dask_workers import open_pool
from bcclone.cluster.shard_task import ShardPlan
from bcclone.cluster.sharded_conversion import write_shards
from bcclone.dataset.conversion_plan import make_plan
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, setting
from bcclone.system.task_pool import TaskPool
from bcclone.training.training_state import read_history
from benchmarks.feeds.loaders import loader_measures, measure_loader, results_as_json
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

_SHARDS, _FEED_SHARDS, _FRAME_MB = 16, 8, 128 * 128 * 3 / 1e6
_PROCESS, _PROCESSES, _DASK, _DASKS = "1 process", "2 processes", "1 Dask worker", "2 Dask workers"
_POOLS = {_PROCESS: ("", 1), _PROCESSES: ("", 2), _DASK: ("local:1", 0), _DASKS: ("local:2", 0)}
_SPEEDUP_BAR = 1.7
_EMPTY_TASKS = 500
_OPENED = 3  # times
_FEEDS = ("hdf5-shuffle", "hdf5-shuffle-sharded")
_EPOCHS = 3  # the first, in which TensorFlow compiles the step, is not counted
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Settings(Checked):
    """What several workers gain, and what they cost, measured on this machine."""

    frames: int = setting(
        SYNTHETIC_IMAGES, "number of camera images of the synthetic recording", 60
    )
    rounds: int = rounds_setting()
    seconds: float = seconds_setting()


class Run(NamedTuple):
    """One measurement. others: cores that other programs used meanwhile, on average."""

    seconds: float
    others: float


Runs = Mapping[str, Sequence[Run]]  # name of a pool -> its runs, in order of the rounds


def measure(settings: Settings, notify: Notify) -> Report:
    """Measure everything on generated data in the system's temporary folder; raises UserError.

    values, load: of the machine before, as the mean number of processes that ran in a minute;
    rounds: pool -> [images per second, cores that other programs used] of each round.
    """
    images, rounds = settings.frames, settings.rounds
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        recording = draw_recording(folder / "recording", images)
        notify("measuring: shards")
        (folder / "shards").mkdir()
        since = time.process_time()
        plan = make_plan((str(recording),), SampleSettings(), None)
        size = max(round(images * _FRAME_MB / _SHARDS), 1) * 10**6
        shards = ShardPlan(folder / "shards", 0, plan, Preprocessing(), SampleSettings(), size)
        list(shards.tasks())
        row_ms = 1000 * (time.process_time() - since) / len(plan.rows)
        written, empty = (
            _in_pools(partial(write_shards, shards), rounds),
            _in_pools(_run_empty, rounds),
        )
        notify("measuring: feeds")
        store = make_synthetic_store(recording, folder / "data.h5")
        with sharded_copy(store, _FEED_SHARDS) as copy:
            open_ms = max(
                _milliseconds_to_open(copy) - _milliseconds_to_open(store), 0.0
            ) / number_of_shards(copy)
            measure_feed = partial(
                measure_loader,
                benchmark=Benchmark(store, workers=usable_cores(), shards=copy),
                timing=Timing(warm_samples=2 * images, seconds=settings.seconds),
            )
            feeds = run_rounds(_FEEDS, measure_feed, rounds, notify)
        notify("measuring: training")
        center = {"cameras": ("center",)}  # a third of the samples: short epochs
        convert(PreprocessSettings((str(recording),), folder / "center.h5", samples=center))
        alone, together = measure_steps(folder / "center.h5", folder, rounds)
    others = mean(run.others for of_pool in written.values() for run in of_pool)
    values = {
        "cores": usable_cores(),
        "load": round(load, 2),
        "others": round(others, 3),
        "free_cores": round(max(usable_cores() - others, 0.0), 3),
        "images": len(plan.files),
        "shards": len(shards.blocks),
        "rounds": {
            pool: [[round(len(plan.files) / run.seconds, 1), round(run.others, 3)] for run in runs]
            for pool, runs in written.items()
        },
        "feeds": results_as_json(feeds),
        "training": {"alone": alone, "together": together},
    }
    measures = [
        *sharding_measures(written, empty, len(plan.files), len(shards.blocks)),
        Measure("planning a row", row_ms, "ms"),
        Measure("opening a shard", open_ms, "ms"),
        *loader_measures(feeds),
        *step_measures(alone, together),
    ]
    used = f"other programs used {others:.2f} of {usable_cores()} cores meanwhile"
    return Report(measures, [used, ""], values, feeds.failed)


def _in_pools(work: Callable[[TaskPool], object], rounds: int) -> dict[str, list[Run]]:
    """Do the work in each pool, in rounds. All workers wait, warm, for their turns.

    The work of the command itself, which reads the logs before and the shards' tables afterwards,
    is not included.
    """
    with ExitStack() as stack:
        pools = {name: stack.enter_context(open_pool(*where)) for name, where in _POOLS.items()}
        return measure_in_rounds(
            {name: partial(_timed, work, pool) for name, pool in pools.items()}, rounds
        )


def _timed(work: Callable[[TaskPool], object], pool: TaskPool) -> Run:
    begin = Use.now()
    work(pool)
    end = Use.now()
    return Run(end.at - begin.at, end.others_since(begin))


def _run_empty(pool: TaskPool) -> None:
    list(pool.run(do_nothing, range(_EMPTY_TASKS)))


def do_nothing(number: int) -> int:
    """Return the number; a task without work, which the workers find by its name."""
    return number


def sharding_measures(written: Runs, empty: Runs, images: int, shards: int) -> list[Measure]:
    """Compare the pools, which wrote so many images and shards, and ran empty tasks, in each round."""
    seconds = {pool: [run.seconds for run in runs] for pool, runs in written.items()}
    beyond = [dask - plain for dask, plain in zip(seconds[_DASK], seconds[_PROCESS], strict=True)]
    rates = [
        Measure(f"shards written by {pool}", images / median(each), "images/s")
        for pool, each in seconds.items()
    ]
    return [
        *rates,
        Measure(
            f"{_PROCESSES} to 1",
            median_ratio(seconds[_PROCESS], seconds[_PROCESSES]),
            "x",
            _SPEEDUP_BAR,
        ),
        Measure(f"{_DASKS} to 1", median_ratio(seconds[_DASK], seconds[_DASKS]), "x", _SPEEDUP_BAR),
        Measure("Dask worker to process", median_ratio(seconds[_PROCESS], seconds[_DASK]), "x"),
        Measure("a shard by Dask, beyond a process", 1000 * median(beyond) / shards, "ms"),
        *(
            Measure(
                f"an empty task, {pool}",
                median(1000 * run.seconds / _EMPTY_TASKS for run in empty[pool]),
                "ms",
            )
            for pool in (_PROCESS, _DASK)
        ),
    ]


def _milliseconds_to_open(store: Path) -> float:
    """Return the time of a core to open a store, the median of some times."""
    milliseconds = []
    for _ in range(_OPENED):
        since = time.process_time()
        with open_store(store):
            milliseconds.append(1000 * (time.process_time() - since))
    return median(milliseconds)


def measure_steps(store: Path, folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the samples a second of one worker and of two, of the same global batch, in turns;
    raises UserError.
    """
    rates = [
        [_train(store, folder / f"{count} {number}", count) for count in (1, 2)]
        for number in range(rounds)
    ]
    return [alone for alone, _ in rates], [together for _, together in rates]


def _train(store: Path, runs: Path, workers: int) -> float:
    """Return the samples per second of the fastest epoch but the first."""
    line: tuple[object, ...] = (
        "model",
        store,
        "-o",
        runs / "model.h5",
        "--runs",
        runs,
        "--name",
        "run",
        "--quiet",
    )
    line += ("--epochs", _EPOCHS, "--batch-size", _BATCH_SIZE, "--no-augment", "--no-plots")
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(workers))
    joined = (
        [("--workers", addresses, "--worker-index", index) for index in range(workers)]
        if workers > 1
        else [()]
    )
    runs.mkdir()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda words: run_bcclone(*line, *words), joined))
    return max(epoch.samples_per_second for epoch in read_history(runs / "run" / "history.csv")[1:])


def step_measures(alone: Sequence[float], together: Sequence[float]) -> list[Measure]:
    """Compare the samples a second of one worker and of two, round by round; no measure has a bar."""
    beyond = [
        1000 * _BATCH_SIZE * (1 / two - 1 / one) for two, one in zip(together, alone, strict=True)
    ]
    return [
        Measure("training, one worker", median(alone), "samples/s"),
        Measure("training, two workers on its cores", median(together), "samples/s"),
        Measure("two workers to one", median_ratio(together, alone), "x"),
        Measure("a step of two workers, beyond one", median(beyond), "ms"),
    ]
