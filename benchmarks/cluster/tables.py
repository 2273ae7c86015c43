"""Measure what grows with rows and shards on one machine: planning a conversion, and opening a store of many shards."""

import datetime
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bcclone.cluster.manifest import MANIFEST_NAME, Manifest
from bcclone.cluster.sharded_conversion import convert
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.cluster.shards import open_store
from bcclone.dataset.sample_settings import SampleSettings
from benchmarks.cluster.sharding import plan_shards
from benchmarks.feeds.meter import used_memory
from benchmarks.measures import Measure
from benchmarks.rounds import in_fresh_process

_BEGUN = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 a recording names its images by the local time
_ROW_SECONDS = 1 / 15
_OPENED = 3  # times


@dataclass(frozen=True)
class TableCosts:
    """What grows with the data, in milliseconds of a core and in bytes, so that other programs do not matter.

    row_ms, row_bytes: to plan a row of a log; open_ms: to open a shard; sample_us: to read the entry of each sample in
    the table, in microseconds; manifest_bytes: of each shard.
    """

    row_ms: float
    row_bytes: float
    open_ms: float
    sample_us: float
    manifest_bytes: float

    def measures(self) -> list[Measure]:
        """Return the measures; none has a bar."""
        return [
            Measure("planning a row", self.row_ms, "ms"),
            Measure("memory of a planned row", self.row_bytes, "bytes"),
            Measure("opening a shard", self.open_ms, "ms"),
            Measure("and reading each of its samples", self.sample_us, "us"),
            Measure("manifest of each shard", self.manifest_bytes, "bytes"),
        ]


def measure_tables(recording: Path, folder: Path, few: int, many: int) -> TableCosts:
    """Plan conversions of few and of many rows, and open a recording's store in large and in small shards.

    The differences are the costs of a row and of a shard; what is left of the large shards is that of their samples.
    """
    planned = [in_fresh_process(plan_rows, make_log(folder / f"{rows} rows", rows)) for rows in (few, many)]
    row_ms, row_bytes = ((large - small) / (many - few) for small, large in zip(*planned, strict=True))
    opened = [
        _opening(recording, folder / name, shard_mb)
        for name, shard_mb in (("large shards", ShardingSettings.shard_mb), ("small shards", 1))
    ]
    (shards, samples, milliseconds), (more_shards, _, more_milliseconds) = opened
    open_ms = (more_milliseconds - milliseconds) / (more_shards - shards)
    manifest = folder / "small shards" / MANIFEST_NAME
    return TableCosts(
        max(row_ms, 0.0),
        max(row_bytes, 0.0),
        max(open_ms, 0.0),
        max(1000 * (milliseconds - shards * open_ms) / samples, 0.0),
        manifest.stat().st_size / more_shards,
    )


def _opening(recording: Path, store: Path, shard_mb: int) -> tuple[int, int, float]:
    """Return the shards and samples of a recording's store, and the milliseconds to open it."""
    made = convert(ShardingSettings((str(recording),), store, shard_mb=shard_mb))
    milliseconds = median(_milliseconds_to_open(store) for _ in range(_OPENED))
    return len(Manifest.read(store).shards), made.train + made.validation, milliseconds


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


def plan_rows(recording: Path) -> tuple[float, float]:
    """Return the milliseconds and bytes of the plan of a conversion, with the tasks of all shards, which are kept."""
    before, since = used_memory().resident_mb, time.process_time()
    shards = plan_shards(recording, recording, ShardingSettings.shard_mb)
    tasks = [shards.task(number) for number in range(len(shards))]
    milliseconds = 1000 * (time.process_time() - since)
    used = 1e6 * (used_memory().resident_mb - before)
    del tasks
    return milliseconds, used


def _milliseconds_to_open(path: Path) -> float:
    since = time.process_time()
    with open_store(path):
        return 1000 * (time.process_time() - since)
