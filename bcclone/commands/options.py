"""Declare options from settings dataclasses, build settings from the options given, and print results."""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args, get_origin

from bcclone.system.atomic import make_folder
from bcclone.system.errors import UserError, printable
from bcclone.system.json_values import to_json
from bcclone.system.location import Location, as_local, reaching
from bcclone.system.settings import Setting, SettingError, option_of, settings_of, type_of

Settings = TypeVar("Settings")


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of a parser and of its subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for use in action.choices.values():
                yield from actions_of(use)
        else:
            yield action


_TYPES = {int: "N", float: "X", Path: "PATH", str: "TEXT"}


def add_settings(
    parser: argparse.ArgumentParser,
    kind: Any,
    only: Sequence[str] = (),
    titles: Mapping[str, str] | None = None,
    shown: Mapping[str, str] | None = None,
) -> None:
    """Add an option for each setting of a dataclass, or an argument; its group, help and default come from the field.

    An option that the user leaves out is None, so that given_for() returns those that were given. only: names of the
    fields, all by default; titles: group -> a description that --help shows below the group's heading; shown: name of a
    field -> the default to show, where that of a command differs.
    """
    for each, declared in settings_of(kind):
        if shown and each.name in shown:
            declared = replace(declared, shown=shown[each.name])
        if only and each.name not in only:
            continue
        _add(_group(parser, declared.group, titles or {}), each, declared, option_of(kind, each.name))


def _add(group: argparse._ActionsContainer, each: Any, declared: Setting, name: str) -> None:
    kind, text = type_of(each), _help(each, declared)
    if kind is bool:
        action = argparse.BooleanOptionalAction if each.default else "store_true"
        group.add_argument(name, dest=each.name, action=action, default=None, help=text)
        return
    names, values = [*(["-o"] if name == "--output" else []), name], {"dest": each.name}
    is_list = get_origin(kind) is tuple and declared.parse is None
    is_open = is_list and Ellipsis in get_args(kind)
    number: Any = None
    if declared.positional:
        names, values = [each.name], {}
        if each.default is not MISSING:
            number = "*" if is_open else "?"
        elif is_open:
            number = "+"
    elif is_open:
        values["action"] = "append"
    elif is_list:
        number = len(get_args(kind))
    group.add_argument(
        *names,
        **values,
        nargs=number,
        type=_parser_of(get_args(kind)[0] if is_list else kind, declared.parse),
        choices=None if declared.parse else declared.choices or None,
        metavar=_metavar(kind, declared, number),
        help=text,
    )


def _group(parser: argparse.ArgumentParser, title: str, titles: Mapping[str, str]) -> argparse._ActionsContainer:
    """Return the parser's group of this title, made when it is first asked for."""
    if not title:
        return parser
    for group in parser._action_groups:
        if group.title == title:
            return group
    return parser.add_argument_group(title, titles.get(title))


def _help(each: Any, declared: Setting) -> str:
    """Return the help of an option: what it sets, the values it takes, and its default."""
    notes = [] if declared.choices else [declared.expected.partition(", or 0 for")[0]]
    notes += [f"0: {declared.zero}"] if declared.zero else []
    if declared.shown or not (each.default is False or each.default is None or each.default is MISSING):
        notes += [f"default: {declared.shown or _shown(each.default)}"]
    shown = "; ".join(note for note in notes if note)
    return (f"{declared.help} ({shown})" if shown else declared.help).replace("%", "%%")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def _metavar(kind: Any, declared: Setting, number: Any) -> str | tuple[str, ...] | None:
    """Return what --help shows for the value; None for choices, which argparse shows itself."""
    if isinstance(number, int):
        return tuple(declared.unit.split())
    return declared.unit or (None if declared.choices else _TYPES.get(kind, "TEXT"))


def _parser_of(kind: Any, parse: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """Return the function that converts the option's text to a value; argparse shows why it refuses one."""
    parse = parse or (as_local if kind is Path else kind)

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return kind if parse in (int, float, str) else convert


def local_path(text: str) -> Path:
    """Return a path for argparse, which shows why a URL is refused."""
    try:
        return as_local(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def declare(command: ModuleType, parser: argparse.ArgumentParser) -> None:
    """Declare the options of a command's module, and those that every command has; cli.run() reads the last two."""
    command.add_arguments(parser)
    uses = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for each in uses[0].choices.values() if uses else [parser]:
        _add_output_options(each)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", action="store_true", help="print one JSON value on standard output, and nothing else there"
    )
    group.add_argument("--quiet", action="store_true", help="print only the result and errors, no progress")
    group.add_argument("--debug", action="store_true", help="print the traceback of an error, too")


def given_for(kind: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a settings dataclass that the user gave by options; several values are a tuple."""
    values = {each.name: getattr(arguments, each.name, None) for each in fields(kind)}
    given = {name: value for name, value in values.items() if value is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def refuse(
    arguments: argparse.Namespace, kind: Any, why: str, names: Collection[str] = (), but: Collection[str] = ()
) -> None:
    """Raise UserError if the user gave an option that has no effect here.

    kind: the settings dataclass that declares it; why: the rest of the sentence, with the remedy; names: of the fields,
    all by default; but: fields that are allowed.
    """
    for name in given_for(kind, arguments):
        if name not in but and (not names or name in names):
            raise UserError(f"{option_of(kind, name)} {why}")


def chosen(kind: Callable[..., Settings], arguments: argparse.Namespace, **others: Any) -> Settings:
    """Return the settings of this kind that the options choose. others: fields without an option."""
    return kind(**(given_for(kind, arguments) | others))


def add_settings_file(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a TOML file with settings."""
    parser.add_argument(
        "--settings",
        type=local_path,
        metavar="FILE",
        help="read settings from this TOML file; options override them (default: none)",
    )


@contextmanager
def settings_as_typed(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Turn a SettingError of a command into a UserError, which names each setting as the user types it."""
    try:
        yield
    except SettingError as error:
        typed = {action.dest: _typed(action) for action in actions_of(parser)}
        raise UserError(error.naming(lambda name: typed.get(name, name))) from None


def _typed(action: argparse.Action) -> str:
    """Return the option in full, or a positional argument as --help names it."""
    options = [option for option in action.option_strings if not option.startswith("--no-")]
    return options[-1] if options else str(action.metavar or action.dest)


def list_of(texts: Mapping[str, str]) -> str:
    """Return a line for each name, with their texts below each other."""
    width = max(map(len, texts))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in texts.items())


def add_browser(parser: argparse.ArgumentParser) -> None:
    """Add the option that keeps show_report() from opening a browser."""
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="at a terminal, open the report in a browser, where this machine has one (default: on)",
    )


def show_report(arguments: argparse.Namespace, report: Path) -> None:
    """Open a report in a browser for a person at a terminal; not with --no-browser, --json and --quiet."""
    if arguments.browser and not (arguments.json or arguments.quiet) and sys.stdout.isatty():
        from bcclone.system.browser import open_in_browser

        open_in_browser(report)


def number_of(number: int, noun: str) -> str:
    """Return a number and a noun, such as "1 recording" or "2 recordings"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextmanager
def results_folder(folder: Path | None) -> Iterator[None]:
    """Make the folder for the results before any work is done; one that was new and stays empty is removed again."""
    if folder is None:
        yield
        return
    is_new = not folder.exists()
    make_folder(folder)
    try:
        yield
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def print_json(value: Any) -> None:
    """Print the result of --json: JSON values, or a dataclass of them."""
    print(json.dumps(to_json(value), allow_nan=False))


def print_result(arguments: argparse.Namespace, value: Any, text: str) -> None:
    """Print the result of a command: the value with --json, else the text."""
    if arguments.json:
        print_json(value)
    else:
        print(printable(text))


def notify(text: str) -> None:
    """Print a line of progress or a note, on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def describe_unchanged(path: Location) -> str:
    """Return that an interrupted command did not change its output."""
    with reaching(path):
        return f"{path} is unchanged" if path.exists() else f"{path} was not written"
