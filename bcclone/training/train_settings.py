"""The settings of a training: one flat, checked value, whose fields are the options.

Importing this loads no large package.
"""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from bcclone.dataset.answer import OUTPUTS
from bcclone.feed.feed_settings import (
    AUTO,
    PATH,
    STEERING,
    AugmentSettings,
    FeedSettings,
)
from bcclone.model.architectures import ARCHITECTURES, Architecture
from bcclone.system.errors import UserError
from bcclone.system.settings import (
    Checked,
    Count,
    Force,
    Fraction,
    Minutes,
    Names,
    Seed,
    SettingError,
    argument,
    key_of,
    read_settings_file,
    setting,
    settings_of,
)
from bcclone.system.values import names_of

# at the usual rate a model forgets what it knew (benchmarks/lab-log/2026-11.md, 2026-11-23)
FINE_TUNING_LEARNING_RATE = 1e-4
# frames in the input of gru and lstm, if neither the user nor the store sets a number
RECURRENT_SEQ_LENGTH = 5


# the choices of settings
ON = "on"
OFF = "off"
ADAMW = "adamw"
MUON = "muon"
OPTIMIZERS = (AUTO, ADAMW, MUON)
FIXED = "fixed"
LEARNED = "learned"
TRAINED = "trained"
USUAL_NETWORK = "cnn-small"
NETWORKS = {name: network.description for name, network in ARCHITECTURES.items()}


# each optimizer's learning rate and epochs, if the user sets none: what drives best for the least
# training
# (benchmarks/lab-log/2026-11.md, 2026-11-28)
USUAL_RATES = {ADAMW: 1e-3, MUON: 5e-3}
USUAL_EPOCHS = {ADAMW: 40, MUON: 10}

_checkpoint = partial(setting, group="checkpoints and logs")
_run = partial(setting, group="run folder")
_length = partial(setting, group="length")
_optimizer = partial(setting, group="optimizer")
_network = partial(setting, group="network")
_sample = partial(setting, group="samples")
_device = partial(setting, group="device")


_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def parse_duration(text: str) -> float:
    """Return the seconds of "90", "90s", "10m", "1.5h" or "1h30m"; raises ValueError otherwise.

    Only a number that stands alone needs no unit: 1h30 could mean minutes or seconds.
    """
    duration = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", duration):
        return float(duration)
    match = _DURATION.fullmatch(duration)
    if not match or not any(match.groups()):
        raise ValueError(f"{text!r}, expected one such as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


@dataclass(frozen=True)
class RunFiles(Checked):
    """Which files a training reads and writes."""

    data: tuple[str, ...] = argument(
        "store that preprocess.py wrote, or recordings (folders or logs), which --feed files reads",
        ("data.h5",),
        unit="STORE",
    )
    output: Path = setting(Path("model.h5"), "the model file to write", writes=True)
    start: Path | None = setting(
        None,
        "fine-tune: begin with the weights of an earlier model that takes the same images",
        option="from",
        unit="MODEL",
        shown="an untrained network",
    )
    runs: Path = _run(Path("runs"), "folder that holds the run folders", writes=True)
    name: str | None = _run(None, "name of the run folder", shown="date and time")
    force: Force = setting(False)

    def validate(self) -> None:
        if not self.data:
            raise SettingError("{data} is empty, expected a store or recordings")
        if self.output.suffix != ".h5":
            raise SettingError(
                "{output} {path}, expected a name that ends in .h5", path=self.output
            )
        if self.name is not None and not _names_folder(self.name):
            raise SettingError(
                "{name} {value}, expected the name of a folder in {folder}",
                value=repr(self.name),
                folder=self.runs,
            )


def _names_folder(name: str) -> bool:
    """Return whether a text is the name of a folder, and not a path."""
    return name not in ("", ".", "..") and Path(name).name == name


_OUTPUTS_LISTED = "; ".join(f"{output.predict}: {output.meaning}" for output in OUTPUTS)


@dataclass(frozen=True)
class LearningSettings(Checked):
    """The settings on which the weights depend, besides the samples and their augmentation."""

    batch_size: Count = setting(32, "number of samples in each step", minimum=1, maximum=1 << 20)
    epochs: Count | None = setting(
        None,
        "number of passes over the training samples",
        zero="as many as --time allows",
        shown=f"{USUAL_EPOCHS[MUON]} by muon, {USUAL_EPOCHS[ADAMW]} by adamw",
    )
    time: float = setting(
        0.0,
        "end after this time, validation included, such as 90s, 10m or 1h30m; "
        "the learning rate schedule is fitted to it",
        minimum=0,
        maximum=1e9,
        unit="TIME",
        zero="no limit",
        parse=parse_duration,
    )
    learning_rate: float = setting(
        0.0,
        "highest learning rate of the optimizer",
        above=0,
        below=1,
        zero=f"{USUAL_RATES[MUON]} by muon, {USUAL_RATES[ADAMW]} by adamw, and "
        f"{FINE_TUNING_LEARNING_RATE} with --from",
    )
    optimizer: str = _optimizer(
        AUTO,
        "how gradients change the weights; muon: by orthogonal steps of each convolution and dense "
        "layer, learns in a quarter of the passes; auto: muon for a new network with batch "
        "normalization, which it needs, else adamw",
        choices=OPTIMIZERS,
    )
    batch_norm: str = _optimizer(
        AUTO,
        "means, variances, scales and offsets of batch normalization; fixed: the training leaves "
        "them as they are, so that a model forgets less of other roads; auto: fixed with --from, "
        "else learned",
        choices=(AUTO, FIXED, LEARNED),
        rare=True,
    )
    patience: int = _length(
        0,
        "early stopping: stop after this many epochs without a better validation loss; the model "
        "is that of the best epoch",
        minimum=0,
        maximum=1 << 20,
        zero="never",
    )
    zero_fraction: Fraction = _sample(
        1.0,
        "largest fraction of samples with zero steering in an epoch; "
        "the others are left out at random; 1 keeps all",
        above=0,
        maximum=1,
    )
    network: str | None = _network(
        None,
        "network to train; the names are listed above",
        unit="NAME",
        choices=tuple(NETWORKS),
        shown=f"{USUAL_NETWORK}, or with --from that of the model",
    )
    seq_length: Count = _network(
        0,
        "number of consecutive frames of a camera in each input: "
        "cnn stacks them as channels, gru and lstm process them one by one",
        minimum=1,
        maximum=20,
        zero="that of the store, else 1, or 5 for gru and lstm",
    )
    predict: str = _network(
        STEERING,
        f"outputs of the network; {_OUTPUTS_LISTED}; {PATH}: also the road ahead, which improves "
        "training on stores of random roads and is not in the written model",
        choices=(*(output.predict for output in OUTPUTS), PATH),
    )
    dropout: Fraction | None = _network(
        None,
        "rate of each dropout layer: "
        "the fraction of the features that it leaves out in a training step",
        minimum=0,
        maximum=0.9,
        shown="that of the network, 0.5 for those of bcclone",
    )
    jit_compile: str = _device(
        AUTO,
        "compile whole training steps by XLA into one program; only on one device, and not with "
        "--deterministic on a GPU; auto: on a GPU that XLA can compile for, if compiling pays",
        choices=(AUTO, ON, OFF),
        rare=True,
    )
    gpus: Count = _device(
        1,
        "number of GPUs to train on; each batch is divided among them",
        minimum=1,
        maximum=64,
        zero="all",
    )
    seed: Seed = _sample(0)
    deterministic: bool = _device(
        False,
        "make training on a GPU reproducible bit for bit, at some cost in speed; "
        "on a CPU it always is",
    )
    # No option: a new run notes what TF_ENABLE_ONEDNN_OPTS says, "on" or "off". The last digits of
    # the weights depend on it.
    onednn: str = ""


@dataclass(frozen=True)
class TrainSettings(FeedSettings, AugmentSettings, LearningSettings, RunFiles):
    """All settings of a training, one flat value.

    It has the fields of four groups: RunFiles and LearningSettings above, AugmentSettings and
    FeedSettings of bcclone.feed. The weights do not depend on the further fields below. The value
    can be passed where one of these groups is expected.
    """

    checkpoint_minutes: Minutes = _checkpoint(
        1.0,
        "minutes between checkpoints; a checkpoint is also written after each epoch",
        zero="no checkpoints by time",
        rare=True,
    )
    hand_over: str = _length(
        AUTO,
        "with --from, which model to write; auto: the best on the validation samples of the start "
        "model, the trained one and the mean of their weights (which forgets less); without such "
        "samples, the mean",
        choices=(AUTO, TRAINED),
        rare=True,
    )

    def validate(self) -> None:
        super().validate()
        if self.epochs == 0 and not self.time:
            raise SettingError("{epochs} 0 means as many as {time} allows; set {time}")

    @property
    def architecture(self) -> Architecture:
        """Return the network to train, as far as it is decided; else the usual one."""
        return ARCHITECTURES[self.network or USUAL_NETWORK]


# the values that leave a setting open: other settings, the samples, the start model or the machine
# decide it, or in a resume the run
LEFT_OPEN: dict[str, Any] = {
    "network": None, "seq_length": 0, "epochs": None, "learning_rate": 0.0, "optimizer": AUTO,
    "batch_norm": AUTO, "feed": AUTO, "augment_on": AUTO, "jit_compile": AUTO,
}  # fmt: skip
LIMITS = ("epochs", "time", "patience")  # settings that a resume may change
# settings that a resume must leave as they are (except LIMITS): on them the weights depend
SETTINGS_OF_WEIGHTS = (*names_of(LearningSettings), *names_of(AugmentSettings))
SETTING_NAMES = tuple(name for name in names_of(TrainSettings) if name not in names_of(RunFiles))


def values_of(settings: Checked, names: Collection[str] = SETTING_NAMES) -> dict[str, Any]:
    """Return the named settings by name; by default all but the fields of RunFiles."""
    return {name: getattr(settings, name) for name in names}


def settings_as_text(settings: TrainSettings) -> str:
    """Return the settings as TOML, with the names of the options.

    Those that are None are left out, since TOML has no null, and so are those without an option.
    """
    values = values_of(settings)
    names = {declared.name for declared in settings_of(settings)}
    given = {
        key_of(name): value for name, value in values.items() if name in names and value is not None
    }
    return tomli_w.dumps(given)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, by field name; raises UserError for a wrong file."""
    values = read_settings_file(path, TrainSettings, without=names_of(RunFiles))
    try:
        TrainSettings(**values)
    except SettingError as error:
        raise UserError(f"{path}: {error.naming(key_of)}") from None
    return values


# ---- several machines

_ADDRESSES = "host1:2345,host2:2345"  # example for messages


@dataclass(frozen=True)
class WorkerSettings(Checked):
    """The workers of a training on several machines. Worker 0 is the chief."""

    workers: Names = setting(
        (),
        "train on several machines, one worker on each: the addresses of all workers, the same on "
        "every one; worker 0 writes the model",
        unit="HOST:PORT,...",
        shown="those of TF_CONFIG, else one machine alone",
        group="several machines",
    )
    worker_index: int | None = setting(
        None,
        "number of this worker in --workers, from 0",
        shown="that of TF_CONFIG",
        group="several machines",
    )

    def validate(self) -> None:
        for address in self.workers:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or self.workers.count(address) > 1:
                # whoever gives a number, such as --workers 4, means the threads of --feed-workers
                raise SettingError(
                    "{workers} {address}, expected HOST:PORT of each worker once, such as "
                    "{example}; the threads that load samples are --feed-workers",
                    address=repr(address),
                    example=_ADDRESSES,
                )
        count = len(self.workers)
        allowed = range(count) if count else (None,)
        if self.worker_index not in allowed:
            raise SettingError(
                "{worker_index} {index} for {count} {workers}, expected both, such as {workers} "
                "{example} and {worker_index} 0, the number of this worker from 0",
                index=self.worker_index,
                count=count,
                example=_ADDRESSES,
            )


def are_several(workers: WorkerSettings) -> bool:
    """Return whether options, or else the environment variable TF_CONFIG, name the workers."""
    return bool(workers.workers or os.environ.get("TF_CONFIG"))
