"""Points followed from frame to frame -> where the camera heads, and whether the car goes forwards.

When a car drives straight on, everything in view moves away from one point, the focus of expansion,
which shows where the camera looks (J. J. Gibson, "The Perception of the Visual World", 1950).
"""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2, recolored, resized
from bcclone.diagnosis.motion import ReadFrame, Shift, Turns, is_shift, shift_between
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray, evenly
from bcclone.system.statistics import correlation

PARTS = 6  # parts of the recording, one after the other, whose headings are compared
# the car surely drives backwards if the picture grows in less than this share of the frames
BACKWARDS = 0.25
_FEWEST_MOVES = 100  # fewer movements do not give a heading
_ROUNDS = 8  # rounds of a fit; in each, the focus is fitted, and then the small turns of the frames
_MAX_PAIRS = 60  # pairs of frames, spread over the recording, that show what is usual

# points of a frame, and how they move to the next one, (points, 2) each: column and row
PointsMoved = tuple[FloatArray, FloatArray]
FollowedFrames = Sequence[PointsMoved]  # of some frames


# ---- points followed from a frame to the next


def points_and_movements(before: Image, after: Image) -> PointsMoved:
    """Return points of a frame, and their movements less the movement of distant objects."""
    points, places = points_and_places(before, after)
    turn = shift_between(before, after)
    return points, places - points - [turn.right, turn.down]


def points_and_places(
    before: Image, after: Image, turn: Shift | None = None
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
    shift = np.zeros(2, np.float32)
    if turn is not None and is_shift(turn):
        shift = np.array([turn.right, turn.down], np.float32)
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


def is_clear_move(lengths: FloatArray) -> BoolArray:
    """Return which movements, of lengths in pixels, are neither noise nor mistaken, (points,)."""
    least_px = 1.0  # a shorter movement may be noise
    most_px = 30.0  # a longer one is probably mistaken
    return (lengths > least_px) & (lengths < most_px)


class FollowedCount(NamedTuple):
    """How many points of a frame are found again in the next one, and how far they move."""

    points: float = 0  # number of the points (a float, since it may be a median of frames)
    moving: float = 0  # number of the points that clearly move
    pixels: float = 0.0  # median of the movements' lengths, 0 if there are no points

    @classmethod
    def of(cls, movements: FloatArray) -> Self:
        lengths = np.hypot(movements[:, 0], movements[:, 1])
        median = float(np.median(lengths)) if len(movements) else 0.0
        return cls(len(movements), int(is_clear_move(lengths).sum()), median)


class FramePairs:
    """Compares the centre frames of two rows, which are given by their indices.

    turns: how far the car turned from each row to the next
    follows: whether the next row follows without a pause, (rows - 1,)
    """

    def __init__(self, read_frame: ReadFrame, turns: Turns, follows: BoolArray) -> None:
        self._read_frame = read_frame
        self._turns = turns
        self._follows = follows

    def _followed(self, row: int, to: int, is_turned: bool = False) -> PointsMoved:
        """Return points of a row's frame and how they move to another row's; none if unreadable.

        is_turned: whether the frames are turned by 180 degrees first
        """
        before = self._read_frame(row)
        after = self._read_frame(to)
        if before is None or after is None:
            return np.zeros((0, 2)), np.zeros((0, 2))
        if is_turned:
            before = np.ascontiguousarray(before[::-1, ::-1])
            after = np.ascontiguousarray(after[::-1, ::-1])
        return points_and_movements(before, after)

    def count_followed(self, row: int, to: int) -> FollowedCount:
        _, movements = self._followed(row, to)
        return FollowedCount.of(movements)

    def goes_on(self, row: int, to: int) -> bool:
        """Return whether the picture of row `to` may be the next one after the picture of `row`.

        It may if points can be followed from one to the other, or if the colours hardly change.
        """
        least_points = 0.25  # share of the usual number of points
        most_change = 4.0  # times the usual change of the colours
        if self.count_followed(row, to).points > least_points * self.usual.points:
            return True
        return self._change(row, to) < most_change * self._usual_change

    @cached_property
    def straight_on(self) -> FollowedFrames:
        """Return points followed to the next row, for rows after which the camera hardly turns."""
        return [self._followed(row, row + 1) for row in self._straight_rows()]

    def growing_share(self, rows: IndexArray) -> float | None:
        """Return in which share of some of these rows the picture grows towards the next one.

        A few of the rows are looked at. rows: indices of rows after which no pause follows
        """
        most_pairs = 24
        fewest_pairs = 8
        chosen = rows[evenly(len(rows), most_pairs)].tolist()
        return share_that_grows([self._followed(row, row + 1) for row in chosen], fewest_pairs)

    @cached_property
    def straight_on_turned_round(self) -> FollowedFrames:
        """Return what `straight_on` would be if the frames were turned by 180 degrees."""
        return [self._followed(row, row + 1, is_turned=True) for row in self._straight_rows()]

    def _straight_rows(self) -> list[int]:
        straight = np.flatnonzero(self._turns.straight)
        if not len(straight):
            return []
        places = np.linspace(0, len(straight) - 1, _MAX_PAIRS).astype(int)
        rows: list[int] = np.unique(straight[places]).tolist()
        return rows

    @cached_property
    def usual(self) -> FollowedCount:
        """Return how many points can usually be followed to the next row, and how far they move."""
        counted = [FollowedCount.of(movements) for _, movements in self.straight_on]
        # the median of each field
        return FollowedCount(*np.median(counted or [FollowedCount()], axis=0))

    @cached_property
    def _usual_change(self) -> float:
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


# ---- whether the car goes forwards, and the frames are upright


def share_that_grows(followed: FollowedFrames, fewest_frames: int = 20) -> float | None:
    """Return the share of the frames whose picture grows towards the next one.

    Pictures grow when the car drives forwards. Returns None if points can be followed in too few
    frames.
    """
    fewest_points = 8  # a frame with fewer points tells nothing
    grows = []
    for points, movements in followed:
        if len(points) < fewest_points:
            continue
        away = points - np.median(points, axis=0)
        relative = movements - np.median(movements, axis=0)
        growth = np.median(np.sum(away * relative, axis=1))
        if growth:  # a picture that stands still neither grows nor shrinks
            grows.append(growth > 0)
    if len(grows) < fewest_frames:
        return None
    return float(np.mean(grows))


def ground_below(followed: FollowedFrames, heading: "Heading | None") -> float | None:
    """Return how strongly nearness goes with being low in the frame, -1 to 1; None if unknown.

    When the car drives, near things move away from the focus faster than distant ones, in
    proportion to how far from the focus they are. On upright frames near things are the ground,
    below. This is the rank correlation of that speed with the row, over the points of all frames.
    """
    edge_rows = 23  # rows at the upper and lower edge, which may show the car itself
    near_focus_px = 8.0  # the direction of movements is uncertain so near to the focus
    most_across = 0.25  # of the movement away from the focus; a point with more is mistaken
    fewest_points = 5  # a frame with fewer points tells nothing
    fewest_in_all = 150
    least_agreeing = 0.05
    if heading is None or heading.agreeing < least_agreeing:
        return None
    speeds = [np.zeros(0)]  # of the points of each frame, relative to its median
    rows = [np.zeros(0)]
    for points, movements in followed:
        away = points - (heading.column, heading.row)
        distance = np.maximum(np.hypot(away[:, 0], away[:, 1]), near_focus_px)
        radial = np.abs(np.sum(away * movements, axis=1)) / distance
        across = np.abs(away[:, 0] * movements[:, 1] - away[:, 1] * movements[:, 0]) / distance
        good = is_clear_move(np.hypot(movements[:, 0], movements[:, 1]))
        good &= (distance > near_focus_px) & (across < most_across * radial)
        good &= (points[:, 1] > edge_rows) & (points[:, 1] < FRAME_HEIGHT - edge_rows)
        if good.sum() < fewest_points:
            continue
        speed = radial[good] / distance[good]
        speeds.append(speed / np.median(speed))
        rows.append(away[good, 1])
    if sum(map(len, speeds)) < fewest_in_all:
        return None
    return correlation(_ranks(np.concatenate(speeds)), _ranks(np.concatenate(rows)))


def _ranks(values: FloatArray) -> FloatArray:
    return np.argsort(np.argsort(values)).astype(np.float64)


# ---- where the camera heads


class Heading(NamedTuple):
    """The focus of expansion: the pixel towards which the car drives."""

    column: float
    row: float
    column_error: float  # standard error of the column
    row_error: float  # standard error of the row
    agreeing: float  # share of the movements that point away from this pixel; the rest is noise


def is_trusted(heading: Heading) -> bool:
    """Return whether enough movements, and all parts of the recording, agree on the heading."""
    least_agreeing = 0.12
    most_column_error = 12.0  # pixels
    return heading.agreeing > least_agreeing and heading.column_error < most_column_error


def measure_heading(followed: FollowedFrames) -> Heading | None:
    """Return the focus of expansion, None for too few points.

    The errors come from the differences between PARTS of the recording.
    """
    rounds_of_parts = 3  # rounds of the fit to a part, less than _ROUNDS to save time
    fewest_parts = 3  # fewer parts with a heading do not give the errors
    whole = focus_of_expansion(followed)
    if whole is None:
        return None
    parts = np.array_split(np.arange(len(followed)), PARTS)
    headings = [
        focus_of_expansion([followed[frame] for frame in part.tolist()], rounds_of_parts)
        for part in parts
    ]
    known = np.array([(heading.column, heading.row) for heading in headings if heading])
    if len(known) < fewest_parts:  # the errors are unknown
        return whole._replace(column_error=float(FRAME_WIDTH), row_error=float(FRAME_HEIGHT))
    # 1.48 times the median deviation is the standard deviation of a normal distribution
    deviations = np.median(np.abs(known - np.median(known, axis=0)), axis=0)
    spread = 1.48 * deviations / np.sqrt(len(known))
    column_error, row_error = np.maximum(spread, (whole.column_error, whole.row_error))
    return whole._replace(column_error=float(column_error), row_error=float(row_error))


def focus_of_expansion(followed: FollowedFrames, rounds: int = _ROUNDS) -> Heading | None:
    """Return the pixel from which all points move away, None for too few points.

    If the camera turns a little, all points of a frame also move alike. The pixel and these common
    movements are fitted alternately.
    """
    wide_px = 3.0  # a movement with this error has a quarter of the weight
    steps = 8  # of the robust fit
    frames = np.repeat(np.arange(len(followed)), [len(points) for points, _ in followed])
    if len(frames) < _FEWEST_MOVES:
        return None
    points, movements = (np.concatenate(column) for column in zip(*followed, strict=True))
    focus = np.zeros(2)
    agreeing = 0.0
    turned = np.zeros((len(followed), 2))
    for number in range(rounds):
        # each clear movement, without the turn of its frame, defines a line through the focus,
        # whose equation is across @ pixel = offset
        radial = movements - turned[frames]
        lengths = np.hypot(radial[:, 0], radial[:, 1])
        good = is_clear_move(lengths)
        if good.sum() < _FEWEST_MOVES:
            return None
        across = np.stack([-radial[good, 1], radial[good, 0]], 1) / lengths[good, None]
        offsets = np.sum(across * points[good], axis=1)
        if number == 0:
            focus, agreeing = _first_focus(across, offsets)

        # the focus is the pixel that the lines miss least
        for _ in range(steps):
            weights = robust_weights(across @ focus - offsets, wide_px)
            weighted = (across * weights[:, None]).T
            normal = weighted @ across
            focus = np.asarray(np.linalg.solve(normal + 1e-9 * np.eye(2), weighted @ offsets))
        turned = _common_movements(points, movements, frames, focus)
    # `across`, `offsets`, `weights` and `normal` are those of the last round
    errors = across @ focus - offsets
    # the factor 10 allows for movements near each other, which are not independent
    variances = np.diag(np.linalg.pinv(normal)) * np.average(errors**2, weights=weights) * 10
    column_error, row_error = np.sqrt(variances).tolist()
    return Heading(float(focus[0]), float(focus[1]), column_error, row_error, agreeing)


def _first_focus(across: FloatArray, offsets: FloatArray) -> tuple[FloatArray, float]:
    """Return the pixel of a coarse grid that most movements point away from, and their share.

    Each movement lies on a line: the pixels with across @ pixel = offset.

    across: direction at right angles to each line, (lines, 2)
    """
    beyond_px = 40  # the focus may lie outside of the frame
    column_step = 8  # pixels
    row_step = 6
    near_px = 4  # a line that passes a pixel at more than this distance hardly counts for it
    columns, rows = np.meshgrid(
        np.arange(-beyond_px, FRAME_WIDTH + beyond_px, column_step),
        np.arange(-beyond_px, FRAME_HEIGHT + beyond_px, row_step),
    )
    pixels = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float64)
    pointing = np.exp(-(((pixels @ across.T - offsets) / near_px) ** 2)).mean(axis=1)
    return pixels[np.argmax(pointing)], float(pointing.max())


def _common_movements(
    points: FloatArray, movements: FloatArray, frames: IndexArray, focus: FloatArray
) -> FloatArray:
    """Return the movement that all points of each frame have in common, (frames, 2).

    It comes of a small turn of the camera, and is added to each point's movement away from the
    focus.

    frames: index of the frame of each point, (points,), rising
    """
    stiffness = 0.5 * np.eye(2)  # keeps the movement small if the points hardly determine it
    rounds = 3
    wide_px = 0.5
    away = points - focus
    lengths = np.hypot(away[:, 0], away[:, 1]) + 1e-6
    across = np.stack([-away[:, 1], away[:, 0]], 1) / lengths[:, None]
    sideways = np.sum(across * movements, axis=1)
    turned = np.zeros((frames[-1] + 1, 2))
    for frame in np.unique(frames):
        of_frame = frames == frame
        directions = across[of_frame]
        amounts = sideways[of_frame]
        weights = np.ones(len(amounts))
        for _ in range(rounds):
            weighted = (directions * weights[:, None]).T
            turned[frame] = np.linalg.solve(weighted @ directions + stiffness, weighted @ amounts)
            weights = robust_weights(amounts - directions @ turned[frame], wide_px)
    return turned


def robust_weights(errors: FloatArray, width: float) -> FloatArray:
    """Return weights that are small for points far off a fit; an error of `width` weighs 1/4."""
    return 1 / (1 + (errors / width) ** 2) ** 2
