"""What a command is: a function whose parameters are its arguments and options.

    @command()
    def simulate_record(
        settings: RecordSettings, folder: Path = argument("folder to record into", unit="DIR")
    ) -> Result:
        \"\"\"Let an expert driver drive, and record it.\"\"\"

A parameter with setting() or argument() is one option or argument. A parameter whose type is a
settings dataclass stands for all of its fields, and a parameter of the type Given gets what the
user gave. The docstring is what --help says. In: the words of a command line. Out: a Result, which
bcclone.cli prints.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, make_dataclass
from inspect import getdoc, signature
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from bcclone.system.errors import OtherKind, UserError, command_line, printable, similar_names
from bcclone.system.location import as_local
from bcclone.system.settings import (
    Checked,
    Setting,
    SettingError,
    key_of,
    setting,
    settings_of,
)
from bcclone.system.values import names_of

Settings = TypeVar("Settings")
_NOTHING = "nothing was written; an older output is unchanged"
_MOST_MEANT = 5  # most options that a message offers for one that is not known
_RARE = "rarely needed"  # title of the last group of options in --help
# type of a value without a unit -> its placeholder in --help
_PLACEHOLDERS = {int: "N", float: "X", Path: "PATH"}


@dataclass(frozen=True)
class Result:
    """What a command prints on standard output, and its exit code.

    value: printed with --json, as bcclone.system.values.to_json() writes it
    text: printed without --json; None for nothing
    notes: lines that are printed before the result, on standard error
    wrote: files that are named after the result, on standard error
    """

    value: Any
    text: str | None
    notes: Iterable[str] = ()
    wrote: Sequence[Path] = ()
    code: int = 0


@dataclass(frozen=True)
class Common(Checked):
    """Options that every command has."""

    json: bool = setting(
        False, "print one JSON value on standard output, and nothing else there", group="output"
    )
    quiet: bool = setting(False, "print only the result and errors, no progress", group="output")
    debug: bool = setting(False, "print the traceback of an error, too", group="output")


class Given(dict[str, Any]):
    """The values that the user gave, by the names of their fields or parameters.

    A setting that the user left out is not among them, so that its default holds.
    """

    typed: tuple[str, ...] = ()  # the words of the command line, with the program's

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the values for the fields of a settings dataclass."""
        return {name: self[name] for name in names_of(kind) if name in self}

    def make(self, kind: Callable[..., Settings], **others: Any) -> Settings:
        """Return the settings that the user chose; others: values of fields without an option."""
        return kind(**(self.of(kind) | others))

    def refuse(self, kind: Any, why: str) -> None:
        """Raise UserError if the user gave an option of these settings: "--OPTION why"."""
        for declared in settings_of(kind):
            if declared.name in self:
                raise UserError(f"{declared.flag} {why}")

    def say(self, text: str) -> None:
        """Print a line of a server, on standard output unless that is for the result alone."""
        is_kept_free = self.get("json") or self.get("quiet")
        print(printable(text), file=sys.stderr if is_kept_free else sys.stdout, flush=True)


class Command:
    """A function as a command.

    others: settings dataclasses that are not parameters, because the function reads them from Given
    without: names of fields that have no option in this command
    titles: heading of a group of options in --help -> text below the heading
    after_interrupt: what the command leaves behind after Ctrl-C
    """

    def __init__(
        self,
        function: Callable[..., Result],
        *others: type,
        description: str = "",
        without: Collection[str] = (),
        titles: Mapping[str, str] | None = None,
        after_interrupt: str = _NOTHING,
    ) -> None:
        self.function = function
        self.description = description or getdoc(function) or ""
        self.titles = titles or {}
        self.after_interrupt = after_interrupt
        self._without = without
        self._kinds: dict[str, Any] = {}  # name of a parameter -> its settings dataclass, or Given
        own: list[Any] = []  # the parameters that are settings themselves
        for name, parameter in signature(function).parameters.items():
            if isinstance(parameter.default, Field):
                declared = parameter.default
                copied = field(default=declared.default, metadata=declared.metadata)
                own.append((name, parameter.annotation, copied))
            else:
                self._kinds[name] = parameter.annotation
        self._own: Any = make_dataclass("Own", own, bases=(Checked,), frozen=True, kw_only=True)
        taken = [kind for kind in self._kinds.values() if kind is not Given]
        self.settings = (self._own, *taken, *others)

    def declared(self) -> Iterator[Setting]:
        """Yield all settings of the command, in the order of --help.

        Of a dataclass, those that may only be given by name, which it mostly inherits, are last.
        """
        each = [
            declared
            for kind in (*self.settings, Common)
            for declared in sorted(settings_of(kind), key=lambda one: bool(one.field.kw_only))
            if declared.name not in self._without
        ]
        yield from sorted(each, key=lambda declared: declared.rare)

    def run(self, given: Given) -> Result:
        """Run the function with what the user gave; errors name settings as the user types them."""
        try:
            own = given.make(self._own)
            values = {name: getattr(own, name) for name in names_of(self._own)}
            for name, kind in self._kinds.items():
                values[name] = given if kind is Given else given.make(kind)
            self._check_places(given)
            return self.function(**values)
        except SettingError as error:
            raise UserError(error.naming(self._as_typed)) from None
        except OtherKind as error:
            places = [declared for declared in self.declared() if declared.positional]
            if len(places) < 2:
                raise
            order = " ".join(self._as_typed(declared.name) for declared in places)
            text = f"{error}; the order of the arguments is {order}"
            raise UserError(text, error.exit_code) from None

    def _check_places(self, given: Given) -> None:
        """Raise UserError, before any work, where an output that the user named cannot be."""
        from bcclone.system.files import check_place  # loaded only by commands that run

        for declared in self.declared():
            if declared.writes and isinstance(path := given.get(declared.name), Path):
                check_place(path)

    def _as_typed(self, name: str) -> str:
        for declared in self.declared():
            if declared.name == name:
                argument = declared.unit or name.upper()
                return argument if declared.positional else declared.flag
        return key_of(name)


def command(*others: type, **values: Any) -> Callable[[Callable[..., Result]], Command]:
    """Return a decorator that makes a Command of a function; see there.

    The command also needs a line in the table of bcclone/commands/__init__.py.
    """
    return lambda function: Command(function, *others, **values)


# ---- a command line


class Parser(argparse.ArgumentParser):
    """Prints no control characters of what the user typed, and similar options for a wrong one.

    An option is typed whole: so without_secrets() finds those that are secret.
    """

    def __init__(self, **values: Any) -> None:
        super().__init__(**values, allow_abbrev=False)
        self.typed: Sequence[str] = ()  # the words to parse, of which errors name the wrong options

    def error(self, message: str) -> NoReturn:
        is_of_options = message.startswith("unrecognized arguments: ")
        if is_of_options or message.startswith("the following arguments are required: "):
            known = [name for name in self._option_string_actions if name.startswith("--")]
            typed = itertools.takewhile(lambda word: word != "--", self.typed)
            options = [word.partition("=")[0] for word in typed if word.startswith("--")]
            wrong = [option for option in options if option not in known]
            if wrong and not is_of_options:
                message += f"; no option is called {' or '.join(wrong)}"
            near = [" or ".join(meant) for option in wrong if (meant := _meant(option, known))]
            if near:
                message += f"; did you mean {' and '.join(near)}?"
        super().error(printable(message))


def _meant(typed: str, options: Sequence[str]) -> list[str]:
    """Return the options that a wrong one may mean: those that begin so, or else a similar one."""
    longer = [option for option in options if option.startswith(typed)]
    return longer[:_MOST_MEANT] or similar_names(typed, options)[:1]


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Puts `[options]` in the usage line, in place of a list of all options."""

    def _format_usage(
        self, usage: str | None, actions: Any, groups: Any, prefix: str | None
    ) -> str:
        arguments = [action for action in actions if not action.option_strings]
        text = super()._format_usage(usage, arguments, [], prefix)
        # parse_intermixed_args() gives `usage`, a text that this function has made before
        return text if usage else text.replace(self._prog, f"{self._prog} [options]", 1)


def make_parser(command: Command, prog: str) -> Parser:
    """Return the parser of a command."""
    parser = Parser(prog=prog, description=command.description, formatter_class=_HelpFormatter)
    add_options(command, parser)
    return parser


def parse(command: Command, program: Sequence[str], words: Sequence[str]) -> Given:
    """Return what the user gave; exits with code 2, as argparse does, for a wrong command line.

    program: the words that name the command; words: those after them
    """
    parser = make_parser(command, command_line(program))
    parser.typed = words
    parsed = parser.parse_intermixed_args(words)
    given = Given(
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in vars(parsed).items()
        if value not in (None, [])  # an option or an argument that was left out
    )
    given.typed = (*program, *words)
    return given


def add_options(command: Command, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments and options of a command; the value of one that is left out is None."""
    groups: dict[str, Any] = {"": parser}
    for declared in command.declared():
        title = _RARE if declared.rare else declared.group
        if title not in groups:
            groups[title] = parser.add_argument_group(title, command.titles.get(title))
        how = _how(declared)
        if declared.positional:
            groups[title].add_argument(declared.name, help=help_of(declared), **how)
            continue
        options = ["-o", declared.flag] if declared.flag == "--output" else [declared.flag]
        groups[title].add_argument(*options, dest=declared.name, help=help_of(declared), **how)


def _how(declared: Setting) -> dict[str, Any]:
    """Return how argparse reads the values of a setting: parameters of add_argument()."""
    kind = declared.kind
    default = declared.field.default
    if kind is bool:
        # an option that is on, or open, by default also has the form --no-NAME
        return {
            "action": "store_true" if default is False else argparse.BooleanOptionalAction,
            "default": None,
        }
    # a tuple takes a list of values, unless its parser reads all of it from one text; the list is
    # open if its length is not fixed, as in tuple[str, ...]
    is_list = get_origin(kind) is tuple and declared.parse is None
    is_open = is_list and Ellipsis in get_args(kind)
    member = get_args(kind)[0] if is_list else kind
    # the placeholder in --help; for choices argparse makes one
    placeholder = None if declared.choices else _PLACEHOLDERS.get(member, "TEXT")
    how: dict[str, Any] = {"type": _converter(member, declared.parse)}
    how["metavar"] = declared.unit or (
        declared.name.upper() if declared.positional else placeholder
    )
    if declared.choices and not declared.parse:
        how["choices"] = declared.choices
    if declared.positional:
        several, one = ("+", None) if default is MISSING else ("*", "?")
        how["nargs"] = several if is_open else one
        return how
    if default is MISSING:
        how["required"] = True

    # A list of a fixed length is one option with a word for each member. An open list is an option
    # that is repeated; each time it takes one word, or one for each word of the unit.
    units = tuple(declared.unit.split())
    if is_list and not is_open:
        how |= {"nargs": len(get_args(kind)), "metavar": units}
    elif is_open and len(units) > 1:
        how |= {"action": "extend", "nargs": len(units), "metavar": units}
    elif is_open:
        how["action"] = "append"
    return how


def _converter(kind: Any, parse: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """Return the function that converts a text to a value; argparse prints the errors it raises."""
    parse = parse or (as_local if kind is Path else kind)
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


def help_of(declared: Setting) -> str:
    """Return the help of an option: what it sets, the values it takes, and its default."""
    default = declared.field.default
    notes = []
    if declared.expected and not declared.choices:
        notes.append(declared.expected.partition(", or 0 for")[0])
    if declared.zero:
        notes.append(f"0: {declared.zero}")
    if declared.shown:
        notes.append(f"default: {declared.shown}")
    elif default is True:
        notes.append("default: on")
    elif default is not False and default is not None and default is not MISSING:
        words = f"{default:g}" if isinstance(default, float) else str(default)
        if isinstance(default, tuple):
            words = ",".join(map(str, default))
        notes.append(f"default: {words or 'none'}")
    text = f"{declared.help} ({'; '.join(notes)})" if notes else declared.help
    return text.replace("%", "%%")


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
