"""Frames of a car's camera -> how it moved: its speed, in heights of the camera, and how it turned.

A point that is followed from a frame to the next moves for two reasons: the camera rotates, and the
car drives on. Driving moves the point straight away from the pixel that the car heads for, a near
point more than a far one. So the part of the movement that is at right angles to this direction
shows the rotation alone, whatever the point's distance (R. Hartley, A. Zisserman, "Multiple View
Geometry in Computer Vision", 2nd edition, section 9.2).

This module measures the rotation; plane_sweep.py measures the speed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from bcclone.camera.framing import Framing, sampling_of
from bcclone.camera.geometry import simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2
from bcclone.diagnosis.heading import robust_weights
from bcclone.diagnosis.motion import is_clear_move, is_shift, moved_points, shift_between
from bcclone.diagnosis.overlay import find_overlay, without_overlay
from bcclone.diagnosis.plane_sweep import NO_MATCH, NO_MATCHES, SpeedPath, matches_of_speeds
from bcclone.system.numbers import BoolArray, Float32Array, FloatArray, IndexArray, block_jackknife
from bcclone.system.pool import read_ahead

# most pairs of frames whose matches are kept in memory, so that a long drive takes no more memory
# than a short one
_ROWS_AT_ONCE = 2000


@dataclass(frozen=True)
class CameraMotion:
    """How a camera moved from each row to the next. Arrays are (rows,)."""

    speed: FloatArray  # camera heights a second, 0 where the car stands
    # half of the difference between the speeds that near and far ground show; it serves as a
    # standard error
    speed_error: FloatArray
    yaw_rate: FloatArray  # rad/s to the right
    yaw_error: FloatArray  # standard error of yaw_rate
    usable: BoolArray  # whether the frames show the yaw, and the speed is not too great to measure
    near_to_far: float  # speed that the near ground shows / speed that the far ground shows
    shear: FloatArray  # `weighted_shear` and `shear_weight` of each FramePair, (rows, 2)
    overlay: BoolArray  # pixels of the frames that were not used, see overlay.py, (160, 320)

    def readout(self) -> tuple[float, float]:
        """Return the seconds from the first to the last row of a frame, and the standard error.

        A rolling shutter takes the rows of a frame one after the other. So the last row shows the
        turn of a later time. While the yaw rate changes, that turn is larger than the first row's
        by the seconds x the change of the yaw rate; the seconds are fitted by least squares.
        """
        change = np.gradient(self.yaw_rate)

        def seconds_of(rows: IndexArray) -> float:
            weight = change[rows] ** 2 @ self.shear[rows, 1]
            return float(change[rows] @ self.shear[rows, 0] / max(weight, 1e-12))

        seconds = seconds_of(np.arange(len(change)))
        return seconds, block_jackknife(len(change), seconds_of)


def is_consistent(near_to_far: float) -> bool:
    """Return whether near and far ground show the same speed.

    They do on flat ground, if the lens is known correctly.

    near_to_far: see CameraMotion
    """
    most = 1.2  # ratio of the greater speed to the smaller one
    return 1 / most < near_to_far < most


class FramePair(NamedTuple):
    """How the camera moved from a frame to the next one."""

    yaw: float = 0.0  # radians to the right
    error: float = math.inf  # standard error of the yaw, infinite if the yaw is unknown
    # The shear is how much more the last row of the frame is turned than its first row, in radians.
    weighted_shear: float = 0.0  # the shear x its weight
    shear_weight: float = 0.0  # weight of the shear in a fit over many pairs
    matches: Float32Array = NO_MATCHES  # see plane_sweep.matches_of_speeds(), (2, speeds)

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.error)


def shown_pixels(framing: Framing | None) -> BoolArray:
    """Return the pixels of frames that the camera's picture reaches, (160, 320).

    framing: how pictures became the frames; None for the simulator's frames
    """
    if framing is None or framing.lens is None:
        return np.full((FRAME_HEIGHT, FRAME_WIDTH), True)
    return sampling_of(framing).shows


def measure_motion(
    read: Callable[[int], Image | None],
    seconds: Sequence[float],
    ends: Sequence[bool],
    framing: Framing | None,
) -> CameraMotion:
    """Return how the camera moved in a drive.

    read: index of a row -> its frame, RGB uint8 (160, 320, 3); called in several threads
    seconds: seconds from each row to the next, (rows,)
    ends: whether a gap follows the row, (rows,)
    framing: how pictures became the frames; None for the simulator's frames
    """
    # what stands still in the picture, such as a clock, shows no motion
    overlay = find_overlay(read, len(seconds))
    # the detail of a pixel depends on those around it, see plane_sweep.py
    around = np.ones((13, 13), np.uint8)
    seen = shown_pixels(framing) & (cv2.dilate(overlay.astype(np.uint8), around) == 0)
    read_road = without_overlay(read, overlay)

    def measured(row: int) -> FramePair:
        if ends[row] or seconds[row] <= 0:
            return FramePair()
        return _measured_pair(read_road(row), read_road(row + 1), seconds[row], seen)

    # pairs of frames are measured in several threads, and their matches dropped part by part
    turns: list[tuple[float, ...]] = []  # the fields of each pair without its matches
    path = SpeedPath()
    with read_ahead("measuring the motion", "rows", measured, range(len(seconds) - 1)) as pairs:
        while part := list(islice(pairs, _ROWS_AT_ONCE)):
            turns += [pair[:-1] for pair in part]
            path.add(np.array([pair.matches for pair in part]))

    turns.append(FramePair()[:-1])  # nothing follows the last row
    yaw, error, *shear = np.array(turns).T
    usable = np.isfinite(error) & path.is_measured
    passed = np.maximum(seconds, 1e-3)
    return CameraMotion(
        speed=path.speed,
        speed_error=path.speed_error,
        yaw_rate=yaw / passed,
        yaw_error=np.where(usable, error, 0.0) / passed,
        usable=usable,
        near_to_far=path.near_to_far,
        shear=np.stack(shear, 1),
        overlay=overlay,
    )


def _measured_pair(
    before: Image | None, after: Image | None, seconds: float, seen: BoolArray
) -> FramePair:
    """Return how the camera moved between two frames; unknown if the frames do not show it.

    before, after: the frames; None if a frame cannot be read
    seconds: time between the frames
    seen: pixels of the frames that show the road and what is around it, (160, 320)
    """
    if before is None or after is None:
        return FramePair()
    turn = shift_between(before, after)
    if not is_shift(turn):
        return FramePair()
    points, places = moved_points(before, after, turn)
    # points are (column, row), pixels are (row, column)
    shown = seen[tuple(points.astype(int).T[::-1])]
    pair = fit_rotation(points[shown], places[shown])
    if not pair.is_known:
        return pair
    matches = matches_of_speeds(before, after, pair.yaw, seconds, seen)
    moved = places[shown] - points[shown]
    if is_clear_move(np.hypot(moved[:, 0], moved[:, 1])).mean() > 0.5:
        # the car does not stand, although the ground may hardly show how fast it drives
        matches[:, 0] = NO_MATCH
    return pair._replace(matches=matches)


# added to the normal equations of pitch, yaw and roll: keeps small what the points hardly show
_STIFFNESS = np.diag([0.2, 1e-3, 2.0])


def fit_rotation(points: FloatArray, places: FloatArray) -> FramePair:
    """Return the rotation of the camera, without matches; with an infinite error for few points.

    For a point whose ray is p in the first frame and r in the next one, a rotation w and the
    direction of travel t: (r + w x r) . (t x p) = 0.

    points: points of a frame, column and row, (points, 2)
    places: where they are in the next frame, (points, 2)
    """
    fewest_points = 8
    if len(points) < fewest_points:
        return FramePair()
    missed, turned = _rotation_equations(points, places)
    rotation, errors, weights = _solved_rotation(missed, turned)

    # the standard error of the yaw
    normal = (turned * weights[:, None]).T @ turned + _STIFFNESS
    inverse = np.linalg.inv(normal)
    variance = np.sum(weights * errors**2) / np.sum(weights) * inverse[1, 1]

    # how much more the lower rows of the frame are turned: what a yaw in proportion to the row
    # would add to each equation, less what a rotation of the whole frame explains of that
    later = turned[:, 1] * (points[:, 1] / FRAME_HEIGHT - 0.5)
    later -= turned @ (inverse @ (turned.T @ (weights * later)))
    return FramePair(
        yaw=float(rotation[1]),
        error=math.sqrt(float(variance)),
        weighted_shear=-float(np.sum(weights * later * missed)),
        shear_weight=float(np.sum(weights * later**2)),
    )


def _rotation_equations(points: FloatArray, places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return by how much each point misses its plane, and what a rotation adds to that.

    The plane of a point holds the camera, the point in the first frame, and the direction of
    travel: without a rotation, the point would stay in it. The results are (points,), and
    (points, 3) for pitch, yaw and roll.

    points, places: as in fit_rotation()
    """
    # sine of the angle from the focus within which the direction of a movement is uncertain
    near_focus = 0.02
    before = _rays(points)
    after = _rays(places)
    across = np.cross([0.0, 0.0, 1.0], before)
    length = np.linalg.norm(across, axis=1) + near_focus
    missed = np.sum(after * across, axis=1) / length
    turned = np.cross(after, across / length[:, None])
    return missed, turned


def _solved_rotation(
    missed: FloatArray, turned: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the rotation with which the points miss least, their errors, and their weights.

    The results are (3,) for pitch, yaw and roll in radians, (points,) and (points,).

    missed, turned: as _rotation_equations() returns them
    """
    wide = 0.004  # radians; error of a point whose weight is a quarter
    rounds = 8  # of the robust fit
    weights = np.ones(len(missed))
    rotation: FloatArray = np.zeros(3)
    for _ in range(rounds):
        weighted = (turned * weights[:, None]).T
        normal = weighted @ turned + _STIFFNESS
        rotation = np.asarray(np.linalg.solve(normal, -weighted @ missed), np.float64)
        errors = missed + turned @ rotation
        weights = robust_weights(errors, wide)
    return rotation, errors, weights


def _rays(pixels: FloatArray) -> FloatArray:
    """Return the directions of pixels, (points, 3): right, down and ahead in the car, of length 1.

    pixels: column and row, (points, 2)
    """
    to_ray, _ = simulated_camera()
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ to_ray.T
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))
