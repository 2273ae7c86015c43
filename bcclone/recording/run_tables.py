"""Read the sidecar tables of a run: CSV files next to its log, with further values for each image.

In: a run folder. Out: the values by image. Also how each value is written as a row.

trace.csv contains the position of the simulated car, answers.csv the latency of each request to the drive server,
uncertainty.csv the scores of a monitor.
"""

import csv
import hashlib
import math
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bcclone.system.atomic import write_text
from bcclone.system.errors import UserError
from bcclone.system.location import Location, is_url, reaching
from bcclone.system.reading import MOST_IMAGE, MOST_TABLE, read_limited

_LONGEST_NAME = 4096  # characters of a track's name
_MOST = {"seconds": 1e9, "x_m": 1e6, "z_m": 1e6, "cross_track_m": 1e6}  # of a point: 30 years, 1000 km
_LONGEST_LINE = 20_000  # the csv module refuses fields of more than 131,072 characters


@dataclass(frozen=True)
class Sidecar:
    """The form of a CSV file of rows `image,...`.

    columns: the names of the columns after `image`; provides: the feature of a clip that needs the file, for messages.
    """

    name: str
    columns: tuple[str, ...]
    provides: str

    @property
    def header(self) -> str:
        """Return the file's first line."""
        return ",".join(("image", *self.columns)) + "\n"

    def rows(self, folder: Location) -> Iterator[tuple[int, str, list[str]]]:
        """Yield line number, image and the other cells of each row; nothing if there is no such file.

        An incomplete last line, which a killed program leaves, is ignored. Raises UserError for a table of another
        form.
        """
        path = folder / self.name
        with reaching(path):
            if is_url(path) and not path.is_file():
                return
        try:
            with reaching(path):
                text = read_limited(path, MOST_TABLE).decode()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise UserError(f"{path}: cannot be read: {reason}; remove it to leave out {self.provides}") from None
        lines = text[: text.rfind("\n") + 1].splitlines()
        if lines and lines[0] + "\n" != self.header:
            raise self.error(folder, 1, f"it is {lines[0][:60]!r}, expected {self.header.strip()!r}")
        for number, line in enumerate(lines[1:], start=2):
            if len(line) > _LONGEST_LINE:
                raise self.error(folder, number, f"{len(line)} characters, expected at most {_LONGEST_LINE}")
            cells = next(csv.reader([line]), [])
            if len(cells) != len(self.columns) + 1:
                raise self.error(folder, number, f"{len(cells)} cells, expected {len(self.columns) + 1}")
            yield number, cells[0], cells[1:]

    def numbers(self, folder: Location, line: int, columns: Sequence[str], cells: Sequence[str]) -> list[float]:
        """Return cells as finite numbers; raises UserError that names file, row and column."""
        values = []
        for column, cell in zip(columns, cells, strict=True):
            try:
                value = float(cell)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise self.error(folder, line, f"{column} is {cell!r}, expected a number")
            values.append(value)
        return values

    def error(self, folder: Location, line: int, reason: str) -> UserError:
        """Return the error for a wrong row, with file, row, reason and remedy."""
        path = folder / self.name
        return UserError(f"{path}: row {line}: {reason}; correct it, or remove the file to leave out {self.provides}")


TRACE = Sidecar("trace.csv", ("seconds", "track", "x_m", "z_m", "cross_track_m"), "the map")
ANSWERS = Sidecar("answers.csv", ("request_to_steer_ms",), "the latency")
UNCERTAINTY = Sidecar("uncertainty.csv", ("score", "average", "uncertain"), "the uncertainty")


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Where a simulated car was when a frame was taken: one row of trace.csv.

    seconds: simulated, since the drive began; track: the track's name; x_m, z_m: metres on its map; cross_track_m:
    metres to the right of its centre line. Raises ValueError for values that no drive has.
    """

    seconds: float
    track: str
    x_m: float
    z_m: float
    cross_track_m: float

    def __post_init__(self) -> None:
        if not isinstance(self.track, str) or not self.track.isprintable() or len(self.track) > _LONGEST_NAME:
            raise ValueError(f"track {str(self.track)[:40]!r}, expected a name of at most {_LONGEST_NAME} characters")
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not abs(value) <= most:
                raise ValueError(f"{name} is {str(value)[:40]!r}, expected a number up to {most:.0e}")

    def row(self, image: str) -> str:
        """Return the row for an image's base name."""
        track = self.track
        if "," in track or '"' in track:  # random:7:hills=0,surface=dirt
            track = '"' + track.replace('"', '""') + '"'
        return f"{image},{self.seconds:.2f},{track},{self.x_m:.3f},{self.z_m:.3f},{self.cross_track_m:.4f}"


def read_trace(folder: Path) -> dict[str, TracePoint]:
    """Return the points of trace.csv by the base name of their image; none if there is no such file."""
    points = {}
    for line, image, (seconds, track, *position) in TRACE.rows(folder):
        numbers = TRACE.numbers(folder, line, ("seconds", "x_m", "z_m", "cross_track_m"), (seconds, *position))
        try:
            points[image] = TracePoint(numbers[0], track, *numbers[1:])
        except ValueError as error:
            raise TRACE.error(folder, line, str(error)) from None
    return points


def answer_row(image: str, seconds: float) -> str:
    """Return the row of answers.csv for an image's base name and the time from its request to its answer."""
    return f"{image},{seconds * 1000:.3f}"


def uncertainty_row(image: str, score: float, average: float, uncertain: bool) -> str:
    """Return the row of uncertainty.csv for an image's base name; average: of the scores of the last second."""
    return f"{image},{uncertainty_cells(score, average, uncertain)}"


def uncertainty_cells(score: float, average: float, uncertain: bool) -> str:
    """Return the cells of what a monitor said of a frame, as in uncertainty.csv."""
    return f"{score:.6g},{average:.6g},{int(uncertain)}"


def read_answers(folder: Path) -> dict[str, float]:
    """Return the milliseconds from request to answer by the base name of the image; none if there is no such file."""
    return {
        image: ANSWERS.numbers(folder, line, ANSWERS.columns, cells)[0] for line, image, cells in ANSWERS.rows(folder)
    }


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame of the simulated world: the digest of its JPEG bytes, and where the car was."""

    digest: bytes
    point: TracePoint


def digest_of(jpeg: bytes) -> bytes:
    """Return the digest by which a frame is found."""
    return hashlib.blake2b(jpeg, digest_size=8).digest()


def write_trace(folder: Path, shown: Sequence[ShownFrame]) -> int:
    """Write the trace of a run folder; return how many of its frames were found among the shown ones.

    The drive server names frames by its own clock, but keeps their bytes, so each is found by the digest of its JPEG.
    """
    rows = [point.row(name) for name, point in _matched(folder, shown)]
    write_text(folder / TRACE.name, TRACE.header + "".join(f"{row}\n" for row in rows))
    return len(rows)


def _matched(folder: Path, shown: Sequence[ShownFrame]) -> Iterator[tuple[str, TracePoint]]:
    """Yield the name of each frame and where the car was.

    Frames with the same bytes, as of a car that stands still, are matched in their order.
    """
    indices: dict[bytes, deque[int]] = defaultdict(deque)
    for index, frame in enumerate(shown):
        indices[frame.digest].append(index)
    latest = -1
    for path in sorted(folder.glob("*.jpg")):
        candidates = indices[digest_of(read_limited(path, MOST_IMAGE))]
        while candidates and candidates[0] <= latest:
            candidates.popleft()
        if candidates:
            latest = candidates.popleft()
            yield path.name, shown[latest].point
