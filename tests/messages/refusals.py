"""Make a user's mistake, and check that the error contains the words that the user needs."""

import contextlib
import inspect
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bcclone.cli import show
from bcclone.commands import load_command
from bcclone.commands.command import Common, parse
from bcclone.system.errors import UserError


@dataclass(frozen=True)
class Mistake:
    """A user's mistake, and how it is refused."""

    # makes the mistake in an empty current folder: raises the error, or returns the text that
    # another process printed; its parameters are names of fixtures
    provoke: Callable
    # what the user needs from the message: the file, the row, what was expected, the option that
    # helps; words that a rewritten sentence would keep
    words: tuple[str, ...]
    # errors of which one is raised; none where `provoke` returns the text
    errors: tuple[type[BaseException], ...]
    code: int  # the exit code


def refusal(provoke, *words, by=(UserError, SystemExit), code=1):
    """Return the test parameter for a mistake; see Mistake.

    by: the errors; SystemExit is argparse's
    """
    return pytest.param(Mistake(provoke, words, by, code), id=" ".join(words)[:70])


def assert_refused(mistake, fixture):
    """Make a mistake; fail unless it is refused with what the user needs.

    fixture: returns the value of the fixture of a name
    """
    names = inspect.signature(mistake.provoke).parameters
    error, text = _outcome(mistake.provoke, [fixture(name) for name in names])

    if mistake.errors:
        assert isinstance(error, mistake.errors), f"{error!r} was raised"
    else:
        assert error is None, f"{error!r} was raised, expected a text"
    if isinstance(error, UserError):
        assert error.exit_code == mistake.code, text
    if isinstance(error, SystemExit):
        assert error.code == mistake.code, text

    missing = [words for words in mistake.words if words not in text]
    assert missing == [], text
    for internal in ("Traceback", "[Errno", "Error(", "<class", "<function", " object at 0x"):
        assert internal not in text


def run_command(name, *line):
    """Run a command as bcclone.cli does, but let its UserError out.

    Fail on an error that cli.run() calls a fault.
    """
    command = load_command(name)
    try:
        given = parse(command, f"bcclone {name}", [str(word) for word in line])
        result = command.run(given)
        show(result, given.make(Common))
        return result
    except UserError:
        raise
    except Exception as error:
        raise AssertionError("cli.run() would report an internal error") from error


def _outcome(provoke, arguments):
    """Return the error, None if none was raised, and the text that the user reads."""
    # the standard error is a real file, because child processes may inherit it
    with tempfile.TemporaryFile("w+") as stderr:
        try:
            with contextlib.redirect_stderr(stderr):
                text = provoke(*arguments)
        except SystemExit as end:  # argparse has printed the message
            stderr.seek(0)
            return end, stderr.read()
        except AssertionError:
            raise
        except Exception as error:
            return error, str(error)
    assert isinstance(text, str), "nothing was refused"
    return None, text
