"""Command lines -> commands: `bcclone SUBCOMMAND` and the four scripts share one way to start and to fail."""

import argparse
import errno
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from bcclone import __version__
from bcclone.errors import UserError

COMMANDS = {
    "preprocess": "recordings -> store",
    "model": "store -> trained model",
    "drive": "model -> drive server for the simulator",
    "video": "run folder -> clip",
    "plots": "model, store -> pictures of what was learned, and from what",
    "simulate": "the simulator's side, without the simulator",
    "evaluate": "model -> laps driven and scored",
    "replay": "models, recording -> driven through it and scored",
    "import-model": "older Keras model -> model file",
    "demo": "the whole main job, from recording to a scored lap",
    "bench": "measurements, as a table and JSON",
    "doctor": "this machine -> what works, and how to mend what does not",
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
        epilog="commands:\n" + "\n".join(f"  {name:<14}{text}" for name, text in COMMANDS.items()),
    )
    parser.add_argument("--version", action="version", version=f"bcclone {__version__}")
    parser.add_argument(
        "command", choices=COMMANDS, metavar="COMMAND", help="one of those below; each has its own --help"
    )
    parser.parse_args(arguments)
    return 2


def run(name: str, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake ends in one message on standard error and not in a traceback."""
    command = import_module(f"bcclone.commands.{name.replace('-', '_')}")
    parser = make_parser(command, prog)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path that the terminal cannot show is no reason to end
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a politely killed command cleans up, too
    try:
        code: int = command.run(arguments)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        print(f"\ninterrupted{f': {interrupt}' if str(interrupt) else ''}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if (text := _describe(error)) is None:
            raise
        print(f"error: {text}", file=sys.stderr)
        return 1
    return code


def make_parser(command: ModuleType, prog: str) -> argparse.ArgumentParser:
    """Return the parser of a command module: its docstring is the description."""
    parser = argparse.ArgumentParser(
        prog=prog, description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_arguments(parser)
    return parser


def _describe(error: OSError) -> str | None:
    """Say what the machine refused, or None for what no user can mend."""
    remedies = {
        errno.ENOSPC: "the disk is full; make room or choose another place",
        errno.EDQUOT: "the disk quota is used up; make room or choose another place",
        errno.EFBIG: "the file is larger than the system allows here; choose another place",
        errno.EACCES: "no permission; change the permissions or choose another place",
        errno.EPERM: "no permission; change the permissions or choose another place",
        errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
        errno.EROFS: "the file system is read-only; choose another place",
    }
    if error.errno not in remedies:
        return None
    return f"{error.filename}: {remedies[error.errno]}" if error.filename else remedies[error.errno]
