"""What a training is told; no TensorFlow in here, so that --help answers at once."""

import re
from dataclasses import dataclass

from bcclone.augment.settings import AugmentSettings
from bcclone.feed.settings import DrawSettings

SCHEDULES = ("cosine", "linear", "constant")
LOSSES = ("mse", "mae", "huber")
KEPT = ("last", "best")
AUGMENTED_ON = ("auto", "cpu", "device")
# those of bcclone.network, which loads TensorFlow; a test compares
NETWORKS = {
    "cnn": "the source's five convolutions; those of cnn-64 where images are too small for them",
    "cnn-no-conv4-5": "without the last two convolutions",
    "cnn-padded": "the last two keep rows and columns (padding same)",
    "cnn-fewer-strides": "the third convolution moves by one pixel instead of two",
    "cnn-64": "without the third convolution, for images of 64x64",
    "gru": "the convolutions of cnn for each frame of a window, then a GRU whose state drive.py carries on",
    "lstm": "the same with an LSTM",
}
_RECURRENT = ("gru", "lstm")
_RECURRENT_SEQ_LENGTH = 5
HUBER_DELTA = 0.1  # errors beyond it count linearly; the usual 1 would make it half of mse for any steering
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


@dataclass(frozen=True)
class TrainSettings(AugmentSettings):
    """What decides the weights that a training ends with, besides the samples; how these are augmented is part of it.

    epochs: passes over the samples, 0 for as many as `time` allows; time: seconds after which training ends, 0 for
    no limit; schedule: how the learning rate falls from `learning_rate` in the course of the training; warmup:
    share of the training in which it rises to there; clip_norm: the longest gradient, longer ones are shortened to
    it, 0 for none; weight_decay: share of each weight, biases left out, that a step takes away for a learning rate of
    1; patience: epochs without a better validation loss before training stops, 0 for never; keep: the model of
    which epoch, the "last" or the "best", of least validation loss; zero_share: how many of an epoch's samples may be
    of driving straight on, 1 for all there are; network: one of NETWORKS; seq_length: frames in a row that the network
    sees, 1 for single frames; mixed_precision: compute in 16 bits where that is safe; gpus: how many share each
    batch, 0 for all; deterministic: the same numbers on every run of the same GPU, at some cost in speed (a CPU gives
    them anyway); augment_on: where samples are augmented, by threads on the "cpu" or by the training step on its
    "device"; "auto" is the device where that is a GPU.
    """

    batch_size: int = 32
    epochs: int = 40
    time: float = 0.0
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: float = 0.02
    clip_norm: float = 1.0
    weight_decay: float = 0.1
    loss: str = "mse"
    patience: int = 0
    keep: str = "last"
    zero_share: float = 1.0
    network: str = "cnn"
    seq_length: int = 1
    mixed_precision: bool = False
    gpus: int = 1
    seed: int = 0
    deterministic: bool = False
    augment_on: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_choice("loss", self.loss, LOSSES)
        _check_choice("keep", self.keep, KEPT)
        _check_choice("augment_on", self.augment_on, AUGMENTED_ON)
        _check_choice("network", self.network, tuple(NETWORKS))
        for name, least, most, expected in (
            ("batch_size", 1, 1 << 20, "1 or more"),
            ("epochs", 0, 1 << 20, "1 or more, or 0 for as many as --time allows"),
            ("time", 0, 1e9, "a time such as 10m, or 0 for no limit"),
            ("warmup", 0, 0.5, "0 to 0.5"),
            ("clip_norm", 0, 1e6, "more than 0, or 0 for none"),
            ("weight_decay", 0, 1, "0 (none) to 1"),
            ("patience", 0, 1 << 20, "0 (never stop early) or more"),
            ("seq_length", 1, 20, "1 (single frames) to 20"),
            ("gpus", 0, 64, "1 or more, or 0 for all"),
            ("seed", 0, 2**32 - 1, "0 to 4294967295"),
        ):
            _check_range(name, getattr(self, name), least, most, expected)
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning rate {self.learning_rate:g}, expected more than 0 and less than 1")
        if not 0 < self.zero_share <= 1:
            raise ValueError(f"zero share {self.zero_share:g}, expected more than 0, up to 1")
        if not self.epochs and not self.time:
            raise ValueError("epochs 0 means as many as the time allows, but no time is given; give --time")

    @property
    def drawn(self) -> DrawSettings:
        """Return what a feed gives of the samples."""
        place = "device" if self.augment_on == "device" else "cpu"
        return DrawSettings(self.batch_size, self.seed, self.seq_length, self.zero_share, self, place)


def default_seq_length(network: str, stored: int = 1) -> int:
    """Return how many frames a network is shown where nobody says it. stored: what the samples were made for."""
    return _RECURRENT_SEQ_LENGTH if stored == 1 and network in _RECURRENT else stored


@dataclass(frozen=True)
class UpkeepSettings:
    """What is kept of a training while it runs, and what it may take; the weights do not depend on it.

    checkpoint_minutes, checkpoint_steps: how often its state is written, besides after each epoch, 0 for not by that
    measure; gpu_memory: MB that it may take of each GPU, 0 for as much as it comes to need; tensorboard: write its
    figures for TensorBoard, too; plots: draw pictures at the end.
    """

    checkpoint_minutes: float = 1.0
    checkpoint_steps: int = 0
    gpu_memory: int = 0
    tensorboard: bool = False
    plots: bool = True

    def __post_init__(self) -> None:
        _check_range("checkpoint_minutes", self.checkpoint_minutes, 0, 1e6, "more than 0, or 0 for not by the clock")
        _check_range("checkpoint_steps", self.checkpoint_steps, 0, 1 << 40, "1 or more, or 0 for not by steps")
        _check_range("gpu_memory", self.gpu_memory, 0, 1 << 30, "MB, or 0 for as much as needed")


def parse_duration(text: str) -> float:
    """Return the seconds of "90", "90s", "10m", "1.5h" or "1h30m"; raises ValueError for anything else."""
    found = _DURATION.fullmatch(text.strip().lower())
    if not found or not any(found.groups()):
        raise ValueError(f"time {text!r}, expected one such as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r}, expected one of {', '.join(choices)}")


def _check_range(name: str, value: float, least: float, most: float, expected: str) -> None:
    if not least <= value <= most:  # NaN is in no range
        raise ValueError(f"{name.replace('_', ' ')} {str(value)[:60]}, expected {expected}")
