"""Judge the times of a recording: rows out of order, and clocks that jump while the car drives on."""

from collections.abc import Callable, Iterator

import numpy as np

from bcclone.dataset.diagnosis.finding import Finding, delete_rows, spans_of
from bcclone.dataset.diagnosis.motion import Followed
from bcclone.system.arrays import IndexArray

_JUMP_STEPS, _JUMP_SECONDS = 8.0, 1.0
_MOST_PAUSES = 30
_FEWEST_POINTS, _ALIKE, _MOVING = 8, 0.6, 0.3  # of the usual number of points, and of those that move
_FARTHER = 2.0  # than points move nearby


def rows_out_of_order(lines: IndexArray, numbers: IndexArray) -> Iterator[Finding]:
    """Yield whether the log's rows are not in order of time. lines: of the log, in order of time, (rows,)."""
    back = np.flatnonzero(np.diff(lines) < 0)
    if len(back):
        yield Finding(
            "out-of-order",
            f"{len(back)} times the rows of the log go back in time",
            "sort the rows by the time in their image names, after you have made sure that the clock did not jump; "
            "bcclone takes them in order of time",
            spans_of(numbers[back].tolist()),
            float(len(back)),
            usable=True,
        )


def clock_jumps(
    milliseconds: IndexArray, numbers: IndexArray, usual: Followed, followed_after: Callable[[int], Followed]
) -> Iterator[Finding]:
    """Yield the pauses without deleted rows across which the pictures go on as from one row to the next.

    milliseconds, numbers: (rows,); followed_after: the index of a row -> how its frame goes over into the next one;
    usual: the same of ordinary rows. Where the rows before and after a pause show fewer points, in a sharp bend, it is
    compared with them. After a real pause the few points that are mistaken for those before have moved much farther.
    """
    steps = np.diff(milliseconds) / 1000
    pauses = np.flatnonzero(
        (steps > max(_JUMP_STEPS * float(np.median(steps)), _JUMP_SECONDS)) & (np.diff(numbers) == 1)
    )
    jumps = []
    for pause in pauses[:_MOST_PAUSES].tolist() if usual.points >= _FEWEST_POINTS else []:
        there = followed_after(pause)
        beside = [followed_after(row) for row in (pause - 1, pause + 1) if 0 <= row < len(steps)]
        points, moving = (min(known, float(np.mean([one[at] for one in beside]))) for at, known in enumerate(usual[:2]))
        alike = there.points > max(_ALIKE * points, _FEWEST_POINTS) and there.moving > _MOVING * moving
        if alike and there.pixels < _FARTHER * max(usual.pixels, *(one.pixels for one in beside)):
            jumps.append(pause)
    if jumps:
        seconds = ", ".join(f"{steps[jump]:.1f}" for jump in jumps[:5])
        yield Finding(
            "clock-jump",
            f"the clock jumps by {seconds} s while the pictures go on as from one row to the next",
            "set the clock before you record, not while; correct the times, or cut the recording there: "
            + delete_rows([(int(numbers[jump]), int(numbers[jump + 1])) for jump in jumps]),
            spans_of([int(numbers[jump + 1]) for jump in jumps]),
            float(steps[jumps[0]]),
            unit="seconds",
        )
