"""Measure what grows with rows and shards on one machine: planning a conversion, and opening a store of many shards."""

import datetime
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bcclone.bench import Measure
from bcclone.bench.feeds.meter import in_fresh_process, used_memory
from bcclone.images import Preprocessing
from bcclone.preprocess import PreprocessSettings, convert
from bcclone.preprocess.plan import make_plan
from bcclone.preprocess.sharded import ShardPlan, ShardSettings
from bcclone.sample_settings import SampleSettings
from bcclone.samples import assign_validation
from bcclone.store import MANIFEST_NAME, Manifest, Store

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
class TableCosts:
    """few, many: planning of few and of many rows; open_seconds, manifest_bytes: of a store of so many shards.

    All times are of a core, so that other programs do not matter.
    """

    few: Planning
    many: Planning
    shards: int
    open_seconds: float
    manifest_bytes: int

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
        """Return the time to open a store, for each of its shards."""
        return 1000 * self.open_seconds / self.shards

    def measures(self) -> list[Measure]:
        """Return the measures; none has a bar."""
        return [
            Measure("planning a row", self.row_milliseconds, "ms"),
            Measure("memory of a planned row", self.row_bytes, "bytes"),
            Measure(f"opening {self.shards} shards, each", self.open_milliseconds, "ms"),
            Measure("manifest of each shard", self.manifest_bytes / self.shards, "bytes"),
        ]


def measure_tables(recording: Path, folder: Path, few: int, many: int) -> TableCosts:
    """Plan conversions of few and of many rows, and convert a recording to shards of 1 MB, which are opened."""
    store = folder / "many shards"
    convert(PreprocessSettings((str(recording),), store, shard_mb=1))
    seconds = median(_seconds_to_open(store) for _ in range(_OPENED))
    return TableCosts(
        few=in_fresh_process(plan_rows, make_log(folder / f"{few} rows", few)),
        many=in_fresh_process(plan_rows, make_log(folder / f"{many} rows", many)),
        shards=len(Manifest.read(store).shards),
        open_seconds=seconds,
        manifest_bytes=(store / MANIFEST_NAME).stat().st_size,
    )


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
    before, begun = used_memory().resident_mb, time.process_time()
    samples = SampleSettings()
    plan = make_plan((str(recording),), samples.cameras, None)
    rows = plan.rows.assign(validation=assign_validation(plan.rows, samples, None))
    settings = ShardSettings(Preprocessing(), samples, PreprocessSettings.shard_mb * 10**6, reuse=False)
    shards = ShardPlan.of(recording, 0, plan, rows, settings)
    tasks = [shards.task(number) for number in range(len(shards))]
    seconds = time.process_time() - begun
    memory = used_memory().resident_mb - before
    del tasks
    return Planning(len(rows), seconds, memory)


def _seconds_to_open(path: Path) -> float:
    begun = time.process_time()
    with Store(path):
        return time.process_time() - begun
