"""Read and write the sidecars of a run: CSV files next to its log, with values for each image.

In: a run folder. Out: the values of each sidecar, by the name of the image. To write, the values
become rows of the file.

    drivers.csv: who drove
    trace.csv: where the simulated car was
    answers.csv: how late the drive server answered
    motion.csv: the path of a camera whose steering is estimated: its curvature, positive to the
        right, and the curvature's standard error, both in 1 / camera height; and the speed in
        camera heights a second
    left_out.csv: why a picture of a film became no row of the log, which lacks its image

A row is written together with its row of the log, so that a killed program leaves both, complete
up to the last line. Two are written afterwards: the trace of a drive through the drive server, by
write_trace(), and left_out.csv.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bcclone.system.codec import explained, number, one_line, read_bytes, read_table, whole_number
from bcclone.system.errors import UserError
from bcclone.system.files import write_text
from bcclone.system.location import Location

MODEL = "model"
HUMAN = "human"
_MOST_TAKE_OVERS = 1_000_000
T = TypeVar("T")


@dataclass(frozen=True)
class Sidecar:
    """The form of a CSV file of rows `image,...`."""

    name: str  # name of the file
    columns: tuple[str, ...]  # the columns after `image`
    provides: str  # what a video clip of the run shows only with this file, for messages

    @property
    def header(self) -> str:
        """Return the file's first line."""
        return ",".join(("image", *self.columns)) + "\n"

    def is_in(self, folder: Location) -> bool:
        """Return whether a folder has such a file."""
        return bool((folder / self.name).exists())

    def read(self, folder: Location, value_of: Callable[[Mapping[str, str]], T]) -> dict[str, T]:
        """Return the value of each row by the base name of its image; {} if there is no file.

        An incomplete last line, which a killed program leaves, is ignored. Raises UserError for a
        table of another form, and for a row that value_of() refuses with a ValueError.

        value_of: cells of a row, by column -> value
        """
        path = folder / self.name
        values: dict[str, T] = {}
        remedy = f"correct it, or remove the file to leave out {self.provides}"
        # a folder in a cloud may not answer; read_table() explains its errors itself
        with explained(path, what="", remedy=remedy):
            if not self.is_in(folder):
                return values
        needed = ("image", *self.columns)
        for line, cells in read_table(path, needed, what="", remedy=remedy, partial=True):
            try:
                values[cells["image"]] = value_of(cells)
            except ValueError as error:
                raise UserError(f"{path}: line {line}: {error}; {remedy}") from None
        return values


DRIVERS = Sidecar("drivers.csv", ("driver", "take_over"), "who drove")
TRACE = Sidecar("trace.csv", ("seconds", "track", "x_m", "z_m", "cross_track_m"), "the map")
ANSWERS = Sidecar("answers.csv", ("request_to_steer_ms",), "the latency")
MOTION = Sidecar("motion.csv", ("curvature", "error", "speed"), "the path of a film")
LEFT_OUT = Sidecar("left_out.csv", ("reason",), "what was left out of a film")
SIDECARS = (DRIVERS, TRACE, ANSWERS, MOTION, LEFT_OUT)


@dataclass(frozen=True, slots=True)
class DrivenBy:
    """Who steered at a row of the log; raises ValueError.

    A take-over begins when a person takes over from a model, and ends when the model drives again.
    """

    driver: str  # MODEL or HUMAN
    take_over: int | None = None  # number of the take-over, from 1; None outside of one

    def __post_init__(self) -> None:
        if self.driver not in (MODEL, HUMAN):
            raise ValueError(f"driver {str(self.driver)[:40]!r}, expected {MODEL} or {HUMAN}")
        if self.take_over is not None:
            whole_number("take_over", self.take_over, 1, _MOST_TAKE_OVERS)
            if self.driver == MODEL:
                raise ValueError(f"take_over {self.take_over} of a {MODEL}, expected nothing")

    def row(self, image: str) -> str:
        """Return the row of drivers.csv for an image's base name."""
        if self.take_over is None:
            return f"{image},{self.driver},"
        return f"{image},{self.driver},{self.take_over}"


BY_MODEL = DrivenBy(MODEL)


def read_drivers(folder: Location) -> Mapping[str, DrivenBy]:
    """Return who drove, by the base name of the centre image; {} without a drivers.csv.

    Raises UserError.
    """

    def driven(cells: Mapping[str, str]) -> DrivenBy:
        take_over = None
        if cells["take_over"]:
            take_over = whole_number("take_over", cells["take_over"], 1, _MOST_TAKE_OVERS)
        return DrivenBy(cells["driver"], take_over)

    return DRIVERS.read(folder, driven)


# column of trace.csv -> the greatest size of a value, positive or negative
_FARTHEST = {
    "seconds": 1e9,  # 30 years
    "x_m": 1e6,  # 1000 km
    "z_m": 1e6,
    "cross_track_m": 1e6,
}


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Where a simulated car was when a frame was taken: one row of trace.csv.

    Raises ValueError for values that no drive has.
    """

    seconds: float  # simulated, since the drive began
    track: str  # name of the track
    x_m: float  # first coordinate on the track's map, in metres
    z_m: float  # second coordinate on the track's map, in metres
    cross_track_m: float  # metres to the right of the track's centre line

    def __post_init__(self) -> None:
        one_line("track", self.track, 4096)
        for name, farthest in _FARTHEST.items():
            number(name, getattr(self, name), -farthest, farthest)

    def row(self, image: str) -> str:
        """Return the row for an image's base name."""
        track = self.track
        if "," in track or '"' in track:  # random:7:hills=0,surface=dirt
            track = '"' + track.replace('"', '""') + '"'
        place = f"{self.x_m:.3f},{self.z_m:.3f},{self.cross_track_m:.4f}"
        return f"{image},{self.seconds:.2f},{track},{place}"


def read_trace(folder: Location) -> dict[str, TracePoint]:
    """Return the points of trace.csv, by the base name of the image; {} without such a file.

    Raises UserError.
    """

    def point_of(cells: Mapping[str, str]) -> TracePoint:
        numbers = {name: number(name, cells[name]) for name in _FARTHEST}
        return TracePoint(track=cells["track"], **numbers)

    return TRACE.read(folder, point_of)


def answer_row(image: str, seconds: float) -> str:
    """Return the row of answers.csv for an image's base name.

    seconds: time from the request to the answer
    """
    return f"{image},{seconds * 1000:.3f}"


def read_answers(folder: Path) -> dict[str, float]:
    """Return the milliseconds from request to answer, by the base name of the image."""
    (column,) = ANSWERS.columns
    return ANSWERS.read(folder, lambda cells: number(column, cells[column]))


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame that the simulated car has sent to the drive server."""

    digest: bytes  # digest_of() the frame's JPEG
    point: TracePoint  # where the car was


def digest_of(jpeg: bytes) -> bytes:
    """Return the digest of a frame's JPEG, by which write_trace() finds the frame."""
    return hashlib.blake2b(jpeg, digest_size=8).digest()


def write_trace(folder: Path, shown: Sequence[ShownFrame]) -> int:
    """Write the trace of a run folder; return how many of its images are among the shown frames.

    The drive server names frames by its own clock, but keeps their bytes, so a frame is found by
    the digest of its JPEG. Frames with the same bytes, as when the car stands still, are matched in
    their order.

    shown: the frames that the car has sent, in order of time
    """
    indices: dict[bytes, deque[int]] = defaultdict(deque)
    for index, frame in enumerate(shown):
        indices[frame.digest].append(index)
    rows = []
    latest = -1  # index of the frame that was found last
    for path in sorted(folder.glob("*.jpg")):
        candidates = indices[digest_of(read_bytes(path, "image"))]
        # frames are shown in order of time, so an earlier one is not this one
        while candidates and candidates[0] <= latest:
            candidates.popleft()
        if candidates:
            latest = candidates.popleft()
            rows.append(shown[latest].point.row(path.name))
    write_text(folder / TRACE.name, TRACE.header + "".join(f"{row}\n" for row in rows))
    return len(rows)
