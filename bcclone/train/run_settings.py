"""Settings of a run: its files and the settings of its training, given by a program, by options or by a TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from bcclone.cluster.workers import Cluster
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed_settings import AUTO, FeedSettings
from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.settings import check_settings, current_names, parse_names, setting, type_of
from bcclone.train.train_settings import CheckpointSettings, TrainSettings, parse_duration, parse_gpus

_KINDS = (AugmentSettings, TrainSettings, FeedSettings, CheckpointSettings)
_EXPECTED = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
_TYPES = {field.name: type_of(field) for kind in _KINDS for field in fields(kind) if field.name != "augmentation"}
_FOLLOWING = {
    "augment_on": AUTO,
    "seq_length": 0,
    "learning_rate": 0.0,
    "feed": AUTO,
}  # values that follow the start, the samples, the machine or the run
_GROUP, _WORKERS = "run folder", "several machines"

SETTING_NAMES = tuple(_TYPES)


@dataclass(frozen=True)
class RunSettings:
    """A whole training: its samples, model file, run folder and settings.

    data: one store, or recordings (folders or logs); start: the model to fine-tune; training, feed: None for the
    defaults or, with resume, for those of the run. With resume, only the settings of `training` and `feed` named in
    `given` are compared with those of the run, or set its new limits; None compares all of them. workers: HOST:PORT of
    each worker of a training on several machines.
    """

    data: tuple[str, ...] = ("data.h5",)
    output: Path = setting(Path("model.h5"), "the model file to write", short="-o")
    start: Path | None = setting(
        None,
        "fine-tune: begin with the weights of an earlier model that takes the same images",
        option="from",
        unit="MODEL",
        shown="an untrained network",
    )
    runs: Path = setting(Path("runs"), "folder that holds the run folders", group=_GROUP)
    name: str | None = setting(None, "name of the run folder", shown="date and time", group=_GROUP)
    resume: bool = setting(False, "continue the newest run with this store and output")
    workers: tuple[str, ...] = setting(
        (),
        "train on several machines, one worker on each: the addresses of all workers, the same on every one; worker 0 "
        "writes the model",
        unit="HOST:PORT,...",
        parse=parse_names,
        shown="those of TF_CONFIG, else one machine alone",
        group=_WORKERS,
    )
    worker_index: int | None = setting(
        None, "number of this worker in --workers, from 0", shown="that of TF_CONFIG", group=_WORKERS
    )
    force: bool = setting(False, "overwrite an existing model")
    training: TrainSettings | None = None
    feed: FeedSettings | None = None
    checkpointing: CheckpointSettings = CheckpointSettings()
    given: frozenset[str] | None = None

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.data:
            raise ValueError("no data, expected a store or recordings")
        if self.output.suffix != ".h5":
            raise ValueError(f"{self.output}: a model's name must end in .h5; name another -o")
        if self.name is not None and (self.name in ("", ".", "..") or Path(self.name).name != self.name):
            raise ValueError(f"--name {self.name!r}, expected the name of a folder in {self.runs}")
        if unknown := (self.given or frozenset()) - set(SETTING_NAMES):
            raise ValueError(f"no setting is called {min(unknown)!r}; known are {', '.join(SETTING_NAMES)}")
        Cluster.of(self.workers, self.worker_index)
        if self.training and not self.resume:
            self.training.check_limits()

    @classmethod
    def from_values(cls, values: Mapping[str, Any], **others: Any) -> Self:
        """Return the settings of a run of which these were given, by name, so that a resume keeps all the others.

        others: fields of RunSettings.
        """
        training = _fields_of(TrainSettings, values) | _fields_of(AugmentSettings, values)
        return cls(
            **others,
            training=TrainSettings.from_flat(training),
            feed=FeedSettings(**_fields_of(FeedSettings, values)),
            checkpointing=CheckpointSettings(**_fields_of(CheckpointSettings, values)),
            given=frozenset(values),
        )

    @property
    def chosen(self) -> dict[str, Any]:
        """Return the settings of training and feed, by name, that a resumed run must have or, for limits, gets."""
        values = (self.training.flat() if self.training else {}) | (asdict(self.feed) if self.feed else {})
        given = {name: value for name, value in values.items() if self.given is None or name in self.given}
        return {name: value for name, value in given.items() if _FOLLOWING.get(name) != value}


def settings_path(output: Path) -> Path:
    """Return the path of the settings file beside a model: model.settings.toml for model.h5."""
    return output.with_suffix(".settings.toml")


def describe_settings(training: TrainSettings, feed: FeedSettings, checkpointing: CheckpointSettings) -> dict[str, Any]:
    """Return all settings that have a value, by the names of their options, as a settings file holds them."""
    values = training.flat() | asdict(feed) | asdict(checkpointing)
    return {name.replace("_", "-"): value for name, value in values.items() if value is not None}


def read_settings(path: Path, output: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, by field name.

    Raises UserError for a file that is wrong, or that would be overwritten by the settings of the model `output`.
    """
    if path.resolve() == settings_path(output).resolve():
        raise UserError(
            f"{path} will be overwritten with the settings of this training; copy it to another name, or change -o"
        )
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the settings: {error.strerror}; name another --settings") from None
    except (ValueError, RecursionError) as error:  # both of TOML and of UTF-8
        raise UserError(f"{path}: not a settings file: {error}; expected lines such as learning-rate = 0.001") from None
    values: dict[str, Any] = {}
    for key, value in stored.items():
        name = _name_of(path, key)
        if name in values:
            raise UserError(f"{path}: {key} is set twice, with dashes and with underscores")
        values[name] = _checked(path, key, name, value)
    try:
        RunSettings.from_values(values)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return values


def _fields_of(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values by name that are fields of a settings dataclass."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def _name_of(path: Path, key: str) -> str:
    """Return the field name of a key, which may be the name of an older version."""
    (name,) = current_names({key.replace("-", "_"): None})
    if name not in _TYPES:
        known = [known.replace("_", "-") for known in SETTING_NAMES]
        hint = did_you_mean(key.replace("_", "-"), known, quote="'") or f"known are {', '.join(known)}"
        raise UserError(f"{path}: no setting is called {key!r}; {hint}")
    return name


def _checked(path: Path, key: str, name: str, value: Any) -> Any:
    """Return the value with the type of its setting."""
    try:
        if name == "time" and isinstance(value, str):
            return parse_duration(value)
        if name == "gpus" and isinstance(value, str):
            return parse_gpus(value)
        if _TYPES[name] is float and type(value) is int:
            return float(value)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: {key}: {error}") from None
    if type(value) is not _TYPES[name]:
        form = ', or a text such as "10m"' if name == "time" else ""
        raise UserError(f"{path}: {key} is {str(value)[:60]!r}, expected {_EXPECTED[_TYPES[name]]}{form}")
    return value
