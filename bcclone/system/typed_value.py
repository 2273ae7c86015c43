"""A value and the type of its field -> the value as the field stores it.

A list may stand for a tuple, a text for a path, a path for a text, and a single text for a tuple of
texts. Anything else of another type is refused.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

_NUMBERS = {int: Integral, float: Real}  # type of a field -> class of its values, also of NumPy's
_NAMES: dict[Any, tuple[str, str]] = {  # type of a field -> name of a value, and of several
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "times true or false"),  # such as "two times true or false"
    str: ("a text", "texts"),
    Path: ("a path", "paths"),
    Mapping: ("a mapping", "mappings"),
}
_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}


class WrongType(ValueError):
    """A value that a field of some type cannot store."""


def typed(value: Any, kind: Any) -> Any:
    """Return a value as a field of this type stores it; raises WrongType.

    kind: annotation of the field; the members of a mapping are not looked at
    """
    origin = get_origin(kind)
    members = get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:  # such as Fraction, which is Annotated[float, Setting]
        return typed(value, members[0])
    if origin in (Union, UnionType):
        for member in members:
            with suppress(WrongType):
                return typed(value, member)
        raise WrongType
    if origin is tuple:
        return _typed_tuple(value, members)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is str and _is_location(value):
        return str(value)
    if origin is Literal:
        is_right = value in members
    else:
        is_right = _is_of(value, origin or kind)
    if not is_right:
        raise WrongType
    return value


def _typed_tuple(value: Any, members: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the members of a tuple or a list as a tuple.

    members: types of the members; (int, ...) of tuple[int, ...]
    """
    is_open = Ellipsis in members
    if is_open and members[0] is str and (isinstance(value, str) or _is_location(value)):
        value = (value,)
    if not isinstance(value, list | tuple):
        raise WrongType
    kinds = members
    if is_open:
        kinds = members[:1] * len(value)
    if len(kinds) != len(value):
        raise WrongType
    return tuple(typed(member, kind) for member, kind in zip(value, kinds, strict=True))


def _is_location(value: Any) -> bool:
    """Return whether a value is a path or a URL."""
    # a URL is a UPath; its class is not imported, because local paths do not need its package
    return isinstance(value, Path) or hasattr(value, "protocol")


def _is_of(value: Any, kind: Any) -> bool:
    """Return whether a value is of a class, or of one of the classes that a text names."""
    if isinstance(kind, str | ForwardRef):
        # a class that only the type checker imports, because its module is large, as in
        # "Preprocessing | None"
        names = {parent.__name__ for parent in type(value).__mro__}
        if value is None:
            names.add("None")
        return not names.isdisjoint(_class_names(kind))
    if isinstance(value, bool) and kind in _NUMBERS:  # True is an int in Python
        return False
    return isinstance(value, _NUMBERS.get(kind, kind))


def _class_names(kind: str | ForwardRef) -> list[str]:
    text = kind if isinstance(kind, str) else kind.__forward_arg__
    return text.split(" | ")


def kind_in_words(kind: Any) -> str:
    """Return what values a type has, such as "a number", "two whole numbers" or "texts".

    None is left out.
    """
    origin = get_origin(kind)
    members = [member for member in get_args(kind) if member is not NoneType]
    if origin is Annotated:
        return kind_in_words(members[0])
    if origin in (Union, UnionType):
        return " or ".join(map(kind_in_words, members))
    if origin is Literal:
        return f"one of {', '.join(map(str, members))}"
    if origin is tuple:
        return _tuple_in_words(members)
    if isinstance(kind, str | ForwardRef):
        return " or ".join(name for name in _class_names(kind) if name != "None")
    if (origin or kind) in _NAMES:
        name, _ = _NAMES[origin or kind]
        return name
    return str(kind.__name__)


def _tuple_in_words(members: Sequence[Any]) -> str:
    if len(set(members)) > 1 and Ellipsis not in members:
        return " and ".join(map(kind_in_words, members))
    kind = members[0]
    _, several = _NAMES.get(kind, ("", f"values of {kind_in_words(kind)}"))
    if Ellipsis in members:
        return several
    return f"{_COUNTS.get(len(members), len(members))} {several}"
