"""Measure the training on each feed: whether it waits for its data, and how busy it keeps a GPU.

Each feed trains in a fresh process, with the network, step and default settings of `model.py`;
meanwhile nvidia-smi is read. `python-generator` is the simplest loader: one thread decodes each
batch from disk. `train_on_batch` is Keras's own step, again and again on one batch on the device,
which needs no loader.
"""

import itertools
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import psutil

from bcclone import Store, TrainSettings, UserError, open_store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.feed.selection import select
from bcclone.feed.source import Batch
from bcclone.system.hardware import (
    CSV_FORMAT,
    find_cards,
    find_nvidia_smi,
    parse_megabytes,
    parse_number,
    visible_cards,
)
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow, used_gpus
from bcclone.training.train_settings import LEARNING_RATE
from benchmarks.feeds.loaders import endless_batches, open_data
from benchmarks.feeds.meter import Use
from benchmarks.feeds.other_loaders import generate, jpeg_samples
from benchmarks.measures import Measure, aligned, rounded
from benchmarks.rounds import Rounds, median_ratio, run_rounds

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer

BEFORE, AFTER, ON_GPU, REPEATED = "python-generator", "hdf5-shuffle", "device", "train_on_batch"
_UNAUGMENTED = "-unaugmented"
FEEDS = (AFTER, BEFORE, f"{AFTER}{_UNAUGMENTED}", *(name for name in STRATEGIES if name != AFTER))
Step = Callable[[Sequence[Batch]], object]  # takes a step with each batch
Wait = Callable[[], object]
_GPU_BATCHES = 256, 1024
_WARM_STEPS = 20
_WAIT_BAR_PERCENT, _RATE_BAR_PERCENT, _AUGMENTED_BAR_PERCENT = 2.0, 95.0, 90.0
_GPU_FIELDS = ("timestamp", "utilization.gpu", "memory.used")
_NO_GPU = "TensorFlow has no GPU here, so GPU busy cannot be measured; see waiting for data and processor time instead"


class GpuSample(NamedTuple):
    """A sample of nvidia-smi. seconds: since watching began; busy: fraction of the time since the
    last sample in which the card computed, 0 to 1; memory_mb: used by all programs, in 10^6 bytes.
    None if unknown.
    """

    seconds: float
    busy: float | None
    memory_mb: float | None


def busy_and_memory(samples: Sequence[GpuSample]) -> tuple[float | None, float | None]:
    """Return the mean fraction of the time in which the card computed, and the peak of its memory;
    None if unknown.
    """
    shares = [sample.busy for sample in samples if sample.busy is not None]
    memory = max(
        (sample.memory_mb for sample in samples if sample.memory_mb is not None), default=None
    )
    return sum(shares) / len(shares) if shares else None, memory


class GpuWatch:
    """Samples the first NVIDIA card of this program with nvidia-smi while its block runs.

    samples: of the block, after it; empty without a card.
    """

    def __init__(self, every_ms: int = 200) -> None:
        self._every_ms = every_ms
        self.samples: list[GpuSample] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._since = datetime.now()
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
        if program := find_nvidia_smi():
            query = [
                f"--id={first}",
                f"--query-gpu={','.join(_GPU_FIELDS)}",
                CSV_FORMAT,
                f"--loop-ms={self._every_ms}",
            ]
            self._process = subprocess.Popen(
                [program, *query], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        output, _ = self._process.communicate()
        self.samples = parse_samples(output.decode(errors="replace"), self._since)


def parse_samples(text: str, since: datetime) -> list[GpuSample]:
    """Return the samples in the output of nvidia-smi; incomplete lines are ignored.

    since: when watching began, in local time.
    """
    samples = []
    for line in text.rpartition("\n")[0].splitlines():  # the last line may be incomplete
        with suppress(ValueError):
            time, busy, memory = (cell.strip() for cell in line.split(","))
            at, percent = datetime.strptime(time, "%Y/%m/%d %H:%M:%S.%f"), parse_number(busy)
            share = None if percent is None else percent / 100
            samples.append(GpuSample((at - since).total_seconds(), share, parse_megabytes(memory)))
    return samples


@dataclass(frozen=True)
class TrainingLoad:
    """The training on one feed.

    device: the device that trains; data_wait_share: fraction of the time in which the step waited
    for its next batch; cpu_share: CPU time of this process and its children as a fraction of all
    cores' time; gpu_share: mean fraction of the time in which the GPU computed; gpu_memory_mb: the
    most memory used; gpu_series: samples of nvidia-smi. Without a GPU the last three are None, None
    and empty.
    """

    device: str
    samples_per_second: float
    data_wait_share: float
    cpu_share: float
    gpu_share: float | None = None
    gpu_memory_mb: float | None = None
    gpu_series: Sequence[GpuSample] = ()

    def __str__(self) -> str:
        busy = "" if self.gpu_share is None else f", GPU busy {self.gpu_share:.0%}"
        return f"{self.samples_per_second:,.0f} samples/s{busy}"


Loads = Rounds[TrainingLoad]


def device_of(loads: Loads) -> str:
    """Return the device that trained."""
    return next((rounds[0].device for rounds in loads.results.values()), "unknown")


def loads_as_json(loads: Loads, batch_size: int, seconds: float) -> dict[str, Any]:
    """Return a round of trainings as JSON values; gpu_series: [seconds, busy, MB] of each sample."""
    feeds = {name: dict(vars(load)) for name, (load, *_) in loads.results.items()}
    for of_feed in feeds.values():
        del of_feed["device"]
    head = {"device": device_of(loads), "batch_size": batch_size, "seconds": seconds}
    return head | {"feeds": rounded(feeds), "skipped": loads.skipped, "failed": loads.failed}


def load_rows(loads: Loads, batch_size: int) -> list[str]:
    """Return the table of a round, a line for each feed."""
    rows = [["", "samples/s", "waiting for data", "CPU", "GPU busy", "GPU memory, MB"]]
    for name, (load, *_) in loads.results.items():
        gpu = "-" if load.gpu_share is None else f"{load.gpu_share:.0%}"
        memory = "" if load.gpu_memory_mb is None else f"{load.gpu_memory_mb:,.0f}"
        fractions = [f"{load.data_wait_share:.1%}", f"{load.cpu_share:.0%}", gpu]
        rows.append([name, f"{load.samples_per_second:,.0f}", *fractions, memory])
    no_gpu = [] if device_of(loads).startswith("GPU") else [_NO_GPU]
    return [
        f"training on {device_of(loads)}, batches of {batch_size}",
        *no_gpu,
        *aligned(rows),
        *loads.skipped_rows(),
    ]


def measure_training(store: Path, rounds: int, seconds: float, notify: Notify) -> list[Measure]:
    """Compare trainings on the default feed, on it without augmentation, and by Keras on one batch,
    in rounds.
    """
    on_gpu = bool(visible_cards(find_cards()))
    feed, sizes = (ON_GPU, _GPU_BATCHES) if on_gpu else (AFTER, (TrainSettings().batch_size,))
    names = (feed, f"{feed}{_UNAUGMENTED}", REPEATED)
    measures = []
    for size in sizes:
        loads = run_rounds(
            names,
            partial(train_watched, store=store, seconds=seconds, batch_size=size),
            rounds,
            notify,
        )
        for reason in loads.failed.values():
            raise UserError(reason)
        measures += training_measures(
            [loads.results[name] for name in names], f"{feed}, batches of {size}"
        )
    return measures


def training_measures(loads: Sequence[Sequence[TrainingLoad]], trained_on: str) -> list[Measure]:
    """Return the medians over the rounds, also of the rounds' ratios.

    loads: with augmentation, without it, and by Keras on one batch, in each round; trained_on: such
    as "batches of 32".
    """
    fed, unaugmented, keras = ([load.samples_per_second for load in rounds] for rounds in loads)
    rates = {"training with augmentation": fed, "training without augmentation": unaugmented}
    rates["train_on_batch on one batch"] = keras
    ratios = {
        "with augmentation to without": (fed, unaugmented, _AUGMENTED_BAR_PERCENT),
        "with augmentation to train_on_batch": (fed, keras, _AUGMENTED_BAR_PERCENT),
        "without augmentation to train_on_batch": (unaugmented, keras, _RATE_BAR_PERCENT),
    }
    measures = [
        Measure(f"{name}, {trained_on}", median(each), "samples/s") for name, each in rates.items()
    ]
    for name, (mine, theirs, bar) in ratios.items():
        measures.append(
            Measure(f"{name}, {trained_on}", 100 * median_ratio(mine, theirs), "%", bar)
        )
    waited = 100 * median(load.data_wait_share for load in loads[0])
    return [
        *measures,
        Measure(f"waiting for data, {trained_on}", waited, "%", _WAIT_BAR_PERCENT, least=False),
    ]


def train_watched(name: str, store: Path, seconds: float, batch_size: int) -> TrainingLoad:
    """Train on a feed in this process, which loads TensorFlow as model.py does.

    Raises Unavailable and UserError.
    """
    load_tensorflow()
    from bcclone.training.decisions import Device, fit_to_compiler, fit_to_device
    from bcclone.training.prepare import make_trainer

    augment = name not in (BEFORE, REPEATED) and not name.endswith(_UNAUGMENTED)
    usual = TrainSettings(
        batch_size=batch_size, seq_length=1, learning_rate=LEARNING_RATE, augment=augment
    )
    device = Device("", has_gpu=bool(used_gpus()))
    settings = fit_to_device(usual, device)
    with open_store(store) as data:
        if name == REPEATED:
            trainer, (step, wait) = None, _keras_step(data)
        else:
            trainer = make_trainer(data, fit_to_compiler(settings, device))
            step, wait = trainer_step(trainer), trainer.totals.means
    gpus = used_gpus()
    with _batches_of(name, store, settings, trainer) as batches, GpuWatch() as watch:
        entered = time.perf_counter()
        take_steps(
            step, wait, itertools.islice(batches, _WARM_STEPS), math.inf
        )  # nvidia-smi needs a second, too
        begin = Use.now()
        rate, waited = take_steps(step, wait, batches, seconds)
        end = Use.now()
    warm = begin.at - entered
    series = [
        one._replace(seconds=one.seconds - warm)
        for one in watch.samples
        if gpus and one.seconds >= warm
    ]
    busy, memory_mb = busy_and_memory(series)
    return TrainingLoad(
        device=", ".join(f"GPU {gpu.describe()}" for gpu in gpus) or "CPU",
        samples_per_second=rate,
        data_wait_share=waited,
        cpu_share=(end.cpu - begin.cpu) / (end.at - begin.at) / (psutil.cpu_count() or 1),
        gpu_share=busy,
        gpu_memory_mb=memory_mb,
        gpu_series=series,
    )


def _keras_step(data: Store) -> tuple[Step, Wait]:
    """Return Keras's own step, which waits for the device."""
    import keras

    from bcclone.model.network import build_network

    model = build_network(data.preprocessing.shape)
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse")
    return lambda group: [
        model.train_on_batch(batch.images, batch.labels) for batch in group
    ], lambda: None


def trainer_step(trainer: "Trainer") -> Step:
    """Return the step of model.py."""
    return lambda group: trainer.train(group, [LEARNING_RATE] * len(group))


def take_steps(
    step: Step, wait: Wait, groups: Iterable[Sequence[Batch]], seconds: float
) -> tuple[float, float]:
    """Train for some seconds, or until the groups of batches end.

    Return the samples per second, and the fraction of the time spent waiting for the next batch.
    """
    samples, waited = 0, 0.0
    since = asked = time.perf_counter()
    for group in groups:
        waited += time.perf_counter() - asked
        step(group)
        samples += sum(map(len, group))
        asked = time.perf_counter()
        if asked - since >= seconds:
            break
    wait()
    elapsed = time.perf_counter() - since
    return samples / elapsed, waited / elapsed


@contextmanager
def _batches_of(
    name: str, store: Path, settings: TrainSettings, trainer: "Trainer | None"
) -> Iterator[Iterator[Sequence[Batch]]]:
    """Yield the batches of a feed, epoch after epoch, as many at once as the trainer takes."""
    if name == BEFORE:
        samples = jpeg_samples(store)
        yield (
            [Batch(images, steering)]
            for images, steering in generate(samples, settings.batch_size, settings.seed)
        )
        return
    feed = AFTER if name == REPEATED else name.removesuffix(_UNAUGMENTED)
    with open_data(FeedSettings(feed), store) as data, ExitStack() as stack:
        steps = trainer.program_steps if trainer else 0
        opened = open_feed(select(data), FeedSettings(feed), settings.sampling, program_steps=steps)
        batches = stack.enter_context(closing(endless_batches(stack.enter_context(opened))))
        if name != REPEATED:
            yield iter(lambda: list(itertools.islice(batches, opened.steps_a_call)), [])
            return
        import tensorflow as tf

        first = next(batches)
        yield itertools.repeat(
            [Batch(tf.constant(np.array(first.images)), tf.constant(np.array(first.labels)))]
        )
