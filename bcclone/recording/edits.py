"""Read and write the edits of a recording: LOG.edits.json, next to its log, says which rows are
left out.

In: the path of a log. Out: its `Edits`, which say for each time of a row whether the row is left
out, and how the recorded steering is corrected. The log and its images never change. A file without
edits is removed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bcclone.recording import MAX_ADVANCE
from bcclone.recording.row import time_of
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.atomic import write_text
from bcclone.system.codec import explained, fits, from_text, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import json_text, to_json
from bcclone.system.location import Location, as_local

TRIM, DELETE, RESTORE = OF_ROWS = ("trim", "delete", "restore")
MIRROR, ADVANCE = OF_STEERING = ("mirror-steering", "advance-steering")
_MAX_PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class Edit:
    """One edit: TRIM and DELETE leave rows out, RESTORE takes them back.

    rows: from one centre image to another, both included; the times in the two names decide. Of the
    steering of all rows: MIRROR changes the sign, ADVANCE takes what was recorded so many seconds
    later. Raises ValueError.
    """

    edit: str
    rows: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for first, last in self.rows:
            if time_of(first) > time_of(last):
                raise ValueError(
                    f"rows from {first} back to {last}, expected the earlier image first"
                )
        if self.edit not in OF_ROWS + OF_STEERING or bool(self.rows) != (self.edit in OF_ROWS):
            kinds = ", ".join(OF_ROWS + OF_STEERING)
            raise ValueError(
                f"edit {self.edit!r} of {len(self.rows)} spans, expected one of {kinds}"
            )
        if not abs(self.seconds) <= MAX_ADVANCE or bool(self.seconds) != (self.edit == ADVANCE):
            raise ValueError(
                f"edit {self.edit!r} by {self.seconds} s, expected at most {MAX_ADVANCE:g} of {ADVANCE}"
            )


@dataclass(frozen=True)
class Edits:
    """The edits of a recording, in the order in which they were made."""

    edits: tuple[Edit, ...] = ()
    version: Literal[1] = 1

    def deleted(self, time_ms: IndexArray) -> BoolArray:
        """Return which rows are left out, (rows,), given their times: the last edit of a row
        counts.
        """
        out = np.zeros(len(time_ms), np.bool_)
        for edit in self.edits:
            for first, last in edit.rows:
                out[(time_ms >= time_of(first)) & (time_ms <= time_of(last))] = edit.edit != RESTORE
        return out

    @property
    def mirrors(self) -> bool:
        """Return whether the sign of the steering changes."""
        return sum(edit.edit == MIRROR for edit in self.edits) % 2 == 1

    @property
    def advance_seconds(self) -> float:
        """Return how much later the steering was recorded that the rows get."""
        return round(sum(edit.seconds for edit in self.edits), 6)


def seconds_since_first(seconds: FloatArray) -> FloatArray:
    """Return the rising times of rows as seconds of driving since the first; pauses count 10 s at
    most.
    """
    return np.concatenate([[0.0], np.cumsum(np.minimum(np.diff(seconds), _MAX_PAUSE_SECONDS))])


def edits_path(log: Location) -> Location:
    """Return the path of the edits of a log."""
    return log.with_name(f"{log.stem}.edits.json")


def read_edits(log: Location) -> Edits:
    """Return the edits of a log, none if there is no such file; raises UserError for one that
    cannot be read.
    """
    path = edits_path(log)
    remedy = "restore the file, or remove it to use all rows of the recording"
    with explained(path, "the edits of a recording", remedy):
        return from_text(Edits, read_bytes(path, "settings")) if path.exists() else Edits()


def write_edits(log: Path, edits: Edits) -> None:
    """Write the edits of a log, or remove their file if there are none."""
    path = as_local(edits_path(log))
    if edits.edits:
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
    else:
        path.unlink(missing_ok=True)
