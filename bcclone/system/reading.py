"""Read files that somebody else may have made: regular files of a limited size, and JSON of a limited depth.

A pipe would make the reader wait for ever, a device would never end, and a text of a few bytes can stand for a number
or a nesting that no code expects. All of these end here, with an error that names the file.
"""

import json
import math
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from bcclone.system.errors import UserError
from bcclone.system.location import Location, names_url, parse_location, reaching

MOST_TABLE = 1 << 31  # bytes of a log or another table: ten million rows of 200
MOST_JSON = 1 << 26  # bytes
MOST_IMAGE = 1 << 26  # bytes
MOST_MODEL = 1 << 31  # bytes
_LONGEST_NUMBER = 40  # characters, more than any number has that a program writes
_MOST_INTEGER = 1 << 63
_PART = 1 << 23  # bytes that are asked of a server at once
_DEEPEST = 100  # brackets in brackets
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class UnfitFile(UserError, OSError):
    """A file that is not read: a pipe, a device or a folder, or one that is too large.

    It is an OSError, too, with `strerror` and `filename`, so that it is reported like a file that cannot be opened.
    """

    def __init__(self, path: Location | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.strerror, self.filename = reason, str(path)

    def __str__(self) -> str:
        return str(self.args[0])


def read_limited(source: Location | str, most: int) -> bytes:
    """Return the content of a regular file, a path or URL.

    Raises UnfitFile for a pipe, a device and more than `most` bytes; OSError for a file that cannot be opened.
    """
    if isinstance(source, str) and names_url(source):
        source = parse_location(source)
    if not isinstance(source, (str, Path)):
        content = _read_url(source, most)
    else:
        handle, size = _open(source, most)
        try:
            content = os.read(handle, size + 1)
            # a network disk may return a part, and /proc states no sizes
            while len(content) != size and len(content) <= most and (part := os.read(handle, 1 << 16)):
                content += part
        finally:
            os.close(handle)
    if len(content) > most:
        raise _too_large(source, most)
    return content


def _read_url(location: Any, most: int) -> bytes:
    """Return at most a byte more than `most` of a file at a URL, also of a server whose answer never ends.

    Raises OSError, and Unreachable for the errors of other kinds that packages raise for a server.
    """
    content = b""
    try:
        with location.fs.open(location.path, "rb", cache_type="none") as file:
            while len(content) <= most and (part := file.read(min(most + 1 - len(content), _PART))):
                content += part
    except OSError:
        raise
    except Exception:
        with reaching(location):
            raise
    return content


def open_limited(path: Path, most: int) -> BufferedReader:
    """Open a regular file for reading; raises UnfitFile and OSError as read_limited()."""
    handle, _ = _open(path, most)
    return os.fdopen(handle, "rb")


def check_regular(path: Path) -> None:
    """Raise UnfitFile for a pipe or device, and OSError for a file that cannot be opened, before a library opens it."""
    open_limited(path, 1 << 62).close()


def _open(path: Path | str, most: int) -> tuple[int, int]:
    """Return a handle of a regular file, and its size in bytes."""
    handle = os.open(path, _FLAGS)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFile(path, "not a regular file; name a file on a disk")
        if status.st_size > most:
            raise _too_large(path, most)
    except BaseException:
        os.close(handle)
        raise
    return handle, status.st_size


def _too_large(path: Location | str, most: int) -> UnfitFile:
    return UnfitFile(path, f"larger than {most} bytes, the most that such a file may have")


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text, of UTF-8 if it is given as bytes.

    Raises ValueError for a text that is not JSON, for more than 100 levels, NaN, infinity, numbers of more than 40
    characters, integers of more than 64 bits, and halves of characters, which no file can hold.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_constant)
        _check_depth(value)
    except RecursionError:
        raise ValueError(f"JSON of more than {_DEEPEST} levels") from None
    if "\\u" in text:  # the names of files on Linux may have bytes that are no UTF-8, which Python keeps as halves
        json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape")
    return value


def _check_depth(value: Any, levels: int = _DEEPEST) -> None:
    if not isinstance(value, (dict, list)):
        return
    if not levels:
        raise ValueError(f"JSON of more than {_DEEPEST} levels")
    for member in value.values() if isinstance(value, dict) else value:
        if isinstance(member, (dict, list)):
            _check_depth(member, levels - 1)


def _integer(text: str) -> int:
    _check_length(text)
    value = int(text)
    if not -_MOST_INTEGER <= value < _MOST_INTEGER:
        raise ValueError(f"the number {text} is too large")
    return value


def _float(text: str) -> float:
    _check_length(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text} is too large")
    return value


def _check_length(text: str) -> None:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters, expected at most {_LONGEST_NUMBER}")


def _constant(text: str) -> float:
    raise ValueError(f"{text}, expected a number")


def path_inside(folder: Path, name: str) -> Path:
    """Return the path of a file that `folder` holds under this name, links resolved.

    Raises ValueError for a name that leads out of the folder: an absolute one, one with `..`, and a link to elsewhere.
    """
    try:
        path, home = (folder / name).resolve(), folder.resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, or links in a circle
        raise ValueError(f"{name[:60]!r} is not the name of a file") from None
    if not path.is_relative_to(home):
        raise ValueError(f"{name[:60]!r} leads out of the folder {folder}; expected a file inside it")
    return path
