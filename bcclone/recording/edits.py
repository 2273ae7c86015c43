"""The edits of a recording, and the file LOG.edits.json next to its log, which keeps them.

An `Edit` names rows by their indices, as commands, the page and the findings of a check do. The
file names them by their images: a `StoredEdit` means the same rows after further ones were
recorded. The log and its images never change. A file without edits is removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bcclone.recording.edit_settings import MAX_ADVANCE
from bcclone.recording.row import time_of
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.atomic import write_text
from bcclone.system.codec import explained, fits, from_text, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import json_text, to_json
from bcclone.system.location import Location, as_local

TRIM = "trim"  # leaves out the rows before and after a span
DELETE = "delete"  # leaves out spans of rows
RESTORE = "restore"  # takes spans of rows back
MIRROR = "mirror-steering"  # changes the sign of the steering of all rows
ADVANCE = "advance-steering"  # gives all rows the steering that was recorded later
UNDO = "undo"  # takes the last edit back
OF_ROWS = (TRIM, DELETE, RESTORE)
OF_STEERING = (MIRROR, ADVANCE)

Span = tuple[int, int]  # the first and the last of successive rows


@dataclass(frozen=True)
class Edit:
    """One edit that can be made. Raises ValueError for rows or seconds that it cannot have."""

    kind: str  # TRIM, DELETE, RESTORE, MIRROR, ADVANCE or UNDO
    spans: tuple[Span, ...] = ()  # of rows, by their indices in order of time, deleted ones counted
    seconds: float = 0.0  # how much later the steering was recorded; negative for earlier

    def __post_init__(self) -> None:
        is_known = self.kind in OF_ROWS or self.kind in (*OF_STEERING, UNDO)
        if not is_known or bool(self.spans) != (self.kind in OF_ROWS):
            raise ValueError(f"edit {self.kind!r} of {len(self.spans)} spans of rows")
        for first, last in self.spans:
            if first > last:
                raise ValueError(
                    f"no row from {first + 1} to {last + 1}; expected FROM before TO, with a row "
                    "between them"
                )
        _check_seconds(self.kind, self.seconds)

    def options(self) -> list[str]:
        """Return the edit as options of `bcclone edit`, which count rows from 1."""
        option = f"--{self.kind}"
        if self.kind == ADVANCE:
            return [option, seconds_text(self.seconds)]
        if self.kind in OF_ROWS:
            return [
                word
                for first, last in self.spans
                for word in (option, str(first + 1), str(last + 1))
            ]
        return [option]


def delete_numbers(spans: Sequence[Span]) -> Edit:
    """Return the edit that deletes spans of rows, which are numbered from 1."""
    return Edit(DELETE, tuple((first - 1, last - 1) for first, last in spans))


def seconds_text(seconds: float) -> str:
    """Return seconds with two digits after the point, or with all that they have."""
    text = f"{seconds:.2f}"
    if float(text) == seconds:
        return text
    return repr(seconds)


def _check_seconds(kind: str, seconds: float) -> None:
    """Raise ValueError unless an edit of this kind can shift the steering by so many seconds."""
    if not abs(seconds) <= MAX_ADVANCE or bool(seconds) != (kind == ADVANCE):
        raise ValueError(
            f"edit {kind!r} by {seconds} s, expected at most {MAX_ADVANCE:g} of {ADVANCE}"
        )


@dataclass(frozen=True)
class StoredEdit:
    """One edit in the file of edits. Raises ValueError for what no edit has."""

    edit: str  # its kind: as of an Edit, but UNDO, which takes an edit out of the file
    # the rows that are left out, or taken back: from one centre image to another, both included;
    # the times in the two names decide
    rows: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0  # as of an Edit

    def __post_init__(self) -> None:
        for first, last in self.rows:
            if time_of(first) > time_of(last):
                raise ValueError(
                    f"rows from {first} back to {last}, expected the earlier image first"
                )
        is_known = self.edit in OF_ROWS or self.edit in OF_STEERING
        if not is_known or bool(self.rows) != (self.edit in OF_ROWS):
            kinds = ", ".join(OF_ROWS + OF_STEERING)
            raise ValueError(
                f"edit {self.edit!r} of {len(self.rows)} spans, expected one of {kinds}"
            )
        _check_seconds(self.edit, self.seconds)


@dataclass(frozen=True)
class Edits:
    """The edits of a recording, in the order in which they were made."""

    edits: tuple[StoredEdit, ...] = ()
    version: Literal[1] = 1

    def and_then(self, edit: StoredEdit) -> "Edits":
        """Return the edits with a further one."""
        return Edits((*self.edits, edit))

    def deleted(self, time_ms: IndexArray) -> BoolArray:
        """Return which rows are left out, (rows,), given their times: a row's last edit counts."""
        deleted = np.zeros(len(time_ms), np.bool_)
        for edit in self.edits:
            for first, last in edit.rows:
                in_span = (time_ms >= time_of(first)) & (time_ms <= time_of(last))
                deleted[in_span] = edit.edit != RESTORE
        return deleted

    @property
    def mirrors(self) -> bool:
        """Return whether the sign of the steering changes."""
        return sum(edit.edit == MIRROR for edit in self.edits) % 2 == 1

    @property
    def advance_seconds(self) -> float:
        """Return how much later the steering was recorded that the rows get."""
        return round(sum(edit.seconds for edit in self.edits), 6)

    def steering_words(self) -> str:
        """Return how the steering is corrected, "" for as recorded."""
        words = []
        if self.mirrors:
            words.append("mirrored")
        if self.advance_seconds > 0:
            words.append(f"{self.advance_seconds:g} s later")
        if self.advance_seconds < 0:
            words.append(f"{-self.advance_seconds:g} s earlier")
        return ", ".join(words)


def seconds_since_first(seconds: FloatArray) -> FloatArray:
    """Return the rising times of rows as seconds of driving since the first, (rows,).

    A pause counts 10 s at most.
    """
    max_pause_seconds = 10.0  # so that a curve of a drive shows the driving, not the pauses
    steps = np.minimum(np.diff(seconds), max_pause_seconds)
    return np.concatenate([[0.0], np.cumsum(steps)])


def edits_path(log: Location) -> Location:
    """Return the path of the edits of a log."""
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
    """Write the edits of a log, or remove their file if there are none."""
    path = as_local(edits_path(log))
    if not edits.edits:
        path.unlink(missing_ok=True)
        return
    stored = [_without_zero(to_json(edit)) for edit in edits.edits]
    text = json_text({"version": edits.version, "edits": stored}, indent=1)
    if not fits(text, "settings"):
        raise UserError(
            f"{path}: too many edits; undo some, or make a recording without the deleted rows"
        )
    write_text(path, text)


def _without_zero(stored: dict[str, object]) -> dict[str, object]:
    """Return a stored edit without the seconds that only ADVANCE has."""
    return {name: value for name, value in stored.items() if value != 0.0}
