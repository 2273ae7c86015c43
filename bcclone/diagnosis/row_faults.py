"""Judge the rows of the log: rows that cannot be used, their order, and the clock.

The log and its rows in order of time are all that most of these judges need for a `Finding`. The
judge of the clock also compares the pictures before and after a pause.
"""

from collections.abc import Iterator

import numpy as np

from bcclone.dataset.plan import MAX_SKIPPED
from bcclone.diagnosis.findings import Finding, recording_name
from bcclone.diagnosis.frame_pairs import FramePairs
from bcclone.diagnosis.motion import Followed
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.recording.edits import delete_numbers
from bcclone.recording.log import Log
from bcclone.system.errors import number_of, shown_command
from bcclone.system.numbers import FloatArray


def repeated_rows(log: Log) -> int:
    """Count the rows that name the picture of another row.

    log: as check_log() passes it on, which has moved these rows from log.rows to log.deleted
    """
    return int(log.deleted["center"].isin(log.rows["center"]).sum())


def unusable_rows(log: Log) -> Iterator[Finding]:
    """Yield a fault if a conversion would refuse the log for its unusable rows."""
    bad = log.bad_rows
    # a conversion counts the repeated rows, which row_count leaves out as deleted ones
    count = log.row_count + repeated_rows(log)
    if len(bad) > MAX_SKIPPED * count:
        command = shown_command("preprocess", recording_name(log.path), "--allow-skips")
        yield Finding(
            "bad-rows",
            f"{len(bad)} of {count} rows cannot be used, the first for this reason: "
            f"{bad[0].reason}",
            usable=True,  # the other rows can be trained on
            advice=f"correct them in the log, or leave them out: {command}",
        )


def rows_of_the_log(log: Log, rows: RecordedRows) -> Iterator[Finding]:
    """Yield faults of the order of the rows, and of repeated rows, see repeated_rows()."""
    repeated = repeated_rows(log)
    if repeated:
        yield Finding(
            "repeated-rows",
            f"{repeated} rows name the picture of another row, as in a log that was pasted twice",
            value=float(repeated),
            unit="rows",
            usable=True,
            advice="none is needed: preprocess leaves them out, and so does this check",
        )
    # the rows are in order of time: where their line numbers fall, the log goes back in time
    back = np.flatnonzero(np.diff(rows.line) < 0)
    if len(back):
        yield Finding(
            "out-of-order",
            f"the rows of the log go back in time {number_of(len(back), 'time')}",
            rows=rows.spans(back),
            value=float(len(back)),
            usable=True,
            advice="none is needed if the clock was right: every command takes the rows in order "
            "of time, and so does this check; if it was set back while you recorded, record again",
        )


def clock_jumps(rows: RecordedRows, pairs: FramePairs) -> Iterator[Finding]:
    """Yield a fault for the pauses across which the pictures go on as from one row to the next.

    Pauses in which rows were deleted do not count.
    """
    steps = np.diff(rows.times_ms) / 1000
    jumps = [pause for pause in _pauses(rows, steps) if _goes_on_as_usual(pause, steps, pairs)]
    if jumps:
        seconds = ", ".join(f"{steps[jump]:.1f}" for jump in jumps[:5])
        after = rows.spans(np.array(jumps) + 1)
        yield Finding(
            "clock-jump",
            f"the clock jumps by {seconds} s while the pictures go on as from one row to the next",
            rows=after,
            value=float(steps[jumps[0]]),
            unit="seconds",
            advice="set the clock before you record, not while; correct the times, or cut the "
            "recording there:",
            edits=(delete_numbers(after),),
        )


def _pauses(rows: RecordedRows, steps: FloatArray) -> list[int]:
    """Return the indices of the rows before pauses, except pauses in which rows were deleted.

    steps: seconds from each row to the next, (steps,)
    """
    usual_steps = 8.0  # a pause is longer than this many median steps
    least_seconds = 1.0  # and longer than this
    max_pauses = 30  # most pauses that are looked at
    is_long = steps > max(usual_steps * float(np.median(steps)), least_seconds)
    pauses: list[int] = np.flatnonzero(is_long & ~rows.cut).tolist()
    return pauses[:max_pauses]


def _goes_on_as_usual(pause: int, steps: FloatArray, pairs: FramePairs) -> bool:
    """Return whether the pictures go on across a pause as from one row to the next.

    As many points as usual can then be followed across it. If fewer than usual can be followed in
    the rows before and after the pause, as in a sharp bend, the points across it are compared with
    these rows. After a real pause, the few wrongly matched points seem to move much farther.

    pause: index of the row before it
    steps: seconds from each row to the next, (steps,)
    """
    fewest_points = 8
    points_share = 0.6  # of the usual number of points
    moving_share = 0.3  # of the usual number of points that move
    farther = 2.0  # points move at most this many times as far across the pause as elsewhere
    usual = pairs.usual
    across = pairs.followed(pause, pause + 1)
    nearby = [row for row in (pause - 1, pause + 1) if 0 <= row < len(steps)]
    around = [pairs.followed(row, row + 1) for row in nearby]
    mean_around = Followed(*np.mean(around, axis=0))
    points = min(usual.points, mean_around.points)
    moving = min(usual.moving, mean_around.moving)
    if across.points <= max(points_share * points, fewest_points):
        return False
    if across.moving <= moving_share * moving:
        return False
    farthest = max(usual.pixels, *(followed.pixels for followed in around))
    return across.pixels < farther * farthest
