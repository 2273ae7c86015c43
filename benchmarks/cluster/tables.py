"""Measure what grows with rows and shards on one machine: planning a conversion, and opening a store of many shards."""

import datetime
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bcclone.cluster.manifest import MANIFEST_NAME, Manifest
from bcclone.cluster.sharded_conversion import convert
from bcclone.cluster.sharded_store import ShardPlan, ShardSettings
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.cluster.shards import open_store
from bcclone.dataset.conversion_plan import make_plan
from bcclone.dataset.images import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import assign_validation
from benchmarks.feeds.meter import in_fresh_process, used_memory
from benchmarks.measures import Measure

_BEGUN = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 a recording names its images by the local time
_ROW_SECONDS = 1 / 15
_OPENED = 3  # times


@dataclass(frozen=True)
class Planning:
    """The work and memory to read so many rows and to divide them into the tasks of shards. seconds: of a core."""

    rows: int
    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Opening:
    """The time to open a store of so many shards and samples, and the size of its manifest."""

    shards: int
    samples: int
    seconds: float
    manifest_bytes: int


@dataclass(frozen=True)
class TableCosts:
    """few, many: planning of few and of many rows; large, small: opening the same store, in large and in small shards.

    All times are of a core, so that other programs do not matter.
    """

    few: Planning
    many: Planning
    large: Opening
    small: Opening

    @property
    def row_milliseconds(self) -> float:
        """Return the time of each further row."""
        return 1000 * (self.many.seconds - self.few.seconds) / (self.many.rows - self.few.rows)

    @property
    def row_bytes(self) -> float:
        """Return the memory of each further row."""
        return 1e6 * (self.many.memory_mb - self.few.memory_mb) / (self.many.rows - self.few.rows)

    @property
    def open_milliseconds(self) -> float:
        """Return the time to open a store, for each further shard of the same samples."""
        return 1000 * (self.small.seconds - self.large.seconds) / (self.small.shards - self.large.shards)

    @property
    def sample_microseconds(self) -> float:
        """Return the time to open a store, for each sample."""
        of_samples = self.large.seconds - self.large.shards * self.open_milliseconds / 1000
        return 1e6 * of_samples / self.large.samples

    def measures(self) -> list[Measure]:
        """Return the measures; none has a bar."""
        return [
            Measure("planning a row", self.row_milliseconds, "ms"),
            Measure("memory of a planned row", self.row_bytes, "bytes"),
            Measure("opening a shard", self.open_milliseconds, "ms"),
            Measure("and reading each of its samples", self.sample_microseconds, "us"),
            Measure("manifest of each shard", self.small.manifest_bytes / self.small.shards, "bytes"),
        ]


def measure_tables(recording: Path, folder: Path, few: int, many: int) -> TableCosts:
    """Plan conversions of few and of many rows, and open a recording's store in large and in small shards."""
    return TableCosts(
        few=in_fresh_process(plan_rows, make_log(folder / f"{few} rows", few)),
        many=in_fresh_process(plan_rows, make_log(folder / f"{many} rows", many)),
        large=_opening(recording, folder / "large shards", ShardingSettings.shard_mb),
        small=_opening(recording, folder / "small shards", 1),
    )


def _opening(recording: Path, store: Path, shard_mb: int) -> Opening:
    made = convert(ShardingSettings((str(recording),), store, shard_mb=shard_mb))
    seconds = median(_seconds_to_open(store) for _ in range(_OPENED))
    manifest = store / MANIFEST_NAME
    return Opening(len(Manifest.read(store).shards), made.train + made.validation, seconds, manifest.stat().st_size)


def make_log(folder: Path, rows: int) -> Path:
    """Write a log of so many rows, whose images are empty files: planning a conversion does not open them."""
    images = folder / "IMG"
    images.mkdir(parents=True)
    with (folder / "driving_log.csv").open("w", encoding="utf-8") as log:
        for number in range(rows):
            moment = _BEGUN + datetime.timedelta(seconds=number * _ROW_SECONDS)
            stamp = f"{moment:%Y_%m_%d_%H_%M_%S}_{moment.microsecond // 1000:03d}"
            names = [f"{camera}_{stamp}.jpg" for camera in SampleSettings().cameras]
            for name in names:
                (images / name).touch()
            log.write(",".join(names) + f",{number % 100 / 100},0.5,0,20\n")
    return folder


def plan_rows(recording: Path) -> Planning:
    """Measure the plan of a conversion to shards in this process, with the tasks of all shards, which are kept."""
    before, since = used_memory().resident_mb, time.process_time()
    samples = SampleSettings()
    plan = make_plan((str(recording),), samples, None)
    rows = plan.rows.assign(validation=assign_validation(plan.rows, samples, None))
    settings = ShardSettings(Preprocessing(), samples, ShardingSettings.shard_mb * 10**6, reuse=False)
    shards = ShardPlan.of(recording, 0, plan, rows, settings)
    tasks = [shards.task(number) for number in range(len(shards))]
    seconds = time.process_time() - since
    memory = used_memory().resident_mb - before
    del tasks
    return Planning(len(rows), seconds, memory)


def _seconds_to_open(path: Path) -> float:
    since = time.process_time()
    with open_store(path):
        return time.process_time() - since
