"""Where a camera is and looks -> what its frame becomes from another place: views that no camera recorded.

Two of the simulator's cameras that look at the same road from beside each other, or turned, differ by a homography for
the ground, which is taken to be flat, and by another for all that is far away (R. Hartley, A. Zisserman, "Multiple View
Geometry in Computer Vision", 2nd edition, sections 8.4 and 13.1). Right is positive: metres, angles and steering.

The figures were fitted on recordings of the Unity program, by making each camera's frames from another's:
docs/replay.md.
"""

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image

Array = npt.NDArray[np.float64]

FOCAL_PX = FRAME_HEIGHT / 2 / math.tan(math.radians(30))  # 60 degrees vertical
HEIGHT_M = 1.278  # of the cameras above the road
VANISHING_ROW = 59.4
ROLL_DEGREES = -1.11  # in image axes: right, down, ahead
YAW_DEGREES = 0.723


@dataclass(frozen=True)
class Warp:
    """How a frame turns into the view from another place.

    ground, sky: (3, 3), from pixels (column, row, 1) of the view to those of the frame, for what lies on the road and
    for what is far away; horizon: (3,), above 0 for the view's pixels that show ground. 0 is the first pixel's centre.
    """

    ground: Array
    sky: Array
    horizon: Array

    def through(self, view: Array, frame: Array) -> "Warp":
        """Return the same warp between what is made of views and frames.

        view, frame: (3, 3), what takes pixels (column, row, 1) of a camera frame there: Preprocessing.pixels for
        prepared images, flip_pixels() @ that for mirror images, np.eye(3) for the frames themselves.
        """
        back = np.linalg.inv(view)
        return Warp(frame @ self.ground @ back, frame @ self.sky @ back, self.horizon @ back)

    def apply(self, image: Image, width: int, height: int) -> Image:
        """Return the view, uint8 (height, width, channels), of an image; beyond what it shows its edge is repeated."""
        if image.shape[2] == 3:  # OpenCV takes little more than half as long for four channels
            view = self.apply(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), np.uint8), width, height)
            return np.asarray(cv2.cvtColor(view, cv2.COLOR_RGBA2RGB), np.uint8)
        first, last = self._horizon_rows(width, height)
        view = np.empty((height, width, image.shape[2]), np.uint8)
        if first < height:
            view[first:] = _warped(image, self.ground, width, slice(first, height))
        if last > 0:
            sky = _warped(image, self.sky, width, slice(0, last))
            view[:first] = sky[:first]
            above = self._above(width, first, last)
            np.copyto(view[first:last], sky[first:], where=above[..., np.newaxis])
        return view

    def _horizon_rows(self, width: int, height: int) -> tuple[int, int]:
        """Return from which row on there is ground, and from which on nothing else; the horizon is not quite level."""
        across, down, constant = self.horizon.tolist()
        if down <= 0:
            raise ValueError("a view whose ground is above its sky")
        ends = (-constant / down, -(constant + across * (width - 1)) / down)
        return min(max(math.floor(min(ends)), 0), height), min(max(math.ceil(max(ends)) + 1, 0), height)

    def _above(self, width: int, first: int, last: int) -> npt.NDArray[np.bool_]:
        """Return which pixels of these rows are above the horizon."""
        across, down, constant = self.horizon.tolist()
        row_of_horizon = -(constant + across * np.arange(width, dtype=np.float32)) / down
        rows = np.arange(first, last, dtype=np.float32)[:, np.newaxis]
        return np.asarray(rows <= row_of_horizon, np.bool_)


def warp_to(beside_m: float, turned: float, ahead_m: float = 0.0, nodded: float = 0.0, mirrored: bool = False) -> Warp:
    """Return the warp from a camera's frames to those of a camera so far to its right and ahead, turned and nodded.

    turned, nodded: radians, less than a quarter turn, to the right and down. Both look ahead from their car as the
    simulator's three cameras do. mirrored: the view is of the mirrored world, from the side that mirrors it; the
    camera itself is not mirrored, so that it looks a little to the right and leans as it does in the car.
    """
    if not abs(turned) < math.pi / 2:
        raise ValueError(f"turned by {math.degrees(turned):g} degrees, expected less than 90")
    to_ray, to_pixel = _camera()
    rays = _about_down(turned) @ _about_right(-nodded) @ to_ray  # in the axes of the source camera's car
    side = -1.0 if mirrored else 1.0
    rays = np.diag([side, 1.0, 1.0]) @ rays
    nearer = np.eye(3)
    nearer[:, 1] += np.array([side * beside_m, 0.0, ahead_m]) / HEIGHT_M
    return Warp(to_pixel @ nearer @ rays, to_pixel @ rays, rays[1])


def flip_pixels(width: int) -> Array:
    """Return the (3, 3) from the pixels of images of that width to those of their mirror images."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@cache
def _camera() -> tuple[Array, Array]:
    """Return pixel -> ray in the car's axes (right, down, ahead), and ray -> pixel."""
    column, row = (FRAME_WIDTH - 1) / 2, (FRAME_HEIGHT - 1) / 2
    pixels = np.array([[FOCAL_PX, 0.0, column], [0.0, FOCAL_PX, row], [0.0, 0.0, 1.0]])
    down = math.atan2(row - VANISHING_ROW, FOCAL_PX)
    mount = _about_down(math.radians(YAW_DEGREES)) @ _about_right(-down) @ _about_ahead(math.radians(ROLL_DEGREES))
    return mount @ np.linalg.inv(pixels), pixels @ mount.T


def _about_right(angle: float) -> Array:
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])


def _about_down(angle: float) -> Array:
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def _about_ahead(angle: float) -> Array:
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _warped(image: Image, pixels: Array, width: int, rows: slice) -> Image:
    """Return these rows of the image's warp."""
    below = pixels.copy()
    below[:, 2] += rows.start * pixels[:, 1]
    size, flags = (width, rows.stop - rows.start), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(image, below, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)
