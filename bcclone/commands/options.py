"""What a command is: a function whose parameters are settings dataclasses.

The fields of the dataclasses are the command's options and arguments; bcclone.commands.parser makes
its parser from them. The function returns a Result, which bcclone.cli prints.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from pathlib import Path
from typing import Any, Self, TypeVar

from bcclone.system.errors import UserError, printable
from bcclone.system.files import RESULTS, writing
from bcclone.system.settings import (
    Checked,
    Declared,
    Force,
    argument,
    setting,
    settings_of,
)
from bcclone.system.values import names_of

Settings = TypeVar("Settings")
_NOTHING = "nothing was written; an older output is unchanged"  # printed after Ctrl-C


@dataclass(frozen=True)
class Result:
    """What a command prints on standard output, and its exit code."""

    value: Any  # printed with --json
    text: str | None  # printed without --json; None for nothing
    notes: Iterable[str] = ()  # lines printed before the result, on standard error
    wrote: Sequence[Path] = ()  # files named after the result, on standard error; a report is last
    code: int = 0  # exit code

    @classmethod
    def of(cls, outcome: Any, **others: Any) -> Self:
        """Return the Result that prints the outcome of a library function.

        outcome: has as_text(), and perhaps as_json()
        others: other fields of Result
        """
        value = outcome.as_json() if hasattr(outcome, "as_json") else outcome
        return cls(value, outcome.as_text(), **others)


# ---- settings of several commands


@dataclass(frozen=True)
class ResultsFolder(Checked):
    """The folder for the results of a command."""

    output: Path | None = setting(
        None, "folder to write a report, pictures and figures into", unit="DIR", shown="none"
    )
    force: Force = setting(False)

    def part(self, name: str) -> Path | None:
        """Return the path of a subfolder, None if there is no folder for results."""
        return self.output / name if self.output else None


@dataclass(frozen=True)
class Models(Checked):
    """The models of a command."""

    models: tuple[Path, ...] = argument("a model file, or several", unit="MODEL")


@dataclass(frozen=True)
class Browser(Checked):
    """Whether a report or page is opened in a browser."""

    browser: bool = setting(
        True, "at a terminal, open the report in a browser, where this machine has one"
    )


@dataclass(frozen=True)
class SettingsFile(Checked):
    """A file of settings."""

    settings: Path | None = setting(
        None, "read settings from this TOML file; options override them", unit="FILE", shown="none"
    )


@dataclass(frozen=True)
class Common(Checked):
    """Options that every command has."""

    json: bool = setting(
        False, "print one JSON value on standard output, and nothing else there", group="output"
    )
    quiet: bool = setting(False, "print only the result and errors, no progress", group="output")
    debug: bool = setting(False, "print the traceback of an error, too", group="output")


# ---- what the user gave


class Given:
    """The options and arguments that the user gave to a command.

    A setting that the user left out is not among them, so that the default of its dataclass holds.
    """

    def __init__(self, parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> None:
        """Parse a command line.

        Exits with code 2, as argparse does, for words that the parser does not accept.

        argv: the words after the command's name; None for those of this process
        """
        self.parser = parser
        self._values: dict[str, Any] = {}  # name of a field -> value
        parsed = parser.parse_intermixed_args(_with_model_first(parser, argv))
        for name, value in vars(parsed).items():
            if value in (None, []):  # an option or an argument that was left out
                continue
            self._values[name] = tuple(value) if isinstance(value, list) else value

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the values that the user gave for fields of a settings dataclass, by name."""
        return {name: self._values[name] for name in names_of(kind) if name in self._values}

    def make(self, kind: Callable[..., Settings], **others: Any) -> Settings:
        """Return the settings that the user chose, with defaults for the rest.

        kind: settings dataclass
        others: values of fields that have no option
        """
        return kind(**(self.of(kind) | others))

    def refuse(self, kind: Any, why: str) -> None:
        """Raise UserError if the user gave an option of these settings, which has no effect here.

        why: rest of the sentence that begins with the option; with the remedy
        """
        for declared in settings_of(kind):
            if declared.name in self._values:
                raise UserError(f"{declared.option} {why}")

    def kept(self, name: str, text: str, part: str = "", otherwise: str = _NOTHING) -> str:
        """Return the sentence that says what an interrupted command has left in a folder.

        name: name of the setting that holds the folder
        text: what the folder keeps
        part: subfolder that keeps it, "" for the folder itself
        otherwise: what is returned if there is no such folder
        """
        folder: Path | None = self._values.get(name)
        if folder is None or not (folder / part).exists():
            return otherwise
        return f"{folder / part} keeps {text}"

    def say(self, text: str) -> None:
        """Print a line of a server: on standard error with --json or --quiet, or else on standard
        output.
        """
        common = self.make(Common)
        stream = sys.stderr if common.json or common.quiet else sys.stdout
        print(printable(text), file=stream, flush=True)


def _with_model_first(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> Sequence[str] | None:
    """Return the words of a command line; the value of --model becomes the first argument.

    So every command that takes a model as its first argument also takes it as an option.
    """
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


@dataclass(frozen=True)
class Command:
    """A function, the settings that make its arguments and options, and what --help says."""

    function: Callable[..., Any]  # its parameters are settings dataclasses, or Given
    description: str  # shown by --help
    settings: Sequence[type]  # settings dataclasses, whose fields are arguments and options
    without: Collection[str] = ()  # names of fields that have no option in this command
    # heading of a group of options in --help -> text below the heading
    titles: Mapping[str, str] = field(default_factory=dict)
    # printed after Ctrl-C: what the command leaves behind
    after_interrupt: str | Callable[[Given], str] = _NOTHING

    def run(self, given: Given) -> Result:
        """Run the function with what the user gave; meanwhile its folder of results is locked."""
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
        """Return the sentence that says what an interrupted command has left."""
        if isinstance(self.after_interrupt, str):
            return self.after_interrupt
        return self.after_interrupt(given)

    def declared(self) -> Iterator[Declared]:
        """Yield all settings of the command.

        Those of a settings dataclass are in the order of its parameters: before the values that may
        only be given by name, which it mostly inherits, are its own.
        """
        for kind in (*self.settings, Common):
            for declared in sorted(settings_of(kind), key=lambda each: each.field.kw_only):
                if declared.name not in self.without:
                    yield declared


def command(*others: type, **declared: Any) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a command of a function.

    The function's docstring becomes the description, and its parameters become the settings. The
    command also needs an entry in the table of bcclone/commands/__init__.py.

    others: settings dataclasses that are not parameters; the function reads them from Given
    declared: other fields of Command
    """

    def decorate(function: Callable[..., Any]) -> Command:
        taken = [kind for kind in _parameters(function) if kind is not Given]
        return Command(function, getdoc(function) or "", (*taken, *others), **declared)

    return decorate


def _parameters(function: Callable[..., Any]) -> list[Any]:
    """Return the types of a function's parameters."""
    return [kind for name, kind in function.__annotations__.items() if name != "return"]


# ---- texts


def list_of(texts: Mapping[str, str]) -> str:
    """Return lines of a name and its text each; the texts are aligned."""
    width = max(map(len, texts))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in texts.items())


def notify(text: str) -> None:
    """Print a line of progress or a note, on standard error."""
    # the line and its newline in one write, so that lines of several threads do not mix
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()
