"""Edit a recording: record an edit, and list what is kept and what is deleted.

In: an `Edit`, or the `EditSettings` that choose one. Out: an `EditResult`, and the file of edits
next to the log.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.recording.edit_result import EditResult, row_spans
from bcclone.recording.edit_settings import MAX_ADVANCE, EditSettings
from bcclone.recording.edited_rows import corrected_steering
from bcclone.recording.edits import (
    ADVANCE,
    MIRROR,
    RESTORE,
    TRIM,
    UNDO,
    Edit,
    Edits,
    Span,
    StoredEdit,
    edits_path,
    read_edits,
    seconds_since_first,
    write_edits,
)
from bcclone.recording.files import ImageIndex, Images, find_log
from bcclone.recording.log import Log, read_log
from bcclone.recording.positions import RowPositions
from bcclone.recording.run_tables import BY_MODEL, DrivenBy, read_drivers
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import locked
from bcclone.system.location import as_local
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray

_WAIT_SECONDS = 60.0  # longest wait for another process that edits the same recording


def edit(settings: EditSettings) -> EditResult:
    """Delete, restore, correct the steering or undo, as the settings say, and list the rows.

    The log never changes. Raises UserError for a recording that cannot be read, rows that it does
    not have, and an edit that changes nothing or deletes every row.
    """
    recorded = EditedRecording(find_log(settings.recording))
    return recorded.edit(recorded.parse(settings))


class EditedRows(ABC):
    """All rows of a recording or of a tub, deleted ones included, in order of time, and its edits.

    Commands and the page edit recordings and tubs through this interface alone.
    """

    kind: str  # "recording" or "tub"
    keeps_history: bool  # whether a later command can undo edits that this process makes
    folder: Path  # where its other files are
    log: Log  # the log as recorded, without edits; that of a tub exists in memory alone
    images: Images  # finds the images of the log
    # for each row, the number of its record in the tub, (rows,); None for a recording
    record_numbers: IndexArray | None = None
    unusable: str = ""  # which records of a tub have no row, and why; "" if all have one

    def __init__(self, path: Path, rows: pd.DataFrame) -> None:
        self.path = path  # path of the log, or of the tub's folder
        self.rows = rows  # table with at least the columns time_ms, center and NUMBERS
        self.times: IndexArray = rows["time_ms"].to_numpy(np.int64)
        # time of each row since the first one; rounded to milliseconds, so that 0.8s finds the row
        # at 0.8 s
        self.seconds: FloatArray = np.round(seconds_since_first(self.times / 1000), 3)
        self.edits = self.read_edits()

    # ---- what a recording and a tub do differently

    @property
    @abstractmethod
    def edits_file(self) -> Path:
        """Return the file that holds the edits."""

    @abstractmethod
    def read_edits(self) -> Edits:
        """Return the edits in the file; raises UserError if they cannot be read."""

    @abstractmethod
    def write_edits(self, edit: Edit, after: Edits) -> None:
        """Replace the edits in the file by those after an edit; raises OSError."""

    @abstractmethod
    def without_last(self) -> Edits:
        """Return the edits without the last one; raises UserError if there is none."""

    @abstractmethod
    def with_correction(self, edit: Edit) -> Edits:
        """Return the edits followed by a MIRROR or ADVANCE; raises UserError if that is refused."""

    @abstractmethod
    def image_path(self, row: int, camera: str) -> str | None:
        """Return the path of a row's image, None if there is none."""

    @property
    @abstractmethod
    def driven(self) -> Sequence[DrivenBy | None]:
        """Return who drove in each row; None for a row of which nothing says it."""

    @property
    def undoable(self) -> int:
        """Return how many edits can be undone."""
        return len(self.edits.edits)

    # ---- what recordings and tubs do alike

    @property
    def positions(self) -> RowPositions:
        return RowPositions(self.path, self.seconds)

    def parse(self, settings: EditSettings) -> Sequence[Edit]:
        """Return the edit that settings choose, if any; raises UserError for wrong rows."""
        return self.positions.edits_of(settings)

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

        Raises UserError for an edit that cannot be made: see _after() and _write().
        """
        if not edits:
            self.edits = self.read_edits()
            return self._result(self.edits)
        with locked(self.edits_file, "try again when it has ended", _WAIT_SECONDS):
            before = self.read_edits()  # another process may have edited the recording since
            self.edits = before
            try:
                for edit in edits:
                    self.edits = self._after(edit)
                after = self.edits
            finally:
                self.edits = before  # until they are written
            self._write(edits[-1], after)
            self.edits = after
        return self._result(before)

    def _after(self, edit: Edit) -> Edits:
        """Return all edits after a further one; no edits if together they change nothing.

        Raises UserError for rows that do not exist, and for an edit that is refused.
        """
        for row in np.ravel(edit.spans).tolist():
            self.positions.check(row)
        if edit.kind == UNDO:
            after = self.without_last()
        elif edit.kind in (MIRROR, ADVANCE):
            after = self.with_correction(edit)
        else:
            after = self._with_rows(edit)
        if after.deleted(self.times).any() or after.steering_words(self.times):
            return after
        return Edits()

    def _with_rows(self, edit: Edit) -> Edits:
        """Return the edits followed by one that deletes or restores rows.

        Raises UserError for an edit that would change nothing.
        """
        spans = edit.spans
        if edit.kind == TRIM:
            (kept,) = spans
            spans = _spans_around(kept, len(self.rows))
        after = self.edits
        if spans:
            after = self.edits.and_then(StoredEdit(edit.kind, self.named(spans)))
        if (after.deleted(self.times) == self.deleted).all():
            raise UserError(
                f"{self.path}: nothing to {edit.kind}: these rows {_why_unchanged(edit, spans)}; "
                f"list them with: {shown_command('edit', self.path)}"
            )
        return after

    def named(self, spans: Sequence[Span]) -> tuple[tuple[str, str], ...]:
        """Return spans of rows by the names of their images, as a StoredEdit has them."""
        images = self.rows["center"].tolist()
        return tuple((images[first], images[last]) for first, last in spans)

    def _write(self, edit: Edit, after: Edits) -> None:
        """Write the edits; raises UserError if they delete every row, or cannot be written."""
        if after.deleted(self.times).all():
            raise UserError(
                f"{self.path}: that would delete all {len(self.rows)} rows; "
                "remove the recording's folder instead"
            )
        try:
            self.write_edits(edit, after)
        except OSError as error:
            raise UserError(
                f"{self.edits_file}: cannot be written: {error.strerror}; "
                "change the permissions of the folder, or edit a copy of the recording"
            ) from None

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
            spans=tuple(row_spans(self.times, self.seconds, deleted, self.driven)),
            steering=self.edits.steering_words(self.times),
        )


def _spans_around(kept: Span, count: int) -> tuple[Span, ...]:
    """Return the spans of the rows before and after the kept span; without rows, no span.

    count: number of all rows
    """
    first, last = kept
    around = ((0, first - 1), (last + 1, count - 1))
    return tuple((begin, end) for begin, end in around if begin <= end)


def _why_unchanged(edit: Edit, spans: Sequence[Span]) -> str:
    """Return why an edit of these spans of rows would change nothing."""
    if edit.kind == RESTORE:
        return "are not deleted"
    if not spans:
        return "are all of the recording"
    return "are deleted already"


class EditedRecording(EditedRows):
    """The rows of a log; the file of edits next to it holds the edits."""

    kind = "recording"
    keeps_history = True

    def __init__(self, path: Path) -> None:
        self.log = read_log(path, edited=False)
        self.folder = path.parent
        self.images = ImageIndex(path)
        super().__init__(path, self.log.rows)

    @property
    def edits_file(self) -> Path:
        return as_local(edits_path(self.path))

    def read_edits(self) -> Edits:
        return read_edits(self.path)

    def write_edits(self, edit: Edit, after: Edits) -> None:
        write_edits(self.path, after)

    def without_last(self) -> Edits:
        if not self.edits.edits:
            listing = shown_command("edit", self.path)
            raise UserError(f"{self.path}: there is no edit to undo; list the rows with: {listing}")
        return Edits(self.edits.edits[:-1])

    def with_correction(self, edit: Edit) -> Edits:
        stored = StoredEdit(edit.kind, self.named(edit.spans), edit.seconds)
        after = self.edits.and_then(stored)
        shift = abs(after.advance_seconds)
        if shift > MAX_ADVANCE:
            raise UserError(
                f"{self.path}: with the edits before, the steering would be shifted by "
                f"{shift:g} s, expected at most {MAX_ADVANCE:g} s; take the last edit back with: "
                f"{shown_command('edit', self.path, '--undo')}"
            )
        return after

    def image_path(self, row: int, camera: str) -> str | None:
        return self.images.find(str(self.rows[camera].iat[row]))

    @cached_property
    def driven(self) -> Sequence[DrivenBy | None]:
        drivers = read_drivers(self.path.parent)
        if not drivers:
            return [None] * len(self.rows)
        return [drivers.get(image, BY_MODEL) for image in self.rows["center"]]
