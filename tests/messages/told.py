"""A message of the table: where it is made, what provokes it, and what it must tell."""

import contextlib
import inspect
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from bcclone.cli import make_parser
from bcclone.commands import load_command
from bcclone.errors import UserError
from tests.conftest import ROOT
from tests.messages.sites import Site, find_sites

PACKAGE = str(ROOT / "bcclone") + os.sep


@dataclass(frozen=True)
class Message:
    """One message. room, template: those of its site; tells: what the user reads of this very case; slow: for long.

    provoke: makes the mistake in an empty current folder; its parameters are fixtures. It ends with the error, or
    returns what another process said of it.
    """

    room: str
    template: str
    provoke: Callable[..., Any]
    tells: tuple[str, ...] = ()
    slow: bool = False

    def __str__(self) -> str:
        return f"{self.room}: {self.template}"[:70]

    def check(self, request: Any) -> None:
        """Provoke it: it must come from its site, and say what it should."""
        site = known_sites()[self.room, self.template]
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
        names = inspect.signature(self.provoke).parameters
        said, errors = _outcome(self.provoke, [request.getfixturevalue(name) for name in names])
        if errors:
            assert any(site.fits(str(error)) and _is_from(site, error) for error in errors), errors
        else:
            assert site.fits(said)
        for words in self.tells:
            assert words in said
        for of_ours in ("Traceback", "[Errno", "Error(", "<class", "<function", " object at 0x"):
            assert of_ours not in said


def tabled(messages: Sequence[Message]) -> list[Any]:
    """Return the parameters of a test that checks each of them."""
    return [pytest.param(one, id=str(one), marks=[pytest.mark.slow] * one.slow) for one in messages]


@cache
def known_sites() -> dict[tuple[str, str], Site]:
    """Return the sites of the code by their room and words."""
    return {(site.room, site.template): site for site in find_sites()}


def run_command(name: str, *line: object) -> int:
    """Run a command as bcclone.cli does, but let its error out: one that cli.run() tells without a traceback."""
    command = load_command(name)
    try:
        code: int = command.run(make_parser(command, f"bcclone {name}").parse_args([str(word) for word in line]))
    except UserError:
        raise
    except Exception as error:
        raise AssertionError("cli.run() would call it a fault of bcclone's own") from error
    return code


def _outcome(provoke: Callable[..., Any], arguments: list[Any]) -> tuple[str, list[BaseException]]:
    """Return what the user reads, and the errors that led to it; none when another process said it."""
    with tempfile.TemporaryFile("w+") as told:  # a real one, which processes can be given, too
        try:
            with contextlib.redirect_stderr(told):
                said = provoke(*arguments)
        except SystemExit as end:
            told.seek(0)
            return told.read(), list(_chain(end))
        except AssertionError:
            raise
        except Exception as error:
            return str(error), list(_chain(error))
    assert isinstance(said, str), "nothing was refused"
    return said, []


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_from(site: Site, error: BaseException) -> bool:
    """Return True when the deepest place of ours in the error's traceback is the site."""
    place, trace = ("", 0), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            place = trace.tb_frame.f_code.co_filename.removeprefix(PACKAGE), trace.tb_lineno
        trace = trace.tb_next
    return not site.raised or (place[0] == site.room and site.first_line <= place[1] <= site.last_line)
