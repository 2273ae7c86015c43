"""Declare a setting once, in its dataclass field; options, checks and docs follow from it.

    rain: Fraction = setting(0.0, "rain: drops, a wet road, less light; 1 is a downpour")

A settings dataclass is frozen, and derives from Checked. An annotated type, such as Fraction or
Seconds, gives the unit and the range of a field's values; setting() adds the help, and argument()
declares a positional argument. The command line has an option for each field with setting()
(bcclone.commands.parser), a settings file takes the same names, and docs/reference/cli.md is
written from the parsers. Only a program can set a field with neither setting() nor argument().
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

from bcclone.system.errors import shown

_KEY = "setting"  # key in a field's metadata; its value maps names of Setting's fields to values
_PLAIN: dict[Any, tuple[type, str]] = {  # type of a field -> class of its values, their name
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "true or false"),
}
_UNBOUNDED = 100_000  # a maximum from here on only stops absurd numbers; it is not shown
_LONGEST_VALUE = 60  # characters of a wrong value that an error repeats without quotes

SIMULATOR_PORT = 4567  # the simulator always connects to it
SMALLEST_IMAGE = 8  # smallest width or height of an image that a network is given, in pixels
LARGEST_IMAGE = 1024  # largest width or height


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
        """Return the range in words, "" if there is no lowest value."""
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


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a text such as "left,right"; spaces around them are dropped."""
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
    """Return a function that reads a text of two numbers, such as "0.8:1".

    The function raises ValueError for any other text.

    kind: type of the numbers, int or float
    example: what the error says that is expected
    ends: numbers, as texts, that stand for a first or second number which is left out, as in ":1";
        "" for one that may not be left out
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
    int,
    Setting(
        "processes that work in parallel",
        minimum=1,
        maximum=256,
        unit="N",
        zero="one per core",
    ),
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

    text: the message. {name} in it stands for a fact, or else for the setting of this name, which a
        program knows as a field, a command line as an option, and a settings file as a key
    facts: name -> value that replaces {name} in the text
    """

    def __init__(self, text: str, **facts: object) -> None:
        super().__init__(text)
        self._text = text
        self._facts = facts

    def __str__(self) -> str:
        return self.naming(lambda name: name)

    def naming(self, name_of: Callable[[str], str]) -> str:
        """Return the message; name_of: name of a field -> what the message calls the setting."""

        def words_for(braces: re.Match[str]) -> str:
            name = braces[1]
            return str(self._facts.get(name, name_of(name)))

        return re.sub(r"{(\w+)}", words_for, self._text)


def check_one_size(preset: str | None, size: tuple[int, int] | None) -> None:
    """Raise SettingError if both a size and a preprocessing, which includes a size, are given.

    preset: name of the preprocessing
    """
    if preset and size:
        raise SettingError("{preprocess} {preset} includes a size; leave out {size}", preset=preset)


def check_one_pool(scheduler: str, jobs: int) -> None:
    """Raise SettingError if both a scheduler and a number of processes are given."""
    if scheduler and jobs:
        raise SettingError(
            "{jobs} are processes of this machine, but {scheduler} is given; leave {jobs} out"
        )


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


class Checked:
    """Base of the settings dataclasses; making one raises SettingError for the first wrong value.

    For a field that is a path, a text becomes a path. For a field that is a tuple of texts, a
    single text or path becomes a tuple.
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
        """Raise SettingError for values that do not fit together; subclasses add such checks."""


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

    declared_field: field of the dataclass
    declared: Setting of this field
    """
    if value is None and declared_field.default is None:
        return
    name = f"{{{declared_field.name}}}"  # in braces, as SettingError takes it
    kind = type_of(declared_field)

    # the type
    takes, words = _PLAIN.get(kind, (object, ""))
    is_bool_for_number = isinstance(value, bool) and kind in (int, float)
    if is_bool_for_number or not isinstance(value, takes):
        raise SettingError(name + " {value}, expected {kind}", value=shown(value), kind=words)

    # a text that must have a form, but is stored unparsed; the parser's message begins with it
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
    """Return a wrong value as an error repeats it, such as "0.5" or "320x5000"."""
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, tuple):
        return str(value)[:_LONGEST_VALUE]
    between = "x" if declared.unit == "SIZE" else ", "
    return between.join(map(str, value))[:_LONGEST_VALUE]


def type_of(declared_field: Any) -> Any:
    """Return the plain type of a field: float for Fraction, Path for `Path | None`."""
    kind = declared_field.type
    # Fraction is Annotated[float, Setting]: its members are float and the Setting, and those of
    # `Path | None` are Path and NoneType; tuple[str, ...] has two other members, and stays
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
