"""Declare a setting once, in its dataclass field: default, help and kind of value; options, checks
and docs follow.

    rain: Fraction = setting(0.0, "rain: drops, a wet road, less light; 1 is a downpour")

A settings dataclass is frozen, and a Checked. The type of a field is a kind of values, such as
Fraction or Seconds, which carries unit and range; setting() adds the help, and argument() declares
a positional argument. The command line makes an option of each such field
(bcclone.commands.parser), a settings file takes the same names, and docs/reference/cli.md is
written from the parsers. A field without either has no option.
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

_KEY = "setting"
_PLAIN: dict[Any, tuple[type, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "true or false"),
}
_UNBOUNDED = 100_000  # larger maxima only keep numbers sane, and are not shown
_LONGEST_VALUE = 60  # characters of a wrong value that an error repeats without quotes

SIMULATOR_PORT = 4567  # the simulator always connects to it
SMALLEST_IMAGE, LARGEST_IMAGE = 8, 1024  # width or height of what a network is given, in pixels


@dataclass(frozen=True)
class Setting:
    """The description of a setting, or of a kind of values; name, type and default stand in the
    dataclass field.

    help: what it sets, a phrase that stands alone; minimum, maximum: the range; above, below: the
    same without the end itself; unit: shown for the value in --help; zero: the meaning of 0, such
    as "no limit"; choices: the allowed texts; parse: converts the text of the command line, raises
    ValueError; option: the option's name, if it is not the field's; shown: the default as --help
    shows it; group: the heading in --help; positional: an argument, no option; rare: without an
    option of its own, set by --set NAME=VALUE. Of a tuple, the members are checked one by one, and
    the option may be repeated.
    """

    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""
    zero: str = ""
    choices: tuple[Any, ...] = ()
    parse: Callable[[str], Any] | None = None
    option: str = ""
    shown: str = ""
    group: str = ""
    positional: bool = False
    rare: bool = False

    @property
    def expected(self) -> str:
        """Return what a value should be, in words; "" where anything may be."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        low = self.minimum if self.above is None else self.above
        high = self.maximum if self.below is None else self.below
        if low is None:
            return ""
        words = f"{low:g}" if self.above is None else f"more than {low:g}"
        if high is None or high >= _UNBOUNDED:
            words += " or more" if self.above is None else ""
        elif self.above is self.below is None:
            words += f" to {high:g}"
        else:
            words = f"from {words}" if self.above is None else words
            words += f", up to {high:g}" if self.below is None else f" and less than {high:g}"
        return f"{words}, or 0 for {self.zero}" if self.zero else words

    def allows(self, value: Any) -> bool:
        """Return whether a value is one of the choices or in the range, or all values of a tuple;
        NaN is in none.
        """
        if isinstance(value, tuple):
            return all(map(self.allows, value))
        if self.choices:
            return value in self.choices
        return (bool(self.zero) and value == 0) or (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        )


def setting(default: Any, help: str = "", *span: float, **values: Any) -> Any:
    """Return a dataclass field with a default. span: minimum and maximum; values: fields of
    Setting.

    Values that are not given come from the annotated type.
    """
    values |= dict(zip(("minimum", "maximum"), span, strict=False)) | (
        {"help": help} if help else {}
    )
    return field(default=default, metadata={_KEY: values})


def argument(help: str, default: Any = MISSING, **values: Any) -> Any:
    """Return a dataclass field for a positional argument of a command; that of a tuple takes any
    number of words.
    """
    return field(default=default, metadata={_KEY: values | {"help": help, "positional": True}})


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "128" or "320x160"; raises ValueError for anything else."""
    width, by, height = text.lower().partition("x")
    try:
        return int(width), int(height if by else width)
    except ValueError:
        raise ValueError(f"{text!r}, expected a number of pixels or WIDTHxHEIGHT") from None


def span_parser(
    kind: type, example: str, ends: tuple[str, str] = ("", "")
) -> Callable[[str], tuple[Any, Any]]:
    """Return the function that reads two numbers of a kind, such as "0.8:1"; it raises ValueError.

    ends: what is meant where one is left out, "" where none may be.
    """

    def parse(text: str) -> tuple[Any, Any]:
        first, colon, last = text.partition(":")
        try:
            return kind(first or ends[0]), kind(last or colon and ends[1])
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
        "work on the Dask cluster of this scheduler, such as tcp://HOST:8786, whose workers need the same files at the "
        "same paths; local:N: N processes of this machine",
        unit="ADDRESS",
        shown="none",
    ),
]


class SettingError(ValueError):
    """A setting that is wrong.

    text: with {name} wherever it names a setting, which a program knows as a field, a command line
    as an option, and a settings file as a key; facts: what the other names in braces stand for.
    """

    def __init__(self, text: str, **facts: object) -> None:
        super().__init__(text)
        self._text, self._facts = text, facts

    def __str__(self) -> str:
        return self.naming(lambda name: name)

    def naming(self, name_of: Callable[[str], str]) -> str:
        """Return the message with the settings named by a function of their fields' names."""
        return re.sub(
            r"{(\w+)}", lambda match: str(self._facts.get(match[1], name_of(match[1]))), self._text
        )


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
    """Return each field of a dataclass with its Setting: what setting() says, over its kind of
    values.
    """
    pairs = []
    for each in fields(kind):  # type: ignore[arg-type]
        values = dict(each.metadata.get(_KEY, {}))
        of_kind = next(
            (part for part in _metadata(each.type) if isinstance(part, Setting)), Setting()
        )
        values |= {"minimum": values.get("minimum")} if "above" in values else {}
        values |= {"maximum": values.get("maximum")} if "below" in values else {}
        pairs.append((each, replace(of_kind, **values)))
    return tuple(pairs)


def _metadata(kind: Any) -> tuple[Any, ...]:
    """Return what annotates a type; of `Fraction | None`, that of Fraction."""
    return getattr(kind, "__metadata__", None) or tuple(
        part for one in get_args(kind) for part in _metadata(one)
    )


def settings_of(kind: Any) -> Iterator[tuple[Any, Setting]]:
    """Yield each field of a settings dataclass, or of its value, that has an option or is an
    argument.
    """
    return (
        pair
        for pair in declared_in(kind if isinstance(kind, type) else type(kind))
        if _KEY in pair[0].metadata
    )


def option_of(kind: Any, name: str) -> str:
    """Return the option that sets a field of a settings dataclass."""
    (declared,) = (declared for each, declared in settings_of(kind) if each.name == name)
    return f"{'--set ' if declared.rare else '--'}{declared.option or name.replace('_', '-')}"


def option_words(settings: Any) -> list[str]:
    """Return the options of a command line that make these settings: of each value that is not the
    default.
    """
    words = []
    for each, declared in settings_of(settings):
        value, option = getattr(settings, each.name), option_of(settings, each.name)
        if declared.positional or value == each.default:
            continue
        if declared.rare:
            words += f"{option}={value}".split(" ", 1)
        elif isinstance(value, bool):
            words.append(option if value else f"--no-{option.removeprefix('--')}")
        else:
            value = ",".join(value) if declared.parse is parse_names else value
            for member in value if isinstance(value, tuple) else (value,):
                words += [option, str(member)]
    return words


class Checked:
    """A settings dataclass, which raises SettingError for the first value that is not what its
    setting expects.

    A text becomes a path where a path is expected. For a tuple of texts, one text or path becomes a
    tuple.
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for each, declared in declared_in(kind):
            value, of_field = getattr(self, each.name), type_of(each)
            if of_field is Path and isinstance(value, str):
                object.__setattr__(self, each.name, value := Path(value))
            if of_field == tuple[str, ...] and value is not None:
                several = (value,) if isinstance(value, str | Path) else value
                object.__setattr__(self, each.name, value := tuple(map(str, several)))
            check_value(each, declared, value)
        self.validate()

    def validate(self) -> None:
        """Raise SettingError for values that are as their settings expect, but do not go together."""


def check_value(each: Any, declared: Setting, value: Any) -> None:
    """Raise SettingError for a value that is not what its setting expects. each: the field;
    declared: its Setting.
    """
    name, kind = f"{{{each.name}}}", type_of(each)
    if value is None and each.default is None:
        return
    takes, words = _PLAIN.get(kind, (object, ""))
    if not isinstance(value, takes) or (isinstance(value, bool) and kind in (int, float)):
        raise SettingError(name + " {value}, expected {kind}", value=shown(value), kind=words)
    if isinstance(value, str) and kind is str and declared.parse is not None:
        try:
            declared.parse(value)
        except ValueError as error:
            raise SettingError(name + " {value}", value=error) from None
    if not declared.allows(value):
        between = "x" if declared.unit == "SIZE" else ", "
        text = between.join(map(str, value)) if isinstance(value, tuple) else str(value)
        short = f"{value:g}" if isinstance(value, float) else text[:_LONGEST_VALUE]
        expected = (
            declared.expected.replace("one of", "some of")
            if isinstance(value, tuple)
            else declared.expected
        )
        raise SettingError(name + " {value}, expected {expected}", value=short, expected=expected)


def type_of(each: Any) -> Any:
    """Return the type of a field's values, without its kind; of `Path | None` it is Path."""
    kinds = [
        kind
        for kind in get_args(each.type)
        if kind is not NoneType and not isinstance(kind, Setting)
    ]
    kind = kinds[0] if len(kinds) == 1 else each.type
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind


def differences(stored: Any, given: Any) -> str:
    """Return a line for each field in which two settings dataclasses of one kind differ; "" for
    equal ones.
    """
    lines = []
    for each in fields(stored):
        there, here = getattr(stored, each.name), getattr(given, each.name)
        if there != here:
            lines.append(f"\n  {each.name.replace('_', ' ')}: {there}, but {here} is given")
    return "".join(lines)
