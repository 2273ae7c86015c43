"""Read a TOML file of settings, whose keys are the names of the options.

In: a path, and the settings dataclasses whose fields it may set. Out: checked values, by the names
of the fields.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, get_origin

from bcclone.system.checked import SettingError, check_value
from bcclone.system.codec import read_toml
from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.json_values import from_json
from bcclone.system.setting import Setting, settings_of, type_of


def read_settings_file(path: Path, *kinds: type, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the values in a TOML file, by the names of the fields.

    Raises UserError for a file or a value that is wrong.

    kinds: the settings dataclasses whose fields the file may set
    without: names of fields that the file may not set
    """
    # a key is the name of an option or of a field; mostly they are the same
    fields_by_key: dict[str, tuple[Any, Setting]] = {}
    option_names: list[str] = []
    for kind in kinds:
        for declared_field, declared in settings_of(kind):
            if declared.positional or declared_field.name in without:
                continue
            key = key_of(declared_field.name)
            option = declared.option or key
            option_names.append(option)
            fields_by_key[key] = (declared_field, declared)
            fields_by_key[option] = (declared_field, declared)

    values: dict[str, Any] = {}
    remedy = "name a file with lines such as seed = 1 as --settings"
    for key, stored in read_toml(path, "a settings file", remedy).items():
        usual_key = key_of(key)  # a key may be written with _ for -
        if usual_key not in fields_by_key:
            hint = did_you_mean(usual_key, option_names, quote="'")
            if not hint:
                hint = f"the settings are {', '.join(option_names)}"
            raise UserError(f"{path}: no setting is called {key!r}; {hint}")
        declared_field, declared = fields_by_key[usual_key]
        try:
            value = _value_of(stored, declared_field, declared)
            values[declared_field.name] = check_value(declared_field, declared, value)
        except SettingError as error:
            raise UserError(f"{path}: {error.naming(key_of)}") from None
        except (ValueError, OverflowError) as error:
            raise UserError(f"{path}: {key}: {error}") from None
    return values


def _value_of(stored: Any, declared_field: Any, declared: Setting) -> Any:
    """Return the value of a field from a value of the file; raises ValueError.

    stored: value as TOML has it
    declared: Setting of the field
    """
    kind = type_of(declared_field)
    is_tuple = get_origin(kind) is tuple
    is_text = isinstance(stored, str)
    is_one_of_several = is_tuple and not isinstance(stored, list)
    if declared.parse and (is_text or is_one_of_several):
        return declared.parse(str(stored))  # as on the command line
    if is_tuple and is_text:
        return (stored,)
    return from_json(kind, stored)


def key_of(name: str) -> str:
    """Return the key of a field in a settings file: batch_size -> batch-size."""
    return name.replace("_", "-")
