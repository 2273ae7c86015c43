"""Measure from successive frames how the camera turns, and from pairs of them where it heads.

When a car turns, distant objects move sideways by the same angle: the upper part of a frame is that
of the frame before, shifted. The shift needs no network and no labels, and follows the steering
more closely than any network's answer (benchmarks/lab-log). When a car drives straight on,
everything in view moves away from one point, the focus of expansion, which shows where the camera
looks (J. J. Gibson, "The Perception of the Visual World", 1950).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, try_frame
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.opencv import cv2, recolored, resized
from bcclone.system.prefetch import read_ahead
from bcclone.system.statistics import robust_line

_FAR = slice(16, 72)  # rows of a frame: around the horizon, with little sky
_NEAR = slice(64, 128)  # of a side camera's: the ground, without the bonnet
_WIDTH = 160  # columns of what is compared
_SCALE = FRAME_WIDTH / _WIDTH
_LEAST_MATCH, _FARTHEST_RIGHT, _FARTHEST_DOWN = (
    0.05,
    50.0,
    20.0,
)  # of a shift between frames of the same place
_BANDS = (0, 67, 104, 137)  # rows between which points are chosen, so that some lie on the ground
_POINTS, _LEAST_CONTRAST, _APART = 25, 0.05, 7
_WINDOW = (11, 11)
_SAME = 0.3  # pixels by which a point may miss its place when it is followed there and back
_LEAST_MOVE, _MAX_MOVE = 1.0, 30.0
_FEWEST_MOVES = 100
_FEWEST_POINTS, _FEWEST_FRAMES = 8, 20  # of a frame; to tell forwards from backwards
PARTS, _FEWEST_PARTS = 6, 3  # of the frames, one after the other
_SMALL, _ROWS_AROUND, _REPEATED = (
    (40, 20),
    10,
    0.2,
)  # pixels; rows; of the usual change of the pictures around
_WIDE, _STEPS = 3.0, 8  # pixels, steps of the robust fit
_ROUNDS, _ROUNDS_OF_PARTS = 8, 3  # of the fit and the turns


class Shift(NamedTuple):
    """How far a picture is moved against another one, in pixels of a frame; match: 0 to 1, how
    alike they are.
    """

    right: float = np.nan
    down: float = np.nan
    match: float = 0.0


_NO_SHIFT = Shift()


class TurnMeter:
    """Measures the turn from each frame to the next; add() every frame of a recording in order of
    time.
    """

    def __init__(self) -> None:
        self.shifts: list[Shift] = []  # of each frame, against the one before
        self._last: Float32Array | None = None

    def add(self, frame: Image | None) -> None:
        """Measure the next frame, RGB uint8 (160, 320, 3); None for one that cannot be read."""
        before, self._last = self._last, None if frame is None else _reduced(frame[_FAR])
        self.shifts.append(
            Shift() if before is None or self._last is None else _shift(before, self._last)
        )


def shift_between(before: Image, after: Image) -> Shift:
    """Return how far what is far away is moved from a frame to the next, RGB uint8 (160, 320, 3)
    each.
    """
    return _shift(_reduced(before[_FAR]), _reduced(after[_FAR]))


def is_shift(shift: Shift) -> bool:
    """Return whether two frames show the same place."""
    return (
        shift.match > _LEAST_MATCH
        and abs(shift.right) < _FARTHEST_RIGHT
        and abs(shift.down) < _FARTHEST_DOWN
    )


def side_shift(center: Image, side: Image) -> Shift:
    """Return how far the ground in a side camera's frame is moved against the centre camera's."""
    return _shift(_reduced(center[_NEAR]), _reduced(side[_NEAR]))


def _reduced(part: Image) -> Float32Array:
    return resized(recolored(part, cv2.COLOR_RGB2GRAY), (_WIDTH, len(part) // 2)).astype(np.float32)


def _shift(before: Float32Array, after: Float32Array) -> Shift:
    window = cv2.createHanningWindow((before.shape[1], before.shape[0]), cv2.CV_32F)
    (right, down), match = cv2.phaseCorrelate(before, after, window)
    return Shift(_SCALE * right, _SCALE * down, match)


@dataclass(frozen=True)
class Turns:
    """How a recording's camera turned. Arrays are (steps,): from each frame to the next.

    right: turn of the camera, in pixels of a frame; down: movement of distant objects; usable: the
    pictures match, and the frames follow one another.
    """

    right: FloatArray
    down: FloatArray
    match: FloatArray
    usable: BoolArray

    @classmethod
    def of(cls, shifts: Sequence[Shift], follows: BoolArray) -> Self:
        """Return the turns of the frames. shifts: of all frames but the first; follows: (steps,),
        without a pause.
        """
        right, down, match = np.array(shifts, np.float64).T
        usable = follows & np.array(list(map(is_shift, shifts)), np.bool_)
        return cls(np.where(usable, -right, 0.0), np.where(usable, down, 0.0), match, usable)

    @property
    def straight(self) -> BoolArray:
        """Return the steps in which the camera hardly turns, (steps,)."""
        return (
            self.usable
            & (self.match > 0.3)
            & (np.abs(self.right) < 1.0)
            & (np.abs(self.down) < 2.0)
        )

    def roll_degrees(self) -> tuple[float, float] | None:
        """Return by how many degrees the camera leans to the right, and the standard error; None if
        it hardly turns.

        When the car turns, distant objects move along the horizon, which is level only for a level
        camera.
        """
        good = self.usable & (self.match > 0.3)
        right, down = -self.right[good], self.down[good]
        if good.sum() < 100 or right.std() < 0.5:
            return None
        slope, offset, weights = robust_line(right, down, width=1.5, rounds=24)
        spread = np.sum(weights**2 * (right - right.mean()) ** 2)
        error = np.sqrt(
            np.average((down - slope * right - offset) ** 2, weights=weights**2) / spread
        )
        return -float(np.degrees(np.arctan(slope))), float(np.degrees(error))


def new_pictures(paths: Sequence[str | None]) -> IndexArray:
    """Return the rows whose picture is not the one before, as in a video made of one with fewer
    frames a second.
    """

    def thumbnail(path: str | None) -> FloatArray:
        frame, _ = try_frame(path)
        return (
            np.full(_SMALL[::-1], np.nan) if frame is None else resized(frame, _SMALL).mean(axis=2)
        )

    with read_ahead("looking for repeated pictures", "rows", thumbnail, paths) as pictures:
        changes = np.array([np.abs(one - other).mean() for one, other in pairwise(pictures)])
    around = sliding_window_view(np.pad(changes, _ROWS_AROUND, "edge"), 2 * _ROWS_AROUND + 1)
    is_new = ~(changes < _REPEATED * np.percentile(around, 75, axis=1))
    return np.flatnonzero(np.append(True, is_new))


def follow_points(before: Image, after: Image) -> tuple[FloatArray, FloatArray]:
    """Return points of a frame, (points, 2) as (column, row), and how much farther than distant
    objects each moves.
    """
    points, places = moved_points(before, after)
    turn = shift_between(before, after)
    return points, places - points - [turn.right, turn.down]


def moved_points(
    before: Image, after: Image, turn: Shift = _NO_SHIFT
) -> tuple[FloatArray, FloatArray]:
    """Return points of a frame and their places in the next one, (points, 2) each. turn: where they
    are looked for.
    """
    first, second = (recolored(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    chosen = []
    for top, bottom in pairwise(_BANDS):
        corners = cv2.goodFeaturesToTrack(first[top:bottom], _POINTS, _LEAST_CONTRAST, _APART)
        if corners is not None:
            chosen.append(corners + np.array([0, top], np.float32))
    if not chosen:
        return np.zeros((0, 2)), np.zeros((0, 2))
    points = np.concatenate(chosen).astype(np.float32)
    shift = np.array([turn.right, turn.down] if is_shift(turn) else [0, 0], np.float32)
    there, found = _places(first, second, points, points + shift)
    back, found_back = _places(second, first, there, there - shift)
    good = found & found_back & (np.abs(back - points).max(axis=(1, 2)) < _SAME)
    return points[good, 0].astype(np.float64), there[good, 0].astype(np.float64)


def _places(
    before: Image, after: Image, points: Float32Array, expected: Float32Array
) -> tuple[Float32Array, BoolArray]:
    """Return the places of a grey image's points, (points, 1, 2), in another image, and which are
    found, (points,).
    """
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        points,
        expected,
        winSize=_WINDOW,
        maxLevel=2,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there, np.float32), np.asarray(found)[:, 0] == 1


class Heading(NamedTuple):
    """The focus of expansion: the pixel towards which the car drives, and the standard error of
    both.

    agreeing: the share of the movements that point away from it; the others are mistaken or noise.
    """

    column: float
    row: float
    column_error: float
    row_error: float
    agreeing: float


class Followed(NamedTuple):
    """Points of a frame that are found again in the next one: their number, how many of them move
    clearly, how far.

    pixels: the median of all movements, 0 for no points.
    """

    points: float = 0
    moving: float = 0
    pixels: float = 0.0

    @classmethod
    def of(cls, moved: FloatArray) -> Self:
        """Count the points of follow_points(). moved: (points, 2)."""
        lengths = np.hypot(moved[:, 0], moved[:, 1])
        return cls(
            len(moved),
            int(_is_clear(lengths).sum()),
            float(np.median(lengths)) if len(moved) else 0.0,
        )


def _is_clear(lengths: FloatArray) -> BoolArray:
    return (lengths > _LEAST_MOVE) & (lengths < _MAX_MOVE)


def share_that_grows(followed: Sequence[tuple[FloatArray, FloatArray]]) -> float | None:
    """Return the share of the frames that grow towards the next one, as they do when the car drives
    forwards.

    followed: as in focus_of_expansion(). None if points can be followed in too few frames.
    """
    grows = []
    for points, moved in followed:
        if len(points) >= _FEWEST_POINTS:
            away, apart = points - np.median(points, axis=0), moved - np.median(moved, axis=0)
            growth = np.median(np.sum(away * apart, axis=1))
            grows += [growth > 0] * bool(growth)  # a picture that stands still does neither
    return float(np.mean(grows)) if len(grows) >= _FEWEST_FRAMES else None


def focus_of_expansion(
    followed: Sequence[tuple[FloatArray, FloatArray]], rounds: int = _ROUNDS
) -> Heading | None:
    """Return the pixel from which all points move away, None for too few points.

    followed: for some frames, points and how they move, (points, 2) each. The rest of a turn moves
    all points of a frame alike; it and the pixel are fitted alternately.
    """
    frames = np.repeat(np.arange(len(followed)), [len(points) for points, _ in followed])
    if len(frames) < _FEWEST_MOVES:
        return None
    points, moved = (np.concatenate(column) for column in zip(*followed, strict=True))
    focus, agreeing = np.zeros(2), 0.0
    turned = np.zeros((len(followed), 2))
    for number in range(rounds):
        left = moved - turned[frames]
        lengths = np.hypot(left[:, 0], left[:, 1])
        good = _is_clear(lengths)
        if good.sum() < _FEWEST_MOVES:
            return None
        across = (
            np.stack([-left[good, 1], left[good, 0]], 1) / lengths[good, None]
        )  # of each movement's line
        offsets = np.sum(across * points[good], axis=1)
        if number == 0:
            # the pixel of a coarse grid that most movements point away from
            columns, rows = np.meshgrid(
                np.arange(-40, FRAME_WIDTH + 40, 8), np.arange(-40, FRAME_HEIGHT + 40, 6)
            )
            tries = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float64)
            pointing = np.exp(-(((tries @ across.T - offsets) / 4) ** 2)).mean(axis=1)
            focus, agreeing = tries[np.argmax(pointing)], float(pointing.max())
        for _ in range(_STEPS):
            weights = robust_weights(across @ focus - offsets, _WIDE)
            normal = (across * weights[:, None]).T @ across
            focus = np.asarray(
                np.linalg.solve(normal + 1e-9 * np.eye(2), (across * weights[:, None]).T @ offsets)
            )
        turned = _turns_left(points, moved, frames, focus)
    errors = across @ focus - offsets
    variance = np.average(errors**2, weights=weights)
    column_error, row_error = np.sqrt(
        np.diag(np.linalg.pinv(normal)) * variance * 10
    )  # neighbours are not independent
    return Heading(
        float(focus[0]), float(focus[1]), float(column_error), float(row_error), agreeing
    )


def measure_heading(followed: Sequence[tuple[FloatArray, FloatArray]]) -> Heading | None:
    """Return the focus of expansion, with errors that show how parts of the recording differ; None
    for too few.
    """
    whole = focus_of_expansion(followed)
    parts = [focus_of_expansion([followed[frame] for frame in part.tolist()], _ROUNDS_OF_PARTS)
             for part in np.array_split(np.arange(len(followed)), PARTS)]  # fmt: skip
    known = np.array([(part.column, part.row) for part in parts if part])
    if whole is None or len(known) < _FEWEST_PARTS:
        return whole and whole._replace(
            column_error=float(FRAME_WIDTH), row_error=float(FRAME_HEIGHT)
        )  # unknown
    spread = (
        1.48 * np.median(np.abs(known - np.median(known, axis=0)), axis=0) / np.sqrt(len(known))
    )
    column_error, row_error = np.maximum(spread, (whole.column_error, whole.row_error))
    return whole._replace(column_error=float(column_error), row_error=float(row_error))


def _turns_left(
    points: FloatArray, moved: FloatArray, frames: IndexArray, focus: FloatArray
) -> FloatArray:
    """Return the movement that all points of each frame share, (frames, 2), besides the one away
    from the focus.
    """
    away = points - focus
    across = (
        np.stack([-away[:, 1], away[:, 0]], 1) / (np.hypot(away[:, 0], away[:, 1]) + 1e-6)[:, None]
    )
    sideways = np.sum(across * moved, axis=1)
    turned = np.zeros((frames[-1] + 1, 2))
    for frame in np.unique(frames):
        of = frames == frame
        directions, amounts, weights = across[of], sideways[of], np.ones(int(of.sum()))
        for _ in range(3):
            normal = (directions * weights[:, None]).T @ directions + 0.5 * np.eye(2)
            turned[frame] = np.linalg.solve(normal, (directions * weights[:, None]).T @ amounts)
            weights = robust_weights(amounts - directions @ turned[frame], 0.5)
    return turned


def robust_weights(errors: FloatArray, width: float) -> FloatArray:
    """Return weights by which points far off a fit count little, (points,). width: of an error with
    a quarter.
    """
    return 1 / (1 + (errors / width) ** 2) ** 2
