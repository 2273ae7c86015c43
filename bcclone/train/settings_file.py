"""Write and read the settings of a training as a TOML file with the names of the options."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from bcclone.system.settings_file import key_of, read_settings_file
from bcclone.train.train_settings import RunFiles, TrainSettings, values_of


def settings_path(output: Path) -> Path:
    """Return the path of the settings file beside a model: model.settings.toml for model.h5."""
    return output.with_suffix(".settings.toml")


def settings_as_text(settings: TrainSettings) -> str:
    """Return all settings that have a value as the content of a settings file."""
    return tomli_w.dumps({key_of(name): value for name, value in values_of(settings).items() if value is not None})


def read_settings(path: Path, output: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, by field name.

    Raises UserError for a file that is wrong, or that would be overwritten by the settings of the model `output`.
    """
    if path.resolve() == settings_path(output).resolve():
        raise UserError(
            f"{path} will be overwritten with the settings of this training; copy it to another name, or change -o"
        )
    values = read_settings_file(path, TrainSettings, without=[each.name for each in fields(RunFiles)])
    try:
        TrainSettings(**values)
    except SettingError as error:
        raise UserError(f"{path}: {error.naming(key_of)}") from None
    return values
