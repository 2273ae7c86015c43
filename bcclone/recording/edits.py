"""Read and write the edits of a recording: LOG.edits.json, next to its log, says which rows are left out.

In: the path of a log. Out: its `Edits`, which say for each time of a row whether the row is left out, and how the
recorded steering is corrected.

The log and its images never change. An edit deletes or restores the rows between two centre images, in which the edits
count in their order, or corrects the steering of all rows. A file that changes nothing would say nothing, so it is
removed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bcclone.recording.edit_settings import MOST_ADVANCE
from bcclone.recording.row import time_of
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.atomic import write_text
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.json_values import from_json, json_text
from bcclone.system.location import Location, as_local

TRIM, DELETE, RESTORE = OF_ROWS = ("trim", "delete", "restore")
MIRROR, ADVANCE = OF_STEERING = ("mirror-steering", "advance-steering")
_LONGEST_PAUSE_SECONDS = 10.0

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Span:
    """The rows from one centre image to another, both included; the times in the two names decide."""

    first: str
    last: str

    def __post_init__(self) -> None:
        if time_of(self.first) > time_of(self.last):
            raise ValueError(f"a span from {self.first} back to {self.last}, expected the earlier image first")

    def contains(self, time_ms: IndexArray) -> Mask:
        """Return which times, (rows,), are in the span."""
        return (time_ms >= time_of(self.first)) & (time_ms <= time_of(self.last))


@dataclass(frozen=True)
class Edit:
    """One edit: TRIM and DELETE leave the rows of the spans out, RESTORE takes them back.

    Of the steering of all rows, and without spans: MIRROR changes the sign, ADVANCE takes what was recorded so many
    seconds later.
    """

    kind: str
    spans: tuple[Span, ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in OF_ROWS + OF_STEERING or bool(self.spans) != (self.kind in OF_ROWS):
            kinds = ", ".join(OF_ROWS + OF_STEERING)
            raise ValueError(f"edit {self.kind!r} of {len(self.spans)} spans, expected one of {kinds}")
        if not abs(self.seconds) <= MOST_ADVANCE or bool(self.seconds) != (self.kind == ADVANCE):
            raise ValueError(f"edit {self.kind!r} by {self.seconds} s, expected at most {MOST_ADVANCE:g} of {ADVANCE}")


@dataclass(frozen=True)
class Edits:
    """The edits of a recording, in the order in which they were made."""

    done: tuple[Edit, ...] = ()

    def deleted(self, time_ms: IndexArray) -> Mask:
        """Return which rows are left out, (rows,), given their times."""
        out = np.zeros(len(time_ms), np.bool_)
        for edit in self.done:
            for span in edit.spans:
                out[span.contains(time_ms)] = edit.kind != RESTORE
        return out

    @property
    def mirrors(self) -> bool:
        """Return whether the sign of the steering changes."""
        return sum(edit.kind == MIRROR for edit in self.done) % 2 == 1

    @property
    def advance_seconds(self) -> float:
        """Return how much later the steering was recorded that the rows get."""
        return round(sum(edit.seconds for edit in self.done), 6)


@dataclass(frozen=True)
class _StoredEdit:
    edit: str
    rows: tuple[tuple[str, str], ...]
    seconds: float = 0.0


@dataclass(frozen=True)
class _StoredEdits:
    """The content of the file."""

    version: Literal[1]
    edits: tuple[_StoredEdit, ...]


def seconds_since_first(seconds: FloatArray) -> FloatArray:
    """Return the rising times of rows as seconds of driving since the first; pauses count 10 s at most."""
    return np.concatenate([[0.0], np.cumsum(np.minimum(np.diff(seconds), _LONGEST_PAUSE_SECONDS))])


def edits_path(log: Location) -> Location:
    """Return the path of the edits of a log."""
    return log.with_name(f"{log.stem}.edits.json")


def read_edits(log: Location) -> Edits:
    """Return the edits of a log, none if there is no such file; raises UserError for one that cannot be read."""
    path = edits_path(log)
    remedy = "restore the file, or remove it to use all rows of the recording"
    with explained(path, "the edits of a recording", remedy):
        if not path.exists():
            return Edits()
        stored = from_json(_StoredEdits, parse_json(read_bytes(path, "settings")))
        return Edits(
            tuple(Edit(each.edit, tuple(Span(*row) for row in each.rows), each.seconds) for each in stored.edits)
        )


def write_edits(log: Path, edits: Edits) -> None:
    """Write the edits of a log, or remove their file if there are none."""
    path = as_local(edits_path(log))
    if edits.done:
        stored = [
            {"edit": edit.kind, "rows": [[span.first, span.last] for span in edit.spans]}
            | ({"seconds": edit.seconds} if edit.seconds else {})
            for edit in edits.done
        ]
        write_text(path, json_text({"version": 1, "edits": stored}, indent=1))
    else:
        path.unlink(missing_ok=True)
