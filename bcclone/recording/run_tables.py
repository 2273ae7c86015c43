"""A table beside a recording's frames: what a log of the simulator's form has no column for, a row an image."""

import csv
import errno
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bcclone.errors import UserError

_LONGEST_LINE = 20_000  # csv refuses a field of 131,073


@dataclass(frozen=True)
class Sidecar:
    """A file of rows `image,...`. columns: the names behind `image`; provides: what is left out without the file."""

    name: str
    columns: tuple[str, ...]
    provides: str

    @property
    def header(self) -> str:
        """Return the file's first line."""
        return ",".join(("image", *self.columns)) + "\n"

    def rows(self, folder: Path) -> Iterator[tuple[int, str, list[str]]]:
        """Yield line number, image and the other cells of each row; none where there is no such file.

        A last line that a killed program left unfinished is passed over. Raises UserError for any other table.
        """
        path = folder / self.name
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise UserError(f"{path}: cannot be read: {reason}; remove it, and {self.provides} is left out") from None
        lines = text[: text.rfind("\n") + 1].splitlines()
        if lines and lines[0] + "\n" != self.header:
            raise self.fault(folder, 1, f"it is {lines[0][:60]!r}, expected {self.header.strip()!r}")
        for number, line in enumerate(lines[1:], start=2):
            if len(line) > _LONGEST_LINE:
                raise self.fault(folder, number, f"{len(line)} characters, expected at most {_LONGEST_LINE}")
            cells = next(csv.reader([line]), [])
            if len(cells) != len(self.columns) + 1:
                raise self.fault(folder, number, f"{len(cells)} cells, expected {len(self.columns) + 1}")
            yield number, cells[0], cells[1:]

    def numbers(self, folder: Path, line: int, columns: Sequence[str], cells: Sequence[str]) -> list[float]:
        """Return cells as finite numbers; raises UserError that names file, row and column."""
        values = []
        for column, cell in zip(columns, cells, strict=True):
            try:
                value = float(cell)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise self.fault(folder, line, f"{column} is {cell!r}, expected a number")
            values.append(value)
        return values

    def fault(self, folder: Path, line: int, reason: str) -> UserError:
        """Return the error that tells what is wrong with a row, and what to do."""
        path = folder / self.name
        return UserError(f"{path}: row {line}: {reason}; mend it, or remove the file, and {self.provides} is left out")


class SidecarWriter:
    """Appends rows to a side table, each whole or not at all; a context manager. Raises OSError where it cannot."""

    def __init__(self, table: Sidecar, folder: Path) -> None:
        path = folder / table.name
        self._file: IO[bytes] = path.open("ab", buffering=0)
        try:
            end_broken_row(path)
            if path.stat().st_size == 0:
                append_whole(self._file, table.header)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: str) -> None:
        """Add a row without its line end."""
        append_whole(self._file, row + "\n")


def append_whole(file: IO[bytes], row: str) -> None:
    """Add a row to an unbuffered file, whole or not at all; raises OSError when the disk takes less."""
    data, end = row.encode(), os.fstat(file.fileno()).st_size
    try:
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise


def end_broken_row(path: Path) -> None:
    """Cut a row off that a killed program did not finish, so that the next one does not begin in it."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


TRACE = Sidecar("trace.csv", ("seconds", "track", "x_m", "z_m", "cross_track_m"), "the map")
ANSWERS = Sidecar("answers.csv", ("request_to_steer_ms",), "the latency")


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Where a simulated car was when a frame was taken.

    seconds: simulated, since the drive began; track: the track's name; x_m, z_m: metres on its map; cross_track_m:
    to the right of its centre line.
    """

    seconds: float
    track: str
    x_m: float
    z_m: float
    cross_track_m: float

    def row(self, image: str) -> str:
        """Return the row of TRACE for an image's base name."""
        return f"{image},{self.seconds:.2f},{self.track},{self.x_m:.3f},{self.z_m:.3f},{self.cross_track_m:.4f}"


def read_trace(folder: Path) -> dict[str, TracePoint]:
    """Return the points of a folder's trace by the base name of their image; none without one. Raises UserError."""
    points = {}
    for line, image, (seconds, track, *places) in TRACE.rows(folder):
        numbers = TRACE.numbers(folder, line, ("seconds", "x_m", "z_m", "cross_track_m"), (seconds, *places))
        points[image] = TracePoint(numbers[0], track, *numbers[1:])
    return points


def answer_row(image: str, seconds: float) -> str:
    """Return the row of ANSWERS for an image's base name and how long its answer took."""
    return f"{image},{seconds * 1000:.3f}"


def read_answers(folder: Path) -> dict[str, float]:
    """Return the milliseconds from request to steer by the base name of the image; none without the file."""
    return {
        image: ANSWERS.numbers(folder, line, ANSWERS.columns, cells)[0] for line, image, cells in ANSWERS.rows(folder)
    }
