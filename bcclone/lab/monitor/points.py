"""What a monitor said along a drive, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from bcclone.drive.watch import Doubt
from bcclone.recording.run_tables import doubt_cells


@dataclass(frozen=True)
class DoubtPoint:
    """What the monitor said of a frame. seconds: of the drive; average: of the scores of the last second."""

    seconds: float
    score: float
    average: float
    in_doubt: bool

    @classmethod
    def of(cls, seconds: float, doubt: Doubt) -> "DoubtPoint":
        """Return the point of a frame."""
        return cls(round(seconds, 3), doubt.score, doubt.average, doubt.in_doubt)


def doubt_figures(points: Sequence[DoubtPoint]) -> dict[str, Any]:
    """Return the figures of a drive as JSON values: how many frames were in doubt, and when the first one was."""
    doubted = [point for point in points if point.in_doubt]
    return {
        "frames": len(points),
        "in_doubt": len(doubted),
        "fraction": round(len(doubted) / max(len(points), 1), 4),
        "first_seconds": doubted[0].seconds if doubted else None,
        "mean_score": sum(point.score for point in points) / max(len(points), 1),
    }


def doubts_csv(points: Sequence[DoubtPoint]) -> str:
    """Return the points as a CSV table."""
    rows = (f"{one.seconds:.3f},{doubt_cells(one.score, one.average, one.in_doubt)}" for one in points)
    return "\n".join([",".join(column.name for column in fields(DoubtPoint)), *rows]) + "\n"


def describe_doubts(points: Sequence[DoubtPoint]) -> str:
    """Return in words how much of a drive was in doubt."""
    figures = doubt_figures(points)
    first = "" if figures["first_seconds"] is None else f", first after {figures['first_seconds']:.1f} s"
    return f"doubts at {figures['in_doubt']} of {figures['frames']} frames{first}"
