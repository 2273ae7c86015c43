"""Warp a camera frame into the view of a camera at another position.

In: a `CameraMove`. Out: a `Warp`, which turns an image into the moved camera's view.

Frames of two cameras side by side, or with different headings, differ by a homography for the
ground, which is assumed to be flat, and by another for everything far away (R. Hartley, A.
Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, sections 8.4 and 13.1). Right
is positive for metres, angles and steering.

The figures were fitted on recordings of the Unity program, by making each camera's frames from
those of another: docs/explanation/replay.md.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.opencv import cv2, recolored

FOCAL_PX = FRAME_HEIGHT / 2 * math.sqrt(3)  # 60 degrees vertical
HEIGHT_M = 1.278  # of the cameras above the road
VANISHING_ROW = 59.4
ROLL_DEGREES = -1.11  # in image axes: right, down, ahead
YAW_DEGREES = 0.723


@dataclass(frozen=True)
class Warp:
    """Homographies from a frame to the view from another position; or several of them, along a
    first axis.

    ground, sky: (3, 3), from pixels (column, row, 1) of the view to those of the frame, for points
    on the road and for distant points; horizon: (3,), whose product with a pixel of the view is
    above 0 if it shows ground. Coordinate 0 is the centre of the first pixel.
    """

    ground: FloatArray
    sky: FloatArray
    horizon: FloatArray

    def __getitem__(self, index: int) -> "Warp":
        return Warp(self.ground[index], self.sky[index], self.horizon[index])

    def through(self, view: Any, frame: Any) -> "Warp":
        """Return the same warp between images that are made of views and frames.

        view, frame: (3, 3), from pixels (column, row, 1) of a camera frame to those of the image:
        Preprocessing.pixels for prepared images, flip_pixels() @ that for mirror images, np.eye(3)
        for the frames themselves; for several warps, frame may be (warps, 3, 3).
        """
        back = np.linalg.inv(view)
        return Warp(frame @ self.ground @ back, frame @ self.sky @ back, self.horizon @ back)

    def apply(self, image: Image, width: int, height: int) -> Image:
        """Return the view, uint8 (height, width, channels); the edge of the image is repeated
        beyond it.
        """
        if image.shape[2] == 3:
            return recolored(
                self.apply(recolored(image, cv2.COLOR_RGB2RGBA), width, height), cv2.COLOR_RGBA2RGB
            )
        view = np.empty((height, width, image.shape[2]), np.uint8)
        self.draw(image, view)
        return view

    def draw(self, image: Image, view: Image) -> None:
        """Write the view of an image into `view`; OpenCV is twice as fast with four channels as
        with three.

        image, view: uint8 (height, width, channels).
        """
        height, width = view.shape[:2]
        horizon = int(self.horizon_row(width, height))
        _warp(image, self.sky, 0, view[:horizon])
        _warp(image, self.ground, horizon, view[horizon:])

    def horizon_row(self, width: int, height: int, xp: Any = np) -> Any:
        """Return the first row of a view of this size that shows ground, float (...,), 0 to the
        height.

        The horizon is not exactly level, but there the warps of ground and sky differ by less than
        half a pixel.
        """
        across, down, constant = (self.horizon[..., index] for index in range(3))
        return xp.clip(xp.round(-(across * (width - 1) / 2 + constant) / down), 0, height)


@dataclass(frozen=True)
class CameraMove:
    """A change of a camera's position and heading: numbers, or arrays or tensors (moves,).

    lateral_offset_m: metres to the right; yaw_rad: radians to the right, less than pi / 2;
    pitch_rad: radians down; ahead_m: metres ahead. Both cameras are mounted in their car as the
    simulator's three are.
    """

    lateral_offset_m: Any
    yaw_rad: Any
    pitch_rad: Any = 0.0
    ahead_m: Any = 0.0


def warp_to(move: CameraMove, mirrored: bool | BoolArray = False, xp: Any = np) -> Warp:
    """Return the warp from a camera's frames to those of the moved camera; for several moves, one
    for each.

    mirrored: bool, or (moves,); the view shows the mirrored world, but the camera itself is not
    mirrored: it keeps its small yaw and roll in the car. xp: the array library, NumPy, or keras.ops
    for tensors. Raises ValueError for a camera that looks backwards.
    """
    offset_m, yaw_rad, ahead_m = move.lateral_offset_m, move.yaw_rad, move.ahead_m
    if xp is np and not np.all(np.abs(yaw_rad) < math.pi / 2):
        raise ValueError(
            f"yaw of {math.degrees(np.abs(yaw_rad).max()):g} degrees, expected less than 90"
        )
    zeros = xp.zeros_like(offset_m + yaw_rad + ahead_m + move.pitch_rad)
    side = xp.where(mirrored, zeros - 1, zeros + 1)
    to_ray, to_pixel = (xp.array(matrix, dtype=zeros.dtype) for matrix in simulated_camera())
    rays = xp.matmul(
        rotation(yaw_rad + zeros, -(move.pitch_rad + zeros), xp), to_ray
    )  # in the car's axes
    right, down, ahead = side[..., None] * rays[..., 0, :], rays[..., 1, :], rays[..., 2, :]
    nearer_right = right + (side * offset_m / HEIGHT_M)[..., None] * down
    nearer_ahead = ahead + ((ahead_m + zeros) / HEIGHT_M)[..., None] * down
    ground = xp.matmul(to_pixel, xp.stack([nearer_right, down, nearer_ahead], axis=-2))
    return Warp(ground, xp.matmul(to_pixel, xp.stack([right, down, ahead], axis=-2)), down)


def flip_pixels(width: int) -> FloatArray:
    """Return the matrix, (3, 3), from pixels of an image of this width to those of its mirror
    image.
    """
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@cache
def simulated_camera() -> tuple[FloatArray, FloatArray]:
    """Return pixel -> ray in the car's axes (right, down, ahead), and ray -> pixel."""
    column, row = (FRAME_WIDTH - 1) / 2, (FRAME_HEIGHT - 1) / 2
    pixels = np.array([[FOCAL_PX, 0.0, column], [0.0, FOCAL_PX, row], [0.0, 0.0, 1.0]])
    down = math.atan2(row - VANISHING_ROW, FOCAL_PX)
    sine, cosine = math.sin(math.radians(ROLL_DEGREES)), math.cos(math.radians(ROLL_DEGREES))
    roll = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    mount = rotation(np.float64(math.radians(YAW_DEGREES)), np.float64(-down)) @ roll
    return mount @ np.linalg.inv(pixels), pixels @ mount.T


def rotation(yaw: Any, pitch: Any, xp: Any = np) -> Any:
    """Return the rotation about the axis to the right by a pitch, then about that down by a yaw:
    (..., 3, 3).
    """
    zero = xp.zeros_like(yaw)
    sine, cosine, across, along = xp.sin(yaw), xp.cos(yaw), xp.sin(pitch), xp.cos(pitch)
    rows = (
        (cosine, sine * across, sine * along),
        (zero, along, -across),
        (-sine, cosine * across, cosine * along),
    )
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def _warp(image: Image, pixels: FloatArray, first: int, into: Image) -> None:
    """Write the warped image, from row `first` on, into the rows of `into`."""
    height, width = into.shape[:2]
    if height:
        below = pixels.copy()
        below[:, 2] += first * pixels[:, 1]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpPerspective(image, below, (width, height), into, flags, cv2.BORDER_REPLICATE)
