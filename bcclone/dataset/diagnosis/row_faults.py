"""Judge the rows of a recording by their pictures, dark, over-exposed, blurred and frozen ones, and by their times."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from bcclone.dataset.diagnosis.finding import Finding, delete_rows, spans_of
from bcclone.dataset.diagnosis.motion import Followed
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.system.arrays import BoolArray, IndexArray
from bcclone.system.opencv import cv2

_DARK, _BRIGHT = 14.0, 238.0  # means of 0 to 255
_SATURATED, _MOST_SATURATED = 250, 0.6
_BLURRED, _LEAST_SHARP = 0.12, 4.0  # of the sharp ones' contrast from pixel to pixel
_MOST_SHARE, _MOST_FROZEN = 0.01, 0.03  # of the rows; a slow camera repeats some
_MOST_DELETED = 10  # spans, by hand
_REDUCED = (FRAME_WIDTH // 2, FRAME_HEIGHT // 2)
_JUMP_STEPS, _JUMP_SECONDS = 8.0, 1.0
_MOST_PAUSES = 30
_FEWEST_POINTS, _ALIKE, _MOVING = 8, 0.6, 0.3  # of the usual number of points, and of those that move
_FARTHER = 2.0  # than points move nearby


class Look(NamedTuple):
    """Figures of a frame: mean, 0 to 255; share of white pixels, 0 to 1; variance of its second derivative."""

    mean: float
    white: float
    sharpness: float


UNREADABLE = Look(np.nan, np.nan, np.nan)


def look_at(frame: Image) -> Look:
    """Return the figures of an RGB frame, uint8 (160, 320, 3)."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, _REDUCED, interpolation=cv2.INTER_NEAREST)
    return Look(
        float(small.mean()),
        float(np.count_nonzero(small >= _SATURATED)) / small.size,
        float(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0]) ** 2,
    )


def picture_faults(looks: list[Look], numbers: IndexArray, frozen: BoolArray) -> Iterator[Finding]:
    """Yield the faults of the pictures. numbers: of the rows, (rows,); frozen: (rows,), repeats the last picture."""
    mean, white, sharpness = (np.array(column) for column in zip(*looks, strict=True))
    readable = np.isfinite(mean)
    dark = readable & (mean < _DARK)
    bright = readable & ((mean > _BRIGHT) | (white > _MOST_SATURATED))
    usable = readable & ~dark & ~bright
    blurred = np.zeros(len(mean), np.bool_)
    if usable.any():
        usual = float(np.percentile(sharpness[usable], 75))
        blurred = usable & (sharpness < max(_BLURRED * usual, _LEAST_SHARP))
    for fault, rows, most, what in (
        ("unreadable", ~readable, 0.0, "cannot be read"),
        ("dark", dark, _MOST_SHARE, "are black, or nearly so"),
        ("over-exposed", bright, _MOST_SHARE, "are white, or nearly so"),
        ("blurred", blurred, _MOST_SHARE, "are blurred"),
        ("frozen", frozen, _MOST_FROZEN, "repeat the picture of the row before, although the car moves"),
    ):
        share, spans = float(rows.mean()), spans_of(numbers[rows].tolist())
        if share <= most:
            continue
        remedy = delete_rows(spans)
        if fault == "unreadable":
            remedy = f"copy the missing pictures into the folder IMG next to the log; or: {remedy}"
        elif len(spans) > _MOST_DELETED:
            remedy = "record with a camera that gives each row a new, clear picture"
        text = f"the pictures of {int(rows.sum())} rows ({share:.0%}) {what}"
        yield Finding(fault, text, remedy, spans, share, unit="share of the rows")


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
