"""A recording that was just made -> whether its car turns to the side to which it is steered.

It is the first question of --check, asked of a part of the recording: of so few rows that the
answer takes a second or two, and of fewer where these would take longer than five seconds.
"""

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from bcclone.diagnosis.check import without_repeated
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence, recording_name
from bcclone.diagnosis.motion import look_at, read_center
from bcclone.diagnosis.steering_faults import MAX_LAG_ERROR, late_steering
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.system.arrays import IndexArray

_STRETCHES = 4  # spread over the recording
_ROWS_OF_A_STRETCH = 500  # at 20 a second, 25 s
_MOST_SECONDS = 5.0


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
    # how long after the turn its steering stands, at which it agrees best; None if it is not sure
    lag_ms: int | None = None
    lag_frames: int | None = None
    remedy: str = ""  # for a steering that is surely later or earlier than usual


def first_check(log_path: Path, most_seconds: float = _MOST_SECONDS) -> FirstCheck:
    """Compare the steering of a recording with the turns of its pictures, in some of its rows.

    most_seconds: after which no further row is looked at
    """
    end = time.monotonic() + most_seconds
    log = without_repeated(read_log(log_path))
    index = ImageIndex(log.path)
    every = DriveRows.of(log.rows.assign(left="", right=""), log.deleted)
    rows = every.only(_stretches(len(every)))
    if rows.why_too_few:
        return FirstCheck(Turning.UNKNOWN, None, len(rows), rows.why_too_few)
    figures = look_at(rows.table, index, lambda count: None, end=end)
    rows = rows.only(np.arange(len(figures.frames)))
    if rows.why_too_few:
        why = f"only {len(rows)} rows could be looked at within {most_seconds:g} s"
        return FirstCheck(Turning.NOT_MADE, None, len(rows), why)
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
    found = FirstCheck(turning, round(agreement.correlation, 2), len(rows))
    if turning == Turning.UNKNOWN:
        return replace(found, why=why)
    if agreement.error >= MAX_LAG_ERROR:
        return found
    late = next(late_steering(evidence), None)
    return replace(
        found,
        lag_ms=round(1000 * agreement.lag),
        lag_frames=round(agreement.lag / float(np.median(np.diff(rows.seconds)))),
        remedy=replace(late, recording=recording_name(log.path)).remedy if late else "",
    )


def _stretches(rows: int) -> IndexArray:
    """Return the indices of rows in stretches that are spread over a recording; all of a short
    one.
    """
    if rows <= _STRETCHES * _ROWS_OF_A_STRETCH:
        return np.arange(rows)
    begins = np.linspace(0, rows - _ROWS_OF_A_STRETCH, _STRETCHES).astype(int)
    return np.concatenate([begin + np.arange(_ROWS_OF_A_STRETCH) for begin in begins])
