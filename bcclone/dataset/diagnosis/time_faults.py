"""Judge the times of a recording: rows out of order, and clocks that jump while the car drives on."""

from collections.abc import Callable, Iterator

import numpy as np

from bcclone.dataset.diagnosis.finding import Finding, spans_of
from bcclone.dataset.diagnosis.motion import Followed
from bcclone.system.arrays import IndexArray

_JUMP_STEPS, _JUMP_SECONDS = 8.0, 1.0
_MOST_PAUSES = 30
_FEWEST_POINTS, _ALIKE, _MOVING = 8, 0.6, 0.3  # of the usual number of points, and of those that move


def rows_out_of_order(lines: IndexArray) -> Iterator[Finding]:
    """Yield whether the log's rows are not in order of time. lines: of the log, in order of time, (rows,)."""
    back = np.flatnonzero(np.diff(lines) < 0)
    if len(back):
        yield Finding(
            "out-of-order",
            f"{len(back)} times the rows of the log go back in time",
            "sort the rows by the time in their image names, after you have made sure that the clock did not jump; "
            "bcclone takes them in order of time",
            spans_of(sorted(lines[back].tolist())),
            float(len(back)),
        )


def clock_jumps(
    milliseconds: IndexArray, lines: IndexArray, usual: Followed, followed_after: Callable[[int], Followed]
) -> Iterator[Finding]:
    """Yield the pauses in the times across which the pictures go on as from one row to the next.

    milliseconds, lines: (rows,); followed_after: the index of a row -> how many points of its frame are found again in
    the next one, and how many of them move; usual: the same of ordinary rows. Where the rows before and after a pause
    show less, in a sharp bend, it is compared with them.
    """
    steps = np.diff(milliseconds) / 1000
    pauses = np.flatnonzero(steps > max(_JUMP_STEPS * float(np.median(steps)), _JUMP_SECONDS))
    jumps = []
    for pause in pauses[:_MOST_PAUSES].tolist() if usual.points >= _FEWEST_POINTS else []:
        there, *beside = (followed_after(row) for row in (pause, pause - 1, pause + 1) if 0 <= row < len(steps))
        points = min(usual.points, sum(each.points for each in beside) / max(len(beside), 1))
        moving = min(usual.moving, sum(each.moving for each in beside) / max(len(beside), 1))
        if there.points >= _FEWEST_POINTS and there.points > _ALIKE * points and there.moving > _MOVING * moving:
            jumps.append(pause)
    if jumps:
        seconds = ", ".join(f"{steps[jump]:.1f}" for jump in jumps[:5])
        yield Finding(
            "clock-jump",
            f"the clock jumps {len(jumps)} times, by {seconds} s, while the pictures go on from one row to the next",
            "set the clock before you record, not while; correct the times, or cut the recording there: "
            f"bcclone edit RECORDING --delete {lines[jumps[0]]} {lines[jumps[0] + 1]}",
            spans_of([int(lines[jump + 1]) for jump in jumps]),
            float(steps[jumps[0]]),
            unit="seconds",
        )
