"""A recording that was just made -> whether its car turns to the side to which it is steered.

It is the first question of --check, asked of a part of the recording: of so few rows that the
answer takes a second or two, and of fewer on a machine that is measured to be slower.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from bcclone.diagnosis.check import without_repeated
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.motion import RecordingFigures, look_at, read_center
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.system.arrays import IndexArray

_STRETCHES = 4  # spread over the recording
_MOST_ROWS = 2000  # in these; at 20 a second, 25 s of each
_MOST_SECONDS = 5.0
_FIRST_ROWS = 50  # which are read to see how long a row takes
_SHARE_OF_TIME = 0.6  # for which rows are chosen, since later ones may take longer


class Turning(StrEnum):
    """How the turns of the pictures follow the steering."""

    AS_STEERED = "as steered"
    MIRRORED = "mirrored"
    UNRELATED = "unrelated"
    UNKNOWN = "unknown"
    NOT_MADE = "not made"


@dataclass(frozen=True)
class FirstCheck:
    """What the pictures of a recording say of its steering."""

    turning: Turning
    correlation: float | None  # of turns and steering; None if it cannot be measured
    rows: int  # that were looked at
    why: str = ""  # it is unknown, or not made


class _TooSlow(Exception):
    """The pictures are read too slowly."""


def first_check(log_path: Path, most_seconds: float = _MOST_SECONDS) -> FirstCheck:
    """Compare the steering of a recording with the turns of its pictures, in some of its rows.

    most_seconds: after which an answer is given up
    """
    log = without_repeated(read_log(log_path))
    index = ImageIndex(log.path)
    every = DriveRows.of(log.rows.assign(left="", right=""), log.deleted)
    rows = every.only(_stretches(len(every), _MOST_ROWS))
    if rows.why_too_few:
        return FirstCheck(Turning.UNKNOWN, None, len(rows), rows.why_too_few)
    looked_at = _looked_at(every, index, most_seconds)
    if looked_at is None:
        why = f"its pictures take longer than {most_seconds:g} s to read"
        return FirstCheck(Turning.NOT_MADE, None, 0, why)
    rows, figures = looked_at
    evidence = Evidence(rows, figures, lambda row: read_center(rows.table, row, index))
    agreement = evidence.agreement
    if agreement is None:
        why = "the steering or the camera hardly turns, or the pictures do not match"
        return FirstCheck(Turning.UNKNOWN, None, len(rows), why)
    turning = Turning.UNKNOWN
    why = "the correlation could be chance"
    if agreement.is_clear:
        turning = Turning.AS_STEERED
    elif agreement.is_mirrored and evidence.turns_as_steered is False:
        turning = Turning.MIRRORED
    elif agreement.is_mirrored:
        why = "the camera is upside down, or the car drives backwards"
    elif agreement.is_unrelated:
        turning = Turning.UNRELATED
    is_known = turning != Turning.UNKNOWN
    correlation = round(agreement.correlation, 2)
    return FirstCheck(turning, correlation, len(rows), "" if is_known else why)


def _looked_at(
    every: DriveRows, index: ImageIndex, most_seconds: float
) -> tuple[DriveRows, RecordingFigures] | None:
    """Look at as many rows as the time suffices for; return them, None where it does not."""
    begin = time.monotonic()

    def advance(count: int) -> None:
        if time.monotonic() > begin + most_seconds:
            raise _TooSlow

    try:
        look_at(every.table[:_FIRST_ROWS], index, advance)
        seconds_a_row = (time.monotonic() - begin) / _FIRST_ROWS
        fitting = int(_SHARE_OF_TIME * most_seconds / seconds_a_row)
        rows = every.only(_stretches(len(every), min(fitting, _MOST_ROWS)))
        return None if rows.why_too_few else (rows, look_at(rows.table, index, advance))
    except _TooSlow:
        return None


def _stretches(rows: int, most: int) -> IndexArray:
    """Return the indices of rows in stretches that are spread over a recording; all of a short
    one.

    most: number of rows in all stretches together
    """
    if rows <= most:
        return np.arange(rows)
    size = most // _STRETCHES
    begins = np.linspace(0, rows - size, _STRETCHES).astype(int)
    return np.concatenate([begin + np.arange(size) for begin in begins])
