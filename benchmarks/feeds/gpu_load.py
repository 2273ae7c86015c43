"""Measure the training on each feed: GPU utilization over time, and the time that the training waits for data.

Each feed trains in a fresh process, with the network, step and default settings of `model.py`; meanwhile nvidia-smi is
read. `python-generator` is the simplest loader: one thread decodes each batch from disk.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bcclone.cluster.shards import open_store
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed import Batch
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.feed.open import open_feed
from bcclone.feed.selection import select
from bcclone.system.errors import UserError
from bcclone.train.train_settings import LEARNING_RATE, TrainSettings
from benchmarks.feeds.gpu_watch import GpuSample, GpuWatch
from benchmarks.feeds.meter import Benchmark, cpu_seconds, in_fresh_process
from benchmarks.feeds.other_loaders import generate
from benchmarks.feeds.rooflines import RecordingMissing, jpeg_samples
from benchmarks.feeds.rounds import endless_batches, open_data

if TYPE_CHECKING:
    from bcclone.train.trainer import Trainer

BEFORE, AFTER = "python-generator", "hdf5-shuffle"
UNAUGMENTED = f"{AFTER}-unaugmented"
FEEDS = (AFTER, BEFORE, UNAUGMENTED, *(name for name in STRATEGIES if name != AFTER))
_WARM_STEPS = 20
_BUCKET_SECONDS = 0.5
_NO_GPU = "TensorFlow has no GPU here, so GPU busy cannot be measured; see waiting for data and processor time instead"


@dataclass(frozen=True)
class WaitSample:
    """seconds: middle of a half second, since the start; fraction: of that half second in which the step waited."""

    seconds: float
    fraction: float


@dataclass(frozen=True)
class TrainingLoad:
    """The training on one feed.

    device: the device that trains; data_wait_share: fraction of the time in which the step waited for its next batch;
    waits: the same for each half second; cpu_share: CPU time of this process and its
    children as a fraction of all cores' time; gpu: samples of nvidia-smi, empty without a GPU; gpu_share: mean fraction
    of the time in which the GPU computed; gpu_memory_mb: the most memory used; None without a GPU.
    """

    device: str
    samples_per_second: float
    data_wait_share: float
    cpu_share: float
    waits: tuple[WaitSample, ...]
    gpu: tuple[GpuSample, ...] = ()
    gpu_share: float | None = None
    gpu_memory_mb: float | None = None

    @property
    def on_gpu(self) -> bool:
        """Return whether a GPU trained."""
        return self.device.startswith("GPU")


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
        return any(load.on_gpu for load in self.loads.values())

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values; gpu_share is null where there is no GPU."""
        return {
            "device": self.device,
            "batch_size": self.batch_size,
            "seconds": self.seconds,
            "feeds": {name: _values(load) for name, load in self.loads.items()},
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }

    def to_rows(self) -> list[str]:
        """Return the table, a line for each feed."""
        rows = [f"training on {self.device}, batches of {self.batch_size}"]
        if not self.has_gpu:
            rows.append(_NO_GPU)
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
            load = in_fresh_process(train_watched, name, store, seconds, batch_size)
        except RecordingMissing as reason:
            skipped[name] = str(reason)
            notify(f"skipped: training on {name}: {reason}")
        except UserError as error:
            failed[name] = str(error)
            notify(f"failed: training on {name}: {error}")
        else:
            if not (loads or load.on_gpu):
                notify(_NO_GPU)
            loads[name] = load
            busy = "" if load.gpu_share is None else f", GPU busy {load.gpu_share:.0%}"
            notify(f"training on {name}: {load.samples_per_second:,.0f} samples/s{busy}")
    return GpuReport(batch_size, seconds, loads, skipped, failed)


def train_watched(name: str, store: Path, seconds: float, batch_size: int) -> TrainingLoad:
    """Train on a feed in this process, which loads TensorFlow as model.py does; raises RecordingMissing, UserError."""
    from bcclone.system.tensorflow_quietly import load_tensorflow, used_gpus

    load_tensorflow()
    from bcclone.train.prepare import prepare, with_augment_device

    augmentation = AugmentSettings(name not in (BEFORE, UNAUGMENTED))
    wanted = TrainSettings(batch_size=batch_size, seq_length=1, augmentation=augmentation)
    settings = with_augment_device(wanted)
    with open_store(store) as data:
        trainer = prepare(data, settings)
    gpus = used_gpus()
    with _batches_of(name, store, settings) as batches, GpuWatch() as watch:
        entered = time.perf_counter()
        _train(trainer, batches, steps=_WARM_STEPS)  # nvidia-smi needs a second to start, too
        cpu, begun = cpu_seconds(), time.perf_counter()
        samples, waits = _train(trainer, batches, seconds=seconds)
        elapsed, cpu = time.perf_counter() - begun, cpu_seconds() - cpu
    seen = watch.samples.since(begun - entered)
    return TrainingLoad(
        device=", ".join(f"GPU {gpu.describe()}" for gpu in gpus) or "CPU",
        samples_per_second=samples / elapsed,
        data_wait_share=sum(until - since for since, until in waits) / elapsed,
        cpu_share=cpu / elapsed / (psutil.cpu_count() or 1),
        waits=tuple(covered_fractions(waits, elapsed)),
        gpu=seen.samples if gpus else (),
        gpu_share=seen.busy if gpus else None,
        gpu_memory_mb=seen.memory_mb if gpus else None,
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


def _train(
    trainer: "Trainer", batches: Iterator[Batch], steps: int = 0, seconds: float = 0.0
) -> tuple[int, list[tuple[float, float]]]:
    """Train for some steps or seconds; return the number of samples, and when it waited: (since, until) in seconds."""
    waits: list[tuple[float, float]] = []
    samples, begun, now = 0, time.perf_counter(), 0.0
    while (len(waits) < steps) if steps else (now < seconds):
        asked = time.perf_counter() - begun
        batch = next(batches)
        waits.append((asked, time.perf_counter() - begun))
        trainer.train(batch, LEARNING_RATE)
        samples += len(batch)
        now = time.perf_counter() - begun
    trainer.totals.means()
    return samples, waits


def covered_fractions(spans: Sequence[tuple[float, float]], seconds: float) -> Iterator[WaitSample]:
    """Yield the middle of each half second and the fraction of it that the spans, (since, until), cover."""
    count = max(round(seconds / _BUCKET_SECONDS), 1)
    width, covered = seconds / count, [0.0] * count
    for since, until in spans:
        for number in range(int(since / width), min(int(until / width) + 1, count)):
            covered[number] += min(until, (number + 1) * width) - max(since, number * width)
    for number, seconds_covered in enumerate(covered):
        yield WaitSample((number + 0.5) * width, seconds_covered / width)


def _values(load: TrainingLoad) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return {
        "samples_per_second": round(load.samples_per_second, 1),
        "data_wait_share": rounded(load.data_wait_share),
        "cpu_share": rounded(load.cpu_share),
        "gpu_share": rounded(load.gpu_share),
        "gpu_memory_mb": rounded(load.gpu_memory_mb),
        "wait_series": [[round(one.seconds, 3), round(one.fraction, 4)] for one in load.waits],
        "gpu_series": [[round(one.seconds, 3), rounded(one.busy), rounded(one.memory_mb)] for one in load.gpu],
    }
