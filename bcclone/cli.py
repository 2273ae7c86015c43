"""Run a command, for `bcclone SUBCOMMAND` and the four scripts: parse, run, report errors, return the exit code."""

import argparse
import errno
import io
import logging
import os
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from types import ModuleType
from typing import Any

from bcclone import __version__
from bcclone.commands import COMMANDS, load_command
from bcclone.commands.options import actions_of, declare, list_of, local_path, settings_as_typed
from bcclone.system.errors import UserError, printable
from bcclone.system.interrupts import Interrupts

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
    """Run `bcclone SUBCOMMAND ...`; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in COMMANDS:
        return run(arguments[0], f"bcclone {arguments[0]}", arguments[1:])
    parser = argparse.ArgumentParser(
        prog="bcclone",
        description="Record driving in the Udacity simulator, train a network on it, and let it drive.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n" + textwrap.indent(list_of(COMMANDS), "  "),
    )
    parser.add_argument("--version", action="version", version=f"bcclone {__version__}")
    parser.add_argument(
        "command", choices=COMMANDS, metavar="COMMAND", help="one of those below; each has its own --help"
    )
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    parser.parse_args(arguments)
    return 2


def run(name: str, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run one command by its name and return its exit code."""
    return run_module(load_command(name), prog, argv)


def run_module(command: ModuleType, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run the module of a command and return its exit code; an error becomes one message on standard error."""
    parser = make_parser(command, prog)
    arguments = parser.parse_args(argv)
    _prepare_process()
    interrupts = Interrupts()
    try:
        with interrupts.raising(), _only_errors() if arguments.quiet else nullcontext(), settings_as_typed(parser):
            code: int = command.run(arguments)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        return _interrupted(str(interrupt) or _left_behind(command, arguments))
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if interrupts.requested:  # in the middle of a package that turned the interrupt into an error of its own
            return _interrupted(command.interrupted(arguments))
        if arguments.debug:
            traceback.print_exc()
        text, code = _describe(error)
        print(f"error: {printable(text)}", file=sys.stderr)
    return code


def _left_behind(command: ModuleType, arguments: argparse.Namespace) -> str:
    """Return what an interrupted command has left, as the command says."""
    try:
        left: str = command.interrupted(arguments)
    except (ImportError, AttributeError):  # it was importing what it needs to say it, before it did anything
        return "nothing was written"
    return left


def _prepare_process() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths may not fit the terminal's encoding


def _interrupted(reason: str) -> int:
    print(f"\ninterrupted: {reason}", file=sys.stderr)
    return 130


@contextmanager
def _only_errors() -> Iterator[None]:
    """Suppress everything on standard error except logged errors and the messages of run()."""
    logging.getLogger().setLevel(logging.ERROR)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        yield


def make_parser(command: ModuleType, prog: str) -> argparse.ArgumentParser:
    """Return the parser of a command module: its docstring is the description."""
    parser = argparse.ArgumentParser(prog=prog, description=command.__doc__, formatter_class=_HelpFormatter)
    declare(command, parser)
    type_names: dict[object, str] = {int: "N", float: "X", local_path: "PATH"}
    for action in actions_of(parser):  # --help names the type of a value instead of repeating the option's name
        if action.option_strings and action.nargs is None and not (action.metavar or action.choices):
            action.metavar = type_names.get(action.type)
    return parser


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help whose usage line shows the positional arguments, and only `[options]` for the rest."""

    def _format_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None) -> str:
        named = [action for action in actions if not action.option_strings]
        text = super()._format_usage(usage, named, [], prefix)
        return text.replace(self._prog, f"{self._prog} [options]", 1) if len(named) < len(actions) - 1 else text


def _describe(error: Exception) -> tuple[str, int]:
    """Return the message for an error, and the exit code."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("bcclone"):
        return (
            f"the package {error.name.partition('.')[0]} is not installed for {sys.executable}; activate bcclone's "
            "environment (. .venv/bin/activate), or install it: pip install -e ."
        ), 1
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        remedy = _REMEDIES[error.errno]
        return (f"{error.filename}: {remedy}" if error.filename else remedy), 1
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):  # where all disks are full
        return "no temporary file can be written; make room, or set TMPDIR to a folder on another disk", 1
    text = f"internal error of bcclone: {type(error).__name__}: {error}\nplease report it"
    return f"{text}; {_save_traceback(error)}", INTERNAL_ERROR


def _save_traceback(error: Exception) -> str:
    """Write the traceback to a temporary file, since the error may not occur again; return where it is."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="bcclone-fault-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return "run the same command with --debug for the traceback"
    return f"the traceback is in {file.name}"
