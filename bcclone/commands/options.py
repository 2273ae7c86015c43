"""What a command is: a function whose parameters, dataclasses of settings, make its arguments and
options.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import partial
from inspect import getdoc
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar, get_args, get_origin

from bcclone.system.errors import UserError, printable
from bcclone.system.location import as_local
from bcclone.system.settings import (
    Force,
    Setting,
    argument,
    option_of,
    setting,
    settings_of,
    type_of,
)

Settings = TypeVar("Settings")
_TYPES = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
_NOTHING = "nothing was written; an older output is unchanged"


@dataclass(frozen=True)
class Result:
    """What a command prints: a value with --json, else the text; None prints nothing.

    notes: printed on standard error before it; wrote: files, which are named there after it, a
    report to open in a browser last; code: the exit code.
    """

    value: Any
    text: str | None
    notes: Iterable[str] = ()
    wrote: Sequence[Path] = ()
    code: int = 0

    @classmethod
    def of(cls, outcome: Any, **others: Any) -> Self:
        """Return what is printed of the result of a library function, which has as_text() and
        perhaps as_json().
        """
        return cls(
            outcome.as_json() if hasattr(outcome, "as_json") else outcome,
            outcome.as_text(),
            **others,
        )


@dataclass(frozen=True)
class ResultsFolder:
    """The folder for the results of a command."""

    output: Path | None = setting(
        None, "folder to write a report, pictures and figures into", unit="DIR", shown="none"
    )
    force: Force = setting(False)

    def part(self, name: str) -> Path | None:
        """Return a folder in it, None without it."""
        return self.output and self.output / name


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


class Given:
    """What the user gave to a command.

    parser: of the command; argv: the words after its name, by default those of this process. Exits
    with code 2, as argparse does, for words that the parser does not accept.
    """

    def __init__(self, parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> None:
        self.parser = parser
        self._values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in vars(
                parser.parse_intermixed_args(_model_first(parser, argv))
            ).items()
            if value not in (None, [])
        }
        self._values |= dict(self._values.pop("assigned", ()))

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the fields of a settings dataclass that the user gave."""
        return {
            each.name: self._values[each.name] for each in fields(kind) if each.name in self._values
        }

    def make(self, kind: Callable[..., Settings], **others: Any) -> Settings:
        """Return the settings of this kind that the user chose. others: fields without an option."""
        parts = {name: replace(part, **self.of(part)) for name, part in _parts(kind)}
        return kind(**(parts | self.of(kind) | others))

    def refuse(self, kind: Any, why: str) -> None:
        """Raise UserError if the user gave an option of this settings dataclass, which has no
        effect here.

        why: the rest of the sentence, with the remedy.
        """
        for each, _ in settings_of(kind):
            if each.name in self._values:
                raise UserError(f"{option_of(kind, each.name)} {why}")

    def kept(self, name: str, text: str, part: str = "", otherwise: str = _NOTHING) -> str:
        """Return what Ctrl-C leaves in the folder that an option names, or in a part of it;
        otherwise: without it.
        """
        folder: Any = self._values.get(name)
        return f"{folder / part} keeps {text}" if folder and (folder / part).exists() else otherwise

    def say(self, text: str) -> None:
        """Print a line of a server on standard output; on standard error with --json and --quiet."""
        common = self.make(Common)
        print(
            printable(text),
            file=sys.stderr if common.json or common.quiet else sys.stdout,
            flush=True,
        )


@dataclass(frozen=True)
class Command:
    """A command of a function whose parameters are settings dataclasses, or what the user gave.

    description: shown by --help; settings: the dataclasses whose fields are its arguments and
    options, with those of the dataclasses in them; without: fields that have no option here;
    titles: group of options -> text below its heading; left: what Ctrl-C leaves behind.
    """

    function: Callable[..., Any]
    description: str
    settings: Sequence[type]
    without: Collection[str] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    left: str | Callable[[Given], str] = _NOTHING

    def run(self, given: Given) -> Result:
        """Run the function with what the user gave."""
        result = self.function(
            *(given if kind is Given else given.make(kind) for kind in _parameters(self.function))
        )
        return result if isinstance(result, Result) else Result.of(result)

    def left_behind(self, given: Given) -> str:
        """Return what an interrupted command has left."""
        return self.left if isinstance(self.left, str) else self.left(given)

    def declared(self) -> Iterator[tuple[Any, Any, Setting, Any]]:
        """Yield the settings of the command: dataclass or its value, field, Setting and default."""
        kinds: list[Any] = [*self.settings, Common]
        while kinds:
            kind = kinds.pop(0)
            for each, declared in settings_of(kind):
                if each.name not in self.without:
                    yield (
                        kind,
                        each,
                        declared,
                        each.default if isinstance(kind, type) else getattr(kind, each.name),
                    )
            kinds[:0] = [part for _, part in _parts(kind)]


def command(
    summary: str, *others: type, **declared: Any
) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function, whose docstring is the description and whose parameters are the
    settings.

    summary: its line in the list of commands; others: dataclasses of options that the function does
    not take as parameters; declared: fields of Command.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        taken = [kind for kind in _parameters(function) if kind is not Given]
        return Command(function, getdoc(function) or "", (*taken, *others), **declared)

    return decorate


def _parameters(function: Callable[..., Any]) -> list[Any]:
    return [kind for name, kind in function.__annotations__.items() if name != "return"]


def _parts(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and default of the settings dataclasses in a settings dataclass."""
    for each in fields(kind):
        if is_dataclass(each.type) and not each.metadata:
            made: Any = each.default_factory
            yield each.name, made() if each.default is MISSING else each.default


class Parser(argparse.ArgumentParser):
    """A parser whose errors, which repeat words of the user, have no control characters."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def make_parser(command: Command, prog: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    parser = Parser(prog=prog, description=command.description, formatter_class=_HelpFormatter)
    declare(command, parser)
    return parser


def declare(command: Command, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments and options of a command. One that the user leaves out is None; Given
    tells which.
    """
    rare = {}
    for kind, each, declared, default in command.declared():
        option = option_of(kind, each.name)
        if declared.rare:
            rare[option.removeprefix("--set ")] = each, declared
            continue
        names = (
            [each.name]
            if declared.positional
            else ["-o", option]
            if option == "--output"
            else [option]
        )
        how = _how(type_of(each), declared, each.name, default) | (
            {} if declared.positional else {"dest": each.name}
        )
        groups, title = {group.title: group for group in parser._action_groups}, declared.group
        group = groups.get(title) or (
            parser.add_argument_group(title, command.titles.get(title)) if title else parser
        )
        group.add_argument(*names, help=help_of(declared, default), **how)
    if rare:
        parser.add_argument(
            "--set",
            dest="assigned",
            action="append",
            metavar="NAME=VALUE",
            type=_converter(tuple, partial(_assign, rare)),
            help=f"set one of {', '.join(rare)}; repeatable; docs/reference/cli.md explains them",
        )


def _model_first(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> Sequence[str] | None:
    """Return the words of a command line, in which --model MODEL may stand for a first argument
    that is a model.
    """
    first = next((action.dest for action in parser._actions if not action.option_strings), "")
    if first not in ("model", "models") or "--model" in parser._option_string_actions:
        return argv
    named = argparse.ArgumentParser(parser.prog, add_help=False, allow_abbrev=False)
    named.add_argument("--model", action="append", default=[])
    values, others = named.parse_known_args(argv)
    return [*values.model, *others]


def _assign(rare: Mapping[str, tuple[Any, Setting]], text: str) -> tuple[str, Any]:
    """Return name of the field and value of NAME=VALUE; raises ValueError."""
    key, _, value = text.partition("=")
    if key.strip() not in rare:
        raise ValueError(f"{text!r}, expected NAME=VALUE with one of {', '.join(rare)}")
    each, declared = rare[key.strip()]
    kind = type_of(each)
    try:
        return each.name, {"true": True, "false": False}[value] if kind is bool else (
            declared.parse or kind
        )(value)
    except (ValueError, KeyError):
        raise ValueError(
            f"{text!r}, expected {'true or false' if kind is bool else 'a value'}"
        ) from None


def _how(kind: Any, declared: Setting, name: str, default: Any) -> dict[str, Any]:
    """Return how argparse reads the values of an option or argument. kind: their type."""
    if kind is bool:
        return {
            "action": argparse.BooleanOptionalAction if default else "store_true",
            "default": None,
        }
    is_list = get_origin(kind) is tuple and declared.parse is None
    is_open = is_list and Ellipsis in get_args(kind)
    member = get_args(kind)[0] if is_list else kind
    metavar = declared.unit or None  # argparse itself shows the choices of an option
    if not metavar and (declared.positional or not declared.choices):
        metavar = name.upper() if declared.positional else _TYPES.get(member, "TEXT")
    how: dict[str, Any] = {
        "type": _converter(member, declared.parse),
        "choices": None if declared.parse else declared.choices or None,
        "metavar": metavar,
    }
    if declared.positional:
        has_default = default is not MISSING
        return how | {
            "nargs": ("*" if has_default else "+") if is_open else "?" if has_default else None
        }
    how |= {"required": True} if default is MISSING else {}
    if is_list and not is_open:
        return how | {"nargs": len(get_args(kind)), "metavar": tuple(declared.unit.split())}
    if is_open and " " in declared.unit:
        return how | {
            "action": "extend",
            "nargs": len(declared.unit.split()),
            "metavar": tuple(declared.unit.split()),
        }
    return how | ({"action": "append"} if is_open else {})


def help_of(declared: Setting, default: Any) -> str:
    """Return the help of an option: what it sets, the values it takes, and its default."""
    notes = [] if declared.choices else [declared.expected.partition(", or 0 for")[0]]
    notes += [f"0: {declared.zero}"] if declared.zero else []
    if declared.shown or not (default is False or default is None or default is MISSING):
        notes += [f"default: {declared.shown or _shown(default)}"]
    shown = "; ".join(note for note in notes if note)
    return (f"{declared.help} ({shown})" if shown else declared.help).replace("%", "%%")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def _converter(kind: Any, parse: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """Return the function that converts the option's text to a value; argparse shows why it refuses
    one.
    """
    parse = parse or (as_local if kind is Path else kind)

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    if kind is Path:
        convert.__name__ = "path"
    return kind if parse in (int, float, str) else convert


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help whose usage line shows the positional arguments, and only `[options]` for the rest."""

    def _format_usage(
        self, usage: str | None, actions: Any, groups: Any, prefix: str | None
    ) -> str:
        named = [action for action in actions if not action.option_strings]
        text = super()._format_usage(usage, named, [], prefix)
        if (
            usage or len(named) >= len(actions) - 1
        ):  # parse_intermixed_args() gives the text of this function
            return text
        return text.replace(self._prog, f"{self._prog} [options]", 1)


def list_of(texts: Mapping[str, str]) -> str:
    """Return a line for each name, with their texts below each other."""
    width = max(map(len, texts))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in texts.items())


def notify(text: str) -> None:
    """Print a line of progress or a note, on standard error."""
    sys.stderr.write(printable(text) + "\n")  # at once, also where several threads write
    sys.stderr.flush()
