"""Declare a setting once, in its dataclass field: default, help, unit and range; options, checks and docs follow.

A settings dataclass is frozen, its fields are made by setting(), and its __post_init__ calls check_settings(). The
command line makes an option of each field (bcclone.commands.options.add_settings), the settings file of a training
takes the same names, and docs/reference/cli.md is written from the parsers.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, get_args

_KEY = "setting"
_KINDS: dict[Any, tuple[type, str]] = {int: (Integral, "a whole number"), float: (Real, "a number")}
_UNBOUNDED = 100_000  # larger maxima only keep numbers sane, and are not shown
_LONGEST_VALUE = 60  # characters of a wrong value that an error repeats

SIMULATOR_PORT = 4567  # the simulator always connects to it
SMALLEST_IMAGE, LARGEST_IMAGE = 8, 1024  # width or height of what a network is given, in pixels
# the names in preprocessing.PRESETS, which would load OpenCV; a test compares
PRESET_NAMES = (
    "carnd-128-rgb", "carnd-160x320-rgb", "nvidia-66x200-yuv", "nvidia-66x200-yuv-bgr", "gray-80x120",
    "chauffeur-120x320-yuv", "epoch-128x128-rgb",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """The description of one setting; its name, type and default stand in the dataclass field.

    help: what it sets, a phrase that stands alone; unit: shown for the value in --help, such as "M" or "SECONDS";
    minimum, maximum: the range (a maximum needs a minimum); above_minimum, below_maximum: exclude the end itself;
    zero: the meaning of 0, such as "no limit"; choices: the allowed texts; option: the option's name, if it is not the
    field's; short: a second name, such as "-o"; shown: the default as --help shows it; parse: converts the text of the
    command line, raises ValueError; group: the heading in --help; hidden: make no option; negatable: also offer
    --no-NAME, for a value that a settings file can set; for a tuple, whose members are checked one by one, repeatable:
    the option may be given several times; several: it takes one value or more; count: it takes this many values, of
    which `unit` names each.
    """

    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above_minimum: bool = False
    below_maximum: bool = False
    zero: str = ""
    choices: tuple[str, ...] = ()
    option: str = ""
    short: str = ""
    shown: str = ""
    parse: Callable[[str], Any] | None = None
    group: str = ""
    hidden: bool = False
    negatable: bool = False
    repeatable: bool = False
    several: bool = False
    count: int = 0

    @property
    def expected(self) -> str:
        """Return what a value should be, in words; "" where anything may be."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        low, high = self.minimum, self.maximum
        if low is None:
            return ""
        if high is None or high >= _UNBOUNDED:
            words = f"more than {low:g}" if self.above_minimum else f"{low:g} or more"
        elif self.above_minimum or self.below_maximum:
            words = f"{'more than ' if self.above_minimum else 'from '}{low:g}"
            words += f" and less than {high:g}" if self.below_maximum else f", up to {high:g}"
        else:
            words = f"{low:g} to {high:g}"
        return f"{words}, or 0 for {self.zero}" if self.zero else words

    def allows(self, value: Any) -> bool:
        """Return whether a value is one of the choices or in the range, or all values of a tuple; NaN is in none."""
        if isinstance(value, tuple):
            return all(map(self.allows, value))
        if self.choices:
            return value in self.choices
        if self.minimum is None:
            return True
        if self.zero and value == 0:
            return True
        low, high = self.minimum, self.maximum
        over = value > low if self.above_minimum else value >= low
        return over and (high is None or (value < high if self.below_maximum else value <= high))


class SettingError(ValueError):
    """A setting that is wrong.

    text: with {name} wherever it names a setting, which a program knows as a field, a command line as an option, and a
    settings file as a key; facts: what the other names in braces stand for.
    """

    def __init__(self, text: str, **facts: object) -> None:
        super().__init__(text)
        self._text, self._facts = text, facts

    def __str__(self) -> str:
        return self.naming(lambda name: name)

    def naming(self, name_of: Callable[[str], str]) -> str:
        """Return the message with the settings named by a function of their fields' names."""
        return re.sub(r"{(\w+)}", lambda match: str(self._facts.get(match[1], name_of(match[1]))), self._text)


def setting(default: Any, help: str, **values: Any) -> Any:
    """Return a dataclass field with a default and a Setting. values: the other fields of Setting."""
    return field(default=default, metadata={_KEY: Setting(help, **values)})


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def preprocess_setting(
    help: str = "preprocessing of frames, required for a model that does not store its own",
    shown: str = "that of the model",
) -> Any:
    """Return the field for the name of a preprocessing, None for none. shown: the default that --help shows."""
    return setting(None, f"{help}: {', '.join(PRESET_NAMES)}", unit="NAME", choices=PRESET_NAMES, shown=shown)


def size_setting() -> Any:
    """Return the field for width and height of stored images, None for the size of the preprocessing."""
    return setting(
        None,
        "size of the stored images in pixels, N or WIDTHxHEIGHT",
        unit="SIZE",
        parse=parse_size,
        minimum=SMALLEST_IMAGE,
        maximum=LARGEST_IMAGE,
        shown="128",
    )


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "128" or "320x160"; raises ValueError for anything else."""
    width, by, height = text.lower().partition("x")
    try:
        return int(width), int(height if by else width)
    except ValueError:
        raise ValueError(f"{text!r}, expected a number of pixels or WIDTHxHEIGHT") from None


def check_one_size(preset: str | None, size: tuple[int, int] | None) -> None:
    """Raise SettingError where both a preset, which has a size, and a size are given."""
    if preset and size:
        raise SettingError("{preprocess} {preset} includes a size; leave out {size}", preset=preset)


def scheduler_setting(help: str, group: str = "") -> Any:
    """Return the field for the scheduler that task_pool.open_pool() takes. help: what runs there."""
    where = "the address of a Dask scheduler, such as tcp://HOST:8786, or local:N for N processes of this machine"
    return setting("", f"{help}: {where}", unit="ADDRESS", shown="none", group=group)


def jobs_setting(help: str, group: str = "") -> Any:
    """Return the field for the number of processes that task_pool.open_pool() starts. help: what they do."""
    return setting(0, help, minimum=1, maximum=256, zero="one per core", group=group)


def check_one_pool(scheduler: str, jobs: int) -> None:
    """Raise SettingError where both a scheduler and a number of processes are given."""
    if scheduler and jobs:
        raise SettingError("{jobs} are processes of this machine, but {scheduler} is given; leave {jobs} out")


def settings_of(kind: Any) -> Iterator[tuple[Any, Setting]]:
    """Yield each field of a settings dataclass that setting() made, with its Setting."""
    for each in fields(kind):
        if _KEY in each.metadata:
            yield each, each.metadata[_KEY]


def names_in_group(kind: Any, group: str) -> tuple[str, ...]:
    """Return the names of the fields of a settings dataclass that are in a group of --help."""
    return tuple(each.name for each, declared in settings_of(kind) if declared.group == group)


def option_of(kind: Any, name: str) -> str:
    """Return the option that sets a field of a settings dataclass."""
    (declared,) = (declared for each, declared in settings_of(kind) if each.name == name)
    return f"--{declared.option or name.replace('_', '-')}"


def option_words(settings: Any) -> list[str]:
    """Return the options of a command line that make these settings: of each value that is not the default."""
    words = []
    for each, declared in settings_of(settings):
        value, option = getattr(settings, each.name), option_of(settings, each.name)
        if declared.hidden or value == each.default:
            continue
        if isinstance(value, bool):
            words += [option if value else f"--no-{option.removeprefix('--')}"]
        elif declared.repeatable:
            words += [word for member in value for word in (option, str(member))]
        else:
            words += [option, *map(str, value if isinstance(value, tuple) else (value,))]
    return words


def check_settings(settings: Any) -> None:
    """Raise SettingError for the first value that is not what its setting expects.

    A text becomes a path where a path is expected, and a tuple of one where several texts are.
    """
    _accept_texts(settings)
    for each, declared in settings_of(settings):
        check_value(each, declared, getattr(settings, each.name))


def check_value(each: Any, declared: Setting, value: Any) -> None:
    """Raise SettingError for a value that is not what its setting expects. each: the field; declared: its Setting."""
    name = f"{{{each.name}}}"
    if value is None and each.default is None:
        return
    if (kind := _KINDS.get(type_of(each))) and (not isinstance(value, kind[0]) or isinstance(value, bool)):
        raise SettingError(name + " {value}, expected {kind}", value=repr(value), kind=kind[1])
    if any("\0" in str(one) for one in (value if isinstance(value, tuple) else (value,))):
        raise SettingError(name + " has a character NUL, which is in no name of a file; leave it out")
    if type_of(each) is bool and not isinstance(value, bool):
        raise SettingError(name + " {value}, expected true or false", value=repr(value))
    if not declared.allows(value):
        between = "x" if declared.unit == "SIZE" else ", "
        text = between.join(map(str, value)) if isinstance(value, tuple) else str(value)
        shown = f"{value:g}" if isinstance(value, float) else text[:_LONGEST_VALUE]
        expected = declared.expected.replace("one of", "some of") if isinstance(value, tuple) else declared.expected
        raise SettingError(name + " {value}, expected {expected}", value=shown, expected=expected)


def type_of(each: Any) -> Any:
    """Return the type of a field's values; of `Path | None` it is Path."""
    kinds = [kind for kind in get_args(each.type) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else each.type


def _accept_texts(settings: Any) -> None:
    for each in fields(settings):
        value = getattr(settings, each.name)
        if isinstance(value, str) and each.type in (Path, Path | None):
            object.__setattr__(settings, each.name, Path(value))
        elif isinstance(value, str) and each.type == tuple[str, ...]:
            object.__setattr__(settings, each.name, (value,))


def differences(stored: Any, given: Any) -> str:
    """Return a line for each field in which two settings dataclasses of one kind differ; "" for equal ones."""
    lines = []
    for each in fields(stored):
        there, here = getattr(stored, each.name), getattr(given, each.name)
        if there != here:
            lines.append(f"\n  {each.name.replace('_', ' ')}: {there}, but {here} is given")
    return "".join(lines)
