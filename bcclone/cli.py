"""Run a command: a command line -> output and an exit code.

It serves `bcclone SUBCOMMAND` and the four scripts: parse, run, print the result, as a text or as
JSON, or one message for an error.
"""

import argparse
import errno
import io
import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path

from bcclone.commands import COMMANDS, FAMILIES, GROUPS, load_command, split_line
from bcclone.commands.options import Browser, Command, Common, Given, Result, notify
from bcclone.commands.parser import make_parser
from bcclone.system.errors import UserError, __version__, commands_shown_as_in, printable
from bcclone.system.process import raising_interrupts
from bcclone.system.settings import SettingError, key_of
from bcclone.system.values import to_json

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
_FINISHED = "the command had finished; what it wrote is complete"  # printed after a late Ctrl-C
_REMEDIES = {
    errno.ENOSPC: "the disk is full; make room or choose another place",
    errno.EDQUOT: "the disk quota is used up; make room or choose another place",
    errno.EFBIG: "the file is larger than the system allows here; choose another place",
    errno.EACCES: "no permission; change the permissions or choose another place",
    errno.EPERM: "no permission; change the permissions or choose another place",
    errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
    errno.EISDIR: "it is a folder, expected a file; remove it or choose another name",
    errno.ENOTDIR: "a part of the path is a file, expected a folder; choose another place",
    errno.EEXIST: "it exists, and is no folder; remove it or choose another name",
    errno.ELOOP: "its links lead in a circle; choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENOENT: "there is no such file or folder, or its drive was removed; check the name and "
    "the drive",
    errno.EIO: "the disk or drive cannot be read or written; check it and its cable, and copy what "
    "it holds",
    errno.ESTALE: "the network drive no longer has it; mount the drive again, and run the command "
    "again",
    errno.ETIMEDOUT: "the network drive does not answer; check the connection, and run the command "
    "again",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `bcclone COMMAND ...`; return the exit code."""
    if argv is None:
        argv = sys.argv[1:]
    name, words = split_line(argv)
    if name:
        return run(name, f"bcclone {name}", words)
    return _list_commands([printable(word) for word in argv])


def _list_commands(words: Sequence[str]) -> int:
    """Answer a line that names no command: with the list, the version or an error.

    Most answers end the process, as argparse does; the others return the exit code.
    """
    # after the first word of commands of two words, only these are listed
    family = ""
    if words and words[0] in FAMILIES:
        family = words[0]
    commands = [name for name in COMMANDS if name.startswith(family)]
    parser = argparse.ArgumentParser(
        prog="bcclone",
        description="Record driving in the Udacity simulator, train a network on it, and let it "
        "drive.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_table_of(commands),
    )
    parser.add_argument("--version", action="version", version=f"bcclone {__version__}")
    parser.add_argument(
        "command",
        choices=commands,
        metavar="COMMAND",
        help="one of those below; each has its --help",
    )
    if not words:
        parser.print_help(sys.stderr)
    elif family and words[1:2] in (["-h"], ["--help"]):
        parser.parse_args(["--help"])
    elif family:
        parser.parse_args([" ".join(words[:2])])
    else:
        parser.parse_args(words)
    return 2


def _table_of(names: Collection[str]) -> str:
    """Return the table of these commands, with a heading for each group."""
    width = max(map(len, names))
    lines = []
    for heading, group in GROUPS.items():
        listed = [name for name in group if name in names]
        if listed:
            lines += ["", f"{heading}:"]
            lines += [f"  {name:<{width}}  {group[name].summary}" for name in listed]
    return "\n".join(lines[1:])


def run(name: str, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run one command by its name and return its exit code."""
    return run_command(load_command(name), prog, argv)


def run_command(command: Command, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error becomes one message on standard error."""
    # a wrong command line ends the process here, with exit code 2
    given = Given(make_parser(command, prog), argv)
    common = given.make(Common)

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # paths may not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    silence = _only_errors() if common.quiet else nullcontext()
    try:
        with raising_interrupts(), silence, commands_shown_as_in(prog):
            code = perform(command, given)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        left = str(interrupt) or command.left_behind(given)
        print(printable(f"\ninterrupted: {left}"), file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has closed it
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 1
    except Exception as error:
        if common.debug:
            traceback.print_exc()
        text, code = describe(error)
        print(f"error: {printable(text)}", file=sys.stderr)
    return code


def perform(command: Command, given: Given) -> int:
    """Run a command and print its result; return the exit code. Raises what the command raises."""
    common = given.make(Common)
    with settings_as_typed(given.parser):
        result = command.run(given)
    try:
        _print(result, common)
        if Browser in command.settings and given.make(Browser).browser:
            _show_report(result, common)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_FINISHED) from None
    return result.code


def _print(result: Result, common: Common) -> None:
    """Print a result: notes and names of files on standard error, the rest on standard output."""
    for note in result.notes:
        notify(note)
    if common.json:
        print(json.dumps(to_json(result.value), allow_nan=False))
    elif result.text is not None:
        print(printable(result.text))
    for path in result.wrote:
        notify(f"wrote {path}")


def _show_report(result: Result, common: Common) -> None:
    """Open a report in a browser, for a person at a terminal."""
    if not result.wrote or common.json or common.quiet or not sys.stdout.isatty():
        return
    from bcclone.system.hardware import open_in_browser

    open_in_browser(result.wrote[-1])


@contextmanager
def settings_as_typed(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Turn a SettingError into a UserError, which names each setting as the user types it."""
    try:
        yield
    except SettingError as error:
        typed = {}
        for action in parser._actions:
            # the option in full, or a positional argument as --help names it
            options = [option for option in action.option_strings if not option.startswith("--no-")]
            typed[action.dest] = options[-1] if options else str(action.metavar or action.dest)
        # a setting without an option is named as in a settings file
        raise UserError(error.naming(lambda name: typed.get(name, key_of(name)))) from None


@contextmanager
def _only_errors() -> Iterator[None]:
    """Suppress everything on standard error except logged errors and the messages of run()."""
    root = logging.getLogger()
    level = root.level
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.setLevel(level)


def describe(error: Exception) -> tuple[str, int]:
    """Return the message for an error, and the exit code."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if (
        isinstance(error, ModuleNotFoundError)
        and error.name
        and not error.name.startswith("bcclone")
    ):
        package = error.name.partition(".")[0]
        return (
            f"the package {package} is not installed for {sys.executable}; activate bcclone's "
            "environment (. .venv/bin/activate), or install it: pip install -e ."
        ), 1
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        # all disks are full
        return (
            "no temporary file can be written; make room, or set TMPDIR to a folder on another "
            "disk",
            1,
        )
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        remedy = _REMEDIES[error.errno]
        if error.filename:
            return f"{error.filename}: {remedy}", 1
        # without a name, a missing file says nothing to the user: it is one of bcclone's own
        if error.errno != errno.ENOENT:
            return remedy, 1
    fault = f"internal error of bcclone: {type(error).__name__}: {error}\nplease report it"
    return f"{fault}; {_save_traceback(error)}", INTERNAL_ERROR


def _save_traceback(error: Exception) -> str:
    """Write the traceback to a file, since the error may not occur again; return where it is."""
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="bcclone-fault-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return "run the same command with --debug for the traceback"
    return f"the traceback is in {file.name}"
