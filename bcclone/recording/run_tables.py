"""Read and write the sidecar tables of a run: CSV files next to its log, with further values for
each image.

In: a run folder. Out: the values of each table by image. For writing, values in, rows out.

drivers.csv says who drove, trace.csv where the simulated car was, answers.csv how late the drive
server answered, and motion.csv has the path of a camera whose steering is estimated: its curvature,
to the right positive, and the standard error in 1 / camera height, and its speed in camera heights
a second. Each row is written with its row of the log, so that a killed program leaves both
complete.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bcclone.system.atomic import write_text
from bcclone.system.codec import explained, number, one_line, read_bytes, read_table, whole_number
from bcclone.system.errors import UserError
from bcclone.system.location import Location

MODEL, HUMAN = "model", "human"
_TAKE_OVERS = 1_000_000  # at most
_FARTHEST = {
    "seconds": 1e9,
    "x_m": 1e6,
    "z_m": 1e6,
    "cross_track_m": 1e6,
}  # of a point: 30 years, 1000 km
T = TypeVar("T")


@dataclass(frozen=True)
class Sidecar:
    """The form of a CSV file of rows `image,...`.

    columns: the names of the columns after `image`; provides: the feature of a clip that needs the
    file, for messages.
    """

    name: str
    columns: tuple[str, ...]
    provides: str

    @property
    def header(self) -> str:
        """Return the file's first line."""
        return ",".join(("image", *self.columns)) + "\n"

    def is_in(self, folder: Location) -> bool:
        """Return whether a folder has such a file."""
        return bool((folder / self.name).exists())

    def read(self, folder: Location, value_of: Callable[[Mapping[str, str]], T]) -> dict[str, T]:
        """Return value_of() the cells of each row by the base name of its image; {} if there is no
        such file.

        An incomplete last line, which a killed program leaves, is ignored. Raises UserError for a
        table of another form, and where value_of() raises ValueError.
        """
        path, values = folder / self.name, dict[str, T]()
        remedy = f"correct it, or remove the file to leave out {self.provides}"
        with explained(path, "", remedy):
            if not self.is_in(folder):
                return values
        for line, cells in read_table(path, ("image", *self.columns), "", remedy, partial=True):
            try:
                values[cells["image"]] = value_of(cells)
            except ValueError as error:
                raise UserError(f"{path}: line {line}: {error}; {remedy}") from None
        return values


DRIVERS = Sidecar("drivers.csv", ("driver", "take_over"), "who drove")
TRACE = Sidecar("trace.csv", ("seconds", "track", "x_m", "z_m", "cross_track_m"), "the map")
ANSWERS = Sidecar("answers.csv", ("request_to_steer_ms",), "the latency")
MOTION = Sidecar("motion.csv", ("curvature", "error", "speed"), "the path of a film")
SIDECARS = (DRIVERS, TRACE, ANSWERS, MOTION)


@dataclass(frozen=True, slots=True)
class DrivenRow:
    """Who steered at a row of the log: MODEL or HUMAN; take_over: number of the take-over, from 1,
    None if none.

    A take-over begins when a person takes over from a model, and ends when the model drives again.
    Raises ValueError.
    """

    driver: str
    take_over: int | None = None

    def __post_init__(self) -> None:
        if self.driver not in (MODEL, HUMAN):
            raise ValueError(f"driver {str(self.driver)[:40]!r}, expected {MODEL} or {HUMAN}")
        if self.take_over is not None:
            whole_number("take_over", self.take_over, 1, _TAKE_OVERS)
            if self.driver == MODEL:
                raise ValueError(f"take_over {self.take_over} of a {MODEL}, expected nothing")

    def row(self, image: str) -> str:
        """Return the row of drivers.csv for an image's base name."""
        return f"{image},{self.driver},{'' if self.take_over is None else self.take_over}"


BY_MODEL = DrivenRow(MODEL)


def read_drivers(folder: Location) -> Mapping[str, DrivenRow]:
    """Return who drove, by the base name of the centre image; empty if there is no drivers.csv.
    Raises UserError.
    """

    def driven(cells: Mapping[str, str]) -> DrivenRow:
        take_over = cells["take_over"]
        return DrivenRow(
            cells["driver"],
            whole_number("take_over", take_over, 1, _TAKE_OVERS) if take_over else None,
        )

    return DRIVERS.read(folder, driven)


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Where a simulated car was when a frame was taken: one row of trace.csv.

    seconds: simulated, since the drive began; track: the track's name; x_m, z_m: metres on its map;
    cross_track_m: metres to the right of its centre line. Raises ValueError for values that no
    drive has.
    """

    seconds: float
    track: str
    x_m: float
    z_m: float
    cross_track_m: float

    def __post_init__(self) -> None:
        one_line("track", self.track, 4096)
        for name, farthest in _FARTHEST.items():
            number(name, getattr(self, name), -farthest, farthest)

    def row(self, image: str) -> str:
        """Return the row for an image's base name."""
        track = self.track
        if "," in track or '"' in track:  # random:7:hills=0,surface=dirt
            track = '"' + track.replace('"', '""') + '"'
        return f"{image},{self.seconds:.2f},{track},{self.x_m:.3f},{self.z_m:.3f},{self.cross_track_m:.4f}"


def read_trace(folder: Location) -> dict[str, TracePoint]:
    """Return the points of trace.csv by the base name of their image; {} without such a file.
    Raises UserError.
    """

    def point_of(cells: Mapping[str, str]) -> TracePoint:
        return TracePoint(
            track=cells["track"], **{name: number(name, cells[name]) for name in _FARTHEST}
        )

    return TRACE.read(folder, point_of)


def answer_row(image: str, seconds: float) -> str:
    """Return the row of answers.csv for an image's base name and the time from its request to its
    answer.
    """
    return f"{image},{seconds * 1000:.3f}"


def read_answers(folder: Path) -> dict[str, float]:
    """Return the milliseconds from request to answer by the base name of the image; {} without such
    a file.
    """
    (column,) = ANSWERS.columns
    return ANSWERS.read(folder, lambda cells: number(column, cells[column]))


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame of the simulated world: the digest of its JPEG bytes, and where the car was."""

    digest: bytes
    point: TracePoint


def digest_of(jpeg: bytes) -> bytes:
    """Return the digest by which a frame is found."""
    return hashlib.blake2b(jpeg, digest_size=8).digest()


def write_trace(folder: Path, shown: Sequence[ShownFrame]) -> int:
    """Write the trace of a run folder; return how many of its frames were found among the shown
    ones.

    The drive server names frames by its own clock, but keeps their bytes, so each is found by the
    digest of its JPEG. Frames with the same bytes, as of a car that stands still, are matched in
    their order.
    """
    indices: dict[bytes, deque[int]] = defaultdict(deque)
    for index, frame in enumerate(shown):
        indices[frame.digest].append(index)
    rows, latest = list[str](), -1
    for path in sorted(folder.glob("*.jpg")):
        candidates = indices[digest_of(read_bytes(path, "image"))]
        while candidates and candidates[0] <= latest:
            candidates.popleft()
        if candidates:
            latest = candidates.popleft()
            rows.append(shown[latest].point.row(path.name))
    write_text(folder / TRACE.name, TRACE.header + "".join(f"{row}\n" for row in rows))
    return len(rows)
