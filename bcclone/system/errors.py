"""Errors that the user can fix: what happened, where, what was expected and what to do."""

import shlex
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

_LONGEST_REASON = 200  # characters of an error of another package
_LONGEST_SHOWN = 60  # characters of a wrong value


class UserError(Exception):
    """An error that the user can fix; a command shows its text without a traceback.

    exit_code: the exit code of the command: 1 in general, 2 for an input of a kind that cannot be
    read.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def require_package(module: str, needed_for: str, install: str) -> None:
    """Raise UserError where an optional package is missing; imports nothing.

    module: one that the caller imports afterwards; needed_for: the subject of the message; install:
    what pip installs.
    """
    try:
        installed = find_spec(module) is not None
    except ModuleNotFoundError:  # the package that contains the module is missing
        installed = False
    if not installed:
        package = module.partition(".")[0]
        raise UserError(
            f"{needed_for} needs the package {package}, which is missing: pip install {shlex.quote(install)}"
        )


def printable(text: str) -> str:
    """Return a text for a terminal, in which control characters, such as those in names of files,
    are escaped.
    """
    return "".join(one if one.isprintable() or one in "\n\t" else repr(one)[1:-1] for one in text)


def shown(value: object) -> str:
    """Return a value as an error repeats it: a text in quotes, and at most 60 characters."""
    return repr(value[:_LONGEST_SHOWN]) if isinstance(value, str) else repr(value)[:_LONGEST_SHOWN]


def typed(word: object) -> str:
    """Return a word of a command as a user types it; ./ keeps a path with a leading dash from being
    an option.
    """
    return f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)


def shown_command(*words: object) -> str:
    """Return a command of bcclone that a user can paste. words: texts, paths and numbers."""
    return f"bcclone {shlex.join(map(typed, words))}"


def number_of(number: int, noun: str) -> str:
    """Return a number and a noun, such as "1 recording" or "2 recordings"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, at most 200 characters; the name of its class if it
    has none.
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:_LONGEST_REASON]


def did_you_mean(name: str, names: Iterable[str], most: int = 1, quote: str = "") -> str:
    """Return the question for an unknown name, with the nearest of these names, at most so many; ""
    if none is near.
    """
    import difflib

    near = difflib.get_close_matches(name, list(names), most)
    return f"did you mean {' or '.join(f'{quote}{one}{quote}' for one in near)}?" if near else ""
