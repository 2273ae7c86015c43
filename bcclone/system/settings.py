"""Settings, declared once in the fields of a dataclass; checks, options and TOML keys follow.

    rain: Fraction = setting(0.0, "rain: drops, a wet road, less light; 1 is a downpour")

A settings dataclass is frozen, and derives from Checked. An annotated type, such as Fraction or
Seconds, gives the unit and the range of a field's values; setting() makes an option of the field,
and argument() a positional argument. Only a program can set a field with neither.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from bcclone.system.codec import read_toml
from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.location import as_local
from bcclone.system.values import UnfitValue, read

_KEY = "setting"  # key in a field's metadata; its value maps names of Setting's fields to values
# from here on, a maximum only stops absurd numbers; it is shown only beside a negative minimum
_UNBOUNDED = 100_000
_LONGEST_VALUE = 60  # characters of a wrong value that an error repeats without quotes


@dataclass(frozen=True)
class Setting:
    """What a setting is: its values and its option, and the field that holds it.

    If the value is a tuple, range and choices hold for each member.
    """

    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None  # values must be larger than this
    below: float | None = None  # values must be smaller than this
    unit: str = ""  # placeholder of the value in --help, such as SECONDS
    zero: str = ""  # meaning of 0, such as "no limit"; 0 is then allowed even out of the range
    choices: tuple[Any, ...] = ()
    parse: Callable[[str], Any] | None = None  # text -> value; raises ValueError for a wrong text
    option: str = ""  # name of the option, if it differs from the field's name
    shown: str = ""  # words for the default in --help, instead of its value
    group: str = ""  # heading in --help under which the option stands
    positional: bool = False
    rare: bool = False  # its option stands last in --help
    writes: bool = False  # a file or folder that the command writes, or records into
    field: Any = None  # of the dataclass; declared_in() sets it

    @property
    def name(self) -> str:
        return str(self.field.name)

    @property
    def key(self) -> str:
        """Return its name in a settings file, which is that of its option without the dashes."""
        return self.option or key_of(self.name)

    @property
    def flag(self) -> str:
        """Return its option, with the dashes."""
        return f"--{self.key}"

    @property
    def kind(self) -> Any:
        """Return the plain type: float for Fraction, Path for `Path | None`."""
        kind = self.field.type
        members = [member for member in get_args(kind) if member is not NoneType]
        if NoneType in get_args(kind) and len(members) == 1:
            kind = members[0]
        return kind.__origin__ if hasattr(kind, "__metadata__") else kind  # Annotated[float, ...]

    @property
    def expected(self) -> str:
        """Return which values are allowed, in words such as "0 to 1"; "" if any value is."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        low = self.minimum if self.above is None else self.above
        high = self.maximum if self.below is None else self.below
        if low is None or low <= -_UNBOUNDED:
            return ""
        text = f"{low:g} or more" if self.above is None else f"more than {low:g}"
        if self.below is not None:
            text += f" and less than {high:g}"
        elif high is not None and high < _UNBOUNDED:
            text = f"{low:g} to {high:g}" if self.above is None else f"{text}, up to {high:g}"
        return f"{text}, or 0 for {self.zero}" if self.zero else text

    def allows(self, value: Any) -> bool:
        """Return whether a value, or each member of a tuple, is allowed; NaN is in no range."""
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
    """Return a dataclass field for a positional argument; of a tuple, for any number of words."""
    return field(default=default, metadata={_KEY: values | {"help": help, "positional": True}})


@cache
def declared_in(kind: Any) -> tuple[Setting, ...]:
    """Return the Setting of each field of a dataclass.

    Values that are given to setting() or argument() replace those of the field's annotated type.
    """
    declared = []
    for each in fields(kind):
        values = dict(each.metadata.get(_KEY, {}))
        # `above` replaces the `minimum` of the type, and `below` its `maximum`
        if "above" in values:
            values.setdefault("minimum", None)
        if "below" in values:
            values.setdefault("maximum", None)
        of_type = next(_settings_in(each.type), Setting())
        declared.append(replace(of_type, field=each, **values))
    return tuple(declared)


def _settings_in(kind: Any) -> Iterator[Setting]:
    """Yield the Settings that annotate a type; for `Fraction | None`, that of Fraction."""
    yield from (part for part in getattr(kind, "__metadata__", ()) if isinstance(part, Setting))
    for member in get_args(kind):
        yield from _settings_in(member)


def settings_of(kind: Any) -> Iterator[Setting]:
    """Yield the Setting of each field that is an option or a positional argument.

    kind: a settings dataclass or a value of it
    """
    for declared in declared_in(kind if isinstance(kind, type) else type(kind)):
        if _KEY in declared.field.metadata:
            yield declared


# ---- checks


class SettingError(ValueError):
    """A setting that is wrong.

    text: the message. {name} in it stands for a fact, or else for the setting of this name, which a
        program knows as a field, a command line as an option, and a settings file as a key
    """

    def __init__(self, text: str, **facts: object) -> None:
        super().__init__(text)
        self._text = text
        self._facts = facts

    def __str__(self) -> str:
        return self.naming(str)

    def naming(self, name_of: Callable[[str], str]) -> str:
        """Return the message; name_of: name of a field -> what the message calls the setting."""

        def words_for(braces: re.Match[str]) -> str:
            name = braces[1]
            return str(self._facts.get(name, name_of(name)))

        return re.sub(r"{(\w+)}", words_for, self._text)


class Checked:
    """Base of the settings dataclasses; making one raises SettingError for a wrong value."""

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for declared in declared_in(kind):
            given = getattr(self, declared.name)
            value = check_value(declared, given)
            if value is not given:
                object.__setattr__(self, declared.name, value)
        self.validate()
        for name, value in self.normal_form().items():
            object.__setattr__(self, name, value)

    def validate(self) -> None:
        """Raise SettingError for values that do not fit together; subclasses add such checks."""

    def normal_form(self) -> Mapping[str, Any]:
        """Return values that replace those that were given, by the names of their fields.

        So settings that mean the same are equal. validate() has passed.
        """
        return {}


def check_value(declared: Setting, given: Any) -> Any:
    """Return a value as its field stores it; raises SettingError."""
    name = f"{{{declared.name}}}"
    try:
        value = read(declared.field.type, given)
        if value is not None and declared.kind is Path:
            as_local(value)
        # a text that must have a form, but is stored unparsed
        if isinstance(value, str) and declared.kind is str and declared.parse:
            declared.parse(value)
    except UnfitValue as error:
        raise SettingError(f"{name}{error.place} {{reason}}", reason=error.reason) from None
    except ValueError as error:
        raise SettingError(f"{name} {{reason}}", reason=error) from None

    if value is None or declared.allows(value):
        return value
    expected = declared.expected
    low, high = declared.minimum, declared.maximum
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple):
        expected = expected.replace("one of", "some of")
        text = ("x" if declared.unit == "SIZE" else ", ").join(map(str, value))
    elif low is not None and high is not None and (not expected or value > high):
        expected = f"{low:g} to {high:g}"
    raise SettingError(
        f"{name} {{value}}, expected {{expected}}", value=text[:_LONGEST_VALUE], expected=expected
    )


# ---- a TOML file of settings


def key_of(name: str) -> str:
    """Return the key of a field in a settings file: batch_size -> batch-size."""
    return name.replace("_", "-")


def read_settings_file(path: Path, *kinds: type, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the checked values in a TOML file, by the names of the fields; raises UserError.

    kinds: the settings dataclasses whose fields the file may set
    without: names of fields that the file may not set
    """
    by_key: dict[str, Setting] = {}  # a key is the name of an option or of a field
    for declared in (each for kind in kinds for each in settings_of(kind)):
        if not declared.positional and declared.name not in without:
            by_key[key_of(declared.name)] = declared
            by_key[declared.key] = declared

    values: dict[str, Any] = {}
    remedy = "name a file with lines such as seed = 1 as --settings"
    for key, stored in read_toml(path, "a settings file", remedy).items():
        if key not in by_key:
            hint = did_you_mean(key, by_key)
            if not hint:
                hint = f"the settings are {', '.join(by_key)}"
            raise UserError(f"{path}: no setting is called {key!r}; {hint}")
        declared = by_key[key]
        parse = declared.parse
        is_one_of_several = get_origin(declared.kind) is tuple and not isinstance(stored, list)
        try:
            if parse and (isinstance(stored, str) or is_one_of_several):
                stored = parse(str(stored))  # as on the command line
            values[declared.name] = check_value(declared, stored)
        except SettingError as error:
            raise UserError(f"{path}: {error.naming(key_of)}") from None
        except ValueError as error:
            raise UserError(f"{path}: {key}: {error}") from None
    return values


# ---- settings in words


def option_words(settings: Any) -> list[str]:
    """Return the words of a command line that give these settings.

    Defaults and positional arguments are left out.
    """
    words: list[str] = []
    for declared in settings_of(settings):
        value = getattr(settings, declared.name)
        option = declared.flag
        if declared.positional or value == declared.field.default:
            continue
        if isinstance(value, bool):
            words.append(option if value else f"--no-{declared.key}")
        elif declared.parse is parse_names:
            words += [option, ",".join(value)]
        elif isinstance(value, tuple):
            for member in value:
                words += [option, str(member)]
        elif isinstance(value, float):  # 20, as a user types it
            words += [option, str(value).removesuffix(".0")]
        else:
            words += [option, str(value)]
    return words


def differences(stored: Any, given: Any) -> str:
    """Return a line for each field in which two settings of one dataclass differ.

    Each line begins with a newline; "" if they are equal.
    """
    lines = []
    for each in fields(stored):
        stored_value = getattr(stored, each.name)
        given_value = getattr(given, each.name)
        if stored_value != given_value:
            name = each.name.replace("_", " ")
            lines.append(f"\n  {name}: {stored_value}, but {given_value} is given")
    return "".join(lines)


# ---- types of settings that many commands have, with a unit and a range


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a text such as "left,right"; spaces around them are dropped."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


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


SIMULATOR_PORT = 4567  # the simulator always connects to it

Fraction = Annotated[float, Setting(minimum=0, maximum=1, unit="FRACTION")]
Seconds = Annotated[float, Setting(minimum=0, maximum=1e6, unit="SECONDS")]
Minutes = Annotated[float, Setting(minimum=0, maximum=1e6, unit="MINUTES")]
Milliseconds = Annotated[float, Setting(minimum=0, maximum=1e9, unit="MILLISECONDS")]
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
