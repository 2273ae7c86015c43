"""Judge the pictures of a recording: dark, over-exposed, blurred and frozen ones."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bcclone.dataset.diagnosis.finding import Finding, delete_rows, spans_of
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.system.arrays import BoolArray, IndexArray
from bcclone.system.opencv import cv2

_DARK, _BRIGHT = 14.0, 238.0  # means of 0 to 255
_SATURATED, _MOST_SATURATED = 250, 0.6
_BLURRED, _LEAST_SHARP = 0.12, 4.0  # of the sharp ones' contrast from pixel to pixel
_MOST_SHARE, _MOST_FROZEN = 0.01, 0.03  # of the rows; a slow camera repeats some
_MOST_DELETED = 10  # spans, by hand
_REDUCED = (FRAME_WIDTH // 2, FRAME_HEIGHT // 2)


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
    yield from _named("unreadable", ~readable, numbers, "cannot be read")
    yield from _named("dark", dark, numbers, "are black, or nearly so")
    yield from _named("over-exposed", bright, numbers, "are white, or nearly so")
    yield from _named("blurred", blurred, numbers, "are blurred")
    yield from _named("frozen", frozen, numbers, "repeat the picture of the row before, although the car moves")


def _named(fault: str, rows: BoolArray, numbers: IndexArray, what: str) -> Iterator[Finding]:
    count, share = int(rows.sum()), float(rows.mean())
    most = {"unreadable": 0.0, "frozen": _MOST_FROZEN}.get(fault, _MOST_SHARE)
    if share > most:
        spans = spans_of(numbers[rows].tolist())
        remedy = delete_rows(spans)
        if fault == "unreadable":
            remedy = f"copy the missing pictures into the folder IMG next to the log; or: {remedy}"
        elif len(spans) > _MOST_DELETED:
            remedy = "record with a camera that gives each row a new, clear picture"
        yield Finding(
            fault,
            f"the pictures of {count} rows ({share:.0%}) {what}",
            remedy,
            spans,
            share,
            unit="share of the rows",
        )
