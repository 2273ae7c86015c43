"""Options and a settings file -> what a training is told, for a new run or for one that is resumed."""

import argparse
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bcclone.commands.options import build, differences, given
from bcclone.errors import UserError
from bcclone.feed.settings import FeedSettings
from bcclone.train.run_folder import RunFolder
from bcclone.train.settings import CheckpointSettings, TrainSettings, default_seq_length, parse_duration, parse_gpus

_FEED = ("feed", "chunk_size", "workers", "max_queue_size", "multiprocessing")
_TRAIN = tuple(field.name for field in fields(TrainSettings))
_CHECKPOINTING = tuple(field.name for field in fields(CheckpointSettings))
_KINDS = (TrainSettings, CheckpointSettings, FeedSettings)
_TYPES = {field.name: field.type for kind in _KINDS for field in fields(kind) if field.name != "start_method"}
_EXPECTED = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
_LIMITS = ("epochs", "time", "patience")


@dataclass(frozen=True)
class Wanted:
    """The settings that were asked for, by the settings file or, before it, by options; the rest is left open."""

    values: Mapping[str, Any]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Wanted":
        """Read the options and the settings file; raises UserError for a file that is wrong."""
        stored = _read(arguments.settings) if arguments.settings else {}
        return cls(stored | given(arguments, *_FEED, *_TRAIN, *_CHECKPOINTING))

    def _of(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.values[name] for name in names if name in self.values}

    @property
    def checkpointing(self) -> CheckpointSettings:
        """Return what is kept of the training; a resume need not keep the same."""
        return build(CheckpointSettings, **self._of(_CHECKPOINTING))

    def feed(self, suits: str) -> FeedSettings:
        """Return the feed of a new run. suits: the strategy where none was asked for."""
        return build(FeedSettings, **({"feed": suits} | self._of(_FEED)))

    def new(self, stored_seq_length: int = 1) -> TrainSettings:
        """Return the settings of a new run. stored_seq_length: what the samples were made for."""
        values = self._of(_TRAIN)
        values.setdefault("seq_length", default_seq_length(values.get("network", "cnn"), stored_seq_length))
        return build(TrainSettings, **values)

    def resumed_feed(self, folder: RunFolder) -> FeedSettings:
        """Return the run's feed, or another that gives the samples in the same order; raises UserError."""
        stored = folder.feed
        wanted: FeedSettings = build(replace, stored, **self._of(_FEED))
        if wanted.ordering != stored.ordering:
            raise UserError(
                f"{folder.path} was begun with --feed {stored.feed} --chunk-size {stored.chunk_size}; --feed "
                f"{wanted.feed} --chunk-size {wanted.chunk_size} gives the samples in another order: leave them out to "
                "resume the run, or leave out --resume"
            )
        return wanted

    def resumed(self, folder: RunFolder) -> TrainSettings:
        """Return the run's settings, with the limits that were asked for anew; raises UserError for other changes."""
        stored, values = folder.settings, self._of(_TRAIN)
        if values.get("augment_on") == "auto":  # as it was chosen when the run began
            del values["augment_on"]
        wanted: TrainSettings = build(replace, stored, **values)
        if any(value != getattr(stored, name) for name, value in asdict(wanted).items() if name not in _LIMITS):
            raise UserError(
                f"{folder.path} was begun with other options; leave them out to resume it, or leave out --resume:"
                f"{differences(stored, wanted)}"
            )
        return wanted


def resolved(settings: TrainSettings, feed: FeedSettings, checkpointing: CheckpointSettings) -> dict[str, Any]:
    """Return all settings by the names of their options, as a settings file has them."""
    chosen = {name: getattr(feed, name) for name in _FEED}
    values = asdict(settings) | chosen | asdict(checkpointing)
    return {name.replace("_", "-"): value for name, value in values.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the settings: {error.strerror}; name another --settings") from None
    except (ValueError, RecursionError) as error:  # both of TOML and of UTF-8
        raise UserError(f"{path}: not a settings file: {error}; expected lines such as learning-rate = 0.001") from None
    values: dict[str, Any] = {}
    for key, value in stored.items():
        name = _known(path, key)
        if name in values:
            raise UserError(f"{path}: {key} is there twice, with dashes and with underscores")
        values[name] = _checked(path, key, name, value)
    try:
        for kind in _KINDS:
            kind(**{field.name: values[field.name] for field in fields(kind) if field.name in values})
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return values


def _known(path: Path, key: str) -> str:
    """Return the name of the setting that is meant."""
    name = key.replace("-", "_")
    if name not in _TYPES:
        known = [known.replace("_", "-") for known in (*_TRAIN, *_CHECKPOINTING, *_FEED)]
        near = difflib.get_close_matches(key.replace("_", "-"), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        raise UserError(f"{path}: no setting is called {key!r}; {hint}")
    return name


def _checked(path: Path, key: str, name: str, value: Any) -> Any:
    """Return a setting's value, of the right type."""
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
        raise UserError(f"{path}: {key} is {str(value)[:60]!r}, expected {_EXPECTED[_TYPES[name]]}{form}")  # type: ignore[index]
    return value
