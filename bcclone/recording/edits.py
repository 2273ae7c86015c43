"""The edits of a recording, and the file LOG.edits.json next to its log, which keeps them.

The log and its images never change. An `Edit` names rows by their indices, as commands, the page
and the findings of a check do. In the file, a `StoredEdit` names rows by their images, so that it
means the same rows after further rows were recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bcclone.recording.edit_settings import MAX_ADVANCE
from bcclone.recording.row import EPISODE_GAP_MS, time_of
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray, runs
from bcclone.system.codec import explained, fits, from_text, read_bytes
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.files import write_text
from bcclone.system.location import Location, as_local
from bcclone.system.values import json_text, to_json

if TYPE_CHECKING:  # takes long to load
    import pandas as pd

TRIM = "trim"  # leaves out the rows before and after a span
DELETE = "delete"  # leaves out spans of rows
RESTORE = "restore"  # takes spans of rows back
MIRROR = "mirror-steering"  # changes the sign of the steering of spans of rows, or of all rows
ADVANCE = "advance-steering"  # gives all rows the steering that was recorded later
UNDO = "undo"  # takes the last edit back
OF_ROWS = (TRIM, DELETE, RESTORE)
OF_STEERING = (MIRROR, ADVANCE)

Span = tuple[int, int]  # the first and the last of successive rows


@dataclass(frozen=True)
class Edit:
    """One edit that can be made; raises ValueError for a span that ends before it begins."""

    kind: str  # TRIM, DELETE, RESTORE, MIRROR, ADVANCE or UNDO
    # indices of rows in order of time, from 0, deleted rows counted; none for ADVANCE and UNDO, and
    # none for a MIRROR of all rows
    spans: tuple[Span, ...] = ()
    seconds: float = 0.0  # for ADVANCE: each row gets the steering recorded this much later

    def __post_init__(self) -> None:
        for first, last in self.spans:
            if first > last:
                raise ValueError(
                    f"no row from {first + 1} to {last + 1}; expected FROM before TO, with a row "
                    "between them"
                )

    def options(self) -> list[str]:
        """Return the edit as options of `bcclone edit`, which count rows from 1."""
        option = f"--{self.kind}"
        if self.kind == ADVANCE:
            return [option, seconds_text(self.seconds)]
        words = []
        for first, last in self.spans:
            words += ["--rows" if self.kind == MIRROR else option, str(first + 1), str(last + 1)]
        return words if self.kind in OF_ROWS else [option, *words]


def delete_numbers(spans: Sequence[Span]) -> Edit:
    """Return the edit that deletes spans of rows, which are numbered from 1."""
    return Edit(DELETE, tuple((first - 1, last - 1) for first, last in spans))


def mirror_numbers(spans: Sequence[Span]) -> Edit:
    """Return the edit that mirrors the steering of spans of rows, which are numbered from 1."""
    return Edit(MIRROR, tuple((first - 1, last - 1) for first, last in spans))


def edits_again(edits: "Edits", time_ms: IndexArray, marked: BoolArray) -> list[Edit]:
    """Return the edits that make rows as `edits` do, where the marked rows are deleted already.

    time_ms: time of each row, as in a log, (rows,)
    marked: (rows,)
    """
    deleted = edits.deleted(time_ms)
    # first, since an edit may not delete all rows
    again = [Edit(RESTORE, (span,)) for span in runs(np.flatnonzero(marked & ~deleted))]
    if spans := tuple(runs(np.flatnonzero(deleted & ~marked))):
        again.append(Edit(DELETE, spans))
    for edit in edits.edits:
        spans = tuple(runs(np.flatnonzero(edit.concerned(time_ms)))) if edit.rows else ()
        # a mirrored stretch may have lost its rows; without a span, it would be all rows
        if edit.edit in OF_STEERING and bool(spans) == bool(edit.rows):
            again.append(Edit(edit.edit, spans, edit.seconds))
    return again


def seconds_text(seconds: float) -> str:
    """Return seconds with two digits after the point, or with all digits if there are more."""
    text = f"{seconds:.2f}"
    return text if float(text) == seconds else repr(seconds)


# ---- the file of edits


@dataclass(frozen=True)
class StoredEdit:
    """One edit in the file of edits.

    Raises ValueError for rows or seconds that an edit of this kind cannot have.
    """

    edit: str  # kind of the edit, see Edit; never UNDO, which only takes an edit out of the file
    # spans of rows to leave out, to take back or to mirror. A span is the names of
    # two centre images: all rows from the time in the first name to the time in the second belong
    # to it. MIRROR without a span is for all rows
    rows: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0  # see Edit.seconds

    def __post_init__(self) -> None:
        for first, last in self.rows:
            if time_of(first) > time_of(last):
                raise ValueError(
                    f"rows from {first} back to {last}, expected the earlier image first"
                )
        kinds = OF_ROWS + OF_STEERING
        # deleting needs rows, and shifting has none
        has_wrong_rows = (
            not self.rows if self.edit in OF_ROWS else self.rows and self.edit == ADVANCE
        )
        if self.edit not in kinds or has_wrong_rows:
            raise ValueError(
                f"edit {self.edit!r} of {len(self.rows)} spans, expected one of {', '.join(kinds)}"
            )
        # `not ... <=` refuses NaN, too
        if not abs(self.seconds) <= MAX_ADVANCE or bool(self.seconds) != (self.edit == ADVANCE):
            raise ValueError(
                f"edit {self.edit!r} by {self.seconds} s, expected at most {MAX_ADVANCE:g} of "
                f"{ADVANCE}"
            )

    def concerned(self, time_ms: IndexArray) -> BoolArray:
        """Return which rows the edit is for, (rows,): those of its spans; all without a span."""
        concerned = np.full(len(time_ms), not self.rows)
        for first, last in self.rows:
            concerned |= (time_ms >= time_of(first)) & (time_ms <= time_of(last))
        return concerned


@dataclass(frozen=True)
class Edits:
    """The edits of a recording, in the order in which they were made."""

    edits: tuple[StoredEdit, ...] = ()
    version: Literal[1] = 1

    def deleted(self, time_ms: IndexArray) -> BoolArray:
        """Return whether each row is left out, (rows,): the last edit that names a row decides.

        time_ms: time of each row, as in a log, (rows,)
        """
        deleted = np.zeros(len(time_ms), np.bool_)
        for edit in self.edits:
            if edit.edit in OF_ROWS:
                deleted[edit.concerned(time_ms)] = edit.edit != RESTORE
        return deleted

    def steering_words(self, time_ms: IndexArray) -> str:
        """Return in words how the steering is corrected; "" if it is as recorded."""
        mirrored = np.zeros(len(time_ms), np.bool_)
        for edit in self.edits:
            if edit.edit == MIRROR:
                mirrored ^= edit.concerned(time_ms)
        words = []
        if mirrored.any():
            count = number_of(int(mirrored.sum()), "row")
            words.append("mirrored" if mirrored.all() else f"mirrored in {count}")
        if seconds := round(sum(edit.seconds for edit in self.edits), 6):
            words.append(f"{abs(seconds):g} s {'later' if seconds > 0 else 'earlier'}")
        return ", ".join(words)


def edits_path(log: Location) -> Location:
    return log.with_name(f"{log.stem}.edits.json")


def read_edits(log: Location) -> Edits:
    """Return the edits of a log, none without their file; raises UserError if it is unreadable."""
    path = edits_path(log)
    remedy = "restore the file, or remove it to use all rows of the recording"
    with explained(path, "the edits of a recording", remedy):
        if not path.exists():
            return Edits()
        return from_text(Edits, read_bytes(path, "settings"))


def write_edits(log: Path, edits: Edits) -> None:
    """Write the edits of a log; when none is left, their file is removed."""
    path = as_local(edits_path(log))
    if not edits.edits:
        path.unlink(missing_ok=True)
        return
    # without seconds of 0, which all edits but ADVANCE have
    stored = [
        {name: value for name, value in to_json(edit).items() if value != 0.0}
        for edit in edits.edits
    ]
    text = json_text({"version": edits.version, "edits": stored}, indent=1)
    if not fits(text, "settings"):
        raise UserError(
            f"{path}: too many edits; undo some, or make a recording without the deleted rows"
        )
    write_text(path, text)


# ---- the rows of a log


def edited_rows(
    path: Location, table: "pd.DataFrame", edits: Edits
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return the rows that stay, with the column `episode`, and those that are deleted.

    Raises UserError if every row is deleted.

    path: the log, for the message
    table: all rows as recorded, in order of time
    """
    if "episode" in table:  # episodes are numbered anew below
        table = table.drop(columns="episode")
    deleted = edits.deleted(table["time_ms"].to_numpy(np.int64))
    if deleted.all():
        undo = shown_command("edit", path, "--undo")
        raise UserError(f"{path}: all {len(table)} rows are deleted; restore some: {undo}")
    table = table.assign(steering=corrected_steering(table, edits))
    after_gap = table["time_ms"].diff().to_numpy() > EPISODE_GAP_MS
    begins = after_gap | np.concatenate([[False], deleted[:-1]])
    rows = table.assign(episode=begins.cumsum())[~deleted].reset_index(drop=True)
    # an episode of which all rows are deleted leaves no gap in the numbers
    rows["episode"] = rows["episode"].rank(method="dense").astype("int64") - 1
    return rows, table[deleted].reset_index(drop=True)


def corrected_steering(rows: "pd.DataFrame", edits: Edits) -> FloatArray:
    """Return the steering of all rows, mirrored and advanced as edits ask for, (rows,).

    Shifts without a mirrored stretch between them are one, so that shifts to and fro leave nothing:
    each shift by itself interpolates.

    rows: all rows as recorded, in order of time
    """
    steering = rows["steering"].to_numpy(np.float64)
    time_ms = rows["time_ms"].to_numpy(np.int64)
    seconds = 0.0  # of the shifts that are still to be made
    for edit in edits.edits:
        if edit.edit == MIRROR:
            if edit.rows:
                steering = _advanced(steering, time_ms, seconds)
                seconds = 0.0
            # unlike -steering, 0.0 - steering is never -0.0
            steering = np.where(edit.concerned(time_ms), 0.0 - steering, steering)
        seconds = round(seconds + edit.seconds, 6)
    return _advanced(steering, time_ms, seconds)


def _advanced(steering: FloatArray, time_ms: IndexArray, seconds: float) -> FloatArray:
    """Return for each row the steering of a later row of the same stretch between two pauses.

    seconds: how much later; below 0: earlier
    """
    if not seconds:
        return steering
    times = time_ms.astype(np.float64)
    pauses = np.flatnonzero(np.diff(times) > EPISODE_GAP_MS) + 1
    stretches = zip(np.split(times, pauses), np.split(steering, pauses), strict=True)
    advance_ms = 1000 * seconds
    return np.concatenate([np.interp(at + advance_ms, at, values) for at, values in stretches])


def seconds_since_first(seconds: FloatArray) -> FloatArray:
    """Return the seconds from the first row to each row, (rows,); a pause counts 10 s at most.

    seconds: times of the rows, (rows,), rising
    """
    max_pause_seconds = 10.0  # so that a curve of a drive shows the driving, not the pauses
    steps = np.minimum(np.diff(seconds), max_pause_seconds)
    return np.concatenate([[0.0], np.cumsum(steps)])
