"""What a watch said of the frames of a drive or a recording: its figures, its table and a line of text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

from bcclone.drive.watch import Doubt, Watch
from bcclone.recording.run_tables import doubt_cells

# opens the watch of a drive; its argument returns the time of the present frame, in seconds
OpenWatch = Callable[[Callable[[], float]], Watch]


@dataclass(frozen=True)
class WatchedFrame:
    """What was said of a frame. seconds: of the drive; average: of the scores of the last second."""

    seconds: float
    score: float
    average: float
    in_doubt: bool

    @classmethod
    def of(cls, seconds: float, doubt: Doubt) -> Self:
        """Return the entry of a frame."""
        return cls(round(seconds, 3), doubt.score, doubt.average, doubt.in_doubt)


@dataclass(frozen=True)
class WatchFigures:
    """How many of the frames were in doubt, and after how many seconds the first one was."""

    frames: int
    in_doubt: int
    fraction: float
    first_seconds: float | None
    mean_score: float

    @classmethod
    def of(cls, watched: Sequence[WatchedFrame]) -> Self:
        """Return the figures of some frames."""
        doubted = [one for one in watched if one.in_doubt]
        return cls(
            frames=len(watched),
            in_doubt=len(doubted),
            fraction=round(len(doubted) / max(len(watched), 1), 4),
            first_seconds=doubted[0].seconds if doubted else None,
            mean_score=sum(one.score for one in watched) / max(len(watched), 1),
        )

    def describe(self) -> str:
        """Return in words how much was in doubt."""
        first = "" if self.first_seconds is None else f", first after {self.first_seconds:.1f} s"
        return f"doubts at {self.in_doubt} of {self.frames} frames{first}"


def watched_csv(watched: Sequence[WatchedFrame]) -> str:
    """Return the frames as a CSV table."""
    rows = (f"{one.seconds:.3f},{doubt_cells(one.score, one.average, one.in_doubt)}" for one in watched)
    return "\n".join([",".join(column.name for column in fields(WatchedFrame)), *rows]) + "\n"
