"""Judge how a film was filmed: its motion and frames -> what is wrong, in words."""

import math
from collections.abc import Iterator

import numpy as np

from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M
from bcclone.camera.images import FRAME_WIDTH
from bcclone.camera.vehicle import CAMERA_AHEAD_M
from bcclone.diagnosis.heading import PARTS, Heading, follow_points, measure_heading
from bcclone.diagnosis.motion import ReadFrame
from bcclone.diagnosis.odometry import CameraMotion, is_consistent
from bcclone.diagnosis.overlay import without_overlay
from bcclone.system.numbers import BoolArray, FloatArray, evenly

_PAIRS = 60  # most pairs of neighbouring frames by which a heading is measured


def film_faults(motion: CameraMotion, passed: FloatArray, read: ReadFrame) -> Iterator[str]:
    """Yield what is wrong with the camera of a film, or with how it filmed.

    motion: how the camera moved from each row to the next
    passed: seconds from each row to the next, (rows,)
    read: the index of a row -> its frame
    """
    if not is_consistent(motion.near_to_far):
        yield (
            "near and far ground show different speeds: the angle of view or the horizon is wrong, "
            "or the ground shows too little; say --fov DEGREES, or correct it"
        )
    yield from _turning_picture(motion, passed, without_overlay(read, motion.overlay))


def _turning_picture(motion: CameraMotion, passed: FloatArray, read: ReadFrame) -> Iterator[str]:
    """Yield a fault of a picture that does not turn as the car does, as of a stabilised film."""
    straight_rad = 0.007  # the road is straight where the turn from row to row is smaller
    sharp_quantile = 0.7  # the road is a bend where the yaw rate is above this quantile of all
    greatest_spread_degrees = 6.0  # largest spread, on straight road, of where the car drives to
    greatest_late_seconds = 0.15  # how far the picture's turn may be behind the car's, in bends

    # where the car drives to, on straight road and in bends to either side
    rates = np.where(motion.usable & (motion.speed > 0), motion.yaw_rate, np.nan)
    straight = _heading(np.abs(rates) * passed < straight_rad, read)
    if straight is None or straight.column_error >= FRAME_WIDTH:  # it is unknown
        return
    sharp = np.nanquantile(np.abs(rates), sharp_quantile)
    late: list[float] = []  # seconds that the picture is behind, in left and in right bends
    for bend in (rates < -sharp, rates > sharp):
        heading = _heading(bend, read)
        if heading:
            shift_px = heading.column - straight.column
            late.append(shift_px / FOCAL_PX / float(rates[bend].mean()))

    # a fixed camera ahead of the rear axle moves to the inner side of a bend, so its picture seems
    # to be behind, too: by the time from the axle to the camera, of which half is allowed for.
    # Lengths and speeds are in camera heights
    usual_seconds = CAMERA_AHEAD_M / HEIGHT_M / max(float(np.median(motion.speed)), 1.0)
    # the column is a mean of PARTS: its error times the root of their number is their spread
    spread = math.degrees(straight.column_error * math.sqrt(PARTS) / FOCAL_PX)
    is_late = bool(late) and min(late) > usual_seconds / 2 + greatest_late_seconds
    if spread > greatest_spread_degrees or is_late:
        yield (
            f"the picture does not turn as the car does: it looks {spread:.0f} degrees to and fro, "
            f"and in bends {min(late, default=0.0):.1f} s behind, as of a stabilised film, a "
            "gimbal or a loose camera: film again with a fixed one; the steering is late or wrong"
        )


def _heading(rows: BoolArray, read: ReadFrame) -> Heading | None:
    """Return where the car drives to in some rows; None if too little can be followed in them.

    rows: whether a row is one of them, (rows,)
    """
    chosen = np.flatnonzero(rows)
    followed = []
    for row in chosen[evenly(len(chosen), _PAIRS)].tolist():
        before = read(row)
        after = read(row + 1)
        if before is not None and after is not None:
            followed.append(follow_points(before, after))
    return measure_heading(followed)
