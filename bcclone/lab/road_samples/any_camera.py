"""Draw a camera, and the rays of its pixels: any field of view, from a narrow lens to a fisheye, tilted and rolled.

The lens is the unified camera model (C. Mei, P. Rives, "Single view point omnidirectional camera calibration from planar
grids", ICRA 2007): xi is 0 for a pinhole and about 1 for a fisheye. It takes no trigonometric function for each pixel,
so that the rays are the same on every processor.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.system.arrays import FloatArray
from bcclone.system.exact_math import arctangent, cosine, sine

_FIELDS = (40.0, 160.0)  # degrees, horizontal
_PINHOLE_DEGREES = 75.0  # up to which every lens may be without distortion
_ASPECTS = (0.85, 2.6)  # vertical focal length over horizontal, in pixels of the square image
_HORIZONS = (0.06, 0.55)  # rows of the horizon, as a fraction of the height
_ROLL_DEGREES, _YAW_DEGREES = 2.0, 1.5  # standard deviations


@dataclass(frozen=True)
class AnyCamera:
    """A camera: its lens, and its directions relative to the car, in radians.

    focal: focal length over the width of the image; xi: of the unified camera model; aspect: vertical focal length in
    pixels over the horizontal one, of a square image.
    """

    focal: float
    xi: float
    aspect: float
    pitch: float
    roll: float
    yaw: float

    def rays(self, height: int, width: int) -> FloatArray:
        """Return the unit vectors of the pixels, to the right, up and ahead of the car, float64 (height, width, 3)."""
        x = ((np.arange(width) + 0.5) / width - 0.5) / self.focal
        y = (0.5 - (np.arange(height) + 0.5) / height) / (self.focal * self.aspect)
        x, y = (
            (x * cosine(self.roll))[None, :] - (y * sine(self.roll))[:, None],
            (x * sine(self.roll))[None, :] + (y * cosine(self.roll))[:, None],
        )
        squared = np.minimum(x * x + y * y, 0.98 / max(self.xi * self.xi - 1.0, 1e-9))
        stretch = (self.xi + np.sqrt(1.0 + (1.0 - self.xi * self.xi) * squared)) / (1.0 + squared)
        right, up, ahead = stretch * x, stretch * y, stretch - self.xi
        up, ahead = (
            up * cosine(self.pitch) + ahead * sine(self.pitch),
            ahead * cosine(self.pitch) - up * sine(self.pitch),
        )
        right, ahead = (
            right * cosine(self.yaw) + ahead * sine(self.yaw),
            ahead * cosine(self.yaw) - right * sine(self.yaw),
        )
        rays = np.stack([right, up, ahead], axis=-1)
        return np.asarray(rays / np.sqrt((rays * rays).sum(axis=-1, keepdims=True)))

    def pixel(self, width: int) -> float:
        """Return the angle of a pixel at the middle, in radians."""
        return (1.0 + self.xi) / (self.focal * width)


def draw_camera(random: np.random.Generator) -> AnyCamera:
    """Return a random camera."""
    low, high = _FIELDS
    field = low * (high / low) ** random.random()
    if field < _PINHOLE_DEGREES:
        xi = random.choice([0.0, random.uniform(0.0, 0.5)])
    else:
        xi = random.uniform(min((field - _PINHOLE_DEGREES) / 80.0, 0.6), 1.1)
    half = math.radians(field / 2)
    edge = sine(half) / (cosine(half) + xi)
    low, high = _ASPECTS
    aspect = low * (high / low) ** random.random()
    focal = 0.5 / edge
    low, high = _HORIZONS
    row = low + (high - low) * random.random()
    y = (0.5 - row) / (focal * aspect)  # of the horizon
    stretch = (xi + math.sqrt(max(1.0 + (1.0 - xi * xi) * y * y, 0.0))) / (1.0 + y * y)
    pitch = -arctangent(stretch * y / max(stretch - xi, 0.05))
    return AnyCamera(
        focal,
        float(xi),
        aspect,
        pitch,
        math.radians(random.normal(0.0, _ROLL_DEGREES)),
        math.radians(random.normal(0.0, _YAW_DEGREES)),
    )
