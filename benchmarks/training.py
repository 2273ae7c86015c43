"""Compare the step of training in model.py with others -> a Report.

On the CPU: with oneDNN, as model.py trains, without it, and in PyTorch. Each trains the same
network on the same batch in memory in a fresh process, in turns, so that loaders and disks play no
part. Whether TensorFlow computes with oneDNN by default depends on the processor.

For a GPU: what a device has to start and to fetch for a step, in each way in which a GPU can train.
Counting that needs no GPU.
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bcclone import Store, TrainSettings, UserError
from bcclone.camera.images import Image
from bcclone.dataset.preprocessing import Preprocessing, seen_rows
from bcclone.dataset.preprocessing_text import LARGEST_IMAGE, SMALLEST_IMAGE
from bcclone.feed.augment.changes import AugmentationInputs, draw
from bcclone.feed.selection import Batch
from bcclone.model.architectures import ARCHITECTURES, Convolution
from bcclone.system.arrays import Float32Array
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, setting
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.training.train_settings import ADAMW, OFF, ON
from benchmarks.feeds.training import (
    LEARNING_RATE,
    NETWORK,
    Step,
    Wait,
    take_steps,
    trainer_step,
)
from benchmarks.measures import Measure, Report, aligned
from benchmarks.rounds import (
    Rounds,
    Unavailable,
    in_fresh_process,
    median_ratio,
    rounds_setting,
    run_rounds,
    seconds_setting,
)

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.training.trainer import Trainer

OURS = "model.py"
DEFAULT = "TensorFlow's default"
WITHOUT = "without oneDNN"
PYTORCH = "PyTorch, channels last"
_ONEDNN = {OURS: "on", DEFAULT: "", WITHOUT: "off"}  # name of a step -> as load_tensorflow() has it
_WARM_STEPS = 10  # that are not timed


@dataclass(frozen=True)
class Settings(Checked):
    """How fast the step of training is on the CPU."""

    size: int = setting(128, "width and height of the images", SMALLEST_IMAGE, LARGEST_IMAGE)
    batch_size: Count = setting(TrainSettings().batch_size, "samples in a batch")
    rounds: int = rounds_setting(5)
    seconds: float = seconds_setting()


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the rates of the steps and their ratios; what is not installed is left out."""
    size = settings.size
    head = f"{usable_cores()} cores; images of {size}x{size}, batches of {settings.batch_size}"
    steps = measure_steps(settings, notify)
    ways = {name: in_fresh_process(measure_way, name, settings) for name in _WAYS}
    values = {
        "machine": head,
        "samples_per_second": steps.results,
        "skipped": steps.skipped,
        "ways": {name: asdict(way) for name, way in ways.items()},
    }
    tables = [
        head,
        *aligned(step_rows(steps.results)),
        *steps.skipped_rows(),
        "",
        "ways to train, and what each gives a device; programs are for GPUs, on a CPU XLA makes "
        "slow ones:",
        *aligned(way_rows(ways)),
    ]
    measures = [*step_measures(steps.results), *way_measures(ways[RESIDENT])]
    return Report(measures, tables, values, steps.failed)


# ---- the step on the CPU

Rates = Mapping[str, Sequence[float]]  # name of a step -> samples a second in each round


def measure_steps(settings: Settings, notify: Notify) -> Rounds[float]:
    """Measure each step in rounds; raises UserError if that of model.py fails."""
    # TensorFlow and PyTorch do not get on in one process
    convolutions = in_fresh_process(convolutions_of, settings.size)
    rate_of = partial(samples_per_second, settings=settings, convolutions=convolutions)
    rounds = run_rounds((*_ONEDNN, PYTORCH), rate_of, settings.rounds, notify)
    if OURS not in rounds.results:
        raise UserError(rounds.failed[OURS])
    return rounds


def step_rows(rates: Rates) -> list[list[str]]:
    """Return the table of the steps."""
    rows = [["", "samples/s", "model.py to it"]]
    for name, rounds in rates.items():
        ratio = median_ratio(rates[OURS], rounds)
        rows.append([name, f"{median(rounds):,.0f}", f"{ratio:.2f}"])
    return rows


def step_measures(rates: Rates) -> list[Measure]:
    """Compare the step of model.py with each of the others that was measured."""
    bars = {
        PYTORCH: 1.2,
        WITHOUT: 1.4,
        DEFAULT: 0.95,  # where the default is oneDNN, nothing is lost, but for noise
    }
    measures = []
    for name, bar in bars.items():
        if name in rates:
            ratio = median_ratio(rates[OURS], rates[name])
            measures.append(Measure(f"model.py to {name}", ratio, "x", bar))
    return measures


def convolutions_of(size: int) -> tuple[Convolution, ...]:
    """Return the convolutions of cnn for images of this size; loads TensorFlow."""
    load_tensorflow(use_gpus=False)
    from bcclone.model.network import convolutions_for

    return convolutions_for(size, size, ARCHITECTURES[NETWORK])


def samples_per_second(name: str, settings: Settings, convolutions: Sequence[Convolution]) -> float:
    """Return how fast this process trains; raises Unavailable if the package is absent."""
    random = np.random.default_rng(0)
    count = settings.batch_size
    images = random.integers(0, 256, (count, settings.size, settings.size, 3), np.uint8)
    steering = random.uniform(-1, 1, (count, 1)).astype(np.float32)
    if name == PYTORCH:
        step, wait = pytorch_step(images, steering, convolutions)
    else:
        step, wait = keras_step(settings.size, _ONEDNN[name])
    batches = itertools.repeat([Batch(images, steering)])
    take_steps(step, wait, itertools.islice(batches, _WARM_STEPS), math.inf)
    rate, _ = take_steps(step, wait, batches, settings.seconds)
    return round(rate, 1)


def keras_step(size: int, onednn: str) -> tuple[Step, Wait]:
    """Return the step of model.py, and how to wait for its end."""
    load_tensorflow(use_gpus=False, onednn=onednn)
    from bcclone.model.network import build_network
    from bcclone.training.optimizer import make_optimizer
    from bcclone.training.trainer import Trainer

    model = build_network((size, size, 3), network=NETWORK)
    trainer = Trainer(model, make_optimizer(model, ADAMW, LEARNING_RATE), batch_size=32)
    return trainer_step(trainer), trainer.mean_errors


def pytorch_step(
    images: Image, steering: Float32Array, convolutions: Sequence[Convolution]
) -> tuple[Step, Wait]:
    """Return a step of PyTorch on a batch, which waits for its own end.

    It has the same network, loss and optimizer.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise Unavailable("torch is not installed; pip install '.[bench]'") from None
    rows = seen_rows(images.shape[1])
    frames = torch.from_numpy(images)
    labels = torch.from_numpy(steering)

    def prepared() -> Any:
        seen_frames = frames[:, rows].permute(0, 3, 1, 2).float() / 127.5 - 1
        return seen_frames.contiguous(memory_format=torch.channels_last)

    network = pytorch_network(images.shape[-1], convolutions)
    network(prepared())  # the first call gives the lazy layer its weights
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)

    def step(group: Sequence[Batch]) -> None:
        loss = torch.nn.functional.mse_loss(network(prepared()), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, lambda: None


def pytorch_network(channels: int, convolutions: Sequence[Convolution]) -> Any:
    """Return bcclone's cnn as a torch.nn.Module.

    It takes float32 (batch, channels, rows seen, width) and returns (batch, 1).
    """
    from torch import nn

    layers: list[Any] = []
    for convolution in convolutions:
        layers += [
            nn.Conv2d(channels, convolution.filters, convolution.kernel, convolution.stride),
            nn.ELU(),
        ]
        channels = convolution.filters
    layers += [nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(100), nn.ELU(), nn.Dropout(0.5)]
    layers += [nn.Linear(100, 50), nn.ELU(), nn.Linear(50, 10), nn.ELU(), nn.Linear(10, 1)]
    return nn.Sequential(*layers)


# ---- what each way to train gives a GPU to do


@dataclass(frozen=True)
class WayChoice:
    """A way to train."""

    is_program: bool  # XLA compiles whole steps into one program
    augments: bool  # the device augments the images
    is_resident: bool  # the frames lie on the device, and batches hold their positions


RESIDENT = "a program of 20 steps, frames on the device"
_WAYS = {
    "step by step, not augmented": WayChoice(False, augments=False, is_resident=False),
    "step by step": WayChoice(False, augments=True, is_resident=False),
    "a program, not augmented": WayChoice(True, augments=False, is_resident=False),
    "a program": WayChoice(True, augments=True, is_resident=False),
    RESIDENT: WayChoice(True, augments=True, is_resident=True),
}


@dataclass(frozen=True)
class Way:
    """What a way to train gives the device to do."""

    operations: float  # that TensorFlow starts in a step
    bytes_a_step: int  # copied to the device
    fusions: int  # kernels that XLA made of several operations
    compilations: int  # in a whole training with its validation
    # on this machine's GPU, or on its CPU, which XLA compiles badly for
    samples_per_second: float


def way_rows(ways: Mapping[str, Way]) -> list[list[str]]:
    """Return the table of the ways."""
    rows = [
        [
            "what a device is given",
            "operations a step",
            "bytes a step",
            "fusions",
            "compilations",
            "samples/s",
        ]
    ]
    for name, way in ways.items():
        row = [
            name,
            f"{way.operations:,.2f}",
            f"{way.bytes_a_step:,}",
            f"{way.fusions}",
            f"{way.compilations}",
            f"{way.samples_per_second:,.0f}",
        ]
        rows.append(row)
    return rows


def way_measures(resident: Way) -> list[Measure]:
    """Return the measures of the way with the frames on the device."""
    sent = resident.bytes_a_step
    compilations = resident.compilations
    return [
        Measure(f"{RESIDENT}, bytes of a step", sent, "bytes", 50_000, least=False),
        Measure(f"{RESIDENT}, compilations", compilations, "", 2, least=False),
    ]


def measure_way(name: str, settings: Settings) -> Way:
    """Return what a way gives the device, and how fast this process trains so.

    The counts come from the graph of a step, its program and the arrays of its batches.
    """
    load_tensorflow()
    way = _WAYS[name]
    batch = _way_batch(way, settings)
    trainer = _way_trainer(way, settings)
    rate = _way_rate(trainer, batch, settings.seconds)
    bytes_a_step = sum(values.nbytes for values in batch.inputs)
    if not way.is_program:
        return Way(
            operations=_operations(trainer.step_graph()),
            bytes_a_step=bytes_a_step,
            fusions=0,
            compilations=0,
            samples_per_second=rate,
        )
    # the rest of a training: a shorter last batch, and validation with such a one
    short = _without_last_sample(batch)
    trainer.train([short], [LEARNING_RATE])
    trainer.evaluate([batch, short])
    compilations = trainer.compilations  # read before program_text(), which may compile again

    steps = _steps_a_call(trainer, batch)
    program = trainer.program_text([batch] * steps, [LEARNING_RATE] * steps)
    return Way(
        operations=1 / steps,
        bytes_a_step=bytes_a_step,
        fusions=len(re.findall(r" fusion\(", program)),
        compilations=compilations,
        samples_per_second=rate,
    )


def _way_batch(way: WayChoice, settings: Settings) -> Batch:
    """Return a batch of random images as a way hands it to the trainer."""
    import tensorflow as tf

    count = settings.batch_size
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, settings.size, settings.size, 3), np.uint8)
    labels = np.zeros((count, 1), np.float32)
    augmentation: tuple[Any, ...] = ()
    if way.augments:
        flipped = np.zeros(count, bool)
        lookahead_m = np.full(count, 12, np.float32)
        normal, uniform = draw(count, (1,))
        augmentation = AugmentationInputs(flipped, lookahead_m, normal, uniform)
    if not way.is_resident:
        return Batch(images, labels, augmentation)

    frames = tf.constant(images)

    def gather(positions: Any) -> Any:
        return tf.gather(frames, positions)

    positions = np.arange(count, dtype=np.int32)
    return Batch(positions, labels, augmentation, gather=gather)


def _without_last_sample(batch: Batch) -> Batch:
    augmentation = tuple(values[:-1] for values in batch.augmentation)
    return Batch(batch.images[:-1], batch.labels[:-1], augmentation, gather=batch.gather)


def _way_trainer(way: WayChoice, settings: Settings) -> "Trainer":
    """Return a trainer of cnn as model.py makes it for a way."""
    from bcclone.training.prepare import make_trainer

    # all that make_trainer() asks a store for
    preprocessing = Preprocessing(settings.size, settings.size)
    store = cast("Store", SimpleNamespace(preprocessing=preprocessing))
    jit_compile = ON if way.is_program else OFF
    train_settings = TrainSettings(
        network=NETWORK,
        seq_length=1,
        optimizer=ADAMW,
        learning_rate=LEARNING_RATE,
        augment=way.augments,
        augment_on="device",
        batch_size=settings.batch_size,
        jit_compile=jit_compile,
    )
    return make_trainer(store, train_settings)


def _steps_a_call(trainer: "Trainer", batch: Batch) -> int:
    """Return how many steps a call takes: several only on frames that lie on the device."""
    return trainer.program_steps if batch.gather else 1


def _way_rate(trainer: "Trainer", batch: Batch, seconds: float) -> float:
    """Train on one batch again and again; return the samples a second."""
    step = trainer_step(trainer)
    wait = trainer.mean_errors
    steps = _steps_a_call(trainer, batch)
    groups = itertools.repeat([batch] * steps)
    warm_groups = math.ceil(_WARM_STEPS / steps)
    take_steps(step, wait, itertools.islice(groups, warm_groups), math.inf)
    rate, _ = take_steps(step, wait, groups, seconds)
    return rate


def _operations(graph: Any) -> int:
    """Return how many operations of a graph compute something, in its functions, too.

    graph: a GraphDef of TensorFlow
    """
    not_computed = ("Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp")
    bodies = {function.signature.name: function.node_def for function in graph.library.function}

    def count(nodes: Iterable[Any]) -> int:
        total = 0
        for node in nodes:
            values = node.attr.values()
            called = [value.func.name for value in values if value.WhichOneof("value") == "func"]
            if called:  # the node only calls functions, whose operations count
                total += sum(count(bodies[name]) for name in called)
            elif node.op not in not_computed:
                total += 1
        return total

    return count(graph.node)
