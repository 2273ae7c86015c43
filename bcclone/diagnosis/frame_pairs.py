"""Pairs of a recording's frames -> how far points move between them, and whether one follows on."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from bcclone.camera.images import resized
from bcclone.diagnosis.frame_figures import ReadFrame
from bcclone.diagnosis.motion import Followed, Turns, follow_points
from bcclone.system.numbers import BoolArray, FloatArray

_MAX_PAIRS = 60  # pairs, spread over the recording, that show what is usual
# points of a frame, and how they move, (points, 2) each
PointsMoved = tuple[FloatArray, FloatArray]
_NO_POINTS: PointsMoved = (np.zeros((0, 2)), np.zeros((0, 2)))


class FramePairs:
    """Compares the centre frames of two rows, which are given by their indices.

    follows: whether the next row follows without a pause, (steps,)
    """

    def __init__(self, read_frame: ReadFrame, turns: Turns, follows: BoolArray) -> None:
        self._read_frame = read_frame
        self._turns = turns
        self._follows = follows

    def moved(self, row: int, to: int, is_turned: bool = False) -> PointsMoved:
        """Return points of a row's frame and how they move to another row's; none if unreadable.

        is_turned: whether the frames are turned by 180 degrees first
        """
        before = self._read_frame(row)
        after = self._read_frame(to)
        if before is None or after is None:
            return _NO_POINTS
        if is_turned:
            before = np.ascontiguousarray(before[::-1, ::-1])
            after = np.ascontiguousarray(after[::-1, ::-1])
        return follow_points(before, after)

    def followed(self, row: int, to: int) -> Followed:
        """Return how many points can be followed from a row to another one, and how far."""
        _, movements = self.moved(row, to)
        return Followed.of(movements)

    def goes_on(self, row: int, to: int) -> bool:
        """Return whether the picture of row `to` may be the next one after the picture of `row`.

        It may if points can be followed from one to the other, or if the colours hardly change.
        """
        least_points = 0.25  # share of the usual number of points
        most_change = 4.0  # times the usual change of the colours
        if self.followed(row, to).points > least_points * self.usual.points:
            return True
        return self._change(row, to) < most_change * self._usual_change

    @cached_property
    def straight_on(self) -> Sequence[PointsMoved]:
        """Return points followed to the next row, for rows after which the camera hardly turns."""
        return [self.moved(row, row + 1) for row in self._straight_rows()]

    @cached_property
    def straight_on_turned_round(self) -> Sequence[PointsMoved]:
        """Return what `straight_on` would be if the frames were turned by 180 degrees."""
        return [self.moved(row, row + 1, is_turned=True) for row in self._straight_rows()]

    def _straight_rows(self) -> list[int]:
        """Return some rows, spread over the recording, after which the camera hardly turns."""
        straight = np.flatnonzero(self._turns.straight)
        if not len(straight):
            return []
        places = np.linspace(0, len(straight) - 1, _MAX_PAIRS).astype(int)
        rows: list[int] = np.unique(straight[places]).tolist()
        return rows

    @cached_property
    def usual(self) -> Followed:
        """Return how many points can usually be followed to the next row, and how far they move."""
        counted = [Followed.of(moved) for _, moved in self.straight_on] or [Followed()]
        return Followed(*np.median(counted, axis=0))

    @cached_property
    def _usual_change(self) -> float:
        """Return the median change of the colours from a row to the next."""
        every = max(1, len(self._follows) // _MAX_PAIRS)
        rows = np.flatnonzero(self._follows)[::every].tolist()
        return float(np.nanmedian([self._change(row, row + 1) for row in rows]))

    def _change(self, row: int, to: int) -> float:
        """Return the mean difference of two reduced frames, 0 to 255; NaN if one is unreadable."""
        thumbnail = (16, 8)  # pixels
        before = self._read_frame(row)
        after = self._read_frame(to)
        if before is None or after is None:
            return math.nan
        difference = resized(before, thumbnail).astype(np.float64) - resized(after, thumbnail)
        return float(np.abs(difference).mean())
