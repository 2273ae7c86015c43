"""Read a TOML file of settings under the names of the options.

In: a path and the settings dataclasses that it may set. Out: checked values, by the names of the
fields.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, get_origin

from bcclone.system.codec import read_toml
from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.json_values import from_json
from bcclone.system.settings import SettingError, check_value, settings_of, type_of


def read_settings_file(path: Path, *kinds: type, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the values in a TOML file, by field name; raises UserError for a file or a value that
    is wrong.

    kinds: the settings dataclasses whose fields the file may set; without: names of fields that it
    may not.
    """
    settings = {
        each.name: (each, declared)
        for kind in kinds
        for each, declared in settings_of(kind)
        if not (declared.positional or each.name in without)
    }
    of_options = {declared.option or key_of(name): name for name, (_, declared) in settings.items()}
    of_keys = {key_of(name): name for name in settings} | of_options
    values: dict[str, Any] = {}
    for key, value in read_toml(
        path, "a settings file", "name a file with lines such as seed = 1 as --settings"
    ).items():
        option = key_of(key)
        if option not in of_keys:
            hint = (
                did_you_mean(option, list(of_options), quote="'")
                or f"the settings are {', '.join(of_options)}"
            )
            raise UserError(f"{path}: no setting is called {key!r}; {hint}")
        name = of_keys[option]
        each, declared = settings[name]
        kind, is_several = type_of(each), get_origin(type_of(each)) is tuple
        try:
            if declared.parse and (
                isinstance(value, str) or (is_several and not isinstance(value, list))
            ):
                values[name] = declared.parse(str(value))  # as on the command line
            else:
                values[name] = (
                    (value,) if is_several and isinstance(value, str) else from_json(kind, value)
                )
            check_value(each, declared, values[name])
        except SettingError as error:
            raise UserError(f"{path}: {error.naming(key_of)}") from None
        except (ValueError, OverflowError) as error:
            raise UserError(f"{path}: {key}: {error}") from None
    return values


def key_of(name: str) -> str:
    """Return the key of a field."""
    return name.replace("_", "-")
