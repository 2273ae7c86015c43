"""What a command is: its settings, which make the parser; what the user gave; and the result, which cli prints."""

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from bcclone.system.errors import UserError, printable
from bcclone.system.location import Location, as_local, reaching
from bcclone.system.settings import Setting, argument, option_of, setting, settings_of, type_of

if TYPE_CHECKING:
    from bcclone.evaluate.watched import WatchFile

Settings = TypeVar("Settings")
_TYPES = {int: "N", float: "X", Path: "PATH", str: "TEXT"}


@dataclass(frozen=True)
class Command:
    """What the module of a command declares beside its docstring, which is the description in --help.

    summary: its line in the list of commands; settings: the dataclasses whose fields are its arguments and options,
    with those of the dataclasses in them; without: fields that have no option here; titles: group of options -> text
    below its heading; left: what Ctrl-C leaves behind, where that is not its output.
    """

    summary: str
    settings: Sequence[type]
    without: Collection[str] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    left: str = ""


@dataclass(frozen=True)
class Result:
    """What a command prints: a value with --json, else the text.

    wrote: files, which are named on standard error; report: a page to open in a browser; then: a last hint; code: the
    exit code.
    """

    value: Any
    text: str | None
    wrote: Sequence[Path] = ()
    report: Path | None = None
    then: str = ""
    code: int = 0


@dataclass(frozen=True)
class Output:
    """The folder for the results of a command."""

    output: Path | None = setting(None, "folder to write a report, pictures and figures into", unit="DIR", shown="none")


@dataclass(frozen=True)
class Models:
    """The models of a command."""

    models: tuple[Path, ...] = argument("a model file, or several", unit="MODEL")


@dataclass(frozen=True)
class Browser:
    """Whether a report is opened."""

    browser: bool = setting(True, "at a terminal, open the report in a browser, where this machine has one")


@dataclass(frozen=True)
class SettingsFile:
    """A file of settings."""

    settings: Path | None = setting(
        None, "read settings from this TOML file; options override them", unit="FILE", shown="none"
    )


@dataclass(frozen=True)
class Standing:
    """How a server ends."""

    end_with_stdin: bool = setting(False, "exit when standard input is closed, for programs that start the server")


@dataclass(frozen=True)
class Common:
    """What every command can do."""

    json: bool = setting(False, "print one JSON value on standard output, and nothing else there", group="output")
    quiet: bool = setting(False, "print only the result and errors, no progress", group="output")
    debug: bool = setting(False, "print the traceback of an error, too", group="output")


class Given:
    """What the user gave to a command.

    parser: of the command; argv: the words after its name, by default those of this process. Exits with code 2, as
    argparse does, for words that the parser does not accept.
    """

    def __init__(self, parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> None:
        self.parser = parser
        self._values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in vars(parser.parse_args(argv)).items()
            if value not in (None, [])
        }
        self._values |= dict(self._values.pop("assigned", ()))

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the fields of a settings dataclass that the user gave."""
        return {each.name: self._values[each.name] for each in fields(kind) if each.name in self._values}

    def make(self, kind: Callable[..., Settings], **others: Any) -> Settings:
        """Return the settings of this kind that the user chose. others: fields without an option."""
        parts = {name: replace(part, **self.of(part)) for name, part in _parts(kind)}
        return kind(**(parts | self.of(kind) | others))

    def refuse(self, kind: Any, why: str, names: Collection[str] = ()) -> None:
        """Raise UserError if the user gave an option that has no effect here.

        kind: the settings dataclass that declares it; why: the rest of the sentence, with the remedy; names: of the
        fields, all by default.
        """
        for each, _ in settings_of(kind):
            if each.name in self._values and (not names or each.name in names):
                raise UserError(f"{option_of(kind, each.name)} {why}")

    def say(self, text: str) -> None:
        """Print a line of a server on standard output; on standard error with --json and --quiet."""
        common = self.make(Common)
        print(printable(text), file=sys.stderr if common.json or common.quiet else sys.stdout, flush=True)


def _parts(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and default of the settings dataclasses in a settings dataclass."""
    for each in fields(kind):
        if is_dataclass(each.type) and not each.metadata:
            made: Any = each.default_factory
            yield each.name, made() if each.default is MISSING else each.default


def make_parser(command: ModuleType, prog: str) -> argparse.ArgumentParser:
    """Return the parser of a command's module."""
    parser = argparse.ArgumentParser(prog=prog, description=command.__doc__, formatter_class=_HelpFormatter)
    declare(command, parser)
    return parser


def declare(command: ModuleType, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments and options of a command's module."""
    declared: Command = command.COMMAND
    for kind in (*declared.settings, Common):
        add_settings(parser, kind, declared)
    if rare := {
        option_of(kind, each.name).removeprefix("--set "): (each, said)
        for kind, each, said, _ in rare_settings(declared)
    }:
        parser.add_argument(
            "--set",
            dest="assigned",
            action="append",
            metavar="NAME=VALUE",
            type=_converter(tuple, partial(_assign, rare)),
            help=f"set one of {', '.join(rare)}; repeatable; docs/reference/cli.md explains them",
        )


def rare_settings(command: Command) -> Iterator[tuple[Any, Any, Setting, Any]]:
    """Yield the settings of a command without an option of their own: dataclass, field, Setting and default."""
    kinds: list[Any] = list(command.settings)
    for kind in kinds:
        for each, declared in settings_of(kind):
            if declared.rare and each.name not in command.without:
                yield kind, each, declared, each.default if isinstance(kind, type) else getattr(kind, each.name)
        kinds += [part for _, part in _parts(kind)]


def _assign(rare: Mapping[str, tuple[Any, Setting]], text: str) -> tuple[str, Any]:
    """Return name of the field and value of NAME=VALUE; raises ValueError."""
    key, _, value = text.partition("=")
    if key.strip() not in rare:
        raise ValueError(f"{text!r}, expected NAME=VALUE with one of {', '.join(rare)}")
    each, declared = rare[key.strip()]
    kind = type_of(each)
    try:
        return each.name, {"true": True, "false": False}[value] if kind is bool else (declared.parse or kind)(value)
    except (ValueError, KeyError):
        raise ValueError(f"{text!r}, expected {'true or false' if kind is bool else 'a value'}") from None


def add_settings(parser: argparse.ArgumentParser, kind: Any, command: Command | None = None) -> None:
    """Add the options and arguments of a settings dataclass, or of its value, whose fields are the defaults then.

    One that the user leaves out is None; Given tells which were given.
    """
    for each, declared in settings_of(kind):
        if not declared.rare and (command is None or each.name not in command.without):
            default = each.default if isinstance(kind, type) else getattr(kind, each.name)
            group = _group(parser, declared.group, command.titles if command else {})
            names = [option_of(kind, each.name)] if not declared.positional else [each.name]
            how = _how(type_of(each), declared, each.name, default)
            how |= {} if declared.positional else {"dest": each.name}
            group.add_argument(*["-o"] * (names == ["--output"]), *names, help=help_of(declared, default), **how)
    for _, part in _parts(kind):
        add_settings(parser, part, command)


def _how(kind: Any, declared: Setting, name: str, default: Any) -> dict[str, Any]:
    """Return how argparse reads the values of an option or argument. kind: their type."""
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction if default else "store_true", "default": None}
    is_list = get_origin(kind) is tuple and declared.parse is None
    is_open = is_list and Ellipsis in get_args(kind)
    member = get_args(kind)[0] if is_list else kind
    how: dict[str, Any] = {
        "type": _converter(member, declared.parse),
        "choices": None if declared.parse else declared.choices or None,
        "metavar": _metavar(member, declared, name),
    }
    if declared.positional:
        has_default = default is not MISSING
        return how | {"nargs": ("*" if has_default else "+") if is_open else "?" if has_default else None}
    how |= {"required": True} if default is MISSING else {}
    if is_list and not is_open:
        return how | {"nargs": len(get_args(kind)), "metavar": tuple(declared.unit.split())}
    return how | ({"action": "append"} if is_open else {})


def _group(parser: argparse.ArgumentParser, title: str, titles: Mapping[str, str]) -> argparse._ActionsContainer:
    """Return the parser's group of this title, made when it is first asked for."""
    if not title:
        return parser
    found = [group for group in parser._action_groups if group.title == title]
    return found[0] if found else parser.add_argument_group(title, titles.get(title))


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


def _metavar(kind: Any, declared: Setting, name: str) -> str | None:
    """Return what --help shows for a value; None for the choices of an option, which argparse shows itself."""
    if declared.unit or (declared.choices and not declared.positional):
        return declared.unit or None
    return name.upper() if declared.positional else _TYPES.get(kind, "TEXT")


def _converter(kind: Any, parse: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """Return the function that converts the option's text to a value; argparse shows why it refuses one."""
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

    def _format_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None) -> str:
        named = [action for action in actions if not action.option_strings]
        text = super()._format_usage(usage, named, [], prefix)
        return text.replace(self._prog, f"{self._prog} [options]", 1) if len(named) < len(actions) - 1 else text


def list_of(texts: Mapping[str, str]) -> str:
    """Return a line for each name, with their texts below each other."""
    width = max(map(len, texts))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in texts.items())


def number_of(number: int, noun: str) -> str:
    """Return a number and a noun, such as "1 recording" or "2 recordings"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def notify(text: str) -> None:
    """Print a line of progress or a note, on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def describe_unchanged(path: Location) -> str:
    """Return that an interrupted command did not change its output."""
    with reaching(path):
        return f"{path} is unchanged" if path.exists() else f"{path} was not written"


def find_watch(given: Given) -> "WatchFile | None":
    """Return the monitor that the options name, which is not opened yet; None without one."""
    from bcclone.lab.monitor.monitor_settings import WatchSettings

    monitor = given.make(WatchSettings).monitor
    if monitor is None:
        return None
    from bcclone.evaluate.watched import WatchFile
    from bcclone.lab.monitor.monitor_watch import open_watch

    return WatchFile(monitor, open_watch)
