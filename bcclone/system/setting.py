"""Declare a setting once, in its dataclass field; options, checks and docs follow from it.

    rain: Fraction = setting(0.0, "rain: drops, a wet road, less light; 1 is a downpour")

A settings dataclass is frozen, and derives from Checked. An annotated type, such as Fraction or
Seconds, gives the unit and the range of a field's values; setting() adds the help, and argument()
declares a positional argument. The command line has an option for each field with setting()
(bcclone.commands.parser), a settings file takes the same names, and docs/reference/cli.md is
written from the parsers. Only a program can set a field with neither setting() nor argument().
"""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from types import NoneType
from typing import Any, get_args

_KEY = "setting"  # key in a field's metadata; its value maps names of Setting's fields to values
_UNBOUNDED = 100_000  # a maximum from here on only stops absurd numbers; it is not shown


@dataclass(frozen=True)
class Setting:
    """The description of a setting, or of the values of an annotated type such as Fraction.

    Name, type and default stand in the dataclass field. If the value is a tuple, range and choices
    hold for each member, and the option may be repeated.
    """

    help: str = ""  # what the setting does, in words that can be understood alone
    minimum: float | None = None  # smallest allowed value
    maximum: float | None = None  # largest allowed value
    above: float | None = None  # values must be larger than this
    below: float | None = None  # values must be smaller than this
    unit: str = ""  # placeholder of the value in --help, such as SECONDS
    zero: str = ""  # meaning of 0, such as "no limit"; 0 is then allowed even out of the range
    choices: tuple[Any, ...] = ()  # the allowed values; () for no list of choices
    parse: Callable[[str], Any] | None = None  # text -> value; raises ValueError for a wrong text
    example: str = ""  # words that the option takes, for the error of too few
    option: str = ""  # name of the option, if it differs from the field's name
    shown: str = ""  # words for the default in --help, instead of its value
    group: str = ""  # heading in --help under which the option stands
    positional: bool = False  # a positional argument, not an option
    rare: bool = False  # has no option of its own, and is set by --set NAME=VALUE

    @property
    def expected(self) -> str:
        """Return which values are allowed, in words such as "0 to 1"; "" if any value is."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        words = self._range()
        if words and self.zero:
            words += f", or 0 for {self.zero}"
        return words

    def _range(self) -> str:
        """Return the range in words, "" if there is none; no setting has a highest value alone."""
        low = self.minimum if self.above is None else self.above
        high = self.maximum if self.below is None else self.below
        if low is None:
            return ""
        if high is None or high >= _UNBOUNDED:
            if self.above is None:
                return f"{low:g} or more"
            return f"more than {low:g}"
        if self.above is None and self.below is None:
            return f"{low:g} to {high:g}"
        begin = f"from {low:g}" if self.above is None else f"more than {low:g}"
        end = f", up to {high:g}" if self.below is None else f" and less than {high:g}"
        return begin + end

    def allows(self, value: Any) -> bool:
        """Return whether a value is one of the choices, or in the range if there are no choices.

        A tuple is allowed if all its members are. NaN is in no range.
        """
        if isinstance(value, tuple):
            return all(map(self.allows, value))
        if self.choices:
            return value in self.choices
        if self.zero and value == 0:
            return True
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        )


def setting(default: Any, help: str = "", *span: float, **values: Any) -> Any:
    """Return a dataclass field with a default, which has an option.

    span: minimum, or minimum and maximum
    values: other fields of Setting; fields that are not given come from the annotated type
    """
    values |= dict(zip(("minimum", "maximum"), span, strict=False))
    if help:
        values["help"] = help
    return field(default=default, metadata={_KEY: values})


def argument(help: str, default: Any = MISSING, **values: Any) -> Any:
    """Return a dataclass field for a positional argument.

    If the field's type is a tuple, the argument takes any number of words.

    values: other fields of Setting
    """
    return field(default=default, metadata={_KEY: values | {"help": help, "positional": True}})


@cache
def declared_in(kind: Any) -> tuple[tuple[Any, Setting], ...]:
    """Return each field of a dataclass with its Setting.

    Values that are given to setting() or argument() replace those of the field's annotated type.
    """
    pairs = []
    for declared_field in fields(kind):
        values = dict(declared_field.metadata.get(_KEY, {}))
        # `above` replaces the `minimum` of the type, and `below` its `maximum`
        if "above" in values:
            values.setdefault("minimum", None)
        if "below" in values:
            values.setdefault("maximum", None)
        pairs.append((declared_field, replace(_setting_of(declared_field.type), **values)))
    return tuple(pairs)


def _setting_of(kind: Any) -> Setting:
    """Return the Setting that annotates a type, or one without limits if none does."""
    for part in _metadata(kind):
        if isinstance(part, Setting):
            return part
    return Setting()


def _metadata(kind: Any) -> tuple[Any, ...]:
    """Return the annotations of a type; for `Fraction | None`, those of Fraction."""
    metadata: tuple[Any, ...] = getattr(kind, "__metadata__", ())
    if metadata:
        return metadata
    return tuple(part for member in get_args(kind) for part in _metadata(member))


def settings_of(kind: Any) -> Iterator[tuple[Any, Setting]]:
    """Yield each field that is an option or a positional argument, with its Setting.

    kind: a settings dataclass or a value of it
    """
    if not isinstance(kind, type):
        kind = type(kind)
    for declared_field, declared in declared_in(kind):
        if _KEY in declared_field.metadata:
            yield declared_field, declared


def type_of(declared_field: Any) -> Any:
    """Return the plain type of a field: float for Fraction, Path for `Path | None`."""
    kind = declared_field.type
    # Fraction is Annotated[float, Setting]: its members are float and the Setting. Those of
    # `Path | None` are Path and NoneType. Without Setting and NoneType, one member is left, which
    # is the plain type. tuple[str, ...] keeps both of its members, str and ..., and stays a tuple.
    members = []
    for member in get_args(kind):
        if member is not NoneType and not isinstance(member, Setting):
            members.append(member)
    if len(members) == 1:
        kind = members[0]
    # `Fraction | None` leaves Annotated[float, Setting], whose __origin__ is float
    if hasattr(kind, "__metadata__"):
        return kind.__origin__
    return kind
