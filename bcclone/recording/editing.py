"""Edit a recording: record an edit, and list what is kept and what is deleted.

In: an `Edit`, or the `EditSettings` that choose one. Out: an `EditResult`, and the file of edits
next to the log. A tub of donkeycar is edited in the same way, see exchange/edited_tub.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from bcclone.recording.edit_settings import END, START, EditSettings
from bcclone.recording.edits import (
    ADVANCE,
    DELETE,
    MIRROR,
    OF_STEERING,
    RESTORE,
    TRIM,
    UNDO,
    Edit,
    Edits,
    Span,
    StoredEdit,
    corrected_steering,
    edits_path,
    read_edits,
    seconds_since_first,
    write_edits,
)
from bcclone.recording.files import ImageIndex, Images
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.recording.run_tables import BY_MODEL, DrivenBy, read_drivers
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.files import locked
from bcclone.system.location import as_local


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
        state = "kept" if self.kept else "deleted"
        line = (
            f"  rows {self.first:>6} to {self.last:<6} "
            f"{self.from_seconds:>8.1f}s to {self.to_seconds:>7.1f}s   {state:<7}"
        )
        if self.driver:
            line += f"   {self.driver}"
        if self.driver and self.take_over:
            line += f", take-over {self.take_over}"
        line = line.rstrip()
        return f"{line}, after a pause" if self.after_pause else line


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
        counts = (
            f"{self.log}: {number_of(self.rows, 'row')}, {self.seconds:.1f} s; "
            f"{self.rows - self.deleted} kept, {self.deleted} deleted"
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


class EditedRecording:
    """All rows of a recording, deleted ones included, in order of time, and its edits.

    The file of edits next to its log holds the edits. A tub of donkeycar is another such object,
    which holds them in its own list of deleted records.

    path: of the log, or of the tub's folder
    log, images: of a tub alone; that log exists in memory alone
    """

    kind = "recording"  # or "tub"
    own_edits = 0  # how many of the first edits are not ours to undo
    nothing_to_undo = "there is no edit to undo"
    # for each row, the number of its record in the tub, (rows,); None for a recording
    record_numbers: IndexArray | None = None
    unusable = ""  # which records of a tub have no row, and why; "" if all have one
    edits = Edits()

    def __init__(self, path: Path, log: Log | None = None, images: Images | None = None) -> None:
        self.path = path
        self.log = log or read_log(path, edited=False)  # as recorded, without edits
        self.images = images or ImageIndex(path)  # finds the images of the log
        self.folder = path if path.is_dir() else path.parent  # where its other files are
        self.rows = self.log.rows
        self.times: IndexArray = self.rows["time_ms"].to_numpy(np.int64)
        # time of each row since the first one; rounded to milliseconds, so that 0.8s finds the row
        # at 0.8 s
        self.seconds: FloatArray = np.round(seconds_since_first(self.times / 1000), 3)
        self.edits = self.read_edits()

    # ---- what a tub does differently

    @property
    def edits_file(self) -> Path:
        """Return the file that holds the edits."""
        return as_local(edits_path(self.path))

    def read_edits(self) -> Edits:
        """Return the edits in the file; raises UserError if they cannot be read."""
        return read_edits(self.path)

    def write_edits(self, edits: Edits) -> None:
        """Replace the edits in the file; raises OSError."""
        write_edits(self.path, edits)

    @cached_property
    def driven(self) -> Sequence[DrivenBy | None]:
        """Return who drove in each row; None for a row of which nothing says it."""
        drivers = read_drivers(self.path.parent)
        if not drivers:
            return [None] * len(self.rows)
        return [drivers.get(image, BY_MODEL) for image in self.rows["center"]]

    # ---- what recordings and tubs do alike

    def image_path(self, row: int, camera: str) -> str | None:
        """Return the path of a row's image, None if there is none."""
        return self.images.find(str(self.rows[camera].iat[row]))

    @property
    def undoable(self) -> int:
        """Return how many edits can be undone."""
        return len(self.edits.edits) - self.own_edits

    @property
    def deleted(self) -> BoolArray:
        """Return which rows are deleted, (rows,)."""
        return self.edits.deleted(self.times)

    @property
    def steering(self) -> FloatArray:
        """Return the steering with its corrections, (rows,)."""
        return corrected_steering(self.rows, self.edits)

    def edit(self, edits: Sequence[Edit] = ()) -> EditResult:
        """Make edits, all or none of them, and list the rows; without one, only list them.

        Raises UserError for rows that do not exist, for edits that change nothing or delete every
        row, and if they cannot be written.
        """
        if not edits:
            self.edits = self.read_edits()
            return self._result(self.edits)
        most_seconds = 60.0  # to wait for another process that edits the same recording
        with locked(self.edits_file, "try again when it has ended", most_seconds):
            before = self.read_edits()  # another process may have edited the recording since
            after = before
            for edit in edits:
                after = self._after(after, edit)
            if after.deleted(self.times).all():
                raise UserError(
                    f"{self.path}: that would delete all {len(self.rows)} rows; "
                    "remove the recording's folder instead"
                )
            try:
                self.write_edits(after)
            except OSError as error:
                raise UserError(
                    f"{self.edits_file}: cannot be written: {error.strerror}; "
                    "change the permissions of the folder, or edit a copy of the recording"
                ) from None
            self.edits = after
        return self._result(before)

    def _after(self, before: Edits, edit: Edit) -> Edits:
        """Return all edits after a further one; no edits if together they change nothing.

        Raises UserError for rows that do not exist, and for an edit that changes nothing.
        """
        for row in np.ravel(edit.spans).tolist():
            self._check_row(row)
        stored = before.edits
        if edit.kind == UNDO:
            if len(stored) <= self.own_edits:
                listing = shown_command("edit", self.path)
                raise UserError(
                    f"{self.path}: {self.nothing_to_undo}; list the rows with: {listing}"
                )
            after = Edits(stored[:-1])
        elif edit.kind in OF_STEERING:
            after = Edits((*stored, StoredEdit(edit.kind, self._named(edit.spans), edit.seconds)))
        else:
            spans = edit.spans
            if edit.kind == TRIM:
                ((first, last),) = spans
                around = ((0, first - 1), (last + 1, len(self.rows) - 1))
                spans = tuple((begin, end) for begin, end in around if begin <= end)
            after = before
            if spans:
                after = Edits((*stored, StoredEdit(edit.kind, self._named(spans))))
            if (after.deleted(self.times) == before.deleted(self.times)).all():
                state = "not deleted" if edit.kind == RESTORE else "deleted already, or none"
                raise UserError(
                    f"{self.path}: nothing to {edit.kind}: these rows are {state}; list them with: "
                    f"{shown_command('edit', self.path)}"
                )
        is_changed = after.deleted(self.times).any() or after.steering_words(self.times)
        return after if is_changed or self.own_edits else Edits()

    def _named(self, spans: Sequence[Span]) -> tuple[tuple[str, str], ...]:
        """Return spans of rows by the names of their images, as a StoredEdit has them."""
        images = self.rows["center"].tolist()
        return tuple((images[first], images[last]) for first, last in spans)

    def _result(self, before: Edits) -> EditResult:
        """Return the counts and spans of the rows as they are now.

        before: the edits before this edit, to count the rows that it changed
        """
        deleted = self.deleted
        changed = deleted != before.deleted(self.times)
        changed |= self.steering != corrected_steering(self.rows, before)
        return EditResult(
            log=self.path,
            rows=len(self.rows),
            deleted=int(deleted.sum()),
            seconds=round(float(self.seconds[-1]), 3),
            changed=int(changed.sum()),
            edits=self.undoable,
            spans=tuple(self._spans_alike(deleted)),
            steering=self.edits.steering_words(self.times),
        )

    def _spans_alike(self, deleted: BoolArray) -> Iterator[RowSpan]:
        """Yield the spans of consecutive rows that are alike.

        deleted: whether a row is deleted, (rows,)
        """
        # number of the stretch without a pause that each row is in
        stretches = np.cumsum(np.diff(self.times, prepend=self.times[0]) > EPISODE_GAP_MS)
        driven = self.driven

        def likeness(row: int) -> tuple[object, ...]:
            return stretches[row], deleted[row], driven[row]

        for _, alike in groupby(range(len(self.times)), key=likeness):
            rows = list(alike)
            first = rows[0]
            by = driven[first]
            yield RowSpan(
                first=first + 1,
                last=rows[-1] + 1,
                from_seconds=round(float(self.seconds[first]), 3),
                to_seconds=round(float(self.seconds[rows[-1]]), 3),
                kept=not deleted[first],
                driver=by.driver if by else None,
                take_over=by.take_over if by else None,
                after_pause=bool(first and stretches[first] > stretches[first - 1]),
            )

    # ---- the settings of an edit

    def parse(self, settings: EditSettings) -> Sequence[Edit]:
        """Return the edit that settings choose, if any; raises UserError for wrong rows."""
        for kind, positions in (
            (DELETE, settings.delete),
            (RESTORE, settings.restore),
            (TRIM, settings.trim),
        ):
            if positions:
                return [Edit(kind, self._spans_at(positions))]
        if settings.mirror_steering:
            return [Edit(MIRROR, self._spans_at(settings.rows))]
        if settings.advance_steering:
            return [Edit(ADVANCE, seconds=settings.advance_steering)]
        return [Edit(UNDO)] if settings.undo else []

    def _check_row(self, row: int) -> None:
        """Raise UserError unless there is a row with this index."""
        count = len(self.rows)
        if not 0 <= row < count:
            raise UserError(f"{self.path}: there is no row {row + 1}, expected 1 to {count}")

    def _spans_at(self, positions: Sequence[str]) -> tuple[Span, ...]:
        """Return the indices of the first and the last row between pairs of positions.

        A position is a number, seconds, "start" or "end", see EditSettings.
        """
        spans = []
        for begin, end in zip(positions[::2], positions[1::2], strict=True):
            # between two rows, a position is of the row within the span
            first = self._row_at(begin, "left")
            last = self._row_at(end, "right")
            if first > last:
                raise UserError(
                    f"{self.path}: no row from {begin} to {end} of its {self.seconds[-1]:.1f}s; "
                    "expected FROM before TO, with a row between them"
                )
            spans.append((first, last))
        return tuple(spans)

    def _row_at(self, position: str, side: Literal["left", "right"]) -> int:
        """Return the index of the row at a position; between two rows, that after it on the left
        side of a span, and that before it on the right.
        """
        if position in (START, END):
            return 0 if position == START else len(self.rows) - 1
        if not position.endswith("s"):
            self._check_row(int(position) - 1)
            return int(position) - 1
        found = int(np.searchsorted(self.seconds, float(position[:-1]), side))
        return found if side == "left" else found - 1
