"""Settings -> the words of a command line that give them, and the lines that compare them."""

from dataclasses import fields
from typing import Any

from bcclone.system.setting import settings_of
from bcclone.system.setting_types import parse_names


def option_of(kind: Any, name: str) -> str:
    """Return the option that sets a field, such as "--seed" or "--set port".

    kind: a settings dataclass or a value of it
    """
    settings = {declared_field.name: declared for declared_field, declared in settings_of(kind)}
    declared = settings[name]
    option = declared.option or name.replace("_", "-")
    if declared.rare:
        return f"--set {option}"
    return f"--{option}"


def option_words(settings: Any) -> list[str]:
    """Return the words of a command line that give these settings; defaults are left out.

    Positional arguments are left out, too.
    """
    words: list[str] = []
    for declared_field, declared in settings_of(settings):
        value = getattr(settings, declared_field.name)
        if declared.positional or value == declared_field.default:
            continue
        option = option_of(settings, declared_field.name)
        if declared.rare:
            set_option, name = option.split(" ")  # option_of() returns "--set NAME"
            words += [set_option, f"{name}={value}"]
        elif value is True:
            words.append(option)
        elif value is False:
            words.append(f"--no-{option.removeprefix('--')}")
        elif declared.parse is parse_names:
            words += [option, ",".join(value)]
        elif isinstance(value, tuple):
            for member in value:
                words += [option, str(member)]
        else:
            words += [option, str(value)]
    return words


def differences(stored: Any, given: Any) -> str:
    """Return a line for each field in which two settings of one dataclass differ.

    Each line begins with a newline; "" if they are equal.
    """
    lines = []
    for declared_field in fields(stored):
        stored_value = getattr(stored, declared_field.name)
        given_value = getattr(given, declared_field.name)
        if stored_value != given_value:
            words = declared_field.name.replace("_", " ")
            lines.append(f"\n  {words}: {stored_value}, but {given_value} is given")
    return "".join(lines)
