"""Read and write settings files: TOML with the settings of a training by the names of their options."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bcclone.augment.settings import AugmentSettings
from bcclone.errors import UserError
from bcclone.feed.settings import FeedSettings, current_names
from bcclone.train.run_folder import settings_beside
from bcclone.train.settings import (
    CheckpointSettings,
    TrainSettings,
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
    if path.resolve() == settings_beside(output).resolve():
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
