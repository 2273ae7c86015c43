"""Errors that the user can fix, and parts of messages."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bcclone.system.program import SCRIPTS, program_words

_LONGEST_REASON = 200  # characters that a message repeats of another package's error
_LONGEST_SHOWN = 60  # characters that a message repeats of a wrong value


class UserError(Exception):
    """An error that the user can fix; a command shows its text without a traceback.

    The text says what happened, where, what was expected and what to do.

    exit_code: exit code of the command: 2 for an input of another kind than expected, 1 for all
        other errors
    facts: what --json prints of the error; None for nothing
    """

    facts: Any = None

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class OtherKind(UserError):
    """An argument of another kind than expected, perhaps in the place of another.

    A command adds the order of its arguments to the text.
    """


def require_package(package: str, needed_for: str, install: str) -> None:
    """Raise UserError if an optional package is missing. The package is not imported.

    package: name of a package that the caller imports afterwards
    needed_for: subject of the message, such as "the format lerobot"
    install: what the message tells the user to install with pip
    """
    if find_spec(package) is None:
        remedy = command_line(["pip", "install", install])
        raise UserError(f"{needed_for} needs the package {package}, which is missing: {remedy}")


def printable(text: str, kept: str = "\n\t") -> str:
    """Return a text with its control characters escaped, so that it cannot change the terminal.

    kept: control characters that stay
    """
    return "".join(
        each if each.isprintable() or each in kept else repr(each)[1:-1] for each in text
    )


def shown(value: object) -> str:
    """Return a value as an error repeats it: a text in quotes, and at most 60 characters."""
    if isinstance(value, str):
        return repr(value[:_LONGEST_SHOWN])
    return repr(value)[:_LONGEST_SHOWN]


def typed(word: object) -> str:
    """Return a word of a command as a user types it, before any quotes."""
    if isinstance(word, Path) and str(word).startswith("-"):
        return f"./{word}"  # without ./ it would be an option
    return str(word)


def shown_command(*words: object) -> str:
    """Return a command of bcclone that a user can paste, in the form in which this one was started.

    words: subcommand, options and values: texts, paths or numbers
    """
    name, *others = map(typed, words)
    return command_line([*program_words(name), *others])


def command_beginnings() -> list[str]:
    """Return the beginnings of the commands that shown_command() returns: each program's words."""
    return sorted({command_line(program_words(name)) for name in ("", *SCRIPTS)})


def command_line(words: Iterable[str], platform: str = sys.platform) -> str:
    """Return the words of a command as a line that a user can paste.

    The line has only printable characters: a terminal would obey others, such as a newline, when
    the line is pasted.

    platform: of the user's shell. On Windows, both cmd and PowerShell take double quotes; neither
        has one that keeps it from replacing %NAME% or $NAME
    """
    quote = _quoted_on_windows if platform == "win32" else _quoted
    return " ".join(map(quote, words))


def _quoted(word: str) -> str:
    """Return a word in quotes for bash, zsh and other shells of POSIX; bytes as $'\\351'."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_in_dollar_quotes, word))}'"


def _in_dollar_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    # Python reads a byte of a name that is no UTF-8 as one of these characters
    is_byte = "\udc80" <= character <= "\udcff"
    encoded = character.encode(errors="surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in encoded)


def _quoted_on_windows(word: str) -> str:
    # no file of Windows has such a name, and its shells have no quotes for it
    word = printable(word, kept="")
    if re.fullmatch(r"[\w.:/\\+=-]+", word):
        return word
    # a space and a letter more, so that list2cmdline() puts any word into quotes
    quoted = subprocess.list2cmdline([f"{word} x"]).removesuffix(' x"')
    ending = len(quoted) - len(quoted.rstrip("\\"))  # backslashes, which would escape the quote
    return quoted + "\\" * ending + '"'


def number_of(number: int, noun: str) -> str:
    """Return a number and a noun, such as "1 recording" or "2 recordings"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, at most 200 characters.

    An error without a text gives the name of its class.
    """
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:_LONGEST_REASON]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question such as "did you mean seed?"; "" if no known name is similar."""
    near = similar_names(name, names)
    return f"did you mean {' or '.join(near)}?" if near else ""


def similar_names(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three known names that are similar to an unknown one, the most similar first."""
    import difflib

    return difflib.get_close_matches(name, list(names))
