"""Warp a camera frame into the view of a camera at another position.

Frames of two cameras side by side, or with different headings, differ by one homography for the
ground, which is assumed to be flat, and by a second one for everything far away (R. Hartley, A.
Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, sections 8.4 and 13.1). Right
is positive for metres, angles and steering.

The constants below were fitted on recordings of the simulator, by making each camera's frames from
another camera's frames: docs/explanation/replay.md.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2, recolored
from bcclone.system.arrays import BoolArray, FloatArray

# the simulator's cameras, as they are mounted in its car
FOCAL_PX = FRAME_HEIGHT / 2 * math.sqrt(3)  # focal length, for 60 degrees from top to bottom
HEIGHT_M = 1.278  # height of the cameras above the road
VANISHING_ROW = 59.4  # row of a frame, from 0 at the top, in which a straight, level road ends
# turn about the axis ahead; above 0, from the axis to the right towards the axis down
ROLL_DEGREES = -1.11
YAW_DEGREES = 0.723  # direction of the cameras, to the right of straight ahead


@dataclass(frozen=True)
class Warp:
    """How a frame is turned into the view from another position.

    It may hold several warps: then each array has one more axis, the first. Pixels are
    (column, row, 1); column 0 and row 0 are the centre of the first pixel.
    """

    # matrices (3, 3) from pixels of the view to the pixels of the frame that they show
    ground: FloatArray  # matrix for pixels that show the road
    sky: FloatArray  # matrix for pixels that show distant points
    # vector (3,): a pixel of the view shows ground if its product with this vector is above 0
    horizon: FloatArray

    def __getitem__(self, index: int) -> "Warp":
        return Warp(self.ground[index], self.sky[index], self.horizon[index])

    def between_images(self, view: Any, frame: Any) -> "Warp":
        """Return this warp between images that are made of the frame and of the view.

        Such an image is made by Preprocessing.frame_to_prepared, for a prepared image; by
        flip_pixels(), after that matrix, for its mirror image; or by np.eye(3), if it is the frame
        or the view itself.

        view: matrix (3, 3), from pixels of the view to those of the image that is made of it
        frame: the same for the frame and its image; for several warps, it may be (warps, 3, 3)
        """
        back = np.linalg.inv(view)
        return Warp(
            ground=frame @ self.ground @ back,
            sky=frame @ self.sky @ back,
            horizon=self.horizon @ back,
        )

    def apply(self, image: Image, width: int, height: int) -> Image:
        """Return the view, uint8 (height, width, channels).

        Where the view shows what is outside the image, the image's edge is repeated.
        """
        if image.shape[2] == 3:
            # OpenCV is twice as fast with four channels as with three
            with_alpha = recolored(image, cv2.COLOR_RGB2RGBA)
            return recolored(self.apply(with_alpha, width, height), cv2.COLOR_RGBA2RGB)
        view = np.empty((height, width, image.shape[2]), np.uint8)
        self.draw(image, view)
        return view

    def draw(self, image: Image, view: Image) -> None:
        """Write the view of an image into `view`.

        image, view: uint8 (height, width, channels); OpenCV is twice as fast with four channels as
            with three.
        """
        height, width = view.shape[:2]
        horizon = int(self.horizon_row(width, height))
        _warp(image, self.sky, first=0, into=view[:horizon])
        _warp(image, self.ground, first=horizon, into=view[horizon:])

    def horizon_row(self, width: int, height: int, xp: Any = np) -> Any:
        """Return the first row of a view that shows ground, 0 to its height, float (...,).

        One row is enough, although the horizon is not exactly level: near it
        the warps of ground and sky differ by less than half a pixel.

        xp: the array library, NumPy, or keras.ops for tensors
        """
        across, down, constant = (self.horizon[..., index] for index in range(3))
        row_in_the_middle = -(across * (width - 1) / 2 + constant) / down
        return xp.clip(xp.round(row_in_the_middle), 0, height)


@dataclass(frozen=True)
class CameraMove:
    """A change of a camera's position and heading: numbers, or arrays or tensors (moves,).

    Before and after the move, the camera leans and looks in its car as the simulator's cameras do.
    """

    lateral_offset_m: Any  # metres to the right
    yaw_rad: Any  # radians to the right, less than pi / 2
    pitch_rad: Any = 0.0  # radians down
    ahead_m: Any = 0.0  # metres ahead


def warp_to(move: CameraMove, mirrored: bool | BoolArray = False, xp: Any = np) -> Warp:
    """Return the warp from a camera's frames to the frames of the moved camera.

    For several moves, the Warp holds one for each. Raises ValueError for a yaw of 90 degrees or
    more (not for tensors).

    mirrored: bool, or (moves,); whether the view shows the mirrored world; the camera itself is not
        mirrored: it keeps its small yaw and roll in the car
    xp: the array library, NumPy, or keras.ops for tensors
    """
    offset_m = move.lateral_offset_m
    ahead_m = move.ahead_m
    yaw_rad = move.yaw_rad
    pitch_rad = move.pitch_rad
    # only NumPy's arrays can be checked: tensors have no values yet
    if xp is np and not np.all(np.abs(yaw_rad) < math.pi / 2):
        degrees = math.degrees(np.abs(yaw_rad).max())
        raise ValueError(f"yaw of {degrees:g} degrees, expected less than 90")

    # some fields of the move may be numbers and some arrays; all get the shape of their sum
    zeros = xp.zeros_like(offset_m + yaw_rad + ahead_m + pitch_rad)
    # which side of the view is right: -1 mirrors the world
    side = xp.where(mirrored, zeros - 1, zeros + 1)

    # the ray of each pixel of the view, in the car's axes
    to_ray, to_pixel = (xp.array(matrix, dtype=zeros.dtype) for matrix in simulated_camera())
    pitch_up_rad = -(pitch_rad + zeros)
    rays = xp.matmul(rotation(yaw_rad + zeros, pitch_up_rad, xp), to_ray)
    right = side[..., None] * rays[..., 0, :]
    down = rays[..., 1, :]
    ahead = rays[..., 2, :]

    # from a moved camera, distant points lie in the same direction as before; points of the road,
    # HEIGHT_M below the camera, do not
    road_right = right + (side * offset_m / HEIGHT_M)[..., None] * down
    road_ahead = ahead + ((ahead_m + zeros) / HEIGHT_M)[..., None] * down
    return Warp(
        ground=xp.matmul(to_pixel, xp.stack([road_right, down, road_ahead], axis=-2)),
        sky=xp.matmul(to_pixel, xp.stack([right, down, ahead], axis=-2)),
        horizon=down,
    )


def flip_pixels(width: int) -> FloatArray:
    """Return the matrix, (3, 3), from pixels of an image to the pixels of its mirror image."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@cache
def simulated_camera() -> tuple[FloatArray, FloatArray]:
    """Return two matrices (3, 3): pixel -> ray in the car's axes (right, down, ahead), and back."""
    column = (FRAME_WIDTH - 1) / 2
    row = (FRAME_HEIGHT - 1) / 2
    to_pixel = np.array([[FOCAL_PX, 0.0, column], [0.0, FOCAL_PX, row], [0.0, 0.0, 1.0]])

    # from the camera's axes to the car's
    sine = math.sin(math.radians(ROLL_DEGREES))
    cosine = math.cos(math.radians(ROLL_DEGREES))
    roll = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    pitch_down = math.atan2(row - VANISHING_ROW, FOCAL_PX)
    yaw = math.radians(YAW_DEGREES)
    mount = rotation(np.float64(yaw), np.float64(-pitch_down)) @ roll
    return mount @ np.linalg.inv(to_pixel), to_pixel @ mount.T


def rotation(yaw: Any, pitch: Any, xp: Any = np) -> Any:
    """Return the matrices, (..., 3, 3), that turn a direction up by a pitch, then right by a yaw.

    yaw: radians to the right, (...,)
    pitch: radians up, (...,)
    xp: the array library, NumPy, or keras.ops for tensors
    """
    zero = xp.zeros_like(yaw)
    sin_yaw = xp.sin(yaw)
    cos_yaw = xp.cos(yaw)
    sin_pitch = xp.sin(pitch)
    cos_pitch = xp.cos(pitch)
    rows = (
        (cos_yaw, sin_yaw * sin_pitch, sin_yaw * cos_pitch),
        (zero, cos_pitch, -sin_pitch),
        (-sin_yaw, cos_yaw * sin_pitch, cos_yaw * cos_pitch),
    )
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def _warp(image: Image, pixels: FloatArray, first: int, into: Image) -> None:
    """Write rows of the view of an image into `into`.

    pixels: matrix (3, 3) from pixels of the view to pixels of the image
    first: row of the view that becomes the first row of `into`
    """
    height, width = into.shape[:2]
    if not height:
        return
    # pixels of `into` -> pixels of the view -> pixels of the image
    from_first = pixels.copy()
    from_first[:, 2] += first * pixels[:, 1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpPerspective(image, from_first, (width, height), into, flags, cv2.BORDER_REPLICATE)
