"""Move cameras at random: how their images change, and the steering that brings the car back.

Bojarski and others, "End to End Learning for Self-Driving Cars", 2016, section 2: shifts and rotations of the real
cameras, with the label of a car that returns. The three cameras give the ground truth (docs/explanation/replay.md).

`xp` is the array library, as in the Python array API standard: NumPy, or keras.ops for tensors.
"""

import math
from typing import Any

import numpy as np

from bcclone.augment.draws import Draws
from bcclone.augment.settings import AugmentSettings
from bcclone.images import Preprocessing
from bcclone.vehicle import CAMERA_AHEAD_M, steering_to_line
from bcclone.view import CameraMove, Warp, flip_pixels, warp_to

_LARGEST_TURN = 3.0  # standard deviations


def camera_moves(draws: Draws, settings: AugmentSettings, xp: Any = np) -> CameraMove:
    """Return the movements of the cameras of a batch, (samples,) each."""
    yaw, pitch = (
        math.radians(degrees) * xp.clip(draws.normals(name)[:, 0], -_LARGEST_TURN, _LARGEST_TURN)
        for name, degrees in (("yaw", settings.turn_degrees), ("pitch", settings.pitch_degrees))
    )
    return CameraMove(settings.shift_m * (2.0 * draws.uniforms("offset")[:, 0] - 1.0), yaw, pitch)


def steering_change(move: CameraMove, lookahead_m: Any, xp: Any = np) -> Any:
    """Return the change of steering, (samples,), of a car that steers back to its line, aiming lookahead_m ahead.

    The line is followed by the rear axle; the camera is ahead of it.
    """
    axle_m = move.lateral_offset_m - CAMERA_AHEAD_M * xp.sin(move.yaw_rad)
    return steering_to_line(axle_m, move.yaw_rad, lookahead_m, xp)


class Cameras:
    """The warps of images of one preprocessing to views of moved cameras. top: the first row of a view."""

    def __init__(self, preprocessing: Preprocessing, top: int = 0) -> None:
        plain = preprocessing.pixels
        self._images = tuple(pixels.astype(np.float32) for pixels in (plain, flip_pixels(preprocessing.width) @ plain))
        self._views = (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]) @ plain).astype(np.float32)

    def warps(self, move: CameraMove, flipped: Any, xp: Any = np) -> Warp:
        """Return the warp of each image to its view. flipped: bool (samples,), whether it is a mirror image.

        The camera is mounted at a slight angle, and a mirror image is that of a camera mounted at the opposite angle. A
        network trained on both would drive next to its line. So mirror images, too, become views of the real camera.
        """
        plain, mirrored = self._images
        images = xp.where(flipped[:, None, None], mirrored, plain)
        return warp_to(move, flipped, xp).through(self._views, images)
