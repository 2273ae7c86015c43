"""What a command is: a function whose parameters, dataclasses of settings, make its options.

A command returns a Result, which bcclone.cli prints. Its parser is made in bcclone.commands.parser.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from inspect import getdoc
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from bcclone.system.errors import UserError, printable
from bcclone.system.json_values import names_of
from bcclone.system.output import RESULTS, writing
from bcclone.system.settings import Force, Setting, argument, option_of, setting, settings_of

Settings = TypeVar("Settings")
_NOTHING = "nothing was written; an older output is unchanged"


@dataclass(frozen=True)
class Result:
    """What a command prints on standard output, and its exit code."""

    value: Any  # printed with --json
    text: str | None  # printed without --json; None: nothing
    notes: Iterable[str] = ()  # printed before it, on standard error
    wrote: Sequence[Path] = ()  # named after it, on standard error; a report comes last
    code: int = 0  # the exit code

    @classmethod
    def of(cls, outcome: Any, **others: Any) -> Self:
        """Return what is printed of the result of a library function.

        outcome: has as_text(), and perhaps as_json(); others: fields of Result.
        """
        value = outcome.as_json() if hasattr(outcome, "as_json") else outcome
        return cls(value, outcome.as_text(), **others)


# ---- settings of several commands


@dataclass(frozen=True)
class ResultsFolder:
    """The folder for the results of a command."""

    output: Path | None = setting(
        None, "folder to write a report, pictures and figures into", unit="DIR", shown="none"
    )
    force: Force = setting(False)

    def part(self, name: str) -> Path | None:
        """Return a folder in it, None without it."""
        return self.output / name if self.output else None


@dataclass(frozen=True)
class Models:
    """The models of a command."""

    models: tuple[Path, ...] = argument("a model file, or several", unit="MODEL")


@dataclass(frozen=True)
class Browser:
    """Whether a report is opened."""

    browser: bool = setting(
        True, "at a terminal, open the report in a browser, where this machine has one"
    )


@dataclass(frozen=True)
class SettingsFile:
    """A file of settings."""

    settings: Path | None = setting(
        None, "read settings from this TOML file; options override them", unit="FILE", shown="none"
    )


@dataclass(frozen=True)
class Common:
    """What every command can do."""

    json: bool = setting(
        False, "print one JSON value on standard output, and nothing else there", group="output"
    )
    quiet: bool = setting(False, "print only the result and errors, no progress", group="output")
    debug: bool = setting(False, "print the traceback of an error, too", group="output")


@dataclass(frozen=True)
class ServerEnding:
    """How a server ends."""

    end_with_stdin: bool = setting(
        False, "exit when standard input is closed, for programs that start the server"
    )


# ---- what the user gave


class Given:
    """What the user gave to a command, as values of its settings."""

    def __init__(self, parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> None:
        """Read the words after the command's name; None: those of this process.

        Exits with code 2, as argparse does, for words that the parser does not accept.
        """
        self.parser = parser
        self._values: dict[str, Any] = {}
        parsed = parser.parse_intermixed_args(_with_model_first(parser, argv))
        for name, value in vars(parsed).items():
            if value in (None, []):  # an option or an argument that was left out
                continue
            self._values[name] = tuple(value) if isinstance(value, list) else value
        # --set NAME=VALUE sets the field of that name
        assigned = self._values.pop("assigned", ())
        self._values |= dict(assigned)

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the fields of a settings dataclass that the user gave."""
        return {name: self._values[name] for name in names_of(kind) if name in self._values}

    def make(self, kind: Callable[..., Settings], **others: Any) -> Settings:
        """Return the settings that the user chose. others: fields without an option."""
        parts = {name: replace(part, **self.of(part)) for name, part in _parts(kind)}
        return kind(**(parts | self.of(kind) | others))

    def refuse(self, kind: Any, why: str) -> None:
        """Raise UserError if the user gave an option of these settings, which has no effect here.

        why: the rest of the sentence, with the remedy.
        """
        for declared_field, _ in settings_of(kind):
            if declared_field.name in self._values:
                raise UserError(f"{option_of(kind, declared_field.name)} {why}")

    def kept(self, name: str, text: str, part: str = "", otherwise: str = _NOTHING) -> str:
        """Return what Ctrl-C leaves in the folder that an option names, or in a part of it.

        otherwise: what it leaves where there is no such folder.
        """
        folder: Path | None = self._values.get(name)
        if folder is None or not (folder / part).exists():
            return otherwise
        return f"{folder / part} keeps {text}"

    def say(self, text: str) -> None:
        """Print a line of a server on standard output, with --json or --quiet on standard error."""
        common = self.make(Common)
        stream = sys.stderr if common.json or common.quiet else sys.stdout
        print(printable(text), file=stream, flush=True)


def _with_model_first(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> Sequence[str] | None:
    """Return the words of a line, in which --model MODEL may stand for a first argument."""
    arguments = [action.dest for action in parser._actions if not action.option_strings]
    if arguments[:1] not in (["model"], ["models"]):
        return argv
    if "--model" in parser._option_string_actions:  # an option of the command itself
        return argv
    named = argparse.ArgumentParser(parser.prog, add_help=False, allow_abbrev=False)
    named.add_argument("--model", action="append", default=[])
    values, others = named.parse_known_args(argv)
    return [*values.model, *others]


# ---- commands


class Declared(NamedTuple):
    """A setting of a command."""

    kind: Any  # the dataclass, or a value of it
    field: "Field[Any]"
    setting: Setting
    default: Any  # MISSING where there is none


@dataclass(frozen=True)
class Command:
    """A function, the settings that make its arguments and options, and what --help says."""

    function: Callable[..., Any]  # its parameters are settings dataclasses, or Given
    description: str  # shown by --help
    settings: Sequence[type]  # their fields are arguments and options
    without: Collection[str] = ()  # fields that have no option here
    titles: Mapping[str, str] = field(default_factory=dict)  # group of options -> what it is
    after_interrupt: str | Callable[[Given], str] = _NOTHING  # what Ctrl-C leaves behind

    def run(self, given: Given) -> Result:
        """Run the function with what the user gave; its folder of results is locked meanwhile."""
        arguments: list[Any] = []
        for kind in _parameters(self.function):
            if kind is Given:
                arguments.append(given)
            else:
                arguments.append(given.make(kind))
        results = ResultsFolder()
        if ResultsFolder in self.settings:
            results = given.make(ResultsFolder)
        with writing(results.output, RESULTS, results.force):
            result = self.function(*arguments)
        return result if isinstance(result, Result) else Result.of(result)

    def left_behind(self, given: Given) -> str:
        """Return what an interrupted command has left."""
        if isinstance(self.after_interrupt, str):
            return self.after_interrupt
        return self.after_interrupt(given)

    def declared(self) -> Iterator[Declared]:
        """Yield the settings of the command, with those of the dataclasses in its dataclasses."""
        for kind in (*self.settings, Common):
            yield from self._declared_in(kind)

    def _declared_in(self, kind: Any) -> Iterator[Declared]:
        for declared_field, declared in settings_of(kind):
            if declared_field.name in self.without:
                continue
            # a dataclass in another one may have other defaults there
            default = declared_field.default
            if not isinstance(kind, type):
                default = getattr(kind, declared_field.name)
            yield Declared(kind, declared_field, declared, default)
        for _, part in _parts(kind):
            yield from self._declared_in(part)


def command(*others: type, **declared: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function: its docstring is the description, its parameters the settings.

    The function also needs its line in the table of commands, in __init__.py. others: settings that
    are no parameters; declared: fields of Command.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        taken = [kind for kind in _parameters(function) if kind is not Given]
        return Command(function, getdoc(function) or "", (*taken, *others), **declared)

    return decorate


def _parameters(function: Callable[..., Any]) -> list[Any]:
    """Return the types of a function's parameters."""
    return [kind for name, kind in function.__annotations__.items() if name != "return"]


def _parts(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and default of the settings dataclasses in a settings dataclass."""
    for part in fields(kind):
        if not is_dataclass(part.type) or part.metadata:  # with metadata it is a setting of its own
            continue
        make: Any = part.default_factory
        yield part.name, make() if part.default is MISSING else part.default


# ---- texts


def list_of(texts: Mapping[str, str]) -> str:
    """Return a line for each name, with their texts below each other."""
    width = max(map(len, texts))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in texts.items())


def notify(text: str) -> None:
    """Print a line of progress or a note, on standard error."""
    # at once, also where several threads write
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()
