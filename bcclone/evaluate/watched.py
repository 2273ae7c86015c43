"""Watch a scored drive with a monitor, and report what it said of the frames: figures, a table and a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from bcclone.drive.driver import Uncertainty, Watch
from bcclone.system.errors import UserError
from bcclone.system.json_values import to_json
from bcclone.system.table import Table, TableColumn

Clock: TypeAlias = Callable[[], float]  # returns the time of the present frame, in seconds
OpenWatch: TypeAlias = Callable[[Clock], Watch]  # opens the watch of a drive


@dataclass(frozen=True)
class WatchFile:
    """The monitor of a model: its file, and an importable function that opens it, open(file, model, clock)."""

    file: Path
    open: Callable[[Path, Path, Clock], Watch]

    def opener(self, models: Sequence[Path | str]) -> OpenWatch:
        """Return what opens the watch of drives with the only one of these models; raises UserError for several."""
        if len(models) > 1:
            raise UserError(f"{self.file}: a monitor belongs to one model, and {len(models)} are given; name one only")
        return partial(self.open, self.file, Path(models[0]))


@dataclass(frozen=True)
class WatchedFrame:
    """What was said of a frame. seconds: of the drive; average: of the scores of the last second."""

    seconds: float
    score: float
    average: float
    uncertain: bool

    @classmethod
    def of(cls, seconds: float, said: Uncertainty) -> "WatchedFrame":
        return cls(round(seconds, 3), said.score, said.average, said.uncertain)


@dataclass(frozen=True)
class WatchFigures:
    """How many of the frames were uncertain, and after how many seconds the first one was."""

    frames: int
    uncertain: int
    fraction: float
    first_seconds: float | None
    mean_score: float

    @classmethod
    def of(cls, watched: Sequence[WatchedFrame]) -> "WatchFigures":
        """Return the figures of some frames, of one at least."""
        count, seconds = len(watched), [one.seconds for one in watched if one.uncertain]
        score = sum(one.score for one in watched) / count
        return cls(count, len(seconds), round(len(seconds) / count, 4), seconds[0] if seconds else None, score)

    def describe(self) -> str:
        first = "" if self.first_seconds is None else f", first after {self.first_seconds:.1f} s"
        return f"uncertain at {self.uncertain} of {self.frames} frames{first}"


def uncertainty_figures(watched: Sequence[WatchedFrame]) -> dict[str, Any]:
    """Return the figures of the frames under "uncertainty", as JSON values; nothing without a watch."""
    return {"uncertainty": to_json(WatchFigures.of(watched))} if watched else {}


def watched_table(watched: Sequence[WatchedFrame]) -> Table:
    """Return the frames as the table that is written as uncertainty.csv."""
    rows = [(f"{one.seconds:.3f}", f"{one.score:.6g}", f"{one.average:.6g}", int(one.uncertain)) for one in watched]
    return Table([TableColumn(column.name) for column in fields(WatchedFrame)], rows)
