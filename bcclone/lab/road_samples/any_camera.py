"""Draw a camera, and the rays of its pixels: any field of view, from a narrow lens to a fisheye, tilted and rolled.

The lens is the unified camera model (C. Mei, P. Rives, "Single view point omnidirectional camera calibration from
planar grids", ICRA 2007): xi is 0 for a pinhole and about 1 for a fisheye. It takes no trigonometric function for each
pixel, so that the rays are the same on every processor.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.lab.road_samples.drawn_road import log_uniform
from bcclone.system.arrays import FloatArray
from bcclone.system.exact_math import arctangent, cosine, sine

_FIELDS, _WIDEST_GENTLE = (40.0, 160.0), 100.0  # degrees, horizontal
_NARROWEST_FLOOR = 70.0  # a narrower lens often shows neither line
_GENTLE_M = 80.0  # radius of the bends of which a wider lens shows too little
_PINHOLE_DEGREES = 75.0  # up to which every lens may be without distortion
_ASPECTS = (0.85, 2.6)  # vertical focal length over horizontal, in pixels of the square image
_HORIZONS = (0.1, 0.5)  # rows of the horizon, as a fraction of the height
_ROLL_DEGREES, _YAW_DEGREES = 1.5, 0.4  # standard deviations


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
        x = (((np.arange(width) + 0.5) / width - 0.5) / self.focal)[None, :]
        y = ((0.5 - (np.arange(height) + 0.5) / height) / (self.focal * self.aspect))[:, None]
        x, y = _turned(x, y, self.roll)
        # beyond this distance from the middle, a lens with xi above 1 sees nothing
        squared = np.minimum(x * x + y * y, 0.98 / max(self.xi * self.xi - 1.0, 1e-9))
        stretch = _stretch(squared, self.xi)
        right, up, ahead = stretch * x, stretch * y, stretch - self.xi
        ahead, up = _turned(ahead, up, self.pitch)
        ahead, right = _turned(ahead, right, self.yaw)
        rays = np.stack([right, up, ahead], axis=-1)
        return np.asarray(rays / np.sqrt((rays * rays).sum(axis=-1, keepdims=True)))

    def pixel(self, width: int) -> float:
        """Return the angle of a pixel at the middle, in radians."""
        return (1.0 + self.xi) / (self.focal * width)


def _turned(x: FloatArray, y: FloatArray, angle: float) -> tuple[FloatArray, FloatArray]:
    """Return the point (x, y), turned from x towards y by an angle."""
    return x * cosine(angle) - y * sine(angle), x * sine(angle) + y * cosine(angle)


def _stretch(squared: Any, xi: float) -> Any:
    """Return the factor of a point of the image plane that puts it onto the unit sphere around (0, 0, xi)."""
    return (xi + np.sqrt(np.maximum(1.0 + (1.0 - xi * xi) * squared, 0.0))) / (1.0 + squared)


def draw_camera(random: np.random.Generator, radius_m: float, floor: bool) -> AnyCamera:
    """Return a random camera for a road. radius_m: of its sharpest bends; floor: it is only lines on a floor."""
    narrowest = _NARROWEST_FLOOR if floor else _FIELDS[0]
    field = log_uniform(random, narrowest, _FIELDS[1] if radius_m < _GENTLE_M else _WIDEST_GENTLE)
    if field < _PINHOLE_DEGREES:
        xi = random.uniform(0.0, 0.5) if random.random() < 0.5 else 0.0
    else:
        xi = random.uniform(min((field - _PINHOLE_DEGREES) / 80.0, 0.6), 1.1)
    half = math.radians(field / 2)
    focal, aspect = 0.5 * (cosine(half) + xi) / sine(half), log_uniform(random, *_ASPECTS)
    horizon = (0.5 - random.uniform(*_HORIZONS)) / (focal * aspect)
    stretch = float(_stretch(horizon * horizon, xi))
    pitch = -arctangent(stretch * horizon / max(stretch - xi, 0.05))
    roll, yaw = random.normal(0.0, _ROLL_DEGREES), random.normal(0.0, _YAW_DEGREES)
    return AnyCamera(focal, xi, aspect, pitch, math.radians(roll), math.radians(yaw))
