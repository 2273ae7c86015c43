"""Benchmark "cluster": Settings -> what two workers gain over one, what Dask costs, and what grows with the data."""

import os
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bcclone.cluster.shards import open_store
from bcclone.dataset.conversion import convert
from bcclone.dataset.preprocess_settings import PreprocessSettings
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import Notify
from bcclone.system.settings import check_settings, setting
from benchmarks.cluster.sharding import measure_sharding
from benchmarks.cluster.steps import measure_steps
from benchmarks.feeds.loaders import loader_measures, measure_loader, results_as_json
from benchmarks.feeds.meter import Benchmark, Timing
from benchmarks.measures import Measure, Report
from benchmarks.rounds import rounds_setting, run_rounds, seconds_setting
from benchmarks.synthetic import SYNTHETIC_IMAGES, draw_recording, make_synthetic_store, number_of_shards, sharded_copy

_SHARDS, _FEED_SHARDS, _FRAME_MB = 16, 8, 128 * 128 * 3 / 1e6
_OPENED = 3  # times
_FEEDS = ("hdf5-shuffle", "hdf5-shuffle-sharded")


@dataclass(frozen=True)
class Settings:
    """What several workers gain, and what they cost, measured on this machine."""

    frames: int | None = setting(
        None, "number of camera images of the synthetic recording", 60, shown=str(SYNTHETIC_IMAGES)
    )
    rounds: int = rounds_setting()
    seconds: float = seconds_setting()

    def __post_init__(self) -> None:
        check_settings(self)


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Measure everything on generated data in the system's temporary folder; raises UserError.

    values, load: of the machine before, as the mean number of processes that ran in a minute; rounds: pool -> [images
    per second, cores that other programs used] of each round.
    """
    images = settings.frames or SYNTHETIC_IMAGES
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        recording = draw_recording(folder / "recording", images)
        notify("measuring: shards")
        (folder / "shards").mkdir()
        shard_mb = max(round(images * _FRAME_MB / _SHARDS), 1)
        sharding = measure_sharding(recording, folder / "shards", shard_mb, settings.rounds)
        notify("measuring: feeds")
        store = make_synthetic_store(recording, folder / "data.h5")
        with sharded_copy(store, _FEED_SHARDS) as shards:
            open_ms = max(_milliseconds_to_open(shards) - _milliseconds_to_open(store), 0.0) / number_of_shards(shards)
            benchmark = Benchmark(store, workers=usable_cores(), shards=shards)
            timing = Timing(warm_samples=2 * images, seconds=settings.seconds)
            measure_feed = partial(measure_loader, benchmark=benchmark, timing=timing)
            feeds = run_rounds(_FEEDS, measure_feed, settings.rounds, notify)
        notify("measuring: training")
        center = {"cameras": ("center",)}  # a third of the samples: short epochs
        convert(PreprocessSettings((str(recording),), folder / "center.h5", samples=center))
        steps = measure_steps(folder / "center.h5", folder, settings.rounds)
    values = {
        "cores": usable_cores(),
        "load": round(load, 2),
        "others": round(sharding.others, 3),
        "free_cores": round(max(usable_cores() - sharding.others, 0.0), 3),
        "images": sharding.images,
        "shards": sharding.shards,
        "rounds": {
            pool: [[round(sharding.images / run.seconds, 1), round(run.others, 3)] for run in runs]
            for pool, runs in sharding.written.items()
        },
        "feeds": results_as_json(feeds),
        "training": asdict(steps),
    }
    used = f"other programs used {sharding.others:.2f} of {usable_cores()} cores meanwhile"
    opening = Measure("opening a shard", open_ms, "ms")
    measures = [*sharding.measures(), opening, *loader_measures(feeds), *steps.measures()]
    return Report(measures, [used, ""], values, feeds.failed)


def _milliseconds_to_open(store: Path) -> float:
    """Return the time of a core to open a store, the median of some times."""
    milliseconds = []
    for _ in range(_OPENED):
        since = time.process_time()
        with open_store(store):
            milliseconds.append(1000 * (time.process_time() - since))
    return median(milliseconds)
