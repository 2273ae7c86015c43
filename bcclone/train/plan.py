"""Decide the settings of a run: from a settings file in TOML, the options, the samples, or the run that is resumed."""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from bcclone.augment.settings import AugmentSettings
from bcclone.errors import UserError
from bcclone.feed.open import choose_feed
from bcclone.feed.selection import TrainingData
from bcclone.feed.settings import FeedSettings, current_names
from bcclone.train.run_folder import RunFolder, RunPlan, settings_path
from bcclone.train.settings import (
    CheckpointSettings,
    RunSettings,
    TrainSettings,
    default_seq_length,
    parse_duration,
    parse_gpus,
)

_KINDS = (AugmentSettings, TrainSettings, FeedSettings, CheckpointSettings)
_TYPES = {field.name: field.type for kind in _KINDS for field in fields(kind) if field.name != "augmentation"}
_EXPECTED = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}

SETTING_NAMES = tuple(_TYPES)


def settings_for(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values by name that are fields of a settings dataclass."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def describe_settings(training: TrainSettings, feed: FeedSettings, checkpointing: CheckpointSettings) -> dict[str, Any]:
    """Return all settings by the names of their options, as a settings file holds them."""
    values = training.flat() | asdict(feed) | asdict(checkpointing)
    return {name.replace("_", "-"): value for name, value in values.items()}


def read_settings(path: Path, output: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, by field name.

    Raises UserError for a file that is wrong, or that would be overwritten by the settings of the model `output`.
    """
    if path.resolve() == settings_path(output).resolve():
        raise UserError(f"{path} is written beside the model; copy it to another name to train with it, or change -o")
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
        TrainSettings.from_flat(settings_for(AugmentSettings, values) | settings_for(TrainSettings, values))
        FeedSettings(**settings_for(FeedSettings, values))
        CheckpointSettings(**settings_for(CheckpointSettings, values))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return values


def _name_of(path: Path, key: str) -> str:
    """Return the field name of a key, which may be the name of an older version."""
    (name,) = current_names({key.replace("-", "_"): None})
    if name not in _TYPES:
        known = [known.replace("_", "-") for known in SETTING_NAMES]
        near = difflib.get_close_matches(key.replace("_", "-"), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
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
        raise UserError(f"{path}: {key} is {str(value)[:60]!r}, expected {_EXPECTED[_TYPES[name]]}{form}")  # type: ignore[index]
    return value


_LIMITS = ("epochs", "time", "patience")
_Kind = TypeVar("_Kind")


def new_plan(settings: RunSettings, data: TrainingData, notify: Callable[[str], None]) -> RunPlan:
    """Return the plan of a new run; without a chosen feed, choose one that suits the samples."""
    chosen, seq_length = settings.chosen, data.sample_settings.seq_length
    if "feed" not in chosen:
        chosen["feed"], reason = choose_feed(data)
        notify(f"feed: {chosen['feed']} ({reason}); choose another with --feed")
    return RunPlan(new_settings(chosen, seq_length), _feed(chosen), settings.start)


def new_settings(chosen: Mapping[str, Any], stored_seq_length: int = 1) -> TrainSettings:
    """Return the settings of a new run; raises UserError. stored_seq_length: what the samples were made for."""
    values = _training_values(chosen)
    values.setdefault("seq_length", default_seq_length(values.get("network", "cnn"), stored_seq_length))
    return _made(TrainSettings.from_flat, values)


def checkpoint_settings(settings: RunSettings) -> CheckpointSettings:
    """Return the checkpoint settings, which may change on a resume; raises UserError."""
    return _made(lambda values: CheckpointSettings(**values), settings_for(CheckpointSettings, settings.chosen))


def resumed_plan(settings: RunSettings, folder: RunFolder) -> RunPlan:
    """Return the plan of a run with its new limits; raises UserError when other settings were changed."""
    if settings.start and not _began_with(folder, settings.start):
        raise UserError(f"{folder.path} did not begin with --from {settings.start}; leave that out to resume it")
    return RunPlan(resumed_settings(settings.chosen, folder), _resumed_feed(settings.chosen, folder), folder.start)


def resumed_settings(chosen: Mapping[str, Any], folder: RunFolder) -> TrainSettings:
    """Return the settings of a run with the limits that were chosen anew; raises UserError for other changes."""
    stored, changes = folder.settings.flat(), _training_values(chosen)
    if changes.get("augment_on") == "auto":  # resolved when the run began
        del changes["augment_on"]
    changed = {name: value for name, value in changes.items() if value != stored[name]}
    if set(changed) - set(_LIMITS):
        differences = "".join(
            f"\n  {name.replace('_', ' ')}: {stored[name]}, and {value} is given" for name, value in changed.items()
        )
        raise UserError(
            f"{folder.path} has other settings; leave these options out to resume it, or leave out --resume:"
            f"{differences}"
        )
    return _made(TrainSettings.from_flat, stored | changed)


def _resumed_feed(chosen: Mapping[str, Any], folder: RunFolder) -> FeedSettings:
    """Return the run's feed, or another one with the same order of samples; raises UserError."""
    stored = folder.feed
    feed = _feed(asdict(stored) | settings_for(FeedSettings, chosen))
    if feed.ordering != stored.ordering:
        raise UserError(
            f"{folder.path} was begun with --feed {stored.feed} --chunk-size {stored.chunk_size}; --feed {feed.feed} "
            f"--chunk-size {feed.chunk_size} orders the samples differently: leave them out to resume the run, or "
            "leave out --resume"
        )
    return feed


def _feed(values: Mapping[str, Any]) -> FeedSettings:
    return _made(lambda chosen: FeedSettings(**chosen), settings_for(FeedSettings, values))


def _training_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return settings_for(AugmentSettings, values) | settings_for(TrainSettings, values)


def _made(make: Callable[[Mapping[str, Any]], _Kind], values: Mapping[str, Any]) -> _Kind:
    """Return make(values); a ValueError of the settings dataclass becomes a UserError."""
    try:
        return make(values)
    except ValueError as error:
        raise UserError(str(error)) from None


def _began_with(folder: RunFolder, start: Path) -> bool:
    """Return whether the run began with this model, even if it has overwritten it since."""
    if folder.start is None:
        return False
    return folder.start.read_bytes() == start.read_bytes() or folder.has_published(start)
