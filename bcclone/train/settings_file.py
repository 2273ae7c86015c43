"""The settings of a training <-> a TOML file with the names of the options."""

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.json_values import from_json
from bcclone.system.settings import SettingError, settings_of, type_of
from bcclone.train.train_settings import SETTING_NAMES, TrainSettings, values_of

_SETTINGS = {each.name: (type_of(each), declared) for each, declared in settings_of(TrainSettings)}


def settings_path(output: Path) -> Path:
    """Return the path of the settings file beside a model: model.settings.toml for model.h5."""
    return output.with_suffix(".settings.toml")


def settings_as_text(settings: TrainSettings) -> str:
    """Return all settings that have a value as the content of a settings file."""
    return tomli_w.dumps({_key_of(name): value for name, value in values_of(settings).items() if value is not None})


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
            raise UserError(f"{path}: {key} is set twice, with dashes and with underscores; remove one")
        values[name] = _checked(path, key, name, value)
    try:
        TrainSettings(**values)
    except SettingError as error:
        raise UserError(f"{path}: {error.naming(_key_of)}") from None
    return values


def _key_of(name: str) -> str:
    """Return the key of a field."""
    return name.replace("_", "-")


def _name_of(path: Path, key: str) -> str:
    """Return the field name of a key."""
    name = key.replace("-", "_")
    if name not in SETTING_NAMES:
        names = [_key_of(name) for name in SETTING_NAMES]
        hint = did_you_mean(_key_of(key), names, quote="'") or f"the settings are {', '.join(names)}"
        raise UserError(f"{path}: no setting is called {key!r}; {hint}")
    return name


def _checked(path: Path, key: str, name: str, value: Any) -> Any:
    """Return the value with the type of its setting; a text is read as on the command line."""
    kind, declared = _SETTINGS[name]
    try:
        return declared.parse(value) if declared.parse and isinstance(value, str) else from_json(kind, value)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: {key}: {error}") from None
