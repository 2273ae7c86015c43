"""Read files that somebody else may have made: bytes -> checked values, within limits.

read_json(), read_toml() and read_table() read a whole file, or raise one UserError with its path,
what was expected and the remedy. Readers of other formats take their bytes from read_bytes() or
open_file(), and let explained() describe what goes wrong. Refused are: a pipe, which would make a
reader wait for ever; a device, which would never end; numbers of a thousand digits; deep nesting.
"""

import codecs
import csv
import io
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from bcclone.system.errors import UserError, first_line, shown
from bcclone.system.location import Location, parse_location, reaching
from bcclone.system.values import from_json

FileKind = Literal["settings", "json", "image", "cells", "model", "table", "video", "store"]

_MOST_BYTES: Mapping[FileKind, int] = {  # largest size of each kind of file
    # also the file of a road, and of a recording's edits: 4 MB hold at most 40,000 spans, and more
    # would be slow, because each row is compared with every span
    "settings": 1 << 22,
    "json": 1 << 26,
    "image": 1 << 26,
    "cells": 1 << 28,  # a table whose cells are all in memory: six million rows of two
    "model": 1 << 31,
    "table": 1 << 31,  # ten million rows of 200 bytes
    "video": 1 << 38,
    "store": 1 << 62,
}
MESSAGE_BYTES = 1_000_000  # largest message of a websocket; one with a camera frame has 20,000
_PART_BYTES = 1 << 23  # that are read at once, of a URL or of a table; a line of a table has fewer
_LONGEST_TEXT = 10_000  # characters of a text in one_line()
_INTEGERS_END = 1 << 63  # the first whole number that does not fit into 64 bits; it is refused

HDF5 = b"\x89HDF"  # the first bytes of an HDF5 file
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # the first bytes of such a text
# endings of models that are not HDF5 files; not all of their formats can be told by the content
MODEL_ENDINGS = (".keras", ".onnx", ".tflite")
# pattern of a file's first bytes -> what the file is, for messages; the first that matches counts
_FORMATS = {
    HDF5: "an HDF5 file",
    # Excel's and LibreOffice's archives of XML, and Excel's older files
    rb"PK\x03\x04.{26}(\[Content_T|mimetype.{0,40}spreadsheet)|\xd0\xcf\x11\xe0": "a workbook",
    # ZIP, RAR, 7z, tar; gzip, bzip2, xz
    rb"PK\x03\x04|Rar!|7z\xbc\xaf|.{257}ustar|\x1f\x8b|BZh|\xfd7zXZ": "an archive; "
    "unpack it, and name what it holds",
    rb"\xff\xd8\xff|\x89PNG|RIFF.{4}WEBP": "a picture",
    # MP4, Matroska, AVI, and an MPEG transport stream
    rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF|G.{187}G|.{4}G.{191}G": "a video",
    # an animated picture; Windows Media; Flash; MPEG; H.264 or H.265 without a container
    rb"GIF8|\x30\x26\xb2\x75|FLV|\x00?\x00\x00\x01[\x06\x09\x27\x40\x67\xb3\xba]": "a video",
    rb"PAR1": "a Parquet file",
    rb"\s*[\[{]": "a file of JSON",
    rb"(?i)\s*(<\?xml[^>]*>\s*)?<(!doctype\s+)?html": "a page of a web site; "
    "download the file itself",
    rb"\s*<": "an XML file",
    rb".{4}TFL3": "a LiteRT file (TensorFlow Lite)",
    rb"\x80[\x02-\x05]": "a pickle, whose reading could run any program",
    rb"\x93NUMPY": "an array of NumPy",
    rb"\x08.{1,40}(onnx|pytorch|tf2onnx|keras2onnx|skl2onnx)": "an ONNX file; call it .onnx",
}

_T = TypeVar("_T")


def kind_of_content(begin: bytes) -> str:
    """Return what a file is, such as "an HDF5 file"; "" for a format that is not known here.

    The text may end with a remedy, as in "an archive; unpack it, and name what it holds".

    begin: the first bytes of the file; 512 are enough
    """
    begin = begin.removeprefix(codecs.BOM_UTF8)
    if begin.startswith(UTF_16_MARKS):
        begin = begin.decode("utf-16", errors="ignore").encode()
    for pattern, name in _FORMATS.items():
        if re.match(pattern, begin, re.DOTALL):
            return name
    return ""


# ---- bytes


class UnfitFile(UserError, OSError):
    """A file that bcclone refuses to read: a pipe, a device, a folder, or too large a file.

    The error is an OSError, too, with `strerror` and `filename`, so that it is reported like a file
    that cannot be opened.
    """

    def __init__(self, path: Location | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.strerror = reason
        self.filename = str(path)

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would return "[Errno None] REASON: 'PATH'"


class UnfetchedFile(UnfitFile):
    """A pointer of Git LFS, which stands for a file that was not downloaded."""

    begin = b"version https://git-lfs"  # a pointer has less than 1024 bytes, by its specification
    what = "a pointer of Git LFS, not the file itself; fetch it with: git lfs pull"

    def __init__(self, path: Location | str) -> None:
        super().__init__(path, self.what)
        self.exit_code = 2  # a file of another kind than expected


def read_bytes(source: Location | str, file_kind: FileKind) -> bytes:
    """Return the content of a regular file at a path or a URL.

    Raises UnfitFile for a pipe, a device, more bytes than such a file may have, and a table with a
    line of megabytes; UnfetchedFile for a pointer of Git LFS; OSError for a path that cannot be
    opened, and UserError for a URL.

    file_kind: limits the size
    """
    location: Any = parse_location(source) if isinstance(source, str) else source
    if not isinstance(location, Path):
        with reaching(location), location.fs.open(location.path, "rb", cache_type="none") as file:
            return _read_parts(location, file, file_kind)
    with open_file(location, file_kind) as file:
        if file_kind in ("cells", "table"):
            return _read_parts(location, file, file_kind)
        return file.read()


def _read_parts(location: Location, file: Any, file_kind: FileKind) -> bytes:
    """Return the content of an open file, of which what is refused does not fill the memory.

    A server may send an answer without end. A table may have a line without end: the hole of a
    sparse file of a few bytes reads as gigabytes of zeros.
    """
    most = _MOST_BYTES[file_kind]
    parts = []
    left = most + 1  # one byte more than allowed is enough to refuse
    while left and (part := file.read(min(left, _PART_BYTES))):
        parts.append(part)
        left -= len(part)
        is_table = file_kind in ("cells", "table")
        if is_table and len(part) == _PART_BYTES and not re.search(rb"[\r\n]", part):
            raise UnfitFile(location, f"a line of more than {_PART_BYTES} bytes, as no table has")
    if not left:
        raise _too_large(location, most)
    content = b"".join(parts)
    if content.startswith(UnfetchedFile.begin):
        raise UnfetchedFile(location)
    return content


def _too_large(location: Location, most: int) -> UnfitFile:
    return UnfitFile(location, f"larger than {most} bytes, the most that such a file may have")


# O_NONBLOCK: open() does not wait for the other end of a pipe. O_NOCTTY: a terminal does not become
# the one that controls this process. A system that lacks a flag does not need it.
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)


def open_file(path: Path, file_kind: FileKind) -> io.BufferedReader:
    """Open a regular file for reading; raises UnfitFile and OSError as read_bytes()."""
    handle = os.open(path, _OPEN_FLAGS)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise UnfitFile(path, "not a regular file; name a file on a disk")
    file = os.fdopen(handle, "rb")
    if status.st_size > _MOST_BYTES[file_kind]:
        file.close()
        raise _too_large(path, _MOST_BYTES[file_kind])
    # peek() reads the bytes into the file's buffer, from which the caller gets them
    if status.st_size < 1024 and file.peek().startswith(UnfetchedFile.begin):
        file.close()
        raise UnfetchedFile(path)
    return file


def check_regular(path: Path) -> None:
    """Raise UnfitFile or OSError as open_file(), before a library opens the file."""
    open_file(path, "store").close()  # a store may have any size


def fits(text: str, file_kind: FileKind) -> bool:
    """Return whether a file of this text would be small enough for read_bytes()."""
    return len(text.encode()) <= _MOST_BYTES[file_kind]


class LinkOut(ValueError):
    """A file of a folder is a link that leads out of it, or stands behind one."""


def path_inside(folder: Path, name: str, follow_links: bool = False) -> Path:
    """Return the path of the file `name` in a folder, with links resolved; it need not exist.

    Raises ValueError for a name that leads out of the folder, an absolute one or one with `..`;
    LinkOut for a link to elsewhere.

    follow_links: allow links to elsewhere
    """
    try:
        home = folder.resolve()
        named = Path(os.path.normpath(home / name))
        path = named.resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, or links in a circle
        raise ValueError(f"{shown(name)} is not the name of a file") from None
    if not named.is_relative_to(home):
        raise ValueError(
            f"{shown(name)} leads out of the folder {folder}; expected a file inside it"
        )
    if not follow_links and not path.is_relative_to(home):
        raise LinkOut(f"{folder / name}: a link leads out of the folder {folder}, to {path}")
    return path


# ---- whole files

# errors that reading a file of wrong content can raise
_READING_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    MemoryError,
    csv.Error,
)


@contextmanager
def explained(path: Location | str, what: str, remedy: str) -> Iterator[None]:
    """Turn any error of reading a file into a UserError: "PATH: not WHAT: REASON; REMEDY".

    A UserError within the block stays as it is, except UnfitFile, which is an OSError, too. Of
    those, UnfetchedFile stays, because it has a remedy of its own.

    what: what is expected at the path, with its article, such as "the history of a run"; "" to
        write only "PATH: REASON; REMEDY"
    """
    try:
        with reaching(path):
            yield
    except UnfetchedFile:
        raise
    except _READING_ERRORS as error:
        reason = first_line(error)
        if what:
            reason = f"not {what}: {reason}"
        if isinstance(error, KeyError):
            reason += " is missing"  # the text of a KeyError is only the key
        if isinstance(error, OSError) and error.strerror:
            reason = f"cannot be read: {error.strerror}"
        raise UserError(f"{path}: {reason}; {remedy}") from error


def decoded(content: bytes) -> str:
    """Return a text of UTF-8, or of UTF-16 with its mark, which PowerShell's > writes.

    Raises ValueError for any other encoding.
    """
    try:
        return content.decode("utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: {error}; save the file as UTF-8") from None


def read_json(path: Location, kind: type[_T], what: str, remedy: str) -> _T:
    """Return the value in a JSON file, of a type as from_json() takes it.

    Raises UserError as explained().
    """
    with explained(path, what, remedy):
        return from_text(kind, read_bytes(path, "json"))


def read_toml(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Return the content of a TOML file; raises UserError as explained()."""
    with explained(path, what, remedy):
        return tomllib.loads(decoded(read_bytes(path, "settings")))


def read_table(
    path: Location, needed: Sequence[str], what: str, remedy: str, partial: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a CSV file as its line number, from 1, and its cells by column name.

    The first line of the file has the names of the columns. Raises UserError as explained().

        needed: names of columns that the file must have
        partial: leave out a last line without a newline, as a killed program leaves it
    """
    with explained(path, what, remedy):
        text = decoded(read_bytes(path, "table"))
        if partial:
            text = text[: text.rfind("\n") + 1]
            if not text:
                return
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = [name.strip() for name in next(rows, [])]
        if len(set(names)) < len(names) or not set(needed) <= set(names):
            first = shown(",".join(names))
            raise ValueError(
                f"its first line is {first}, expected names of columns with {','.join(needed)}"
            )
        for cells in filter(None, rows):  # an empty line has no cells
            if len(cells) != len(names):
                raise ValueError(f"line {rows.line_num}: {len(cells)} cells, expected {len(names)}")
            if "\0" in "".join(cells):  # a power failure leaves blocks of them
                raise ValueError(f"line {rows.line_num}: NUL characters, expected text")
            yield rows.line_num, dict(zip(names, cells, strict=True))


# ---- values


def from_text(kind: type[_T], text: str | bytes) -> _T:
    """Return the value of a JSON text, of a type as from_json() takes it.

    Raises ValueError as parse_json() and from_json().
    """
    return from_json(kind, parse_json(text))


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; bytes are read as decoded() does.

    Raises ValueError for a text that is not JSON or nested too deeply, for NaN, infinity and
    numbers of more than 64 bits, and for half a character (a lone surrogate), which no file can
    hold.
    """
    if isinstance(text, bytes):
        text = decoded(text)
    value = _loads(text, partial(number, "a number"), partial(whole_number, "a number"))
    # Half a character can only come from an escape such as \ud800; encode() refuses it. Allowed are
    # the halves \udc80 to \udcff: by them, Python keeps the bytes of a Linux file name that are no
    # UTF-8.
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape")
    return value


def parse_record(text: str | bytes) -> Any:
    """Return the value of a JSON text of which the caller reads some values, and checks these.

    What parse_json() refuses does no harm here in a value that nobody reads, such as NaN of a
    sensor: Python's NaN, infinity and long numbers stay, which number() refuses; bytes that are not
    UTF-8 become halves of characters, which one_line() refuses. Raises ValueError for a text that
    is not JSON or nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", errors="surrogateescape")

    def read_int(digits: str) -> float:
        return int(digits) if len(digits) <= 20 else float(digits)

    return _loads(text, float, read_int)


def _loads(text: str, read_float: Callable[[str], Any], read_int: Callable[[str], Any]) -> Any:
    try:
        return json.loads(
            text, parse_int=read_int, parse_float=read_float, parse_constant=read_float
        )
    except RecursionError:
        raise ValueError("JSON of too many levels") from None


def number(name: str, value: Any, lowest: float = -math.inf, highest: float = math.inf) -> float:
    """Return a JSON value, or the text of a table's cell, as a finite number within limits.

    Raises ValueError for any other value, also for NaN and infinity.

    name: what the message calls the value
    """
    try:
        result = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        result = math.nan
    if math.isfinite(result) and lowest <= result <= highest:
        return result
    limits = ""
    if math.isfinite(lowest) or math.isfinite(highest):
        limits = f" from {lowest:g} to {highest:g}"
    raise ValueError(f"{name} is {shown(value)}, expected a number{limits}")


def whole_number(
    name: str, value: Any, lowest: int = -_INTEGERS_END, highest: int = _INTEGERS_END - 1
) -> int:
    """Return a JSON value, or the text of a table's cell, as a whole number within limits.

    Raises ValueError for any other value.
    """
    result = number(name, value, lowest, highest)
    if not result.is_integer():
        raise ValueError(f"{name} is {shown(value)}, expected a whole number")
    try:
        return int(value)  # not int(result), since a float is exact only up to 2^53
    except ValueError:  # a text that is not an integer literal, such as "3.0" or "1e3"
        return int(result)


def one_line(name: str, value: Any, most: int = _LONGEST_TEXT) -> str:
    """Return a value that is a text without control characters; raises ValueError for any other.

    most: characters that the text may have
    """
    if not isinstance(value, str) or not value.isprintable() or len(value) > most:
        raise ValueError(f"{name} is {shown(value)}, expected a text of one line")
    return value
