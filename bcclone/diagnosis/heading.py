"""Points followed from frame to frame -> where the camera heads, and whether the car goes forwards.

level_frames() turns the frames of a drive up or down if that shows another horizon than was taken.

When a car drives straight on, everything in view moves away from one point, the focus of expansion,
which shows where the camera looks (J. J. Gibson, "The Perception of the Visual World", 1950).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.camera.geometry import FOCAL_PX, VANISHING_ROW, CameraMove, warp_to
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.diagnosis.motion import (
    FramePairs,
    PointsMoved,
    ReadFrame,
    TurnMeter,
    Turns,
    is_clear_move,
)
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray, correlation
from bcclone.system.process import ProgressBar

PARTS = 6  # parts of the recording, one after the other, whose headings are compared
# if in a smaller share of the frames the picture grows towards the next one, the car surely drives
# backwards
BACKWARDS = 0.25
_FEWEST_MOVES = 100  # fewer movements do not give a heading
_ROUNDS = 8  # rounds of a fit; in each, the focus is fitted, and then the small turns of the frames

_LEAST_OFF = 3.0  # rows by which a horizon is surely wrong, beside twice the standard error

FollowedFrames = Sequence[PointsMoved]  # of some frames, each followed to the next one


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


def ground_below(followed: FollowedFrames, heading: Heading | None) -> float | None:
    """Return how clearly near things are in the lower part of the frames, -1 to 1; None if unknown.

    When the car drives, near things move away from the focus faster than distant ones, in
    proportion to how far from the focus they are. On upright frames near things are the ground,
    below. This is the rank correlation of that speed with the row, over the points of all frames.
    """
    edge_rows = 23  # rows at the upper and lower edge, which may show the car itself
    near_focus_px = 8.0  # the direction of movements is uncertain so near to the focus
    most_across = 0.25  # a point that moves by more across than away from the focus is mistaken
    fewest_points = 5  # a frame with fewer points tells nothing
    fewest_in_all = 150
    least_agreeing = 0.05
    if heading is None or heading.agreeing < least_agreeing:
        return None
    speeds = [np.zeros(0)]  # of the points of each frame; 1 is usual in the frame
    rows = [np.zeros(0)]
    for points, moved in followed:
        away = points - (heading.column, heading.row)
        distance = np.maximum(np.hypot(away[:, 0], away[:, 1]), near_focus_px)
        radial = np.abs(np.sum(away * moved, axis=1)) / distance
        across = np.abs(away[:, 0] * moved[:, 1] - away[:, 1] * moved[:, 0]) / distance
        good = is_clear_move(np.hypot(moved[:, 0], moved[:, 1]))
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


def drives_backwards(growing_share: float | None) -> bool:
    """Return whether the pictures surely shrink from frame to frame.

    growing_share: as share_that_grows() returns it
    """
    return growing_share is not None and growing_share < BACKWARDS


def share_that_grows(followed: FollowedFrames) -> float | None:
    """Return the share of the frames whose picture grows towards the next one.

    Pictures grow when the car drives forwards. Returns None if points can be followed in too few
    frames.
    """
    fewest_points = 8  # a frame with fewer points tells nothing
    fewest_frames = 20  # fewer frames do not give a share
    grows = []
    for points, moved in followed:
        if len(points) < fewest_points:
            continue
        away = points - np.median(points, axis=0)
        apart = moved - np.median(moved, axis=0)
        growth = np.median(np.sum(away * apart, axis=1))
        if growth:  # a picture that stands still neither grows nor shrinks
            grows.append(growth > 0)
    if len(grows) < fewest_frames:
        return None
    return float(np.mean(grows))


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
    points, moved = (np.concatenate(column) for column in zip(*followed, strict=True))
    focus = np.zeros(2)
    agreeing = 0.0
    turned = np.zeros((len(followed), 2))
    for number in range(rounds):
        # each clear movement, without the turn of its frame, lies on a line through the focus: the
        # pixels with across @ pixel = offset
        radial = moved - turned[frames]
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
        turned = _common_movements(points, moved, frames, focus)
    errors = across @ focus - offsets
    # movements near each other are not independent, which ten times the variance allows for
    variances = np.diag(np.linalg.pinv(normal)) * np.average(errors**2, weights=weights) * 10
    column_error, row_error = np.sqrt(variances)
    return Heading(
        float(focus[0]), float(focus[1]), float(column_error), float(row_error), agreeing
    )


def _first_focus(across: FloatArray, offsets: FloatArray) -> tuple[FloatArray, float]:
    """Return the pixel of a coarse grid that most movements point away from, and their share.

    Each movement lies on a line: the pixels with across @ pixel = offset.

    across: direction at right angles to each line, (lines, 2)
    offsets: (lines,)
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
    points: FloatArray, moved: FloatArray, frames: IndexArray, focus: FloatArray
) -> FloatArray:
    """Return the movement that all points of each frame have in common, (frames, 2).

    The frames go up to the last one that has points.

    It comes of a small turn of the camera, and is added to each point's movement away from the
    focus.

    points, moved: the points of all frames and how they move, (points, 2) each
    frames: index of the frame of each point, (points,), rising
    """
    stiffness = 0.5 * np.eye(2)  # keeps the movement small if the points hardly determine it
    rounds = 3
    wide_px = 0.5
    away = points - focus
    lengths = np.hypot(away[:, 0], away[:, 1]) + 1e-6
    across = np.stack([-away[:, 1], away[:, 0]], 1) / lengths[:, None]
    sideways = np.sum(across * moved, axis=1)
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
    """Return weights, (points,), with which points far off a fit count little.

    width: size of an error that gets a quarter of the full weight
    """
    return 1 / (1 + (errors / width) ** 2) ** 2


# ---- the true horizon


class LevelFrames(NamedTuple):
    """The frames of a drive with the true horizon, as far as they show it."""

    read: ReadFrame  # index of a row -> its frame, RGB uint8 (160, 320, 3), None if unreadable
    framing: Framing  # how pictures of the camera would become these frames
    pitch_rad: float = 0.0  # by which the recorded frames were turned down for them


def level_frames(read: ReadFrame, follows: BoolArray, framing: Framing) -> LevelFrames:
    """Return the frames of a drive, turned up or down if their horizon is surely wrong.

    read: as in LevelFrames, of the recorded frames
    follows: whether the next row follows without a pause, (rows - 1,)
    framing: how pictures became the recorded frames; raises ValueError for one without a lens
    """
    if framing.lens is None:
        raise ValueError("a framing without a lens, expected one")
    heading = _measured_heading(read, follows)
    if heading is None or not is_trusted(heading):
        return LevelFrames(read, framing)
    below_px = heading.row - VANISHING_ROW
    if abs(below_px) < _LEAST_OFF + 2 * heading.row_error:
        return LevelFrames(read, framing)

    pitch_rad = _angle_down(heading.row)
    warp = warp_to(CameraMove(0.0, 0.0, pitch_rad=pitch_rad))

    def read_level(row: int) -> Image | None:
        frame = read(row)
        if frame is None:
            return None
        return warp.apply(frame, FRAME_WIDTH, FRAME_HEIGHT)

    lens = framing.lens
    horizon_row = round(lens.horizon_row + below_px * lens.focal_px / FOCAL_PX, 3)
    true_lens = replace(lens, horizon_row=horizon_row)
    return LevelFrames(read_level, replace(framing, lens=true_lens), pitch_rad)


def _measured_heading(read: ReadFrame, follows: BoolArray) -> Heading | None:
    """Return where the car drives to in its frames; None if they show too little."""
    meter = TurnMeter()
    with ProgressBar("finding the horizon", len(follows) + 1, "rows") as progress:
        for row in range(len(follows) + 1):
            meter.add(read(row))
            progress.advance(1)
    turns = Turns.of(meter.shifts[1:], follows)
    return measure_heading(FramePairs(read, turns, follows).straight_on)


def _angle_down(row: float) -> float:
    """Return by how much a row of a frame lies below the horizon, in radians."""
    middle = (FRAME_HEIGHT - 1) / 2
    below_axis = math.atan2(row - middle, FOCAL_PX)
    return below_axis - math.atan2(VANISHING_ROW - middle, FOCAL_PX)
