"""What is known of a drive beside its log: where the car was (trace.csv), how fast it was answered (answers.csv)."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.recording.side_table import SideTable

TRACE = SideTable("trace.csv", ("seconds", "track", "x_m", "z_m", "cross_track_m"), "the map")
ANSWERS = SideTable("answers.csv", ("request_to_steer_ms",), "the latency")


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
