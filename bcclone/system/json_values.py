"""Convert dataclasses to JSON values, and back by the types of their fields.

A dataclass is an object with a key for each field; a tuple, a list, a mapping, a Path or URL, an Enum, a Literal, None
and a number stand for themselves. cattrs would do the same, but reads "3" as a number and 3.7 as a whole one, and does
not resolve a mapping to the dataclass that it is in.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bcclone.system.errors import UserError
from bcclone.system.location import parse_location

_T = TypeVar("_T")

_NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", NoneType: "null"}
_MOST_INTEGER = 1 << 63
_LONGEST_VALUE = 60  # characters of a wrong value that an error repeats


def to_json(value: Any) -> Any:
    """Return a value as JSON values, dataclasses as objects in the order of their fields.

    Raises TypeError for a value of another type, such as an array.
    """
    if isinstance(value, Enum):
        return to_json(value.value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): to_json(member) for key, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [to_json(member) for member in value]
    if isinstance(value, Path) or hasattr(value, "protocol"):  # a UPath, whose package local paths do not load
        return str(value)
    raise TypeError(f"{value!r} is no JSON value")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as the text of a JSON file, which ends with a newline."""
    return json.dumps(to_json(value), indent=indent) + "\n"


def from_json(kind: type[_T], stored: Any, unknown: Literal["refuse", "ignore"] = "refuse") -> _T:
    """Return the value of a type that to_json() returned; a missing key means the default of its field.

    unknown: whether a key that no field has is refused or ignored. Raises ValueError for anything else, with the place:
    "score.laps: 'x', expected a number".
    """
    value: _T = _read(kind, stored, "", unknown == "ignore")
    return value


def _read(kind: Any, stored: Any, place: str, ignore: bool) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_dataclass(kind, stored, place, ignore)
    origin, members = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _read_union(members, stored, place, ignore)
    if origin is Literal:
        if stored in members:
            return stored
        raise _wrong(place, stored, f"one of {', '.join(map(repr, members))}")
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(stored, Mapping):
            raise _wrong(place, stored, "an object")
        keys = {key: _read_key(members[0], key, place) for key in stored}
        return {keys[key]: _read(members[1], *_member(stored, key, place), ignore) for key in stored}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _read_sequence(origin, members, stored, place, ignore)
    return _read_plain(kind, stored, place)


def _read_dataclass(kind: Any, stored: Any, place: str, ignore: bool) -> Any:
    if not isinstance(stored, Mapping):
        raise _wrong(place, stored, "an object")
    types = _types(kind)
    if not ignore and (others := [name for name in stored if name not in types]):
        raise ValueError(f"{_inside(place, others[0])}: unknown, expected {', '.join(types)}")
    for each in _without_default(kind):
        if each.name not in stored:
            raise ValueError(f"{_inside(place, each.name)} is missing")
    values = {name: _read(types[name], *_member(stored, name, place), ignore) for name in types if name in stored}
    try:
        return kind(**values)
    except ValueError as error:  # of its own check
        raise ValueError(f"{place}: {error}" if place else str(error)) from None


def _read_union(members: Sequence[Any], stored: Any, place: str, ignore: bool) -> Any:
    """Return the value of the first type that takes it."""
    if stored is None and NoneType in members:
        return None
    errors = []
    for member in members:
        if member is not NoneType:
            try:
                return _read(member, stored, place, ignore)
            except ValueError as error:
                errors.append(error)
    raise errors[0] if len(errors) == 1 else _wrong(place, stored, " or ".join(map(_name, members)))


def _read_sequence(origin: Any, members: Sequence[Any], stored: Any, place: str, ignore: bool) -> Any:
    """Return a list where the type is one, else a tuple."""
    if not isinstance(stored, list | tuple):
        raise _wrong(place, stored, "an array")
    kinds = list(members)
    if issubclass(origin, tuple) and members[-1:] != (...,):
        if len(kinds) != len(stored):
            raise ValueError(f"{place or 'it'} has {len(stored)} members, expected {len(kinds)}")
    else:
        kinds = kinds[:1] * len(stored)
    values = (_read(kinds[index], *_member(stored, index, place), ignore) for index in range(len(stored)))
    return list(values) if issubclass(origin, list) else tuple(values)


def _read_plain(kind: Any, stored: Any, place: str) -> Any:
    if kind is Any:
        return stored
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(stored)
        except ValueError:
            raise _wrong(place, stored, f"one of {', '.join(repr(each.value) for each in kind)}") from None
    if isinstance(stored, int) and not -_MOST_INTEGER <= stored < _MOST_INTEGER:
        raise _wrong(place, stored, f"{_name(kind)} of at most 64 bits")
    if kind is float and isinstance(stored, int) and not isinstance(stored, bool):
        return float(stored)
    if kind is Path and isinstance(stored, str):
        return _read_path(stored, place)
    if kind in _NAMES and isinstance(stored, kind) and (kind is bool or not isinstance(stored, bool)):
        return stored
    raise _wrong(place, stored, _name(kind))


def _read_path(stored: str, place: str) -> Any:
    try:
        if b"\0" in os.fsencode(stored):
            raise ValueError
        return parse_location(stored)
    except ValueError:  # half a character fails, too
        raise _wrong(place, stored, "the name of a file") from None
    except UserError as error:  # a URL of an unknown kind
        raise ValueError(f"{place}: {error}" if place else str(error)) from None


def _read_key(kind: Any, key: str, place: str) -> Any:
    """Return the key of a mapping, which is a text in JSON."""
    try:
        return _read(kind, kind(key) if kind in (int, float) else key, place, False)
    except ValueError:
        raise _wrong(place, key, f"{_name(kind)} as key") from None


@cache
def _types(kind: Any) -> Mapping[str, Any]:
    """Return the type of each field; a Location is a Path, which parse_location() reads."""
    hints = get_type_hints(kind, localns={"UPath": Path})
    return {each.name: hints[each.name] for each in fields(kind) if each.init}


@cache
def _without_default(kind: Any) -> Sequence["Field[Any]"]:
    return [each for each in fields(kind) if each.init and each.default is each.default_factory is MISSING]


def _member(stored: Any, key: Any, place: str) -> tuple[Any, str]:
    """Return a member and its place."""
    return stored[key], _inside(place, key)


def _inside(place: str, key: Any) -> str:
    return f"{place}[{key}]" if isinstance(key, int) else f"{place}.{key}" if place else str(key)


def _key(key: Any) -> str:
    return str(key.value if isinstance(key, Enum) else key)


def _name(kind: Any) -> str:
    return _NAMES.get(kind) or str(getattr(kind, "__name__", kind))


def _wrong(place: str, stored: Any, expected: str) -> ValueError:
    shown = repr(stored)[:_LONGEST_VALUE]
    return ValueError(f"{place}: {shown}, expected {expected}" if place else f"{shown}, expected {expected}")
