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
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from textwrap import indent

from bcclone.commands import COMMANDS, GROUPS, load_command, similar_commands, split_line
from bcclone.commands.command import (
    Command,
    Common,
    Given,
    Parser,
    Result,
    list_of,
    notify,
    parse,
)
from bcclone.system.errors import (
    UserError,
    command_line,
    first_line,
    printable,
    shown,
    shown_command,
)
from bcclone.system.foreign_files import foreign_files
from bcclone.system.interrupts import has_raised_interrupt, raising_interrupts, received_interrupt
from bcclone.system.process import claim_process
from bcclone.system.program import program_words
from bcclone.system.values import to_json

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
# errors of a disk that is full, damaged or not reached, which the system also raises without a name
_OF_DISKS = {getattr(errno, name, 0) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "ESTALE")}

# errors of a machine, or of the limits of a process, that has no more memory, processes or threads
_OF_LIMITS = {errno.ENOMEM, errno.EAGAIN}
_WORDS_OF_LIMITS = re.compile(
    "failed to map segment|can't start new thread|[Cc]annot allocate memory|Insufficient memory"
)
_LEAST_MEMORY_MB = 3000  # address space with which no package was seen to crash or to be refused


def main(script: str = "") -> int:
    """Run a script's command, or the one that the command line names; return the exit code."""
    _open_streams()
    claim_process()
    # the processes that it starts import nothing from the current folder
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        if script:
            code = run(script, program_words(script), sys.argv[1:])
        else:
            code = run_line(sys.argv[1:])
    except SystemExit as end:  # of a wrong command line, and of --help
        code = end.code if isinstance(end.code, int) else 2
    return code if _is_result_written(code) else max(code, 1)


def _open_streams() -> None:
    """Open the standard streams that the caller has closed, since otherwise a file would get the
    number of one; let those of output lose what cannot be written.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # for the processes that it starts
            stream = os.fdopen(number, mode, encoding="utf-8")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        lenient = _Lenient(
            stream.buffer,
            stream.encoding,
            "backslashreplace",  # paths may not fit the terminal's encoding
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, lenient)


class _Lenient(io.TextIOWrapper):
    """A stream that loses what cannot be written, since a line that nobody reads ends no work."""

    fault: OSError | None = None  # why something is lost

    def write(self, text: str) -> int:
        try:
            super().write(text)
        except OSError as error:
            self.fault = error
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.fault = error


def _is_result_written(code: int) -> bool:
    """Return whether all of standard output is written; otherwise say why not.

    code: exit code of the command, which has said itself why it failed
    """
    sys.stdout.flush()
    fault = getattr(sys.stdout, "fault", None)
    if fault and not isinstance(fault, BrokenPipeError):  # raised where the reader wants no more
        done = "" if code else "; the command itself has come to its end"
        print(f"error: standard output cannot be written: {fault.strerror}{done}", file=sys.stderr)
    return fault is None


def run_line(words: Sequence[str]) -> int:
    """Run `bcclone WORDS`; a line that names no command is answered with the list or an error."""
    name, others = split_line(words)
    if name:
        return run(name, program_words(name), others)
    from bcclone.system.doctor import __version__

    groups = [f"{heading}:\n{indent(list_of(group), '  ')}" for heading, group in GROUPS.items()]
    parser = Parser(
        prog=command_line(program_words()),
        description="Record driving in the Udacity simulator, train a network on it, and let it "
        "drive.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n\n".join(groups),
    )
    parser.add_argument("--version", action="version", version=f"bcclone {__version__}")
    parser.add_argument(
        "command",
        choices=COMMANDS,
        metavar="COMMAND",
        help="one of those below; each has its --help",
    )
    if not words:
        parser.print_help(sys.stderr)
        return 2
    if not words[0].startswith("-"):
        parser.error(_no_command(words[0]))
    parser.typed = words
    parser.parse_args([printable(word) for word in words])  # prints and exits
    return 2


def _no_command(typed: str) -> str:
    """Return the error for a first word that names no command."""
    if longer := [name for name in COMMANDS if name.startswith(f"{typed} ")]:
        return f"{shown(typed)}: expected {' or '.join(longer)}"
    near = [f"{shown_command(name)} ({COMMANDS[name]})" for name in similar_commands(typed)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"{shown_command('--help')} lists them"
    return f"no command is called {shown(typed)}; {hint}"


def run(command: Command | str, program: Sequence[str], words: Sequence[str]) -> int:
    """Run a command and return its exit code; an error becomes one message on standard error.

    A wrong command line ends the process, with exit code 2.

    command: the command or its name
    program: the words that name it on the command line, such as ["python", "model.py"]
    words: those after them
    """
    given = Given()
    left_behind = ""
    try:
        log = logging.StreamHandler()
        log.setFormatter(_Printable("%(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[log])
        if isinstance(command, str):
            command = load_command(command)
        given = parse(command, program, words)
        left_behind = command.after_interrupt
        silence = _only_errors() if given.get("quiet") else nullcontext()
        with silence, raising_interrupts():
            _note_small_memory()
            result = command.run(given)
            left_behind = "the command had finished; what it wrote is complete"
            show(result, given.make(Common))
        return result.code
    except KeyboardInterrupt as interrupt:
        return _interrupted(str(interrupt) or left_behind)
    except Exception as error:
        text, code = describe(error)
        # a package whose import was interrupted may raise another error instead
        is_perhaps_of_it = code == INTERNAL_ERROR or isinstance(error, ImportError)
        is_interrupted = has_raised_interrupt() and is_perhaps_of_it
        if given.get("debug") or (code == INTERNAL_ERROR and not is_interrupted):
            traceback.print_exc()
        if is_interrupted:
            return _interrupted(f"{left_behind} ({type(error).__name__}: {first_line(error)})")
        print(f"error: {printable(text)}", file=sys.stderr)
        if given.get("json") and isinstance(error, UserError) and error.facts is not None:
            print(json.dumps(to_json(error.facts), allow_nan=False))
        return code


def _interrupted(left_behind: str) -> int:
    """Say what an interrupted command leaves behind, and return its exit code, as shells know it:
    128 and the number of the signal.
    """
    print(printable(f"\ninterrupted: {left_behind}"), file=sys.stderr)
    return 128 + (received_interrupt() or signal.SIGINT)


class _Printable(logging.Formatter):
    """Escapes control characters, which logged names and texts of clients may have."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def show(result: Result, common: Common) -> None:
    """Print a result: notes and names of files on standard error, the rest on standard output."""
    for note in result.notes:
        notify(note)
    if common.json:
        print(json.dumps(to_json(result.value), allow_nan=False))
    elif result.text is not None:
        print(printable(result.text))
    for path in result.wrote:
        notify(f"wrote {path}")
    sys.stdout.flush()


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


def _note_small_memory() -> None:
    """Tell of a limit of memory with which OpenCV and OpenBLAS may crash without a word."""
    if sys.platform != "linux":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY_MB << 20:
        notify(
            f"note: this process may use {limit >> 20} MB of memory (ulimit -v), and packages that "
            f"it loads may crash below {_LEAST_MEMORY_MB} MB"
        )


def _is_of_limits(error: BaseException | None) -> bool:
    """Return whether memory, processes or threads ran out, also before another error was raised."""
    if error is None:
        return False
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno in _OF_LIMITS)
        or bool(_WORDS_OF_LIMITS.search(str(error)))
        or _is_of_limits(error.__cause__ or error.__context__)
    )


def _is_current_folder_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def describe(error: Exception) -> tuple[str, int]:
    """Return the message for an error, and the exit code."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if _is_of_limits(error):
        return (
            f"memory, processes or threads ran out ({first_line(error)}); close other programs, or "
            "raise the limits of this process (ulimit -v, ulimit -u) or of its container"
        ), 1
    foreign = ""  # files in the place of modules, which may be the cause
    if not isinstance(error, OSError):
        foreign = "; ".join(f"{found}: {remedy}" for found, remedy in foreign_files())
    if foreign and isinstance(error, (ImportError, AttributeError, SyntaxError)):
        return f"{foreign} ({type(error).__name__}: {first_line(error)})", 1
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("bcclone"):
        package = str(error.name).partition(".")[0]
        return (
            f"the package {package} is not installed for {sys.executable}; activate bcclone's "
            "environment (. .venv/bin/activate), or install it: pip install -e ."
        ), 1
    if isinstance(error, OSError) and "temporary directory" in str(error):  # all disks are full
        return "no temporary file can be written; make room, or set TMPDIR to another disk", 1
    if isinstance(error, FileNotFoundError) and not error.filename and _is_current_folder_gone():
        return "the current folder was removed; change into one that is there, such as: cd", 1
    # without a name, a missing file says nothing to the user: it is one of bcclone's own
    if isinstance(error, OSError) and (error.filename or error.errno in _OF_DISKS):
        place = f"{error.filename}: " if error.filename else ""
        remedy = "check the name, its permissions, the room on the disk and the drive"
        return f"{place}{error.strerror}; {remedy}, or choose another place", 1
    remedy = "please report it"
    if foreign:
        remedy = f"perhaps because {foreign}; if it happens without that, {remedy}"
    return f"internal error of bcclone: {type(error).__name__}: {error}\n{remedy}", INTERNAL_ERROR
