"""Compare the step of training on the CPU: with oneDNN as model.py trains, without it, and in
PyTorch -> a Report.

Each trains the same network on the same batch in memory in a fresh process, in turns, so that
loaders and disks play no part. Whether TensorFlow computes with oneDNN by default depends on the
processor. What a device has to start and to fetch for a step is counted for each way in which a GPU
can train; that needs no GPU.
"""

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np

from bcclone import Store, TrainSettings, UserError
from bcclone.camera.images import Image
from bcclone.dataset.preprocessing import Preprocessing, seen_rows
from bcclone.feed.augment import AugmentationInputs
from bcclone.feed.augment.random_numbers import draw
from bcclone.feed.source import Batch
from bcclone.model.architectures import ARCHITECTURES, Convolution
from bcclone.system.arrays import Float32Array
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import Notify
from bcclone.system.settings import LARGEST_IMAGE, SMALLEST_IMAGE, Checked, Count, setting
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.training.train_settings import LEARNING_RATE, OFF, ON
from benchmarks.feeds.training import Step, Wait, take_steps, trainer_step
from benchmarks.measures import Measure, Report, aligned
from benchmarks.rounds import (
    Unavailable,
    in_fresh_process,
    median_ratio,
    rounds_setting,
    run_rounds,
    seconds_setting,
)

OURS, DEFAULT, WITHOUT, PYTORCH = (
    "model.py",
    "TensorFlow's default",
    "without oneDNN",
    "PyTorch, channels last",
)
_ONEDNN = {OURS: "on", DEFAULT: "", WITHOUT: "off"}
_BARS = {
    PYTORCH: 1.2,
    WITHOUT: 1.4,
    DEFAULT: 0.95,
}  # where the default is oneDNN, nothing is lost, but for noise
_WARM_STEPS = 10
RESIDENT = "a program of 20 steps, frames on the device"
_WAYS = {  # whether compiled, augmented, and with the frames on the device
    "step by step, not augmented": (False, False, False),
    "step by step": (False, True, False),
    "a program, not augmented": (True, False, False),
    "a program": (True, True, False),
    RESIDENT: (True, True, True),
}
_NOT_COMPUTED = ("Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp")


@dataclass(frozen=True)
class Settings(Checked):
    """How fast the step of training is on the CPU."""

    size: int = setting(128, "width and height of the images", SMALLEST_IMAGE, LARGEST_IMAGE)
    batch_size: Count = setting(TrainSettings().batch_size, "samples in a batch")
    rounds: int = rounds_setting(5)
    seconds: float = seconds_setting()


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the rates of the steps and their ratios; what is not installed is left out."""
    # TensorFlow and PyTorch do not get on in one process
    convolutions = in_fresh_process(convolutions_of, settings.size)
    load = partial(samples_per_second, settings=settings, convolutions=convolutions)
    found = run_rounds((*_ONEDNN, PYTORCH), load, settings.rounds, notify)
    rates = found.results
    if OURS not in rates:
        raise UserError(found.failed[OURS])
    ratios = {name: median_ratio(rates[OURS], each) for name, each in rates.items()}
    rows = [["", "samples/s", "model.py to it"]]
    rows += [[name, f"{median(each):,.0f}", f"{ratios[name]:.2f}"] for name, each in rates.items()]
    measures = [
        Measure(f"model.py to {name}", ratios[name], "x", bar)
        for name, bar in _BARS.items()
        if name in rates
    ]
    head = f"{usable_cores()} cores; images of {settings.size}x{settings.size}, batches of {settings.batch_size}"
    ways = {name: in_fresh_process(measure_way, name, settings) for name in _WAYS}
    bytes_a_step = Measure(
        f"{RESIDENT}, bytes of a step", ways[RESIDENT].bytes_a_step, "bytes", 50_000, least=False
    )
    compilations = Measure(
        f"{RESIDENT}, compilations", ways[RESIDENT].compilations, "", 2, least=False
    )
    values = {"machine": head, "samples_per_second": rates, "skipped": found.skipped}
    values |= {"ways": {name: way._asdict() for name, way in ways.items()}}
    tables = [head, *aligned(rows), *found.skipped_rows(), "", _WAYS_SAID, *aligned(way_rows(ways))]
    return Report([*measures, bytes_a_step, compilations], tables, values, found.failed)


_WAYS_SAID = "ways to train, and what each gives a device; programs are for GPUs, on a CPU XLA makes slow ones:"


class Way(NamedTuple):
    """What a way to train gives the device to do.

    operations: that TensorFlow starts in a step; bytes_a_step: copied to the device; fusions:
    kernels that XLA made of several operations; compilations: in a whole training with its
    validation; samples_per_second: on this machine's GPU, or on its CPU, which XLA compiles badly
    for.
    """

    operations: float
    bytes_a_step: int
    fusions: int
    compilations: int
    samples_per_second: float


def way_rows(ways: dict[str, Way]) -> list[list[str]]:
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
        figures = (
            f"{way.operations:,.2f}",
            f"{way.bytes_a_step:,}",
            f"{way.fusions}",
            f"{way.compilations}",
        )
        rows.append([name, *figures, f"{way.samples_per_second:,.0f}"])
    return rows


def measure_way(name: str, settings: Settings) -> Way:
    """Return what a way gives the device, from its graph, its program and the arrays of its
    batches, and its speed.
    """
    load_tensorflow()
    import tensorflow as tf

    from bcclone.training.prepare import make_trainer
    from bcclone.training.trainer import STEPS_A_CALL

    size, count, (compiled, augmented, resident) = settings.size, settings.batch_size, _WAYS[name]
    random, prepared = (
        np.random.default_rng(0),
        cast("Store", SimpleNamespace(preprocessing=Preprocessing(size, size))),
    )
    images, labels = (
        random.integers(0, 256, (count, size, size, 3), np.uint8),
        np.zeros((count, 1), np.float32),
    )
    drawn = AugmentationInputs(
        np.zeros(count, bool), np.full(count, 12, np.float32), *draw(count, (1,))
    ).packed()
    frames = tf.constant(images)

    def gather(positions: Any) -> Any:
        return tf.gather(frames, positions)

    batch = Batch(images, labels, drawn if augmented else ())
    if resident:
        batch = replace(batch, images=np.arange(count, dtype=np.int32), gather=gather)
    chosen: dict[str, Any] = {
        "learning_rate": LEARNING_RATE,
        "augment": augmented,
        "augment_on": "device",
        "batch_size": count,
    }
    trainer = make_trainer(
        prepared, TrainSettings(seq_length=1, jit_compile=ON if compiled else OFF, **chosen)
    )
    steps, step, wait = STEPS_A_CALL if resident else 1, trainer_step(trainer), trainer.totals.means
    groups = itertools.repeat([batch] * steps)
    take_steps(step, wait, itertools.islice(groups, -(-_WARM_STEPS // steps)), math.inf)
    rate, _ = take_steps(step, wait, groups, settings.seconds)
    sent = sum(each.nbytes for each in batch.inputs)
    if not compiled:
        return Way(
            _operations(trainer._step.get_concrete_function().graph.as_graph_def()),
            sent,
            0,
            0,
            rate,
        )
    short = Batch(
        batch.images[:-1],
        labels[:-1],
        tuple(each[:-1] for each in batch.augmentation),
        gather=batch.gather,
    )
    step([short])
    trainer.evaluate([batch, short])
    compilations = sum(
        each.experimental_get_tracing_count() for each in (trainer._program, trainer._validate)
    )
    inputs = trainer.inputs_of([batch] * steps, [LEARNING_RATE] * steps)
    program = trainer._program.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
    return Way(1 / steps, sent, len(re.findall(r" fusion\(", program)), compilations, rate)


def _operations(graph: Any) -> int:
    """Return how many operations of a graph compute something, in its functions, too."""
    bodies = {each.signature.name: each.node_def for each in graph.library.function}

    def count(nodes: Iterable[Any]) -> int:
        total = 0
        for node in nodes:
            called = [
                each.func.name for each in node.attr.values() if each.WhichOneof("value") == "func"
            ]
            total += (
                sum(count(bodies[name]) for name in called)
                if called
                else node.op not in _NOT_COMPUTED
            )
        return total

    return count(graph.node)


def convolutions_of(size: int) -> tuple[Convolution, ...]:
    """Return the convolutions of cnn for images of this size; loads TensorFlow."""
    load_tensorflow(use_gpus=False)
    from bcclone.model.network import convolutions_for

    return convolutions_for(size, size, ARCHITECTURES["cnn"])


def samples_per_second(name: str, settings: Settings, convolutions: Sequence[Convolution]) -> float:
    """Return how fast this process trains; raises Unavailable if the package is absent."""
    draw, batch_size, size = np.random.default_rng(0), settings.batch_size, settings.size
    images = draw.integers(0, 256, (batch_size, size, size, 3), np.uint8)
    steering = draw.uniform(-1, 1, (batch_size, 1)).astype(np.float32)
    if name == PYTORCH:
        step, wait = pytorch_step(images, steering, convolutions)
    else:
        step, wait = keras_step(size, _ONEDNN[name])
    batches = itertools.repeat([Batch(images, steering)])
    take_steps(step, wait, itertools.islice(batches, _WARM_STEPS), math.inf)
    rate, _ = take_steps(step, wait, batches, settings.seconds)
    return round(rate, 1)


def keras_step(size: int, onednn: str) -> tuple[Step, Wait]:
    """Return the step of model.py, and how to wait for its end."""
    load_tensorflow(use_gpus=False, onednn=onednn)
    from bcclone.model.network import build_network
    from bcclone.training.prepare import make_optimizer
    from bcclone.training.trainer import Trainer

    settings = TrainSettings(learning_rate=LEARNING_RATE)
    model = build_network((size, size, 3))
    trainer = Trainer(model, make_optimizer(model, settings), settings)
    return trainer_step(trainer), trainer.totals.means


def pytorch_step(
    images: Image, steering: Float32Array, convolutions: Sequence[Convolution]
) -> tuple[Step, Wait]:
    """Return a step of PyTorch on a batch, with the same network, loss and optimizer, which waits
    for its end.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise Unavailable("torch is not installed; pip install '.[bench]'") from None
    seen = seen_rows(images.shape[1])
    frames, labels = torch.from_numpy(images), torch.from_numpy(steering)

    def prepared() -> Any:
        seen_frames = frames[:, seen].permute(0, 3, 1, 2).float() / 127.5 - 1
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
    """Return bcclone's cnn as a torch.nn.Module: float32 (batch, channels, rows seen, width) ->
    (batch, 1).
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
