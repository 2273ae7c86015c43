"""Place the cameras: a car -> position and axes of each of its three cameras, and the pixels that
show the bonnet.
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

# Source: docs/explanation/simulator.md.
_MOUNT_QUATERNION = (
    0.08286792,
    0.00542134,
    0.009921725,
    0.99649644,
)  # 9.5 degrees down, 0.7 degrees to the right
# The bonnet's outline in each camera, column and row of corners, measured on recordings of the
# simulator.
_OUTLINES = {
    "center": ((36, 160), (48, 154), (76, 149), (104, 143), (120, 138), (145, 136), (178, 136), (200, 139),
               (220, 144), (244, 150), (260, 155), (264, 160)),
    "left": ((186, 160), (189, 151), (197, 146), (228, 142), (262, 138), (290, 137), (320, 137)),
    "right": ((0, 135), (28, 135), (60, 138), (88, 142), (112, 146), (120, 151), (123, 160)),
}  # fmt: skip
_EXTENSION = (
    50  # lengths of the first and the last edge, by which an outline goes on beyond the picture
)
_BONNET_PX_A_METRE = 185.0  # between the outlines of the three cameras
_Matrix = tuple[tuple[float, ...], ...]  # rows

_PAINT, _RIM, _SEAM = (158, 165, 151), (176, 184, 171), (62, 66, 58)


_USUAL = Conditions()


class CameraPose(NamedTuple):
    """A camera in the world: position (3,) in metres, axes (3, 3) with right, up and ahead as
    columns.
    """

    position: FloatArray
    axes: FloatArray


def pose_of(car: Car, camera: str, conditions: Conditions = _USUAL) -> CameraPose:
    """Return the pose of the center, left or right camera, which the conditions may move or tilt."""
    body = _product(_yaw(car.heading), _pitch(car.pitch))
    right_m, up_m, ahead_m = MOUNTS[camera]
    shift_m, height_m = conditions.camera_shift_m, conditions.camera_height_m
    mount = ((right_m + shift_m,), (up_m + height_m + ORIGIN_ABOVE_ROAD_M,), (ahead_m,))
    axes = _product(_product(body, _MOUNT), _pitch(math.radians(conditions.camera_pitch)))
    (x,), (y,), (z,) = _product(body, mount)
    return CameraPose(np.array([car.x + x, car.y + y, car.z + z]), np.array(axes))


def bonnet(
    camera: str,
    conditions: Conditions = _USUAL,
    size: tuple[int, int] = (FRAME_HEIGHT, FRAME_WIDTH),
) -> tuple[BoolArray, Image]:
    """Return the mask of the bonnet, bool (height, width), and its picture, RGB uint8 (height,
    width, 3).

    size: height and width of the picture.
    """
    height, width = size
    columns = (np.arange(width) + 0.5) * (
        FRAME_WIDTH / width
    ) + conditions.camera_shift_m * _BONNET_PX_A_METRE
    lower_px = FOCAL_PX * tangent(math.radians(conditions.camera_pitch))
    lower_px += conditions.camera_height_m * _BONNET_PX_A_METRE
    rows = (np.arange(height)[:, None] + 0.5) * (FRAME_HEIGHT / height) - lower_px
    corners = np.array(_OUTLINES[camera], float)
    before, after = (_EXTENSION * (end - beside) for end, beside in (corners[:2], corners[:-3:-1]))
    top = np.interp(columns, *np.vstack([corners[0] + before, corners, corners[-1] + after]).T)
    depth = rows - top[None, :]
    shade = 1 - 0.006 * np.maximum(depth - 3, 0)[..., None]
    picture = np.where(depth[..., None] < 3, np.array(_RIM), np.array(_PAINT) * shade)
    if camera == "center":  # the window's frame
        seam = 150.0 + 10 * ((columns - 161) / 62) ** 2
        inside = rows - seam[None, :]
        picture = np.where((np.abs(inside) < 0.9)[..., None], np.array(_SEAM), picture)
        picture = np.where(((inside > 3) & (inside < 4))[..., None], np.array(_SEAM) * 1.6, picture)
    return depth > 0, np.clip(picture, 0, 255).astype(np.uint8)


def _yaw(angle: float) -> _Matrix:
    right, ahead = sine(angle), cosine(angle)
    return (ahead, 0.0, right), (0.0, 1.0, 0.0), (-right, 0.0, ahead)


def _pitch(nose_up: float) -> _Matrix:
    up, ahead = sine(nose_up), cosine(nose_up)
    return (1.0, 0.0, 0.0), (0.0, ahead, up), (0.0, -up, ahead)


def _product(left: _Matrix, right: _Matrix) -> _Matrix:
    """Return the product of a matrix of three columns and one of three rows.

    NumPy's own rounds differently on different processors, and takes longer for so few numbers.
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


_MOUNT = _rotation(*_MOUNT_QUATERNION)
