"""Frame -> the same road from beside, turned or nodding; and how the steering changes that brings the car back.

Bojarski and others, "End to End Learning for Self-Driving Cars", 2016, section 2: shifts and rotations of the real
cameras, with the label of a car that returns. The three cameras give the ground truth (docs/replay.md).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.images import Image, Preprocessing
from bcclone.vehicle import CAMERA_AHEAD_M, steering_to_line
from bcclone.view import flip_pixels, warp_to

_LARGEST_TURN = 3.0  # standard deviations


@dataclass(frozen=True)
class Viewpoint:
    """Where a camera is moved to. beside_m: metres to the right; turned, nodded: radians, to the right and down."""

    beside_m: float
    turned: float
    nodded: float

    def steering_change(self, lookahead_m: float) -> float:
        """Return what is added to the steering, for a car that aims back at its line, so far ahead of it.

        The camera sits ahead of the rear axle, which is what follows the line.
        """
        axle_m = self.beside_m - CAMERA_AHEAD_M * math.sin(self.turned)
        return steering_to_line(axle_m, self.turned, lookahead_m)


def draw_viewpoints(
    random: np.random.Generator, count: int, shift_m: float, turn_degrees: float, pitch_degrees: float
) -> list[Viewpoint]:
    """Return so many viewpoints, drawn around the camera's own."""
    beside = random.uniform(-shift_m, shift_m, count)
    turned, nodded = (
        np.radians(degrees * random.standard_normal(count).clip(-_LARGEST_TURN, _LARGEST_TURN))
        for degrees in (turn_degrees, pitch_degrees)
    )
    return [Viewpoint(*values) for values in zip(beside.tolist(), turned.tolist(), nodded.tolist(), strict=True)]


class Cameras:
    """Makes views of prepared images of one kind, mirrored ones too."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._size = preprocessing.width, preprocessing.height
        plain: npt.NDArray[np.float64] = preprocessing.pixels
        self._pixels = {False: plain, True: flip_pixels(preprocessing.width) @ plain}

    def view(self, image: Image, viewpoint: Viewpoint, flipped: bool) -> Image:
        """Return the image, uint8 (height, width, 3), as seen from there; flipped: it is a mirror image.

        The camera sits askew in its car. A mirror image, as it is, would be of one that sits askew the other way, and
        between the two a network learns to drive beside its line; the view is of the camera that there is.
        """
        warp = warp_to(viewpoint.beside_m, viewpoint.turned, nodded=viewpoint.nodded, mirrored=flipped)
        return warp.through(self._pixels[False], self._pixels[flipped]).apply(image, *self._size)
