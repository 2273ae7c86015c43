"""Measure from successive frames how the camera turns, and how far points move.

In: frames, RGB uint8 (160, 320, 3). Out: a `Shift` in pixels for each pair, and `Turns` for a whole
recording; points and their places in the next frame, (points, 2) each; `FramePairs`, which tell
whether one frame of a recording follows on another.

When a car turns, distant objects move sideways by the same angle: the upper part of a frame looks
like that of the frame before, but shifted. Measuring the shift needs no network and no labels, and
it follows the steering more closely than any network's answer (benchmarks/lab-log).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from bcclone.camera.images import FRAME_WIDTH, Image, cv2, recolored, resized, try_frame
from bcclone.system.numbers import BoolArray, Float32Array, FloatArray, IndexArray, robust_line
from bcclone.system.pool import read_ahead

ReadFrame = Callable[[int], Image | None]  # index of a row -> its centre frame; None: unreadable
# points of a frame, and how they move, (points, 2) each
PointsMoved = tuple[FloatArray, FloatArray]

_FAR = slice(16, 72)  # rows of a frame around the horizon, with little sky
_NEAR = slice(64, 128)  # rows of a frame that show the ground, without the bonnet
_WIDTH = 160  # columns to which a frame is reduced before it is compared
_SCALE = FRAME_WIDTH / _WIDTH  # pixels of a frame in one pixel of the reduced frame


class Shift(NamedTuple):
    """How far a picture is moved against another one, in pixels of a frame."""

    right: float = np.nan
    down: float = np.nan
    match: float = 0.0  # 0 to 1, how alike the pictures are


_NO_SHIFT = Shift()


# ---- how the camera turns


class TurnMeter:
    """Measures the turn from each frame to the next; add() every frame of a recording in order of
    time.
    """

    def __init__(self) -> None:
        self.shifts: list[Shift] = []  # shift of each frame against the frame before
        self._last: Float32Array | None = None  # distant part of the last frame; None: unreadable

    def add(self, frame: Image | None) -> None:
        """Measure the next frame, RGB uint8 (160, 320, 3); None for an unreadable frame."""
        before = self._last
        self._last = None if frame is None else _reduced(frame[_FAR])
        if before is None or self._last is None:
            self.shifts.append(Shift())
        else:
            self.shifts.append(_shift(before, self._last))


def shift_between(before: Image, after: Image) -> Shift:
    """Return how far distant objects move from a frame to the next.

    Both are RGB uint8 (160, 320, 3).
    """
    return _shift(_reduced(before[_FAR]), _reduced(after[_FAR]))


def is_shift(shift: Shift) -> bool:
    """Return whether two frames show the same place."""
    least_match = 0.05
    farthest_right = 50.0  # pixels
    farthest_down = 20.0  # pixels
    return (
        shift.match > least_match
        and abs(shift.right) < farthest_right
        and abs(shift.down) < farthest_down
    )


def side_shift(center: Image, side: Image) -> Shift:
    """Return how far the ground in a side camera's frame is moved against the centre camera's."""
    return _shift(_reduced(center[_NEAR]), _reduced(side[_NEAR]))


def _reduced(part: Image) -> Float32Array:
    """Return some rows of a frame, grey and reduced to half."""
    gray = recolored(part, cv2.COLOR_RGB2GRAY)
    return resized(gray, (_WIDTH, len(part) // 2)).astype(np.float32)


def _shift(before: Float32Array, after: Float32Array) -> Shift:
    """Return how far a picture of _reduced() is moved against another one."""
    height, width = before.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (right, down), match = cv2.phaseCorrelate(before, after, window)
    return Shift(_SCALE * right, _SCALE * down, match)


@dataclass(frozen=True)
class Turns:
    """How a recording's camera turned. Arrays are (steps,): from each frame to the next."""

    right: FloatArray  # turn of the camera to the right, in pixels of a frame; 0 where not usable
    down: FloatArray  # movement of distant objects down, in pixels; 0 where not usable
    match: FloatArray  # how alike both frames are, 0 to 1
    usable: BoolArray  # whether the frames match, without a pause between them

    @classmethod
    def of(cls, shifts: Sequence[Shift], follows: BoolArray) -> Self:
        """Return the turns of the frames.

        shifts: of all frames but the first, each against the frame before
        follows: whether the next frame follows without a pause, (steps,)
        """
        right, down, match = np.array(shifts, np.float64).T
        usable = follows & np.array(list(map(is_shift, shifts)), np.bool_)
        # distant objects move to the left when the camera turns to the right
        return cls(np.where(usable, -right, 0.0), np.where(usable, down, 0.0), match, usable)

    def where(self, steps: BoolArray) -> "Turns":
        """Return the turns, of which only some steps are usable. steps: which, (steps,)"""
        return replace(self, usable=self.usable & steps)

    @property
    def straight(self) -> BoolArray:
        """Return the steps in which the camera hardly turns, (steps,)."""
        most_right = 1.0  # pixels
        most_down = 2.0  # pixels
        return self._good & (np.abs(self.right) < most_right) & (np.abs(self.down) < most_down)

    def roll_degrees(self) -> tuple[float, float] | None:
        """Return by how many degrees the camera leans to the right, and the standard error.

        When the car turns, distant objects move along the horizon, which is level only for a level
        camera. Returns None if the camera hardly turns.
        """
        fewest_steps = 100
        least_turning = 0.5  # least standard deviation of the turns, in pixels
        good = self._good
        right = -self.right[good]  # movement of distant objects, opposite to the camera's turn
        down = self.down[good]
        if good.sum() < fewest_steps or right.std() < least_turning:
            return None
        slope, offset, weights = robust_line(right, down, width=1.5, rounds=24)
        spread = np.sum(weights**2 * (right - right.mean()) ** 2)
        squared_errors = (down - slope * right - offset) ** 2
        error = np.sqrt(np.average(squared_errors, weights=weights**2) / spread)
        # a camera that leans to the right sees the horizon rise, not fall, to the right
        return -float(np.degrees(np.arctan(slope))), float(np.degrees(error))

    @property
    def _good(self) -> BoolArray:
        """Return the steps whose pictures match well, (steps,)."""
        return self.usable & (self.match > 0.3)


def new_pictures(paths: Sequence[str | None]) -> IndexArray:
    """Return the indices of the rows whose picture is not a repetition of the picture before.

    In a video that was made from a video with fewer frames a second, pictures are repeated.

    paths: of the picture of each row, None for a missing picture
    """
    rows_around = 10  # to either side, for the usual change from picture to picture
    repeated = 0.2  # share of the usual change, below which a picture is a repetition
    with read_ahead("looking for repeated pictures", "rows", _thumbnail, paths) as pictures:
        changes = np.array([np.abs(before - after).mean() for before, after in pairwise(pictures)])
    around = sliding_window_view(np.pad(changes, rows_around, "edge"), 2 * rows_around + 1)
    usual = np.percentile(around, 75, axis=1)
    # `not <`: a change of NaN, because a picture cannot be read, counts as new
    is_new = ~(changes < repeated * usual)
    return np.flatnonzero(np.append(True, is_new))


def _thumbnail(path: str | None) -> FloatArray:
    """Return a picture, reduced and grey, (20, 40); NaN for one that cannot be read."""
    width = 40
    height = 20
    frame, _ = try_frame(path)
    if frame is None:
        return np.full((height, width), np.nan)
    return np.asarray(resized(frame, (width, height)).mean(axis=2))


# ---- how points move


def follow_points(before: Image, after: Image) -> tuple[FloatArray, FloatArray]:
    """Return points of a frame, and their movements less the movement of distant objects.

    Both are (points, 2): column and row.
    """
    points, places = moved_points(before, after)
    turn = shift_between(before, after)
    return points, places - points - [turn.right, turn.down]


def moved_points(
    before: Image, after: Image, turn: Shift = _NO_SHIFT
) -> tuple[FloatArray, FloatArray]:
    """Return points of a frame and their places in the next frame, (points, 2) each.

    turn: the expected movement, from which the places are looked for
    """
    same_px = 0.3  # a point that is followed there and back must return this close to its place
    first = recolored(before, cv2.COLOR_RGB2GRAY)
    second = recolored(after, cv2.COLOR_RGB2GRAY)
    points = _corners(first)
    if not len(points):
        return np.zeros((0, 2)), np.zeros((0, 2))
    offset = [turn.right, turn.down] if is_shift(turn) else [0, 0]
    shift = np.array(offset, np.float32)
    places, is_found = _places(first, second, points, points + shift)
    back, is_found_back = _places(second, first, places, places - shift)
    good = is_found & is_found_back & (np.abs(back - points).max(axis=(1, 2)) < same_px)
    return points[good, 0].astype(np.float64), places[good, 0].astype(np.float64)


def _corners(gray: Image) -> Float32Array:
    """Return points of a grey image that can be found again, (points, 1, 2)."""
    # points are chosen in each band between two of these rows, so that some lie on the ground
    bands = (0, 67, 104, 137)
    most = 25  # points of a band
    least_quality = 0.05  # share of the quality of the band's best point
    apart_px = 7  # least distance between two points
    chosen: list[npt.NDArray[Any]] = [np.zeros((0, 1, 2), np.float32)]
    for top, bottom in pairwise(bands):
        corners = cv2.goodFeaturesToTrack(gray[top:bottom], most, least_quality, apart_px)
        if corners is not None:
            chosen.append(corners + np.array([0, top], np.float32))
    return np.concatenate(chosen).astype(np.float32)


def _places(
    before: Image, after: Image, points: Float32Array, expected: Float32Array
) -> tuple[Float32Array, BoolArray]:
    """Return the places of points in another grey image, (points, 1, 2), and which are found.

    points: places in the first image, (points, 1, 2)
    expected: where to begin to look for them in the other image, (points, 1, 2)
    """
    places, status, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        points,
        expected,
        winSize=(11, 11),
        maxLevel=2,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(places, np.float32), np.asarray(status)[:, 0] == 1


class Followed(NamedTuple):
    """How many points of a frame are found again in the next one, and how far they move."""

    points: float = 0  # number of the points (a float, since it may be a median of frames)
    moving: float = 0  # number of the points that clearly move
    pixels: float = 0.0  # median of the movements' lengths, 0 if there are no points

    @classmethod
    def of(cls, moved: FloatArray) -> Self:
        """Return what follow_points() tells of a frame.

        moved: movements of the points, (points, 2)
        """
        lengths = np.hypot(moved[:, 0], moved[:, 1])
        median = float(np.median(lengths)) if len(moved) else 0.0
        return cls(len(moved), int(is_clear_move(lengths).sum()), median)


def is_clear_move(lengths: FloatArray) -> BoolArray:
    """Return which movements are neither noise nor mistaken, (points,).

    lengths: lengths of the movements in pixels, (points,)
    """
    least_px = 1.0  # a shorter movement may be noise
    most_px = 30.0  # a longer one is probably mistaken
    return (lengths > least_px) & (lengths < most_px)


# ---- pairs of frames


_MAX_PAIRS = 60  # pairs, spread over the recording, that show what is usual
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
