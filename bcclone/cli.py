"""Run a command, for `bcclone SUBCOMMAND` and the four scripts: parse, run, report errors, return
the exit code.
"""

import argparse
import errno
import io
import json
import logging
import os
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr
from pathlib import Path

from bcclone.commands import COMMANDS, FAMILIES, load_command, split_line
from bcclone.commands.options import (
    Browser,
    Command,
    Common,
    Given,
    ResultsFolder,
    list_of,
    make_parser,
    notify,
)
from bcclone.system.errors import UserError, printable
from bcclone.system.interrupts import keeping_interrupts
from bcclone.system.json_values import to_json
from bcclone.system.output import RESULTS, writing
from bcclone.system.settings import SettingError
from bcclone.system.settings_file import key_of
from bcclone.system.version import __version__

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
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
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `bcclone COMMAND ...`; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name, words = split_line(arguments)
    if name:
        return run(name, f"bcclone {name}", words)
    arguments = list(map(printable, arguments))  # a message repeats them
    family = arguments[0] if arguments and arguments[0] in FAMILIES else ""
    commands = {name: text for name, text in COMMANDS.items() if name.startswith(family)}
    parser = argparse.ArgumentParser(
        prog="bcclone",
        description="Record driving in the Udacity simulator, train a network on it, and let it drive.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n" + textwrap.indent(list_of(commands), "  "),
    )
    parser.add_argument("--version", action="version", version=f"bcclone {__version__}")
    parser.add_argument(
        "command",
        choices=commands,
        metavar="COMMAND",
        help="one of those below; each has its --help",
    )
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    asks = family and arguments[1:2] in (["-h"], ["--help"])
    parser.parse_args(arguments[1:] if asks else [" ".join(arguments[:2])] if family else arguments)
    return 2


def run(name: str, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run one command by its name and return its exit code."""
    return run_command(load_command(name), prog, argv)


def run_command(command: Command, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error becomes one message on standard error."""
    given = Given(make_parser(command, prog), argv)
    common = given.make(Common)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # paths may not fit the terminal's encoding
    try:
        with keeping_interrupts(), _only_errors() if common.quiet else nullcontext():
            code = perform(command, given)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        print(
            printable(f"\ninterrupted: {str(interrupt) or command.left_behind(given)}"),
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if common.debug:
            traceback.print_exc()
        text, code = _describe(error)
        print(f"error: {printable(text)}", file=sys.stderr)
    return code


def perform(command: Command, given: Given) -> int:
    """Run a command and print its result; return the exit code. Raises what the command raises."""
    common, kinds = given.make(Common), command.settings
    results = given.make(ResultsFolder) if ResultsFolder in kinds else ResultsFolder()
    with settings_as_typed(given.parser), writing(results.output, RESULTS, results.force):
        result = command.run(given)
        for note in result.notes:
            notify(note)
        if common.json:
            print(json.dumps(to_json(result.value), allow_nan=False))
        elif result.text is not None:
            print(printable(result.text))
        for path in result.wrote:
            notify(f"wrote {path}")
        shows = result.wrote and Browser in kinds and given.make(Browser).browser
        if shows and not (common.json or common.quiet) and sys.stdout.isatty():
            from bcclone.system.hardware import open_in_browser

            open_in_browser(result.wrote[-1])
    return result.code


@contextmanager
def settings_as_typed(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Turn a SettingError of a command into a UserError, which names each setting as the user types
    it.
    """
    try:
        yield
    except SettingError as error:
        typed = {}
        for (
            action
        ) in parser._actions:  # the option in full, or a positional argument as --help names it
            options = [option for option in action.option_strings if not option.startswith("--no-")]
            typed[action.dest] = options[-1] if options else str(action.metavar or action.dest)
        raise UserError(error.naming(lambda name: typed.get(name, key_of(name)))) from None


@contextmanager
def _only_errors() -> Iterator[None]:
    """Suppress everything on standard error except logged errors and the messages of run()."""
    root = logging.getLogger()
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stderr(nowhere),
        ExitStack() as stack,
    ):
        stack.callback(root.setLevel, root.level)
        root.setLevel(logging.ERROR)
        yield


def _describe(error: Exception) -> tuple[str, int]:
    """Return the message for an error, and the exit code."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if (
        isinstance(error, ModuleNotFoundError)
        and error.name
        and not error.name.startswith("bcclone")
    ):
        return (
            f"the package {error.name.partition('.')[0]} is not installed for {sys.executable}; activate bcclone's "
            "environment (. .venv/bin/activate), or install it: pip install -e ."
        ), 1
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        remedy = _REMEDIES[error.errno]
        return (f"{error.filename}: {remedy}" if error.filename else remedy), 1
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(
        error
    ):  # where all disks are full
        return (
            "no temporary file can be written; make room, or set TMPDIR to a folder on another disk",
            1,
        )
    text = f"internal error of bcclone: {type(error).__name__}: {error}\nplease report it"
    return f"{text}; {_save_traceback(error)}", INTERNAL_ERROR


def _save_traceback(error: Exception) -> str:
    """Write the traceback to a temporary file, since the error may not occur again; return where it
    is.
    """
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
