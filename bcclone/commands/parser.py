"""A command -> its argparse parser, with an argument or an option for each of its settings."""

import argparse
from collections.abc import Callable
from dataclasses import MISSING
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from bcclone.commands.options import Command
from bcclone.system.errors import printable
from bcclone.system.location import as_local
from bcclone.system.settings import Declared, Setting

RARE = "rarely needed"  # title of the last group of options in --help
# type of a value without a unit -> its placeholder in --help
_VALUES = {int: "N", float: "X", Path: "PATH", str: "TEXT"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors contain no control characters of what the user typed, and show
    examples.
    """

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))

    def _match_argument(self, action: argparse.Action, pattern: str) -> int:
        """Return how many words an option takes; an error shows an example of them."""
        try:
            return super()._match_argument(action, pattern)
        except argparse.ArgumentError as error:
            example = getattr(action, "example", "")
            if not example:
                raise
            option = action.option_strings[-1]
            message = f"{error.message}, such as: {option} {example}"
            raise argparse.ArgumentError(action, message) from None


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formats the help so that its usage line has `[options]` in place of a list of all options."""

    def _format_usage(
        self, usage: str | None, actions: Any, groups: Any, prefix: str | None
    ) -> str:
        arguments = [action for action in actions if not action.option_strings]
        text = super()._format_usage(usage, arguments, [], prefix)
        has_options = len(arguments) < len(actions) - 1  # besides --help
        # parse_intermixed_args() gives `usage`, a text that this function has made before
        if usage or not has_options:
            return text
        return text.replace(self._prog, f"{self._prog} [options]", 1)


def make_parser(command: Command, prog: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    parser = Parser(prog=prog, description=command.description, formatter_class=_HelpFormatter)
    declare(command, parser)
    return parser


def declare(command: Command, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments and options of a command.

    The value of those that the user leaves out is None; see Given.
    """
    for declared in sorted(command.declared(), key=lambda each: each.setting.rare):
        title = RARE if declared.setting.rare else declared.setting.group
        _add(declared, _group(title, command, parser))


def _group(
    title: str, command: Command, parser: argparse.ArgumentParser
) -> argparse._ActionsContainer:
    """Return the group of options with a title; it is made when it is first needed.

    title: heading of the group in --help; "" for the parser itself
    """
    if not title:
        return parser
    for group in parser._action_groups:
        if group.title == title:
            return group
    return parser.add_argument_group(title, command.titles.get(title))


def _add(declared: Declared, group: argparse._ActionsContainer) -> None:
    """Declare one argument or option."""
    how = _how(declared)
    text = help_of(declared.setting, declared.field.default)
    name = declared.field.name
    if declared.setting.positional:
        group.add_argument(name, help=text, **how)
        return
    option = declared.option
    options = ["-o", option] if option == "--output" else [option]
    action = group.add_argument(*options, dest=name, help=text, **how)
    action.example = declared.setting.example  # type: ignore[attr-defined]


def _how(declared: Declared) -> dict[str, Any]:
    """Return how argparse reads the values of a setting: parameters of add_argument()."""
    kind = declared.kind
    setting = declared.setting
    if kind is bool:
        # an option that is on by default also has the form --no-NAME
        action = argparse.BooleanOptionalAction if declared.field.default else "store_true"
        return {"action": action, "default": None}

    # a tuple takes a list of values, unless its parser reads all of it from one text; the list is
    # open if its length is not fixed, as in tuple[str, ...]
    is_list = get_origin(kind) is tuple and setting.parse is None
    is_open = is_list and Ellipsis in get_args(kind)
    member = get_args(kind)[0] if is_list else kind
    how: dict[str, Any] = {
        "type": _converter(member, setting.parse),
        "metavar": _metavar(declared, member),
    }
    if setting.choices and not setting.parse:
        how["choices"] = setting.choices
    if setting.positional:
        how["nargs"] = _number_of_words(is_open, declared.field.default is not MISSING)
        return how
    if declared.field.default is MISSING:
        how["required"] = True

    # A list of a fixed length is one option with a word for each member. An open list is an option
    # that is repeated; each time it takes one word, or one for each word of the unit.
    units = tuple(setting.unit.split())
    if is_list and not is_open:
        how |= {"nargs": len(get_args(kind)), "metavar": units}
    elif is_open and len(units) > 1:
        how |= {"action": "extend", "nargs": len(units), "metavar": units}
    elif is_open:
        how["action"] = "append"
    return how


def _metavar(declared: Declared, member: Any) -> str | None:
    """Return the placeholder of a value in --help; None lets argparse show the choices.

    member: type of the value, or of a member of a list
    """
    if declared.setting.unit:
        return declared.setting.unit
    if declared.setting.positional:
        return declared.name.upper()
    if declared.setting.choices:
        return None
    return _VALUES.get(member, "TEXT")


def _number_of_words(is_open: bool, has_default: bool) -> str | None:
    """Return how many words a positional argument takes, as argparse's nargs; None for one.

    is_open: takes any number of words
    """
    if is_open:
        return "*" if has_default else "+"
    return "?" if has_default else None


def _converter(kind: Any, parse: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """Return the function that converts a text to a value; argparse prints the errors it raises.

    kind: type of the value
    parse: parser of the setting, if it has one
    """
    if kind is Path and parse is None:
        parse = as_local
    parse = parse or kind
    if parse in (int, float, str):
        return parse  # argparse names the type in its own message: invalid int value

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    if kind is Path:
        # by this name, `bcclone completion` recognizes options whose value a shell completes
        convert.__name__ = "path"
    return convert


def help_of(setting: Setting, default: Any) -> str:
    """Return the help of an option: what it sets, the values it takes, and its default."""
    notes = []
    if setting.expected and not setting.choices:
        # what 0 stands for has a note of its own below
        values, _, _ = setting.expected.partition(", or 0 for")
        notes.append(values)
    if setting.zero:
        notes.append(f"0: {setting.zero}")
    is_off = default is False or default is None or default is MISSING
    if setting.shown:
        notes.append(f"default: {setting.shown}")
    elif not is_off:
        notes.append(f"default: {_shown(default)}")
    text = setting.help
    if notes:
        text += f" ({'; '.join(notes)})"
    return text.replace("%", "%%")


def _shown(value: Any) -> str:
    """Return a default value as --help shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "none"
