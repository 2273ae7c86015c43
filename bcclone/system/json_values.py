"""Convert dataclasses to JSON values, and back by the types of their fields.

A dataclass becomes an object with a key for each field, a tuple an array, and a path or URL a text.
On the way back, a value that does not fit raises a ValueError that says where it is.
docs/explanation/dependencies.md says why no package does this.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bcclone.system.errors import UserError, shown
from bcclone.system.location import parse_location

_T = TypeVar("_T")

_NAMES = {  # type -> its name in messages
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    NoneType: "null",
}


def to_json(value: Any) -> Any:
    """Return a value as JSON values; a dataclass is an object with keys in the order of its fields.

    Raises TypeError for a value that JSON cannot hold, such as an array of NumPy.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(to_json(key)): to_json(member) for key, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [to_json(member) for member in value]
    # a URL is a UPath; its class is not imported, because local paths do not need its package
    is_url = hasattr(value, "protocol")
    if is_url or isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} is no JSON value")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value, as to_json() takes it, as the text of a JSON file with a newline at its end.

    indent: spaces of each level; None for a file of one line
    """
    return json.dumps(to_json(value), indent=indent) + "\n"


def names_of(kind: Any) -> list[str]:
    """Return the names of a dataclass's fields, in their order."""
    return [field.name for field in fields(kind)]


def part_of(value: Any, kind: type[_T]) -> _T:
    """Return a dataclass's value from the fields of a value whose class inherits from it."""
    return kind(**{name: getattr(value, name) for name in names_of(kind)})


def from_json(kind: type[_T], stored: Any) -> _T:
    """Return the value of a type from what to_json() returned for it.

    For a missing key, the field gets its default. Raises ValueError for a value of another type, an
    unknown key, or a missing key whose field has no default; the message begins with the place of
    the fault, as in "score.laps: 'x', expected a number".

    kind: the type: a dataclass, or anything that may be the type of a dataclass's field
    stored: the JSON value
    """
    value: _T = _read(kind, stored, "")
    return value


def _read(kind: Any, stored: Any, place: str) -> Any:
    """Return the value of a type from a JSON value; place: see _in(), "" for the whole value."""
    origin = get_origin(kind)
    members = get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_dataclass(kind, stored, place)
    if origin in (Union, UnionType):
        for member in members:
            with suppress(ValueError):
                return _read(member, stored, place)
        return _read(members[0], stored, place)  # no type fits: raise the first type's error
    if origin is Literal:
        if stored not in members:
            raise _wrong(place, stored, f"one of {', '.join(map(repr, members))}")
        return stored
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(stored, Mapping):
            raise _wrong(place, stored, "an object")
        return _read_mapping(members[0], members[1], stored, place)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _read_sequence(origin, members, stored, place)
    return _read_plain(kind, stored, place)


def _read_dataclass(kind: Any, stored: Any, place: str) -> Any:
    if not isinstance(stored, Mapping):
        raise _wrong(place, stored, "an object")
    types, needed = _types(kind)
    for name in stored:
        if name not in types:
            raise _error(_in(place, name), f"unknown, expected {', '.join(types)}")
    for name in needed:
        if name not in stored:
            raise ValueError(f"{_in(place, name)} is missing")
    values = {}
    for name, kind_of_field in types.items():
        if name in stored:
            values[name] = _read(kind_of_field, stored[name], _in(place, name))
    try:
        return kind(**values)
    except ValueError as error:  # raised by the check in the dataclass's __post_init__
        raise _error(place, str(error)) from None


def _read_mapping(
    kind_of_key: Any, kind_of_value: Any, stored: Mapping[str, Any], place: str
) -> dict[Any, Any]:
    values = {}
    for key, value in stored.items():
        read_key = _read_key(kind_of_key, key, place)
        values[read_key] = _read(kind_of_value, value, _in(place, key))
    return values


def _read_sequence(origin: Any, members: Sequence[Any], stored: Any, place: str) -> Any:
    """Return the values of an array, as a list if the type is a list, or else as a tuple.

    origin: the type without its members, such as tuple
    members: types of the members; (int, ...) of tuple[int, ...]
    """
    if not isinstance(stored, list | tuple):
        raise _wrong(place, stored, "an array")
    # one type for each member: those of a tuple of a fixed length, or always the first one
    kinds = list(members)
    if issubclass(origin, tuple) and members[-1:] != (...,):
        if len(kinds) != len(stored):
            raise ValueError(f"{place or 'it'} has {len(stored)} members, expected {len(kinds)}")
    else:
        kinds = kinds[:1] * len(stored)
    values = [_read(kinds[index], member, _in(place, index)) for index, member in enumerate(stored)]
    if issubclass(origin, list):
        return values
    return tuple(values)


def _read_plain(kind: Any, stored: Any, place: str) -> Any:
    if kind is Any:
        return stored
    if kind is float and isinstance(stored, int) and not isinstance(stored, bool):
        return float(stored)
    if kind is Path and isinstance(stored, str):
        try:
            return parse_location(stored)
        except UserError as error:  # a URL of an unknown kind
            raise _error(place, str(error)) from None
    is_unwanted_bool = isinstance(stored, bool) and kind is not bool  # True is an int in Python
    if kind in _NAMES and isinstance(stored, kind) and not is_unwanted_bool:
        return stored
    raise _wrong(place, stored, _name(kind))


def _read_key(kind: Any, key: str, place: str) -> Any:
    """Return the key of a mapping, a text or a number; in JSON, every key is a text."""
    try:
        value = kind(key) if kind in (int, float) else key
        return _read(kind, value, place)
    except ValueError:
        raise _wrong(place, key, f"{_name(kind)} as key") from None


@cache
def _types(kind: Any) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return the type of each field, by its name, and the names of the fields without a default."""
    # a Location, a Path or a UPath, counts as a Path; _read_plain() reads both by parse_location()
    hints = get_type_hints(kind, localns={"UPath": Path})
    types = {}
    needed = []
    for field in fields(kind):
        if not field.init:
            continue
        types[field.name] = hints[field.name]
        if field.default is MISSING and field.default_factory is MISSING:
            needed.append(field.name)
    return types, needed


def _in(place: str, key: Any) -> str:
    """Return the place of a member in the whole value, such as "score.laps" or "rows[3]".

    key: index in an array, or key in an object
    """
    if isinstance(key, int):
        return f"{place}[{key}]"
    if place:
        return f"{place}.{key}"
    return str(key)


def _name(kind: Any) -> str:
    return _NAMES.get(kind) or str(getattr(kind, "__name__", kind))


def _wrong(place: str, stored: Any, expected: str) -> ValueError:
    return _error(place, f"{shown(stored)}, expected {expected}")


def _error(place: str, reason: str) -> ValueError:
    if place:
        return ValueError(f"{place}: {reason}")
    return ValueError(reason)
