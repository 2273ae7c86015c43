"""Declare a setting once, in its dataclass field; options, checks and docs follow from it.

    rain: Fraction = setting(0.0, "rain: drops, a wet road, less light; 1 is a downpour")

A settings dataclass is frozen, and derives from Checked. The type of a field may be annotated, such
as Fraction or Seconds, with the unit and the range of its values; setting() adds the help, and
argument() declares a positional argument. The command line makes an option of each field with
setting() (bcclone.commands.parser), a settings file takes the same names, and docs/reference/cli.md
is written from the parsers. A field with neither setting() nor argument() has no option.
"""

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

from bcclone.system.errors import shown

_KEY = "setting"  # key of a dataclass field's metadata that holds the values of its Setting
_PLAIN: dict[Any, tuple[type, str]] = {  # type of a field -> what its values are, and in words
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "true or false"),
}
_UNBOUNDED = 100_000  # a maximum from this on only stops absurd numbers; --help does not show it
_LONGEST_VALUE = 60  # characters of a wrong value that an error repeats without quotes

SIMULATOR_PORT = 4567  # the simulator always connects to it
SMALLEST_IMAGE = 8  # width or height of what a network is given, in pixels
LARGEST_IMAGE = 1024


@dataclass(frozen=True)
class Setting:
    """The description of a setting, or of the values of an annotated type such as Fraction.

    Name, type and default stand in the dataclass field. If the value is a tuple, range and choices
    hold for each member, and the option may be repeated.
    """

    help: str = ""  # what the setting does, a phrase that can be read alone
    minimum: float | None = None  # smallest allowed value
    maximum: float | None = None  # largest allowed value
    above: float | None = None  # values must be larger than this
    below: float | None = None  # values must be smaller than this
    unit: str = ""  # placeholder of the value in --help, such as SECONDS
    zero: str = ""  # meaning of 0, such as "no limit"; 0 is then allowed even out of the range
    choices: tuple[Any, ...] = ()  # the allowed values
    parse: Callable[[str], Any] | None = None  # text of the command line -> value, or ValueError
    option: str = ""  # name of the option, if it differs from the field's name
    shown: str = ""  # words for the default in --help, instead of its value
    group: str = ""  # the heading in --help
    positional: bool = False  # an argument, no option
    rare: bool = False  # without an option of its own, set by --set NAME=VALUE

    @property
    def expected(self) -> str:
        """Return what a value should be, in words; "" where anything may be."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        words = self._range()
        if words and self.zero:
            words += f", or 0 for {self.zero}"
        return words

    def _range(self) -> str:
        """Return the range in words, "" without a lowest value."""
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
        """Return whether a value is one of the choices or in the range; NaN is in none.

        For a tuple, whether all its values are.
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
    """Return a dataclass field with a default and an option.

    span: minimum, or minimum and maximum
    values: other fields of Setting; those that are not given come from the annotated type
    """
    values |= dict(zip(("minimum", "maximum"), span, strict=False))
    if help:
        values["help"] = help
    return field(default=default, metadata={_KEY: values})


def argument(help: str, default: Any = MISSING, **values: Any) -> Any:
    """Return a dataclass field for a positional argument; a tuple takes any number of words."""
    return field(default=default, metadata={_KEY: values | {"help": help, "positional": True}})


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "128" or "320x160"; raises ValueError for anything else."""
    width, by, height = text.lower().partition("x")
    if not by:
        height = width
    try:
        return int(width), int(height)
    except ValueError:
        raise ValueError(f"{text!r}, expected a number of pixels or WIDTHxHEIGHT") from None


def span_parser(
    kind: type, example: str, ends: tuple[str, str] = ("", "")
) -> Callable[[str], tuple[Any, Any]]:
    """Return a function that reads two numbers such as "0.8:1", and raises ValueError.

    kind: int or float
    ends: texts of the numbers that are meant where the first or the second is left out; "" where it
        may not be left out
    """

    def parse(text: str) -> tuple[Any, Any]:
        first, colon, last = text.partition(":")
        if colon and not last:
            last = ends[1]
        try:
            return kind(first or ends[0]), kind(last)
        except ValueError:
            raise ValueError(f"{text!r}, expected {example}") from None

    return parse


Fraction = Annotated[float, Setting(minimum=0, maximum=1, unit="FRACTION")]
Seconds = Annotated[float, Setting(minimum=0, maximum=1e6, unit="SECONDS")]
Minutes = Annotated[float, Setting(minimum=0, maximum=1e6, unit="MINUTES")]
Milliseconds = Annotated[float, Setting(minimum=0, maximum=1e9, unit="MILLISECONDS")]
Hertz = Annotated[float, Setting(above=0, maximum=10_000, unit="HZ")]
Metres = Annotated[float, Setting(minimum=0, unit="METRES")]
Degrees = Annotated[float, Setting(minimum=-360, maximum=360, unit="DEGREES")]
Mph = Annotated[float, Setting(minimum=0, maximum=60, unit="MPH")]
Laps = Annotated[float, Setting("length of the drive", above=0, maximum=1000, unit="LAPS")]
Count = Annotated[int, Setting(minimum=1, maximum=1 << 30, unit="N")]
Megabytes = Annotated[int, Setting(minimum=1, maximum=1 << 30, unit="MB")]
Seed = Annotated[
    int,
    Setting(
        "seed of all that is random; the same seed gives the same result",
        minimum=0,
        maximum=2**32 - 1,
        unit="N",
    ),
]
Force = Annotated[
    bool, Setting("overwrite an earlier output; inputs and files of other kinds are kept")
]
Port = Annotated[int, Setting(minimum=0, maximum=65_535, unit="N")]
Names = Annotated[tuple[str, ...], Setting(unit="NAMES", parse=parse_names)]
Size = Annotated[
    tuple[int, int],
    Setting(minimum=SMALLEST_IMAGE, maximum=LARGEST_IMAGE, unit="SIZE", parse=parse_size),
]
Jobs = Annotated[
    int, Setting("processes that work in parallel", 1, 256, unit="N", zero="one per core")
]
Scheduler = Annotated[
    str,
    Setting(
        "work on the Dask cluster of this scheduler, such as tcp://HOST:8786, whose workers need "
        "the same files at the same paths; local:N: N processes of this machine",
        unit="ADDRESS",
        shown="none",
    ),
]


class SettingError(ValueError):
    """A setting that is wrong.

    text: the message, in which {name} stands for the setting of this name: a program knows it as a
        field, a command line as an option, and a settings file as a key
    facts: name -> value that replaces {name} in the text, where {name} is no setting
    """

    def __init__(self, text: str, **facts: object) -> None:
        super().__init__(text)
        self._text = text
        self._facts = facts

    def __str__(self) -> str:
        return self.naming(lambda name: name)

    def naming(self, name_of: Callable[[str], str]) -> str:
        """Return the message. name_of: name of a field -> how the message calls the setting."""

        def words_for(braces: re.Match[str]) -> str:
            name = braces[1]
            return str(self._facts.get(name, name_of(name)))

        return re.sub(r"{(\w+)}", words_for, self._text)


def check_one_size(preset: str | None, size: tuple[int, int] | None) -> None:
    """Raise SettingError where both a preprocessing, which has a size, and a size are given."""
    if preset and size:
        raise SettingError("{preprocess} {preset} includes a size; leave out {size}", preset=preset)


def check_one_pool(scheduler: str, jobs: int) -> None:
    """Raise SettingError where both a scheduler and a number of processes are given."""
    if scheduler and jobs:
        raise SettingError(
            "{jobs} are processes of this machine, but {scheduler} is given; leave {jobs} out"
        )


@cache
def declared_in(kind: Hashable) -> tuple[tuple[Any, Setting], ...]:
    """Return each field of a dataclass with its Setting.

    Values that setting() or argument() gives replace those of the field's annotated type.
    """
    pairs = []
    for declared_field in fields(kind):  # type: ignore[arg-type]
        values = dict(declared_field.metadata.get(_KEY, {}))
        # a field with `above` must not keep the `minimum` of its type; `below` likewise
        if "above" in values:
            values.setdefault("minimum", None)
        if "below" in values:
            values.setdefault("maximum", None)
        pairs.append((declared_field, replace(_setting_of(declared_field.type), **values)))
    return tuple(pairs)


def _setting_of(kind: Any) -> Setting:
    """Return the Setting that annotates a type, a plain one for a type without."""
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
    """Yield the fields of a settings dataclass, or of its value, that are options or arguments."""
    if not isinstance(kind, type):
        kind = type(kind)
    for declared_field, declared in declared_in(kind):
        if _KEY in declared_field.metadata:
            yield declared_field, declared


def option_of(kind: Any, name: str) -> str:
    """Return the option that sets a field of a settings dataclass."""
    settings = {declared_field.name: declared for declared_field, declared in settings_of(kind)}
    declared = settings[name]
    option = declared.option or name.replace("_", "-")
    if declared.rare:
        return f"--set {option}"
    return f"--{option}"


def option_words(settings: Any) -> list[str]:
    """Return the options of a command line for these settings, those with the default left out."""
    words: list[str] = []
    for declared_field, declared in settings_of(settings):
        value = getattr(settings, declared_field.name)
        if declared.positional or value == declared_field.default:
            continue
        option = option_of(settings, declared_field.name)
        if declared.rare:
            words += f"{option}={value}".split(" ", 1)
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


class Checked:
    """A settings dataclass, which raises SettingError for the first value that is wrong.

    A text becomes a path where a path is expected. For a tuple of texts, one text or path becomes a
    tuple.
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for declared_field, declared in declared_in(kind):
            given = getattr(self, declared_field.name)
            value = _converted(given, type_of(declared_field))
            if value is not given:
                object.__setattr__(self, declared_field.name, value)
            check_value(declared_field, declared, value)
        self.validate()

    def validate(self) -> None:
        """Raise SettingError for values that do not go together."""


def _converted(value: Any, kind: Any) -> Any:
    """Return a value as a field of this type stores it."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind == tuple[str, ...] and isinstance(value, str | Path):
        return (str(value),)
    if kind == tuple[str, ...] and value is not None:
        return tuple(map(str, value))
    return value


def check_value(declared_field: Any, declared: Setting, value: Any) -> None:
    """Raise SettingError for a value that is not what its setting expects.

    declared_field: the dataclass's field; declared: its Setting.
    """
    if value is None and declared_field.default is None:
        return
    name = f"{{{declared_field.name}}}"
    kind = type_of(declared_field)

    # the type
    takes, words = _PLAIN.get(kind, (object, ""))
    is_bool_for_number = isinstance(value, bool) and kind in (int, float)
    if is_bool_for_number or not isinstance(value, takes):
        raise SettingError(name + " {value}, expected {kind}", value=shown(value), kind=words)

    # the text, if it has a form
    if isinstance(value, str) and kind is str and declared.parse is not None:
        try:
            declared.parse(value)
        except ValueError as error:
            raise SettingError(name + " {value}", value=error) from None

    # the range or the choices
    if declared.allows(value):
        return
    expected = declared.expected
    if isinstance(value, tuple):
        expected = expected.replace("one of", "some of")
    text = _short_text(value, declared)
    raise SettingError(name + " {value}, expected {expected}", value=text, expected=expected)


def _short_text(value: Any, declared: Setting) -> str:
    """Return a wrong value as an error repeats it."""
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, tuple):
        return str(value)[:_LONGEST_VALUE]
    between = "x" if declared.unit == "SIZE" else ", "
    return between.join(map(str, value))[:_LONGEST_VALUE]


def type_of(declared_field: Any) -> Any:
    """Return the plain type of a field: float for Fraction, Path for `Path | None`."""
    kind = declared_field.type
    members = []
    for member in get_args(kind):
        if member is not NoneType and not isinstance(member, Setting):
            members.append(member)
    if len(members) == 1:
        kind = members[0]
    if hasattr(kind, "__metadata__"):
        return getattr(kind, "__origin__", kind)
    return kind


def differences(stored: Any, given: Any) -> str:
    """Return a line for each field in which two settings dataclasses of one kind differ."""
    lines = []
    for declared_field in fields(stored):
        stored_value = getattr(stored, declared_field.name)
        given_value = getattr(given, declared_field.name)
        if stored_value != given_value:
            words = declared_field.name.replace("_", " ")
            lines.append(f"\n  {words}: {stored_value}, but {given_value} is given")
    return "".join(lines)
