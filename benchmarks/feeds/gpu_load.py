"""Measure the training on each feed: how busy it keeps the GPU, and how long the training waits for data.

Each feed trains in a fresh process, with the network, step and default settings of `model.py`; meanwhile nvidia-smi is
read. `python-generator` is the simplest loader: one thread decodes each batch from disk.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bcclone.cluster.shards import open_store
from bcclone.feed.feed import Batch
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.feed.open import open_feed
from bcclone.feed.selection import select
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import load_tensorflow, used_gpus
from bcclone.train.train_settings import LEARNING_RATE, TrainSettings
from benchmarks.feeds.gpu_watch import GpuSample, GpuWatch
from benchmarks.feeds.meter import Benchmark, LoaderUnavailable, cpu_seconds, in_fresh_process
from benchmarks.feeds.other_loaders import generate
from benchmarks.feeds.rooflines import jpeg_samples
from benchmarks.feeds.rounds import endless_batches, open_data

BEFORE, AFTER = "python-generator", "hdf5-shuffle"
UNAUGMENTED = f"{AFTER}-unaugmented"
FEEDS = (AFTER, BEFORE, UNAUGMENTED, *(name for name in STRATEGIES if name != AFTER))
_WARM_STEPS = 20
_NO_GPU = "TensorFlow has no GPU here, so GPU busy cannot be measured; see waiting for data and processor time instead"


@dataclass(frozen=True)
class TrainingLoad:
    """The training on one feed.

    device: the device that trains; data_wait_share: fraction of the time in which the step waited for its next batch;
    cpu_share: CPU time of this process and its children as a fraction of all cores' time; gpu_share: mean fraction of
    the time in which the GPU computed; gpu_memory_mb: the most memory used; gpu_series: samples of nvidia-smi. Without
    a GPU the last three are None, None and empty.
    """

    device: str
    samples_per_second: float
    data_wait_share: float
    cpu_share: float
    gpu_share: float | None = None
    gpu_memory_mb: float | None = None
    gpu_series: tuple[GpuSample, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values. gpu_series: [seconds, busy, MB] of each sample."""
        series = [[_rounded(value) for value in asdict(sample).values()] for sample in self.gpu_series]
        figures = {name: _rounded(value) for name, value in vars(self).items() if name not in ("device", "gpu_series")}
        return figures | {"gpu_series": series}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass(frozen=True)
class GpuReport:
    """The trainings. loads: by feed; skipped: feed -> the reason; failed: feed -> why it failed."""

    batch_size: int
    seconds: float
    loads: Mapping[str, TrainingLoad] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """Return the device that trained."""
        return next((load.device for load in self.loads.values()), "unknown")

    @property
    def has_gpu(self) -> bool:
        """Return whether TensorFlow trained on a GPU."""
        return self.device.startswith("GPU")

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values; gpu_share is null where there is no GPU."""
        return {
            "device": self.device,
            "batch_size": self.batch_size,
            "seconds": self.seconds,
            "feeds": {name: load.as_json() for name, load in self.loads.items()},
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }

    def to_rows(self) -> list[str]:
        """Return the table, a line for each feed."""
        rows = [f"training on {self.device}, batches of {self.batch_size}", *([] if self.has_gpu else [_NO_GPU])]
        rows.append(
            f"{'':<26}{'samples/s':>11}{'waiting for data':>18}{'CPU':>6}{'GPU busy':>10}{'GPU memory, MB':>16}"
        )
        for name, load in self.loads.items():
            gpu = "-" if load.gpu_share is None else f"{load.gpu_share:.0%}"
            memory = "" if load.gpu_memory_mb is None else f"{load.gpu_memory_mb:,.0f}"
            fractions = f"{load.data_wait_share:>18.1%}{load.cpu_share:>6.0%}"
            rows.append(f"{name:<26}{load.samples_per_second:>11,.0f}{fractions}{gpu:>10}{memory:>16}".rstrip())
        return rows + [f"skipped: {name}: {reason}" for name, reason in self.skipped.items()]


def measure_gpu(
    store: Path,
    seconds: float,
    batch_size: int,
    notify: Callable[[str], None] = lambda text: None,
    feeds: Sequence[str] = FEEDS,
) -> GpuReport:
    """Train on each feed for some seconds, after warming up."""
    loads: dict[str, TrainingLoad] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name in feeds:
        try:
            load = loads[name] = in_fresh_process(train_watched, name, store, seconds, batch_size)
        except LoaderUnavailable as reason:
            skipped[name] = str(reason)
            notify(f"skipped: training on {name}: {reason}")
        except UserError as error:
            failed[name] = str(error)
            notify(f"failed: training on {name}: {error}")
        else:
            busy = "" if load.gpu_share is None else f", GPU busy {load.gpu_share:.0%}"
            notify(f"training on {name}: {load.samples_per_second:,.0f} samples/s{busy}")
    report = GpuReport(batch_size, seconds, loads, skipped, failed)
    if loads and not report.has_gpu:
        notify(_NO_GPU)
    return report


def train_watched(name: str, store: Path, seconds: float, batch_size: int) -> TrainingLoad:
    """Train on a feed in this process, which loads TensorFlow as model.py does.

    Raises LoaderUnavailable and UserError.
    """
    load_tensorflow()
    from bcclone.train.prepare import make_trainer, with_augment_device
    from benchmarks.feeds.fed_training import train

    augment = name not in (BEFORE, UNAUGMENTED)
    wanted = TrainSettings(batch_size=batch_size, seq_length=1, learning_rate=LEARNING_RATE, augment=augment)
    settings = with_augment_device(wanted)
    with open_store(store) as data:
        trainer = make_trainer(data, settings)
    gpus = used_gpus()
    with _batches_of(name, store, settings) as batches, GpuWatch() as watch:
        entered = time.perf_counter()
        train(trainer, batches, steps=_WARM_STEPS)  # nvidia-smi needs a second to start, too
        since, cpu = time.perf_counter(), cpu_seconds()
        rate, waited = train(trainer, batches, seconds=seconds)
        elapsed, cpu = time.perf_counter() - since, cpu_seconds() - cpu
    samples = watch.samples.since(since - entered)
    return TrainingLoad(
        device=", ".join(f"GPU {gpu.describe()}" for gpu in gpus) or "CPU",
        samples_per_second=rate,
        data_wait_share=waited,
        cpu_share=cpu / elapsed / (psutil.cpu_count() or 1),
        gpu_share=samples.busy if gpus else None,
        gpu_memory_mb=samples.memory_mb if gpus else None,
        gpu_series=samples.samples if gpus else (),
    )


@contextmanager
def _batches_of(name: str, store: Path, settings: TrainSettings) -> Iterator[Iterator[Batch]]:
    """Yield the batches of a feed, epoch after epoch."""
    if name == BEFORE:
        samples = jpeg_samples(store)
        yield (Batch(images, steering) for images, steering in generate(samples, settings.batch_size, settings.seed))
        return
    wanted = FeedSettings(feed=AFTER if name == UNAUGMENTED else name)
    with (
        open_data(wanted, Benchmark(store, workers=1)) as data,
        open_feed(select(data), wanted, settings.sampling) as feed,
        closing(endless_batches(feed)) as batches,
    ):
        yield batches
