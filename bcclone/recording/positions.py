"""The settings of an edit -> the `Edit`, with positions as indices of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.recording.edit_settings import END, START, EditSettings
from bcclone.recording.edits import ADVANCE, DELETE, MIRROR, RESTORE, TRIM, UNDO, Edit, Span
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray


@dataclass(frozen=True)
class RowPositions:
    """Finds rows by position: a number, seconds, "start" or "end", see EditSettings.

    Methods raise UserError for rows that the recording does not have.
    """

    path: Path  # path of the recording, for messages
    seconds: FloatArray  # time of each row since the first row, (rows,), rising

    def edits_of(self, settings: EditSettings) -> Sequence[Edit]:
        """Return the edit that the settings choose, no edit if they choose none."""
        if settings.delete:
            return [Edit(DELETE, self._spans(settings.delete))]
        if settings.restore:
            return [Edit(RESTORE, self._spans(settings.restore))]
        if settings.trim:
            return [Edit(TRIM, self._spans(settings.trim))]
        if settings.mirror_steering:
            return [Edit(MIRROR, self._spans(settings.rows))]
        if settings.advance_steering:
            return [Edit(ADVANCE, seconds=settings.advance_steering)]
        if settings.undo:
            return [Edit(UNDO)]
        return []

    def check(self, row: int) -> None:
        """Raise UserError unless there is a row with this index."""
        count = len(self.seconds)
        if not 0 <= row < count:
            raise UserError(f"{self.path}: there is no row {row + 1}, expected 1 to {count}")

    def _spans(self, positions: Sequence[str]) -> tuple[Span, ...]:
        begins = positions[::2]
        ends = positions[1::2]
        return tuple(self._span(begin, end) for begin, end in zip(begins, ends, strict=True))

    def _span(self, begin: str, end: str) -> Span:
        """Return the indices of the first and the last row between two positions."""
        first = self._row_from(begin)
        last = self._row_up_to(end)
        if first > last:
            raise UserError(
                f"{self.path}: no row from {begin} to {end}; expected FROM before TO, with a row "
                "between them"
            )
        return first, last

    def _row_from(self, position: str) -> int:
        """Return the index of the row at a position; between two rows, the later one."""
        if not _is_seconds(position):
            return self._row_of(position)
        seconds = float(position[:-1])
        end = self.seconds[-1]
        if seconds > end:
            raise UserError(
                f"{self.path}: it ends after {end:.1f}s, but {position} is asked for; choose 0s to "
                f"{end:.1f}s"
            )
        return int(np.searchsorted(self.seconds, seconds, "left"))

    def _row_up_to(self, position: str) -> int:
        """Return the index of the row at a position; between two rows, the earlier one."""
        if not _is_seconds(position):
            return self._row_of(position)
        return int(np.searchsorted(self.seconds, float(position[:-1]), "right")) - 1

    def _row_of(self, position: str) -> int:
        if position == START:
            return 0
        if position == END:
            return len(self.seconds) - 1
        row = int(position) - 1
        self.check(row)
        return row


def _is_seconds(position: str) -> bool:
    return position.endswith("s")
