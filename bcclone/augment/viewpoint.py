"""Frame -> the same road from beside, turned or nodding; and how the steering changes that brings the car back.

Bojarski and others, "End to End Learning for Self-Driving Cars", 2016, section 2: shifts and rotations of the real
cameras, with the label of a car that returns. The three cameras give the ground truth (docs/explanation/replay.md).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.augment.settings import AugmentSettings
from bcclone.images import Preprocessing
from bcclone.vehicle import CAMERA_AHEAD_M, steering_to_line
from bcclone.view import Warp, flip_pixels, warp_to

Array = npt.NDArray[np.float64]

_LARGEST_TURN = 3.0  # standard deviations


@dataclass(frozen=True)
class Viewpoints:
    """Where cameras are moved to, (samples,) each.

    beside_m: metres to the right; turned, nodded: radians, to the right and down.
    """

    beside_m: Array
    turned: Array
    nodded: Array

    def steering_change(self, lookahead_m: Array) -> Array:
        """Return what is added to the steering, for a car that aims back at its line, so far ahead of it.

        The camera sits ahead of the rear axle, which is what follows the line.
        """
        axle_m = self.beside_m - CAMERA_AHEAD_M * np.sin(self.turned)
        return steering_to_line(axle_m, self.turned, lookahead_m)


def draw_viewpoints(settings: AugmentSettings, count: int, random: np.random.Generator) -> Viewpoints:
    """Return so many viewpoints, drawn around the camera's own."""
    beside = random.uniform(-settings.shift_m, settings.shift_m, count)
    turned, nodded = (
        np.radians(degrees * random.standard_normal(count).clip(-_LARGEST_TURN, _LARGEST_TURN))
        for degrees in (settings.turn_degrees, settings.pitch_degrees)
    )
    return Viewpoints(beside, turned, nodded)


class Cameras:
    """Tells how views of prepared images of one kind are made, of mirrored ones too.

    top: the first row of those of the prepared image that a view has.
    """

    def __init__(self, preprocessing: Preprocessing, top: int = 0) -> None:
        plain = preprocessing.pixels
        self._images = np.stack([plain, flip_pixels(preprocessing.width) @ plain])
        self._views = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]) @ plain

    def warps(self, viewpoints: Viewpoints, flipped: npt.NDArray[np.bool_]) -> Warp:
        """Return the warp of each image to its viewpoint. flipped: bool (samples,), whether it is a mirror image.

        The camera sits askew in its car. A mirror image, as it is, would be of one that sits askew the other way, and
        between the two a network learns to drive beside its line; the view is of the camera that there is.
        """
        moved = warp_to(viewpoints.beside_m, viewpoints.turned, nodded=viewpoints.nodded, mirrored=flipped)
        return moved.through(self._views, self._images[flipped.astype(int)])
