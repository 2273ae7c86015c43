"""Where a camera is and looks -> what its frame becomes from another place: views that no camera recorded.

Two of the simulator's cameras that look at the same road from beside each other, or turned, differ by a homography for
the ground, which is taken to be flat, and by another for all that is far away (R. Hartley, A. Zisserman, "Multiple View
Geometry in Computer Vision", 2nd edition, sections 8.4 and 13.1). Right is positive: metres, angles and steering.

The figures were fitted on recordings of the Unity program, by making each camera's frames from another's:
docs/explanation/replay.md.
"""

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image

Array = npt.NDArray[np.float64]
Numbers = float | Array

FOCAL_PX = FRAME_HEIGHT / 2 / math.tan(math.radians(30))  # 60 degrees vertical
HEIGHT_M = 1.278  # of the cameras above the road
VANISHING_ROW = 59.4
ROLL_DEGREES = -1.11  # in image axes: right, down, ahead
YAW_DEGREES = 0.723


@dataclass(frozen=True)
class Warp:
    """How a frame turns into the view from another place; or several frames, along a first axis.

    ground, sky: (3, 3), from pixels (column, row, 1) of the view to those of the frame, for what lies on the road and
    for what is far away; horizon: (3,), above 0 for the view's pixels that show ground. 0 is the first pixel's centre.
    """

    ground: Array
    sky: Array
    horizon: Array

    def __getitem__(self, place: int) -> "Warp":
        """Return one of several."""
        return Warp(self.ground[place], self.sky[place], self.horizon[place])

    def through(self, view: Array, frame: Array) -> "Warp":
        """Return the same warp between what is made of views and frames.

        view, frame: (3, 3), what takes pixels (column, row, 1) of a camera frame there: Preprocessing.pixels for
        prepared images, flip_pixels() @ that for mirror images, np.eye(3) for the frames themselves; for several warps
        frame may be several, too.
        """
        back = np.linalg.inv(view)
        return Warp(frame @ self.ground @ back, frame @ self.sky @ back, self.horizon @ back)

    def apply(self, image: Image, width: int, height: int) -> Image:
        """Return the view, uint8 (height, width, channels), of an image; beyond what it shows its edge is repeated."""
        if image.shape[2] == 3:
            view = self.apply(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), np.uint8), width, height)
            return np.asarray(cv2.cvtColor(view, cv2.COLOR_RGBA2RGB), np.uint8)
        view = np.empty((height, width, image.shape[2]), np.uint8)
        self.draw(image, view)
        return view

    def draw(self, image: Image, view: Image) -> None:
        """Write the view of an image into `view`, of as many channels; OpenCV takes half as long for four as for three.

        image, view: uint8 (height, width, channels). Raises ValueError where the ground would be above the sky.
        """
        height, width = view.shape[:2]
        across, down, constant = self.horizon.tolist()
        if down <= 0:
            raise ValueError("a view whose ground is above its sky")
        # it leans by a degree; so near to it, ground and sky move by less than half a pixel from each other
        horizon = min(max(round(-(across * (width - 1) / 2 + constant) / down), 0), height)
        _warp(image, self.sky, 0, view[:horizon])
        _warp(image, self.ground, horizon, view[horizon:])


def warp_to(
    beside_m: Numbers,
    turned: Numbers,
    ahead_m: Numbers = 0.0,
    nodded: Numbers = 0.0,
    mirrored: bool | npt.NDArray[np.bool_] = False,
) -> Warp:
    """Return the warp from a camera's frames to those of a camera so far to its right and ahead, turned and nodded.

    turned, nodded: radians, less than a quarter turn, to the right and down. Both look ahead from their car as the
    simulator's three cameras do. mirrored: the view is of the mirrored world, from the side that mirrors it; the
    camera itself is not mirrored, so that it looks a little to the right and leans as it does in the car. Of arrays,
    (warps,), one number for each of several. Raises ValueError for a camera that looks back.
    """
    if not np.all(np.abs(turned) < math.pi / 2):
        raise ValueError(f"turned by {math.degrees(np.abs(turned).max()):g} degrees, expected less than 90")
    side = np.where(mirrored, -1.0, 1.0)
    beside_m, turned, ahead_m, nodded, side = np.broadcast_arrays(beside_m, turned, ahead_m, nodded, side)
    to_ray, to_pixel = _camera()
    rays = _about_down(turned) @ _about_right(-nodded) @ to_ray  # in the axes of the source camera's car
    rays[..., 0, :] *= side[..., np.newaxis]
    nearer = np.broadcast_to(np.eye(3), rays.shape).copy()
    nearer[..., 0, 1] = side * beside_m / HEIGHT_M
    nearer[..., 2, 1] = ahead_m / HEIGHT_M
    return Warp(to_pixel @ nearer @ rays, to_pixel @ rays, rays[..., 1, :])


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


def _about_right(angle: Numbers) -> Array:
    sine, cosine, none, one = _sine_and_cosine(angle)
    return _matrix([[one, none, none], [none, cosine, -sine], [none, sine, cosine]])


def _about_down(angle: Numbers) -> Array:
    sine, cosine, none, one = _sine_and_cosine(angle)
    return _matrix([[cosine, none, sine], [none, one, none], [-sine, none, cosine]])


def _about_ahead(angle: Numbers) -> Array:
    sine, cosine, none, one = _sine_and_cosine(angle)
    return _matrix([[cosine, -sine, none], [sine, cosine, none], [none, none, one]])


def _sine_and_cosine(angle: Numbers) -> tuple[Array, Array, Array, Array]:
    """Return sine, cosine, 0 and 1 for each angle."""
    return np.sin(angle), np.cos(angle), np.zeros_like(angle, np.float64), np.ones_like(angle, np.float64)


def _matrix(rows: list[list[Array]]) -> Array:
    """Return (..., 3, 3) for nine numbers, or nine arrays of them."""
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def _warp(image: Image, pixels: Array, first: int, into: Image) -> None:
    """Write the rows from `first` on of the image's warp."""
    height, width = into.shape[:2]
    if height:
        below = pixels.copy()
        below[:, 2] += first * pixels[:, 1]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpPerspective(image, below, (width, height), into, flags, cv2.BORDER_REPLICATE)
