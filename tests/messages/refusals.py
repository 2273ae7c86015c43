"""Make a user's mistake, and check that the error contains the words that the user needs."""

import contextlib
import inspect
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from bcclone.cli import perform
from bcclone.commands import load_command
from bcclone.commands.options import Given
from bcclone.commands.parser import make_parser
from bcclone.system.errors import UserError


def refusal(
    provoke: Callable[..., Any],
    *words: str,
    by: tuple[type[BaseException], ...] = (UserError, SystemExit),
    code: int = 1,
) -> Any:
    """Return the test parameter for a mistake.

    provoke: makes the mistake in an empty current folder; its parameters are names of fixtures. It
    raises the error, or returns the text that another process printed. words: what the user needs
    from the message: the file, the row, what was expected, the option that helps; words that a
    rewritten sentence would keep. by: the classes of error that may refuse it, SystemExit being
    argparse's; none where provoke returns the text. code: the exit code.
    """
    return pytest.param(provoke, words, by, code, id=" ".join(words)[:70])


def checked(refusals: list[Any]) -> Callable[..., None]:
    """Return the test that each of these mistakes is refused with what the user needs."""

    @pytest.mark.parametrize(("provoke", "words", "by", "code"), refusals)
    def test(
        provoke: Any, words: Any, by: Any, code: int, request: Any, tmp_path: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.chdir(tmp_path)
        fixtures = [request.getfixturevalue(name) for name in inspect.signature(provoke).parameters]
        error, text = _outcome(provoke, fixtures)
        assert isinstance(error, by or type(None)), f"{error!r} was raised, expected one of {by}"
        if isinstance(error, UserError | SystemExit):
            assert (error.exit_code if isinstance(error, UserError) else error.code) == code, text
        assert [one for one in words if one not in text] == [], text
        for internal in ("Traceback", "[Errno", "Error(", "<class", "<function", " object at 0x"):
            assert internal not in text

    return test


def run_command(name: str, *line: object) -> int:
    """Run a command as bcclone.cli does, but let its UserError out; fail on an error that cli.run()
    calls a fault.
    """
    command = load_command(name)
    parser = make_parser(command, f"bcclone {name}")
    try:
        code = perform(command, Given(parser, [str(word) for word in line]))
    except UserError:
        raise
    except Exception as error:
        raise AssertionError("cli.run() would report an internal error") from error
    return code


def _outcome(provoke: Callable[..., Any], fixtures: list[Any]) -> tuple[BaseException | None, str]:
    """Return the error, if one was raised, and the text that the user reads."""
    with tempfile.TemporaryFile(
        "w+"
    ) as stderr:  # a real file, because child processes may inherit it
        try:
            with contextlib.redirect_stderr(stderr):
                text = provoke(*fixtures)
        except SystemExit as end:  # argparse printed the message
            stderr.seek(0)
            return end, stderr.read()
        except AssertionError:
            raise
        except Exception as error:
            return error, str(error)
    assert isinstance(text, str), "nothing was refused"
    return None, text
