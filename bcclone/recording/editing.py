"""Edit a recording: turn positions into spans of rows, record the edit, and list what is kept and
what is deleted.

In: `EditSettings`. Out: an `EditResult`, and the file of edits next to the log.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.recording import END, MAX_ADVANCE, START, EditSettings
from bcclone.recording.edits import (
    ADVANCE,
    DELETE,
    MIRROR,
    RESTORE,
    TRIM,
    Edit,
    Edits,
    edits_path,
    read_edits,
    seconds_since_first,
    write_edits,
)
from bcclone.recording.files import find_log
from bcclone.recording.log import EPISODE_GAP_MS, corrected_steering, read_log
from bcclone.recording.run_tables import BY_MODEL, DrivenRow, read_drivers
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.location import as_local
from bcclone.system.output import locked

_WAIT_SECONDS = 60.0  # for others that edit the same recording


@dataclass(frozen=True)
class RowSpan:
    """Consecutive rows that are alike: without a pause, all kept or all deleted, and driven by the
    same driver.

    first, last: numbers of the rows, from 1; from_seconds, to_seconds: since the first row of the
    recording; driver: "human" or "model", None if there is no drivers.csv; take_over: its number,
    None if none; after_pause: a pause separates them from the rows before.
    """

    first: int
    last: int
    from_seconds: float
    to_seconds: float
    kept: bool
    driver: str | None
    take_over: int | None
    after_pause: bool

    def __str__(self) -> str:
        take_over = f", take-over {self.take_over}" if self.take_over else ""
        line = (
            f"  rows {self.first:>6} to {self.last:<6} {self.from_seconds:>8.1f}s to {self.to_seconds:>7.1f}s   "
            f"{'kept' if self.kept else 'deleted':<7}{f'   {self.driver}{take_over}' if self.driver else ''}"
        )
        return line.rstrip() + (", after a pause" if self.after_pause else "")


@dataclass(frozen=True)
class EditResult:
    """A recording after an edit, or as it is.

    rows, deleted: numbers of usable rows, and of those that are left out; seconds: from the first
    row to the last; changed: rows that this edit deleted, restored or corrected; edits: how many
    can be undone; spans: all rows in order; steering: how it is corrected, "" for as recorded.
    """

    log: Path
    rows: int
    deleted: int
    seconds: float
    changed: int
    edits: int
    spans: tuple[RowSpan, ...]
    steering: str = ""

    def as_text(self) -> str:
        """Return the counts and a line for each span; after a change, how to take it back."""
        by_edits = f" by {number_of(self.edits, 'edit')}" if self.edits else ""
        lines = [
            f"{self.log}: {number_of(self.rows, 'row')}, {self.seconds:.1f} s; "
            f"{self.rows - self.deleted} kept, {self.deleted} deleted{by_edits}"
        ]
        lines += (
            [f"  steering of all rows, against the log: {self.steering}"] if self.steering else []
        )
        lines += map(str, self.spans)
        if self.changed:
            hint = (
                f"; undo the last edit with: {shown_command('edit', self.log, '--undo')}"
                if self.edits
                else ""
            )
            lines.append(f"{number_of(self.changed, 'row')} changed{hint}")
        return "\n".join(lines)


def edit(settings: EditSettings) -> EditResult:
    """Delete, restore, correct the steering or undo, as the settings say, and list the rows; the
    log never changes.

    Raises UserError for a recording that cannot be read, rows that it does not have, and an edit
    that changes nothing or deletes every row.
    """
    return EditedRecording(find_log(settings.recording)).edit(settings)


class EditedRecording:
    """All usable rows of a log, the deleted ones included, in order of time, and its edits so far.

    rows: with the columns of a log; edits_file: holds the edits; seconds: since the first row,
    (rows,), rounded to milliseconds, so that the position 0.8s finds the row at 0.8 s.
    """

    def __init__(self, path: Path, rows: pd.DataFrame | None = None) -> None:
        self.path = path
        self.rows = read_log(path, edited=False).rows if rows is None else rows
        self.times: IndexArray = self.rows["time_ms"].to_numpy(np.int64)
        self.seconds: FloatArray = np.round(seconds_since_first(self.times / 1000), 3)
        self.edits = self.read_edits()

    @property
    def edits_file(self) -> Path:
        return as_local(edits_path(self.path))

    def read_edits(self) -> Edits:
        return read_edits(self.path)

    def write_edits(self, edits: Edits) -> None:
        """Replace the edits; raises OSError."""
        write_edits(self.path, edits)

    def edit(self, settings: EditSettings) -> EditResult:
        """Edit as the settings say, and list the rows; raises UserError as edit()."""
        path, rows = self.path, self.rows
        busy = "try again when it has ended"
        with locked(self.edits_file, busy, _WAIT_SECONDS) if settings.edits else nullcontext():
            self.edits = before = self.read_edits()  # others may have edited it since
            after = self.edited(settings)
            deleted, steering = after.deleted(self.times), corrected_steering(rows, after)
            corrections = ["mirrored"] * after.mirrors
            if seconds := after.advance_seconds:
                corrections.append(f"{abs(seconds):g} s {'later' if seconds > 0 else 'earlier'}")
            left = after if deleted.any() or corrections else Edits()  # they take each other back
            if after is not before:
                if deleted.all():
                    raise UserError(
                        f"{path}: that would delete all {len(rows)} rows; remove the recording's folder instead"
                    )
                try:
                    self.write_edits(left)
                except OSError as error:
                    raise UserError(
                        f"{self.edits_file}: cannot be written: {error.strerror}; "
                        "change the permissions of the folder, or edit a copy of the recording"
                    ) from None
                self.edits = left
        changed = (deleted != before.deleted(self.times)) | (
            steering != corrected_steering(rows, before)
        )
        return EditResult(
            log=path,
            rows=len(rows),
            deleted=int(deleted.sum()),
            seconds=round(float(self.seconds[-1]), 3),
            changed=int(changed.sum()),
            edits=len(left.edits),
            spans=tuple(self.spans(deleted)),
            steering=", ".join(corrections),
        )

    def edited(self, settings: EditSettings) -> Edits:
        """Return the edits with that of the settings, or the same ones without one.

        Raises UserError for an edit that would change nothing, or shift the steering too far.
        """
        done = self.edits.edits
        if settings.undo:
            if not done:
                listing = shown_command("edit", self.path)
                raise UserError(
                    f"{self.path}: there is no edit to undo; list the rows with: {listing}"
                )
            return Edits(done[:-1])
        if settings.mirror_steering:
            return Edits((*done, Edit(MIRROR)))
        if settings.advance_steering:
            after = Edits((*done, Edit(ADVANCE, seconds=settings.advance_steering)))
            if (shift := abs(after.advance_seconds)) > MAX_ADVANCE:
                raise UserError(
                    f"{self.path}: with the edits before, the steering would be shifted by {shift:g} s, expected at "
                    f"most {MAX_ADVANCE:g} s; take the last edit back with: "
                    f"{shown_command('edit', self.path, '--undo')}"
                )
            return after
        if not (positions := settings.delete or settings.restore or settings.trim):
            return self.edits
        kind = DELETE if settings.delete else RESTORE if settings.restore else TRIM
        images = self.rows["center"].tolist()
        ranges = [self.range_of(positions[at : at + 2]) for at in range(0, len(positions), 2)]
        if kind == TRIM:
            ((first, last),) = ranges
            ranges = [(0, first - 1), (last + 1, len(images) - 1)]
        spans = tuple((images[start], images[end]) for start, end in ranges if start <= end)
        after = Edits((*done, Edit(kind, spans))) if spans else self.edits
        if (after.deleted(self.times) == self.edits.deleted(self.times)).all():
            already = "are deleted already" if spans else "are all of the recording"
            state = "are not deleted" if kind == RESTORE else already
            raise UserError(
                f"{self.path}: nothing to {kind}: these rows {state}; list them with: "
                f"{shown_command('edit', self.path)}"
            )
        return after

    def range_of(self, positions: Sequence[str]) -> tuple[int, int]:
        """Return the indices of the first and the last row between two positions, both included; ()
        for all rows.
        """
        begin, end = positions or (START, END)
        first, last = self._index(begin, "left"), self._index(end, "right")
        if first > last:
            raise UserError(
                f"{self.path}: no row from {begin} to {end}; expected FROM before TO, with a row between them"
            )
        return first, last

    def _index(self, position: str, side: str) -> int:
        """Return the index of the row at a position; of seconds, the row after it ("left") or
        before it ("right").
        """
        count = len(self.rows)
        if position in (START, END):
            return 0 if position == START else count - 1
        if position.endswith("s"):
            moment, end = float(position[:-1]), self.seconds[-1]
            if moment > end and side == "left":
                raise UserError(
                    f"{self.path}: it ends after {end:.1f}s, but {position} is asked for"
                )
            return int(np.searchsorted(self.seconds, moment, side)) - (side == "right")  # type: ignore[call-overload]
        if not 1 <= int(position) <= count:
            raise UserError(f"{self.path}: there is no row {int(position)}, expected 1 to {count}")
        return int(position) - 1

    @cached_property
    def driven(self) -> Sequence[DrivenRow | None]:
        """Return who drove in each row, None where nothing says it."""
        drivers = read_drivers(self.path.parent)
        return [drivers.get(image, BY_MODEL) if drivers else None for image in self.rows["center"]]

    def spans(self, deleted: BoolArray) -> Iterator[RowSpan]:
        """Yield the spans of consecutive rows that are alike. deleted: which rows are, (rows,)."""
        by = self.driven
        stretches = np.cumsum(np.diff(self.times, prepend=self.times[0]) > EPISODE_GAP_MS)
        for _, alike in groupby(
            range(len(by)), key=lambda row: (stretches[row], deleted[row], by[row])
        ):
            first, *others = alike
            last = others[-1] if others else first
            yield RowSpan(
                first=first + 1,
                last=last + 1,
                from_seconds=round(float(self.seconds[first]), 3),
                to_seconds=round(float(self.seconds[last]), 3),
                kept=not deleted[first],
                driver=driven.driver if (driven := by[first]) else None,
                take_over=driven.take_over if driven else None,
                after_pause=bool(first and stretches[first] > stretches[first - 1]),
            )
