"""Check, read and write values by the type annotations of their fields.

One walk over the annotation serves settings, which programs make, and values that files store. Some
types may stand for others: a list for a tuple, a text for a path and a path for a text, one text
for a tuple of texts, and a JSON object for a dataclass. Anything else of another type is refused
with its place.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin
from typing import get_type_hints as hints_of

from bcclone.system.errors import UserError, shown
from bcclone.system.location import parse_location

_T = TypeVar("_T")

_KINDS: dict[Any, tuple[Any, str]] = {
    # type of a field -> class of its values, which NumPy's have, too, and their name in messages
    bool: (bool, "true or false"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a text"),
    Path: (Path, "a path"),
    NoneType: (NoneType, "null"),
}


class UnfitValue(ValueError):
    """A value that does not fit its annotation.

    place: where in the whole value the fault is, such as "score.laps" or "rows[3]"; else ""
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason
        self.place = place


# ---- read


def from_json(kind: type[_T], stored: Any) -> _T:
    """Return the value of a type from its JSON value, as to_json() returns it; raises UnfitValue.

    kind: a dataclass, or anything that may be the type of a dataclass's field
    """
    value: _T = read(kind, stored)
    return value


def read(kind: Any, value: Any, place: str = "") -> Any:
    """Return a value as a field with this annotation stores it.

    For a missing key, a dataclass's field gets its default. Raises UnfitValue for a value of
    another type, an unknown key, or a missing key whose field has no default; the message begins
    with the place of the fault, as in "score.laps: 'x', expected a number".

    place: see UnfitValue
    """
    origin = get_origin(kind)
    members = get_args(kind)
    if origin is Annotated:  # such as Fraction, which is Annotated[float, Setting]
        return read(members[0], value, place)
    if origin in (Union, UnionType):
        return _read_union(kind, value, place)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        return _read_object(kind, value, place)
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {
            _read_key(members[0], key, place): read(members[1], member, _in(place, key))
            for key, member in value.items()
        }
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _read_sequence(kind, value, place)
    return _read_plain(kind, value, place)


def _read_union(kind: Any, value: Any, place: str) -> Any:
    """Return the value by the first member that it fits."""
    errors = []
    for member in get_args(kind):
        try:
            return read(member, value, place)
        except UnfitValue as error:
            if member is not NoneType:
                errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise UnfitValue(f"{shown(value)}, expected {words(kind)}", place)


def _read_sequence(kind: Any, value: Any, place: str) -> Any:
    """Return a list if the type is a list, or else a tuple."""
    origin: Any = get_origin(kind)
    members = get_args(kind)
    if members[0] is str and (isinstance(value, str) or _is_path(value)):
        value = (value,)
    # a tuple of a fixed length has a type for each member, others have one for all
    is_fixed = issubclass(origin, tuple) and Ellipsis not in members
    is_list = isinstance(value, list | tuple)
    if not is_list or (is_fixed and len(members) != len(value)):
        raise UnfitValue(f"{shown(value)}, expected {words(kind)}", place)
    kinds = members if is_fixed else members[:1] * len(value)
    parts = [
        read(member_kind, member, _in(place, index))
        for index, (member_kind, member) in enumerate(zip(kinds, value, strict=True))
    ]
    return parts if issubclass(origin, list) else tuple(parts)


def _read_plain(kind: Any, value: Any, place: str) -> Any:
    """Return a value of a class, or one of some literals."""
    is_path_wanted = kind is Path or isinstance(kind, ForwardRef)  # a Location is Path | "UPath"
    if _is_path(value) and (is_path_wanted or kind is str):
        return value if is_path_wanted else str(value)
    try:
        if is_path_wanted and isinstance(value, str):
            return parse_location(value)
        if _is_of(kind, value):
            return kind(value) if kind in (int, float) else value  # numbers of NumPy become ours
    except UserError as error:  # a URL of an unknown kind
        raise UnfitValue(str(error), place) from None
    except OverflowError:
        raise UnfitValue(f"{shown(value)}, expected a number below 1.8e308", place) from None
    raise UnfitValue(f"{shown(value)}, expected {words(kind)}", place)


def _is_path(value: Any) -> bool:
    # a URL is a UPath; its class is not imported, because local paths do not need its package
    return isinstance(value, Path) or hasattr(value, "protocol")


def _is_of(kind: Any, value: Any) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(value, bool):  # True is an int in Python
        return kind is bool
    if isinstance(kind, ForwardRef):
        return False
    expected = _KINDS[kind][0] if kind in _KINDS else get_origin(kind) or kind
    return isinstance(value, expected)


def _read_object(kind: Any, value: Mapping[str, Any], place: str) -> Any:
    types, needed = _fields_of(kind)
    for name in value:
        if name not in types:
            raise UnfitValue(f"unknown, expected {', '.join(types)}", _in(place, name))
    for name in needed:
        if name not in value:
            raise UnfitValue(f"{_in(place, name)} is missing")
    values = {name: read(types[name], member, _in(place, name)) for name, member in value.items()}
    try:
        return kind(**values)
    except ValueError as error:  # raised by the check in the dataclass's __post_init__
        raise UnfitValue(str(error), place) from None


@cache
def _fields_of(kind: Any) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return the type of each field, by its name, and the names of the fields without a default."""
    # a Location is a Path or a UPath; both count as a Path, which read() turns a text into
    hints = hints_of(kind, localns={"UPath": Path})
    given = [field for field in fields(kind) if field.init]
    types = {field.name: hints[field.name] for field in given}
    needed = []
    for field in given:
        if field.default is MISSING and field.default_factory is MISSING:
            needed.append(field.name)
    return types, needed


def _read_key(kind: Any, key: Any, place: str) -> Any:
    """Return the key of a mapping, a text or a number; in JSON, every key is a text."""
    try:
        return kind(key) if kind in (int, float) else key
    except ValueError:
        raise UnfitValue(f"{shown(key)}, expected {words(kind)} as key", place) from None


def _in(place: str, key: Any) -> str:
    """Return the place of a member; key: index in an array, or key in an object."""
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else str(key)


def words(kind: Any) -> str:
    """Return what values an annotation allows, such as "a number" or "a path or a text".

    None is left out.
    """
    origin = get_origin(kind)
    members = [member for member in get_args(kind) if member is not NoneType]
    if origin is Annotated:
        return words(members[0])
    if origin in (Union, UnionType):
        return " or ".join(map(words, members))
    if origin is Literal:
        return f"one of {', '.join(map(str, members))}"
    if isinstance(kind, ForwardRef):
        return "a URL"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if origin is tuple and Ellipsis not in members:
        return f"{len(members)} values: {', '.join(map(words, members))}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"any number of values: {words(members[0])}"
    return _KINDS[kind][1] if kind in _KINDS else str(kind.__name__)


# ---- write


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
    if _is_path(value):
        return str(value)
    raise TypeError(f"{value!r} is no JSON value")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value, as to_json() takes it, as the text of a JSON file with a newline at its end.

    indent: spaces of each level; None for a file of one line
    """
    return json.dumps(to_json(value), indent=indent) + "\n"


# ---- fields


def names_of(kind: Any) -> list[str]:
    """Return the names of a dataclass's fields, in their order."""
    return [field.name for field in fields(kind)]


def part_of(value: Any, kind: type[_T]) -> _T:
    """Return an instance of a subclass of a dataclass as one of that dataclass."""
    return kind(**{name: getattr(value, name) for name in names_of(kind)})
