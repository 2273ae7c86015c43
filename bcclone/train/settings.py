"""Settings of a training; loads no TensorFlow, so that --help answers at once."""

import re
from dataclasses import dataclass

from bcclone.augment.settings import AugmentSettings
from bcclone.feed.settings import DrawSettings
from bcclone.settings import check_settings, setting

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


def parse_duration(text: str) -> float:
    """Return the seconds of "90", "90s", "10m", "1.5h" or "1h30m"; raises ValueError for anything else."""
    found = _DURATION.fullmatch(text.strip().lower())
    if not found or not any(found.groups()):
        raise ValueError(f"time {text!r}, expected one such as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_gpus(text: str) -> int:
    """Return the number of GPUs, 0 for all; raises ValueError for anything else."""
    if text.strip().lower() == "all":
        return 0
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r}, expected a number or all") from None


_KEPT_GROUP = "checkpoints and logs"
_LENGTH, _OPTIMIZER, _NETWORK, _SAMPLES, _DEVICE = "length", "optimizer", "network", "samples", "device"


@dataclass(frozen=True)
class TrainSettings(AugmentSettings):
    """What decides the weights of a training besides the samples; how these are augmented is part of it."""

    batch_size: int = setting(32, "samples in each step", minimum=1, maximum=1 << 20)
    epochs: int = setting(
        40,
        "passes over the training samples",
        minimum=1,
        maximum=1 << 20,
        zero="as many as --time allows",
    )
    time: float = setting(
        0.0,
        "end after this time, such as 90s, 10m or 1h30m, validation included; the schedule is fitted to it",
        unit="TIME",
        minimum=0,
        maximum=1e9,
        zero="no limit",
        parse=parse_duration,
    )
    learning_rate: float = setting(
        1e-3,
        "highest learning rate of the AdamW optimizer",
        minimum=0,
        maximum=1,
        above_minimum=True,
        below_maximum=True,
    )
    schedule: str = setting(
        "cosine",
        "how the learning rate falls to a hundredth of its highest value; constant: not at all",
        choices=SCHEDULES,
        group=_OPTIMIZER,
    )
    warmup: float = setting(
        0.02,
        "fraction of the training in which the learning rate rises to its highest value",
        unit="FRACTION",
        minimum=0,
        maximum=0.5,
        group=_OPTIMIZER,
    )
    clip_norm: float = setting(
        1.0,
        "largest norm of the gradient; longer gradients are shortened to it",
        minimum=0,
        maximum=1e6,
        zero="no clipping",
        group=_OPTIMIZER,
    )
    weight_decay: float = setting(
        0.1,
        "fraction of each weight, biases excepted, that a step subtracts, times the learning rate",
        minimum=0,
        maximum=1,
        group=_OPTIMIZER,
    )
    loss: str = setting(
        "mse",
        "loss: mean squared error, mean absolute error, or Huber's, which is linear beyond 0.1",
        choices=LOSSES,
        group=_OPTIMIZER,
    )
    patience: int = setting(
        0,
        "stop after this many epochs without a better validation loss",
        minimum=0,
        maximum=1 << 20,
        zero="never",
        group=_LENGTH,
    )
    keep: str = setting(
        "last",
        "which epoch's model to keep: the last, or the best, with the smallest validation loss",
        choices=KEPT,
        group=_LENGTH,
    )
    zero_share: float = setting(
        1.0,
        "largest fraction of an epoch's samples with zero steering, drawn anew for each epoch; 1 keeps all",
        unit="FRACTION",
        minimum=0,
        maximum=1,
        above_minimum=True,
        group=_SAMPLES,
    )
    network: str = setting("cnn", "which network to train", unit="NAME", choices=tuple(NETWORKS), group=_NETWORK)
    seq_length: int = setting(
        1,
        "consecutive frames of a camera that the network sees at a time: stacked as channels, or one after the other "
        "by gru and lstm",
        minimum=1,
        maximum=20,
        shown="that of the store, else 1, or 5 for gru and lstm",
        group=_NETWORK,
    )
    mixed_precision: bool = setting(
        False,
        "compute in 16 bits where that is safe; faster on GPUs with tensor cores, slower on CPUs",
        negatable=True,
        group=_DEVICE,
    )
    gpus: int = setting(
        1,
        "number of GPUs that divide each batch among them, or all",
        minimum=1,
        maximum=64,
        zero="all",
        parse=parse_gpus,
        group=_DEVICE,
    )
    seed: int = setting(
        0,
        "seed of the initial weights, the order of the samples, augmentation and dropout",
        minimum=0,
        maximum=2**32 - 1,
        group=_SAMPLES,
    )
    deterministic: bool = setting(
        False,
        "get exactly the same weights on every run on a GPU, at some cost in speed; a CPU always does",
        negatable=True,
        group=_DEVICE,
    )
    augment_on: str = setting(
        "auto",
        "where samples are augmented: on the cpu by --workers threads while the network trains, or on the device that "
        "trains, as the first part of a step; auto: the device if it is a GPU",
        choices=AUGMENTED_ON,
        group="augmentation",
    )

    def __post_init__(self) -> None:
        check_settings(self)
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
class CheckpointSettings:
    """What a training keeps while it runs, and the memory it may use; the weights do not depend on it."""

    checkpoint_minutes: float = setting(
        1.0,
        "minutes between checkpoints; one is also written after each epoch",
        unit="MINUTES",
        minimum=0,
        maximum=1e6,
        zero="no checkpoints by time",
        group=_KEPT_GROUP,
    )
    checkpoint_steps: int = setting(
        0,
        "steps between checkpoints",
        minimum=1,
        maximum=1 << 40,
        zero="no checkpoints by steps",
        group=_KEPT_GROUP,
    )
    gpu_memory: int = setting(
        0,
        "limit of the memory used on each GPU, in MB",
        unit="MB",
        minimum=1,
        maximum=1 << 30,
        zero="as much as needed",
        group=_DEVICE,
    )
    tensorboard: bool = setting(
        False, "also log the training for TensorBoard in the run folder", negatable=True, group=_KEPT_GROUP
    )
    plots: bool = setting(True, "draw pictures of the model at the end", group=_KEPT_GROUP)

    def __post_init__(self) -> None:
        check_settings(self)
