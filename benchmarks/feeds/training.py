"""Measure the training on each feed: whether it waits for its data, and how busy it keeps a GPU.

In: a store. Out: a `TrainingLoad` for each feed, and a table and measures of all.

Each feed trains in a fresh process, with the network, step and default settings of `model.py`;
meanwhile nvidia-smi is read. `python-generator` is the simplest loader: one thread decodes each
batch from disk. `train_on_batch` is Keras's own step, again and again on one batch on the device,
which needs no loader.
"""

import itertools
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import psutil

from bcclone import Store, TrainSettings, UserError, open_store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.feed.selection import Batch, select
from bcclone.system.hardware import CSV_FORMAT, find_cards, find_nvidia_smi, parse_megabytes
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow, used_gpus
from bcclone.training.train_settings import ADAMW, USUAL_RATES
from benchmarks.feeds.loaders import endless_batches, open_data
from benchmarks.feeds.meter import Use
from benchmarks.feeds.other_loaders import generate, jpeg_samples
from benchmarks.measures import Measure, aligned, rounded
from benchmarks.rounds import Rounds, median_ratio, run_rounds

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer

Step = Callable[[Sequence[Batch]], object]  # takes a step with each batch
Wait = Callable[[], object]  # waits until the device has taken all steps
Groups = Iterator[Sequence[Batch]]  # the batches of one call of a Step each

# the trainings that are timed have this network and optimizer: the network of the source design
NETWORK = "cnn"
LEARNING_RATE = USUAL_RATES[ADAMW]
# names of trainings
BEFORE = "python-generator"
AFTER = "hdf5-shuffle"
ON_GPU = "device"
REPEATED = "train_on_batch"
_UNAUGMENTED = "-unaugmented"  # at the end of a name
_OTHER_FEEDS = [name for name in STRATEGIES if name != AFTER]
FEEDS = (AFTER, BEFORE, f"{AFTER}{_UNAUGMENTED}", *_OTHER_FEEDS)

# ---- what nvidia-smi says


class GpuSample(NamedTuple):
    """A sample of nvidia-smi."""

    seconds: float  # since watching began
    # fraction of the time since the last sample in which the card computed, None if unknown
    busy: float | None
    memory_mb: float | None  # used by all programs, in 10^6 bytes, None if unknown


def busy_and_memory(samples: Sequence[GpuSample]) -> tuple[float | None, float | None]:
    """Return the mean fraction of the time in which the card computed, and its most memory.

    Each is None if unknown.
    """
    shares = [sample.busy for sample in samples if sample.busy is not None]
    megabytes = [sample.memory_mb for sample in samples if sample.memory_mb is not None]
    busy = sum(shares) / len(shares) if shares else None
    return busy, max(megabytes, default=None)


class GpuWatch:
    """Samples the first NVIDIA card of this program with nvidia-smi while its block runs."""

    def __init__(self, every_ms: int = 200) -> None:
        self.samples: list[GpuSample] = []  # of the block, after it; empty without a card
        self._every_ms = every_ms
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._since = datetime.now()
        program = find_nvidia_smi()
        if not program:
            return self
        # at the end of the block, these are undone in reverse: nvidia-smi ends, its file is read
        with ExitStack() as resources:
            # a file, because a pipe that nobody reads is full after minutes
            output = resources.enter_context(tempfile.TemporaryFile())
            resources.callback(self._read, output)
            process = resources.enter_context(
                subprocess.Popen([program, *self._query()], stdin=subprocess.DEVNULL, stdout=output)
            )
            resources.callback(process.terminate)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._resources.close()

    def _read(self, output: IO[bytes]) -> None:
        """Keep the samples that nvidia-smi has written."""
        output.seek(0)
        self.samples = parse_samples(output.read().decode(errors="replace"), self._since)

    def _query(self) -> list[str]:
        """Return the options of nvidia-smi that print a line for each sample."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        first_card = visible[0].strip() or "0"
        return [
            f"--id={first_card}",
            "--query-gpu=timestamp,utilization.gpu,memory.used",
            CSV_FORMAT,
            f"--loop-ms={self._every_ms}",
        ]


def parse_samples(text: str, since: datetime) -> list[GpuSample]:
    """Return the samples in the output of nvidia-smi; incomplete lines are ignored.

    since: when watching began, in local time
    """
    whole_lines, _, _ = text.rpartition("\n")  # the last line may be incomplete
    samples = []
    for line in whole_lines.splitlines():
        with suppress(ValueError):
            stamp, busy, memory = (cell.strip() for cell in line.split(","))
            at = datetime.strptime(stamp, "%Y/%m/%d %H:%M:%S.%f")
            share = float(busy) / 100 if busy.isdecimal() else None  # "[N/A]" where it is unknown
            seconds = (at - since).total_seconds()
            samples.append(GpuSample(seconds, share, parse_megabytes(memory)))
    return samples


# ---- the load of a training


@dataclass(frozen=True)
class TrainingLoad:
    """The training on one feed."""

    device: str  # that trains
    samples_per_second: float
    data_wait_share: float  # fraction of the time in which the step waited for its next batch
    # CPU time of this process and its children as a fraction of all cores' time
    cpu_share: float
    # without a GPU, the rest is unknown
    gpu_share: float | None = None  # mean fraction of the time in which the GPU computed
    gpu_memory_mb: float | None = None  # the most memory used
    gpu_series: Sequence[GpuSample] = ()  # samples of nvidia-smi

    def __str__(self) -> str:
        busy = ""
        if self.gpu_share is not None:
            busy = f", GPU busy {self.gpu_share:.0%}"
        return f"{self.samples_per_second:,.0f} samples/s{busy}"


Loads = Rounds[TrainingLoad]


def device_of(loads: Loads) -> str:
    """Return the device that trained."""
    for rounds in loads.results.values():
        return rounds[0].device
    return "unknown"


def loads_as_json(loads: Loads, batch_size: int, seconds: float) -> dict[str, Any]:
    """Return a round of trainings as JSON values.

    "gpu_series" has [seconds, busy, MB] of each sample.
    """
    feeds = {}
    for name, (load, *_) in loads.results.items():
        feeds[name] = {key: value for key, value in vars(load).items() if key != "device"}
    return {
        "device": device_of(loads),
        "batch_size": batch_size,
        "seconds": seconds,
        "feeds": rounded(feeds),
        "skipped": loads.skipped,
        "failed": loads.failed,
    }


def load_rows(loads: Loads, batch_size: int) -> list[str]:
    """Return the table of a round, a line for each feed."""
    device = device_of(loads)
    lines = [f"training on {device}, batches of {batch_size}"]
    if not device.startswith("GPU"):
        lines.append(
            "TensorFlow has no GPU here, so GPU busy cannot be measured; see waiting for data and "
            "processor time instead"
        )
    rows = [["", "samples/s", "waiting for data", "CPU", "GPU busy", "GPU memory, MB"]]
    for name, (load, *_) in loads.results.items():
        gpu = "-" if load.gpu_share is None else f"{load.gpu_share:.0%}"
        memory = "" if load.gpu_memory_mb is None else f"{load.gpu_memory_mb:,.0f}"
        row = [
            name,
            f"{load.samples_per_second:,.0f}",
            f"{load.data_wait_share:.1%}",
            f"{load.cpu_share:.0%}",
            gpu,
            memory,
        ]
        rows.append(row)
    return [*lines, *aligned(rows), *loads.skipped_rows()]


# ---- trainings in rounds


def measure_training(store: Path, rounds: int, seconds: float, notify: Notify) -> list[Measure]:
    """Compare trainings on the default feed, on it without augmentation, and by Keras on one batch.

    Raises UserError.
    """
    if find_cards():
        feed = ON_GPU
        batch_sizes = [256, 1024]  # small ones leave a GPU idle
    else:
        feed = AFTER
        batch_sizes = [TrainSettings().batch_size]
    names = (feed, f"{feed}{_UNAUGMENTED}", REPEATED)
    measures = []
    for size in batch_sizes:
        load_of = partial(train_watched, store=store, seconds=seconds, batch_size=size)
        loads = run_rounds(names, load_of, rounds, notify)
        for reason in loads.failed.values():
            raise UserError(reason)
        results = [loads.results[name] for name in names]
        measures += training_measures(results, f"{feed}, batches of {size}")
    return measures


def training_measures(loads: Sequence[Sequence[TrainingLoad]], trained_on: str) -> list[Measure]:
    """Return the medians over the rounds, also of the rounds' ratios.

    loads: with augmentation, without it, and by Keras on one batch, in each round
    trained_on: such as "batches of 32"
    """
    fed, unaugmented, keras = ([load.samples_per_second for load in rounds] for rounds in loads)
    rates = {
        "training with augmentation": fed,
        "training without augmentation": unaugmented,
        "train_on_batch on one batch": keras,
    }
    ratios = {  # name -> two rates, and the least percentage of the first
        "with augmentation to without": (fed, unaugmented, 90.0),
        "with augmentation to train_on_batch": (fed, keras, 90.0),
        "without augmentation to train_on_batch": (unaugmented, keras, 95.0),
    }
    measures = []
    for name, rate_of_rounds in rates.items():
        measures.append(Measure(f"{name}, {trained_on}", median(rate_of_rounds), "samples/s"))
    for name, (mine, theirs, least_percent) in ratios.items():
        percent = 100 * median_ratio(mine, theirs)
        measures.append(Measure(f"{name}, {trained_on}", percent, "%", least_percent))
    waited_percent = 100 * median(load.data_wait_share for load in loads[0])
    waiting = f"waiting for data, {trained_on}"
    measures.append(Measure(waiting, waited_percent, "%", 2.0, least=False))
    return measures


# ---- one training


def train_watched(name: str, store: Path, seconds: float, batch_size: int) -> TrainingLoad:
    """Train on a feed in this process, which loads TensorFlow as model.py does.

    Raises Unavailable and UserError.
    """
    load_tensorflow()
    training = _prepare(name, store, batch_size)
    warm_steps = 20  # nvidia-smi needs a second, too
    with training.groups as groups, GpuWatch() as watch:
        watched_since = time.perf_counter()
        take_steps(training.step, training.wait, itertools.islice(groups, warm_steps), math.inf)
        begin = Use.now()
        rate, waited = take_steps(training.step, training.wait, groups, seconds)
        end = Use.now()
    gpus = used_gpus()
    series = []
    if gpus:
        series = _samples_after(watch.samples, begin.at - watched_since)
    busy, memory_mb = busy_and_memory(series)
    cores = psutil.cpu_count() or 1
    return TrainingLoad(
        device=", ".join(f"GPU {gpu.describe()}" for gpu in gpus) or "CPU",
        samples_per_second=rate,
        data_wait_share=waited,
        cpu_share=(end.cpu - begin.cpu) / (end.at - begin.at) / cores,
        gpu_share=busy,
        gpu_memory_mb=memory_mb,
        gpu_series=series,
    )


def _samples_after(samples: Iterable[GpuSample], seconds: float) -> list[GpuSample]:
    """Return the samples after so many seconds; their times are counted from there."""
    return [
        sample._replace(seconds=sample.seconds - seconds)
        for sample in samples
        if sample.seconds >= seconds
    ]


class _Training(NamedTuple):
    """A training that is ready to begin."""

    step: Step
    wait: Wait
    groups: AbstractContextManager[Groups]  # endless batches


def _prepare(name: str, store: Path, batch_size: int) -> _Training:
    from bcclone.training.plan import fit_to_device
    from bcclone.training.prepare import make_trainer

    augment = name not in (BEFORE, REPEATED) and not name.endswith(_UNAUGMENTED)
    usual = TrainSettings(
        network=NETWORK,
        batch_size=batch_size,
        seq_length=1,
        optimizer=ADAMW,
        learning_rate=LEARNING_RATE,
        augment=augment,
    )
    settings, compiled = fit_to_device(usual, bool(used_gpus()))
    with open_store(store) as data:
        if name == REPEATED:
            step, wait = _keras_step(data)
            return _Training(step, wait, _repeated_batch(store, settings))
        trainer = make_trainer(data, compiled)
    wait = trainer.mean_errors
    if name == BEFORE:
        return _Training(trainer_step(trainer), wait, _generated_batches(store, settings))
    feed = FeedSettings(name.removesuffix(_UNAUGMENTED))
    groups = _feed_batches(feed, store, settings, trainer.program_steps)
    return _Training(trainer_step(trainer), wait, groups)


def _keras_step(data: Store) -> tuple[Step, Wait]:
    """Return Keras's own step, which waits for the device."""
    import keras

    from bcclone.model.network import build_network

    model = build_network(data.preprocessing.shape, network="cnn")
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse")

    def step(group: Sequence[Batch]) -> None:
        for batch in group:
            model.train_on_batch(batch.images, batch.labels)

    return step, lambda: None


def trainer_step(trainer: "Trainer") -> Step:
    """Return the step of model.py."""
    return lambda group: trainer.train(group, [LEARNING_RATE] * len(group))


def take_steps(
    step: Step, wait: Wait, groups: Iterable[Sequence[Batch]], seconds: float
) -> tuple[float, float]:
    """Train for some seconds, or until the groups of batches end.

    Return the samples per second, and the fraction of the time spent waiting for the next batch.
    """
    samples = 0
    waited = 0.0
    since = time.perf_counter()
    asked = since  # when the next batches were asked for
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
def _generated_batches(store: Path, settings: TrainSettings) -> Iterator[Groups]:
    """Yield the batches of the plain Python generator, one at a time."""
    samples = jpeg_samples(store)
    batches = generate(samples, settings.batch_size, settings.seed)
    yield ([Batch(images, steering)] for images, steering in batches)


@contextmanager
def _feed_batches(
    feed_settings: FeedSettings, store: Path, settings: TrainSettings, program_steps: int
) -> Iterator[Groups]:
    """Yield the batches of a feed, epoch after epoch, as many at once as the trainer takes."""
    with (
        open_data(feed_settings, store) as data,
        open_feed(
            select(data),
            feed_settings,
            settings.batch_size,
            augment=settings if settings.augment else None,
            program_steps=program_steps,
        ) as feed,
        closing(endless_batches(feed)) as batches,
    ):
        yield iter(lambda: list(itertools.islice(batches, feed.steps_a_call)), [])


@contextmanager
def _repeated_batch(store: Path, settings: TrainSettings) -> Iterator[Groups]:
    """Yield the first batch of a feed, copied to the device, again and again."""
    import tensorflow as tf

    with _feed_batches(FeedSettings(AFTER), store, settings, program_steps=0) as groups:
        (first,) = next(groups)
        images = tf.constant(np.array(first.images))
        labels = tf.constant(np.array(first.labels))
        yield itertools.repeat([Batch(images, labels)])
