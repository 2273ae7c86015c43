"""A recording after an edit -> counts of its rows, and spans of rows that are alike, as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.recording.run_tables import DrivenBy
from bcclone.system.errors import number_of, shown_command
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray


@dataclass(frozen=True)
class RowSpan:
    """Consecutive rows that are alike: all kept or all deleted, of one driver, without a pause."""

    first: int  # number of the first row, from 1
    last: int  # number of the last row
    from_seconds: float  # time of the first row, since the first row of the recording
    to_seconds: float  # time of the last row, since the first row of the recording
    kept: bool  # False if the rows are deleted
    driver: str | None  # "human" or "model", None if nothing says who drove
    take_over: int | None  # number of the take-over, from 1; None if the rows are not in one
    after_pause: bool  # whether a pause separates the span from the rows before

    def __str__(self) -> str:
        line = (
            f"  rows {self.first:>6} to {self.last:<6} "
            f"{self.from_seconds:>8.1f}s to {self.to_seconds:>7.1f}s   {self._state():<7}"
        )
        if self.driver:
            line += f"   {self.driver}"
        if self.driver and self.take_over:
            line += f", take-over {self.take_over}"
        line = line.rstrip()
        if self.after_pause:
            line += ", after a pause"
        return line

    def _state(self) -> str:
        return "kept" if self.kept else "deleted"


@dataclass(frozen=True)
class EditResult:
    """A recording after an edit, or as it is if no edit was made."""

    log: Path  # path of the log; for a tub, its folder
    rows: int  # number of the rows without faults, both the kept and the deleted ones
    deleted: int  # number of the deleted rows
    seconds: float  # time from the first row to the last; a pause counts 10 s at most
    changed: int  # number of the rows that this edit deleted, restored or corrected
    edits: int  # number of the edits that can be undone
    spans: tuple[RowSpan, ...]  # all rows in order of time
    steering: str = ""  # how the steering is corrected, in words; "" if it is as recorded

    def as_text(self) -> str:
        """Return the counts and a line for each span; after a change, how to take it back."""
        kept = self.rows - self.deleted
        counts = (
            f"{self.log}: {number_of(self.rows, 'row')}, {self.seconds:.1f} s; "
            f"{kept} kept, {self.deleted} deleted"
        )
        if self.edits:
            counts += f" by {number_of(self.edits, 'edit')}"
        lines = [counts]
        if self.steering:
            lines.append(f"  steering, against the log: {self.steering}")
        lines += map(str, self.spans)
        if self.changed:
            changed = f"{number_of(self.changed, 'row')} changed"
            if self.edits:
                changed += f"; undo the last edit with: {shown_command('edit', self.log, '--undo')}"
            lines.append(changed)
        return "\n".join(lines)


def row_spans(
    times_ms: IndexArray,
    seconds: FloatArray,
    deleted: BoolArray,
    driven: Sequence[DrivenBy | None],
) -> Iterator[RowSpan]:
    """Yield the spans of consecutive rows that are alike.

    times_ms: times of the rows, (rows,)
    seconds: time of each row since the first row, (rows,)
    deleted: whether a row is deleted, (rows,)
    driven: who drove in each row, None where nothing says it
    """
    # number of the stretch without a pause that each row is in
    stretches = np.cumsum(np.diff(times_ms, prepend=times_ms[0]) > EPISODE_GAP_MS)

    def likeness(row: int) -> tuple[object, ...]:
        return stretches[row], deleted[row], driven[row]

    for _, alike in groupby(range(len(times_ms)), key=likeness):
        rows = list(alike)
        first = rows[0]
        last = rows[-1]
        driver, take_over = _driver_of(driven[first])
        yield RowSpan(
            first=first + 1,
            last=last + 1,
            from_seconds=round(float(seconds[first]), 3),
            to_seconds=round(float(seconds[last]), 3),
            kept=not deleted[first],
            driver=driver,
            take_over=take_over,
            after_pause=bool(first and stretches[first] > stretches[first - 1]),
        )


def _driver_of(driven: DrivenBy | None) -> tuple[str | None, int | None]:
    """Return driver and number of the take-over of a row."""
    if driven is None:
        return None, None
    return driven.driver, driven.take_over
