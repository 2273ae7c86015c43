"""Benchmark "cluster": work by two workers against one, what Dask costs, and what grows with the data."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bcclone.dataset.conversion import convert
from bcclone.dataset.preprocess_settings import PreprocessSettings
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.hardware import usable_cores
from benchmarks import Measure
from benchmarks.cluster.settings import ClusterBenchSettings, Rates
from benchmarks.cluster.sharding import ShardingRates, measure_sharding
from benchmarks.cluster.tables import TableCosts, measure_tables
from benchmarks.cluster.training import StepRates, measure_steps
from benchmarks.feeds.meter import Benchmark, Timing
from benchmarks.feeds.rounds import BenchmarkResults, run_benchmark
from benchmarks.feeds.run import loader_measures
from benchmarks.feeds.synthetic import draw_recording, make_synthetic_store, sharded_copy
from benchmarks.settings import SYNTHETIC_IMAGES

_SHARDS, _FEED_SHARDS, _FRAME_MB = 16, 8, 128 * 128 * 3 / 1e6
_FEEDS = ("hdf5-shuffle", "hdf5-shuffle-sharded")


@dataclass(frozen=True)
class ClusterReport:
    """The results. load: of the machine before, as the mean number of processes that ran in a minute."""

    load: float
    sharding: ShardingRates
    tables: TableCosts
    feeds: BenchmarkResults
    steps: StepRates

    @property
    def measures(self) -> list[Measure]:
        """Return all measures with their bars."""
        return [
            *self.sharding.measures(),
            *self.tables.measures(),
            *loader_measures(self.feeds),
            *self.steps.measures(),
        ]

    @property
    def rates(self) -> Rates:
        """Return the rates that a plan takes."""
        return Rates(
            image_rate=self.sharding.images_per_core_second,
            row_ms=max(self.tables.row_milliseconds, 0.0),
            row_bytes=max(self.tables.row_bytes, 0.0),
            shard_ms=self.sharding.milliseconds_per_empty_task("1 Dask worker"),
            open_ms=max(self.tables.open_milliseconds, 0.0),
            sample_us=max(self.tables.sample_microseconds, 0.0),
            training_rate=self.steps.samples_per_second / usable_cores(),
            step_ms=max(self.steps.step_milliseconds, 0.0),
        )

    @property
    def is_good(self) -> bool:
        """Return whether nothing failed and no bar was missed."""
        return not self.has_failures and all(measure.reached is not False for measure in self.measures)

    @property
    def has_failures(self) -> bool:
        """Return whether a feed failed."""
        return bool(self.feeds.failed)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values.

        rounds: pool -> [images per second, cores that other programs used] of each round.
        """
        sharding = self.sharding
        return {
            "cores": usable_cores(),
            "load": self.load,
            "others": round(sharding.others, 3),
            "free_cores": round(max(usable_cores() - sharding.others, 0.0), 3),
            "images": sharding.images,
            "shards": sharding.shards,
            "rounds": {
                name: [[round(sharding.images / run.seconds, 1), round(run.others, 3)] for run in runs]
                for name, runs in sharding.written.items()
            },
            "feeds": self.feeds.as_json(),
            "training": asdict(self.steps),
            "measures": [measure.as_json() for measure in self.measures],
            "rates": asdict(self.rates),
        }

    def to_rows(self) -> list[str]:
        """Return the report as a table."""
        others = f"other programs used {self.sharding.others:.2f} of {usable_cores()} cores meanwhile"
        failed = [f"FAILED: {name}: {reason}" for name, reason in self.feeds.failed.items()]
        return [*(measure.as_row() for measure in self.measures), "", others, *failed]


def measure_cluster(settings: ClusterBenchSettings, notify: Callable[[str], None] = lambda text: None) -> ClusterReport:
    """Measure everything on generated data in the system's temporary folder; raises UserError."""
    images = settings.frames or SYNTHETIC_IMAGES
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        recording = draw_recording(folder / "recording", images)
        notify("measuring: shards")
        (folder / "shards").mkdir()
        shard_mb = max(round(images * _FRAME_MB / _SHARDS), 1)
        sharding = measure_sharding(recording, folder / "shards", shard_mb, settings.rounds)
        notify("measuring: tables")
        tables = measure_tables(recording, folder, settings.rows // 4, settings.rows)
        notify("measuring: feeds")
        store = make_synthetic_store(recording, folder / "data.h5")
        with sharded_copy(store, _FEED_SHARDS) as shards:
            benchmark = Benchmark(store, workers=usable_cores(), shards=shards)
            timing = Timing(warm_samples=2 * images, seconds=settings.seconds)
            feeds = run_benchmark(_FEEDS, benchmark, timing, settings.rounds, notify)
        notify("measuring: training")
        center = SampleSettings(cameras=("center",))  # a third of the samples: short epochs
        convert(PreprocessSettings((str(recording),), folder / "center.h5", samples=center))
        steps = measure_steps(folder / "center.h5", folder, settings.rounds)
    return ClusterReport(round(load, 2), sharding, tables, feeds, steps)
