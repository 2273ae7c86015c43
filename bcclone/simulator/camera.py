"""Place the cameras: a car -> position and axes of each of its three cameras, and the bonnet.

Frames of reference: the *world* has x to the east, y up, z to the north; the *car* and the *camera*
have right, up and ahead. A matrix turns directions of one frame into those of another.
"""

import math
from typing import NamedTuple

import numpy as np

from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.camera.vehicle import MOUNTS, ORIGIN_ABOVE_ROAD_M
from bcclone.simulator.car import Car
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.exact_math import cosine, sine, tangent

_USUAL = Conditions()


# Where a camera is


class CameraPose(NamedTuple):
    """A camera in the world."""

    position: FloatArray  # x, y, z in metres, (3,)
    axes: FloatArray  # the camera's right, up and ahead in the world, as columns, (3, 3)


def pose_of(car: Car, camera: str, conditions: Conditions = _USUAL) -> CameraPose:
    """Return the pose of a camera, which the conditions may move or tilt.

    camera: center, left or right
    """
    car_to_world = _product(_yaw(car.heading), _pitch(car.pitch))

    # the camera's place in the car, as a matrix of one column
    right_m, up_m, ahead_m = MOUNTS[camera]
    mount = (
        (right_m + conditions.camera_shift_m,),
        (up_m + conditions.camera_height_m + ORIGIN_ABOVE_ROAD_M,),
        (ahead_m,),
    )
    (x,), (y,), (z,) = _product(car_to_world, mount)

    tilt = _pitch(math.radians(conditions.camera_pitch))
    axes = _product(_product(car_to_world, _CAMERA_TO_CAR), tilt)
    return CameraPose(np.array([car.x + x, car.y + y, car.z + z]), np.array(axes))


_Matrix = tuple[tuple[float, ...], ...]  # rows


def _yaw(angle: float) -> _Matrix:
    """Return the matrix of a turn to the right, in radians."""
    right = sine(angle)
    ahead = cosine(angle)
    return (ahead, 0.0, right), (0.0, 1.0, 0.0), (-right, 0.0, ahead)


def _pitch(nose_up: float) -> _Matrix:
    """Return the matrix of a turn that lifts the nose by an angle in radians."""
    up = sine(nose_up)
    ahead = cosine(nose_up)
    return (1.0, 0.0, 0.0), (0.0, ahead, up), (0.0, -up, ahead)


def _product(left: _Matrix, right: _Matrix) -> _Matrix:
    """Return the product of a matrix of three columns and one of three rows.

    NumPy's matrix product rounds differently on different processors, and is slower for so few
    numbers.
    """
    columns = tuple(zip(*right, strict=True))
    return tuple(tuple(a * x + b * y + c * z for x, y, z in columns) for a, b, c in left)


def _rotation(x: float, y: float, z: float, w: float) -> _Matrix:
    """Return the rotation matrix of a unit quaternion."""
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )


# How the cameras are mounted: turned 9.5 degrees down and 0.7 degrees to the right. Source:
# docs/explanation/simulator.md
_MOUNT_QUATERNION = (0.08286792, 0.00542134, 0.009921725, 0.99649644)
_CAMERA_TO_CAR = _rotation(*_MOUNT_QUATERNION)


# What a camera sees of the bonnet


# The bonnet's outline in each camera: column and row of its corners in a frame of 160 x 320 pixels,
# measured on recordings of the simulator
_OUTLINES = {
    "center": (
        (36, 160), (48, 154), (76, 149), (104, 143), (120, 138), (145, 136),
        (178, 136), (200, 139), (220, 144), (244, 150), (260, 155), (264, 160),
    ),
    "left": ((186, 160), (189, 151), (197, 146), (228, 142), (262, 138), (290, 137), (320, 137)),
    "right": ((0, 135), (28, 135), (60, 138), (88, 142), (112, 146), (120, 151), (123, 160)),
}  # fmt: skip
# pixels by which the outline moves in the picture when a camera moves by a metre; found from the
# outlines of the three cameras
_BONNET_PX_A_METRE = 185.0

# an outline is prolonged at each end, beyond the picture, by its last edge, this many times
_EXTENSION = 50

# colours of the bonnet, RGB
_PAINT = (158, 165, 151)
_RIM = (176, 184, 171)
_RIM_PX = 3  # rows of the rim, below the outline
_SEAM = (62, 66, 58)


def bonnet(
    camera: str,
    conditions: Conditions = _USUAL,
    size: tuple[int, int] = (FRAME_HEIGHT, FRAME_WIDTH),
) -> tuple[BoolArray, Image]:
    """Return the mask of the bonnet, bool (height, width), and its picture, RGB uint8.

    size: height and width of the picture
    """
    height, width = size

    # each pixel's column and row in a frame of 160 x 320 pixels; a camera that is moved or tilted
    # sees the bonnet shifted
    shift_px = conditions.camera_shift_m * _BONNET_PX_A_METRE
    columns = (np.arange(width) + 0.5) * (FRAME_WIDTH / width) + shift_px
    lower_px = FOCAL_PX * tangent(math.radians(conditions.camera_pitch))
    lower_px += conditions.camera_height_m * _BONNET_PX_A_METRE
    rows = (np.arange(height)[:, None] + 0.5) * (FRAME_HEIGHT / height) - lower_px

    # a rim along the outline, and paint that is darker towards the camera
    corners = np.array(_OUTLINES[camera], float)
    before = corners[0] + _EXTENSION * (corners[0] - corners[1])
    after = corners[-1] + _EXTENSION * (corners[-1] - corners[-2])
    outline = np.vstack([before, corners, after])
    below_px = rows - np.interp(columns, outline[:, 0], outline[:, 1])[None, :]
    shade = 1 - 0.006 * np.maximum(below_px - _RIM_PX, 0)[..., None]
    picture = np.where(below_px[..., None] < _RIM_PX, np.array(_RIM), np.array(_PAINT) * shade)
    if camera == "center":
        # the seam at the near end of the bonnet, a parabola that looks like the simulator's, and a
        # fine line below it
        below_seam = rows - (150.0 + 10 * ((columns - 161) / 62) ** 2)[None, :]
        picture = np.where((np.abs(below_seam) < 0.9)[..., None], np.array(_SEAM), picture)
        on_line = (below_seam > 3) & (below_seam < 4)
        picture = np.where(on_line[..., None], np.array(_SEAM) * 1.6, picture)
    return below_px > 0, np.clip(picture, 0, 255).astype(np.uint8)
