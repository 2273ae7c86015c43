"""Choose a camera at random: its lens and its mounting.

In: random numbers, and the radius of the road's bends. Out: an `AnyCamera`, which gives a unit
vector for each pixel, float64 (height, width, 3). It has any field of view, from a narrow lens to a
fisheye, and is tilted and rolled.

The lens is the unified camera model (C. Mei, P. Rives, "Single view point omnidirectional camera
calibration from planar grids", ICRA 2007): xi is 0 for a pinhole and about 1 for a fisheye. The
model needs no trigonometric function for each pixel, so that the rays are the same on every
processor.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.research.road_samples.drawn_road import chance, log_uniform
from bcclone.system.exact_math import arctangent, cosine, sine
from bcclone.system.numbers import FloatArray, Random


@dataclass(frozen=True)
class AnyCamera:
    """A camera: its lens, and its directions relative to the car, in radians."""

    focal: float  # focal length over the width of the image
    xi: float  # parameter of the unified camera model: how much the lens distorts
    aspect: float  # vertical focal length over the horizontal one, in pixels of a square image
    pitch: float  # upwards
    roll: float  # anticlockwise, as seen from behind the camera
    yaw: float  # to the right

    def rays(self, height: int, width: int) -> FloatArray:
        """Return each pixel's line of sight as a unit vector, float64 (height, width, 3).

        A vector's numbers are its parts to the right, up and ahead, as seen from the car.
        """
        # a pixel's place on the image plane at distance 1, right and up from the middle
        column = (np.arange(width) + 0.5) / width
        row = (np.arange(height) + 0.5) / height
        x = ((column - 0.5) / self.focal)[None, :]
        y = ((0.5 - row) / (self.focal * self.aspect))[:, None]
        x, y = _turned(x, y, self.roll)
        # beyond this squared distance from the middle, a lens with xi above 1 sees nothing
        farthest = 0.98 / max(self.xi * self.xi - 1.0, 1e-9)
        squared = np.minimum(x * x + y * y, farthest)
        stretch = _stretch(squared, self.xi)
        right = stretch * x
        up = stretch * y
        ahead = stretch - self.xi
        ahead, up = _turned(ahead, up, self.pitch)
        ahead, right = _turned(ahead, right, self.yaw)
        rays = np.stack([right, up, ahead], axis=-1)
        return np.asarray(rays / np.sqrt((rays * rays).sum(axis=-1, keepdims=True)))

    def pixel(self, width: int) -> float:
        """Return the angle that a pixel in the middle of the image shows, in radians."""
        return (1.0 + self.xi) / (self.focal * width)


def _turned(x: FloatArray, y: FloatArray, angle: float) -> tuple[FloatArray, FloatArray]:
    """Return the point (x, y), turned from x towards y by an angle."""
    return x * cosine(angle) - y * sine(angle), x * sine(angle) + y * cosine(angle)


def _stretch(squared: Any, xi: float) -> Any:
    """Return the factor that puts a point of the image plane onto the unit sphere.

    The sphere's middle is (0, 0, xi).

    squared: the square of the point's distance from the middle of the image plane
    """
    return (xi + np.sqrt(np.maximum(1.0 + (1.0 - xi * xi) * squared, 0.0))) / (1.0 + squared)


@dataclass(frozen=True)
class CameraChoice:
    """The ranges from which cameras are chosen; fields of view are horizontal."""

    narrowest_degrees: float = 40.0  # narrowest field of view on a road
    narrowest_floor_degrees: float = 70.0  # on a floor; a narrower lens often shows neither line
    widest_degrees: float = 160.0  # widest field of view on a road with sharp bends
    widest_gentle_degrees: float = 100.0  # in gentle bends, of which a wider lens shows too little
    gentle_m: float = 80.0  # from this radius on, bends are gentle
    pinhole_degrees: float = 75.0  # a lens with a narrower field of view may have no distortion
    aspects: tuple[float, float] = (0.85, 2.6)  # range of AnyCamera.aspect
    horizons: tuple[float, float] = (0.1, 0.5)  # row of the horizon from above, over all rows
    roll_degrees: float = 1.5  # standard deviation
    yaw_degrees: float = 0.4  # standard deviation


_CAMERAS = CameraChoice()


def draw_camera(
    random: Random, radius_m: float, floor: bool, choice: CameraChoice = _CAMERAS
) -> AnyCamera:
    """Return a random camera for a road.

    radius_m: radius of the road's sharpest bends
    floor: the road is only lines on a floor
    """
    # a field of view that shows enough of this road to steer by
    narrowest = choice.narrowest_degrees
    if floor:
        narrowest = choice.narrowest_floor_degrees
    widest = choice.widest_gentle_degrees
    if radius_m < choice.gentle_m:
        widest = choice.widest_degrees
    field = log_uniform(random, narrowest, widest)

    # the wider the field, the more a lens must distort
    if field < choice.pinhole_degrees:
        xi = 0.0
        if chance(random, 0.5):
            xi = random.uniform(0.0, 0.5)
    else:
        least_xi = min((field - choice.pinhole_degrees) / 80.0, 0.6)
        xi = random.uniform(least_xi, 1.1)
    half_field = math.radians(field / 2)
    focal = 0.5 * (cosine(half_field) + xi) / sine(half_field)
    aspect = log_uniform(random, *choice.aspects)

    # the camera is tilted so that the horizon is in the upper half of the image: `horizon` is its
    # height on the image plane, and the tilt turns the ray there level
    horizon = (0.5 - random.uniform(*choice.horizons)) / (focal * aspect)
    stretch = float(_stretch(horizon * horizon, xi))
    pitch = -arctangent(stretch * horizon / max(stretch - xi, 0.05))
    roll = math.radians(random.normal(0.0, choice.roll_degrees))
    yaw = math.radians(random.normal(0.0, choice.yaw_degrees))
    return AnyCamera(focal, xi, aspect, pitch, roll, yaw)
