"""Judge how a film was filmed: its motion and frames -> what is wrong, in words."""

import math
from collections.abc import Iterator

import numpy as np

from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M
from bcclone.camera.images import FRAME_WIDTH
from bcclone.camera.vehicle import CAMERA_AHEAD_M
from bcclone.diagnosis.frame_figures import ReadFrame
from bcclone.diagnosis.heading import PARTS, Heading, measure_heading
from bcclone.diagnosis.motion import follow_points
from bcclone.diagnosis.odometry import CameraMotion, is_consistent
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.statistics import evenly

_PAIRS = 60  # of frames that show where the car drives to


def film_faults(motion: CameraMotion, passed: FloatArray, read: ReadFrame) -> Iterator[str]:
    """Yield what is wrong with the camera of a film, or with how it filmed.

    passed: seconds until the next row, (rows,).
    read: the index of a row -> its frame.
    """
    yield from _rolling_shutter(motion)
    if not is_consistent(motion.near_to_far):
        yield (
            "near and far ground show different speeds: the angle of view or the horizon is wrong, "
            "or the ground shows too little; say --fov DEGREES, or correct it"
        )
    yield from _turning_picture(motion, passed, read)


def _rolling_shutter(motion: CameraMotion) -> Iterator[str]:
    least_seconds = 0.008  # a shorter readout is that of any camera
    sure = 4.0  # standard errors
    readout, error = motion.readout()
    if readout > max(least_seconds, sure * error):
        yield (
            f"a rolling shutter: the last row of a picture is taken {1000 * readout:.0f} ms after "
            f"the first (standard error {1000 * error:.0f}); it does little harm to the steering"
        )


def _turning_picture(motion: CameraMotion, passed: FloatArray, read: ReadFrame) -> Iterator[str]:
    """Yield a fault of a picture that does not turn as the car does, as of a stabilised film."""
    straight_rad = 0.007  # a smaller turn from row to row is straight on
    sharp_quantile = 0.7  # of the turns; the sharper ones are bends
    greatest_spread_degrees = 6.0  # by which the camera may look to and fro
    greatest_late_seconds = 0.15  # by which the camera may look behind, in bends

    # where the car drives to, on straight road and in bends to either side
    rates = np.where(motion.usable & (motion.speed > 0), motion.yaw_rate, np.nan)
    straight = _heading(np.abs(rates) * passed < straight_rad, read)
    if straight is None or straight.column_error >= FRAME_WIDTH:  # unknown
        return
    sharp = np.nanquantile(np.abs(rates), sharp_quantile)
    late: list[float] = []  # seconds
    for bend in (rates < -sharp, rates > sharp):
        heading = _heading(bend, read)
        if heading:
            shift_px = heading.column - straight.column
            late.append(shift_px / FOCAL_PX / float(rates[bend].mean()))

    # a camera ahead of the axle moves aside in a bend
    usual = CAMERA_AHEAD_M / HEIGHT_M / max(float(np.median(motion.speed)), 1.0)
    spread = math.degrees(straight.column_error * math.sqrt(PARTS) / FOCAL_PX)
    is_late = bool(late) and min(late) > usual / 2 + greatest_late_seconds
    if spread > greatest_spread_degrees or is_late:
        yield (
            f"the picture does not turn as the car does: it looks {spread:.0f} degrees to and fro, "
            f"and in bends {min(late, default=0.0):.1f} s behind, as of a stabilised film, a "
            "gimbal or a loose camera: film again with a fixed one; the steering is late or wrong"
        )


def _heading(rows: BoolArray, read: ReadFrame) -> Heading | None:
    """Return where the car drives to in rows, (rows,), None where too little can be followed."""
    chosen = np.flatnonzero(rows)
    followed = []
    for row in chosen[evenly(len(chosen), _PAIRS)].tolist():
        before = read(row)
        after = read(row + 1)
        if before is not None and after is not None:
            followed.append(follow_points(before, after))
    return measure_heading(followed)
