"""Draw a camera, the rays of its pixels, and what it makes of the light.

Any field of view, from a narrow lens to a fisheye, tilted and rolled; exposure, colour casts,
vignette, gamma, blur, contrast, noise and JPEG as of cheap cameras.

The lens is the unified camera model (C. Mei, P. Rives, "Single view point omnidirectional camera
calibration from planar grids", ICRA 2007): xi is 0 for a pinhole and about 1 for a fisheye. It
takes no trigonometric function for each pixel, so that the rays are the same on every processor.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.camera.images import Image, decode_image
from bcclone.research.road_samples.drawn_road import log_uniform
from bcclone.system.arrays import Float32Array, FloatArray, Random
from bcclone.system.exact_math import arctangent, cosine, exponentials, sine
from bcclone.system.opencv import cv2

_FIELDS, _WIDEST_GENTLE = (40.0, 160.0), 100.0  # degrees, horizontal
_NARROWEST_FLOOR = 70.0  # a narrower lens often shows neither line
_GENTLE_M = 80.0  # radius of the bends of which a wider lens shows too little
_PINHOLE_DEGREES = 75.0  # up to which every lens may be without distortion
_ASPECTS = (0.85, 2.6)  # vertical focal length over horizontal, in pixels of the square image
_HORIZONS = (0.1, 0.5)  # rows of the horizon, as a fraction of the height
_ROLL_DEGREES, _YAW_DEGREES = 1.5, 0.4  # standard deviations
_DARK = 0.2  # fraction of the pictures
_BRIGHTNESS, _DARKNESS = (0.2, 0.6), (0.05, 0.2)  # mean of the picture
_CAST = 0.1  # standard deviation of each colour channel
_GAMMA = (0.5, 1.6)
_STEPS = 1024  # of light, for the gamma
_NOISE = 0.15  # square root of the strongest, of full light
_QUALITY = (25, 90)


@dataclass(frozen=True)
class AnyCamera:
    """A camera: its lens, and its directions relative to the car, in radians.

    focal: focal length over the width of the image; xi: of the unified camera model; aspect:
    vertical focal length in pixels over the horizontal one, of a square image.
    """

    focal: float
    xi: float
    aspect: float
    pitch: float
    roll: float
    yaw: float

    def rays(self, height: int, width: int) -> FloatArray:
        """Return the unit vectors of the pixels, to the right, up and ahead of the car, float64
        (height, width, 3).
        """
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
    """Return the factor of a point of the image plane that puts it onto the unit sphere around (0,
    0, xi).
    """
    return (xi + np.sqrt(np.maximum(1.0 + (1.0 - xi * xi) * squared, 0.0))) / (1.0 + squared)


def draw_camera(random: Random, radius_m: float, floor: bool) -> AnyCamera:
    """Return a random camera for a road. radius_m: of its sharpest bends; floor: it is only lines
    on a floor.
    """
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


def with_effects(picture: FloatArray, random: Random) -> Image:
    """Return the picture of a camera, RGB uint8 (height, width, 3), from RGB of 0 to 255 and above,
    of any exposure.
    """
    image = _exposed((picture / 255).astype(np.float32), random)
    if random.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 1.2)), np.uint8)
    if random.random() < 0.25:  # motion
        length = int(random.integers(2, 7))
        kernel = (length, 1) if random.random() < 0.7 else (1, length)
        image = np.asarray(cv2.blur(image, kernel), np.uint8)
    noise = 255 * random.uniform(0.0, _NOISE) ** 2 * random.standard_normal(image.shape, np.float32)
    low, high = random.uniform(-0.1, 0.15), random.uniform(0.75, 1.1)
    image = np.clip(255 * low + (high - low) * (image + noise), 0, 255).astype(np.uint8)
    if random.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(*_QUALITY))]
        image = decode_image(cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes())
    return image


def _exposed(light: Float32Array, random: Random) -> Image:
    """Return light, 0 to 1 and above, as the sensor and the lens of a camera take it."""
    brightness = log_uniform(random, *(_DARKNESS if random.random() < _DARK else _BRIGHTNESS))
    exposure = brightness / max(float(light.mean()), 0.02)
    light = light * (exposure * (1 + random.normal(0.0, _CAST, 3))).astype(np.float32)
    if random.random() < 0.4:  # vignette
        x, y = (
            np.linspace(-1, 1, count, dtype=np.float32)
            for count in (light.shape[1], light.shape[0])
        )
        light = (
            light
            * (1 - np.float32(random.uniform(0.1, 0.45)) * (x * x + (y * y)[:, None]))[..., None]
        )
    if random.random() < 0.3:  # more or fewer colours
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * np.float32(random.uniform(0.0, 1.8))
    steps = np.arange(1, _STEPS + 1) / _STEPS
    gamma = log_uniform(random, *_GAMMA)
    table = exponentials(np.array([gamma * math.log(step) for step in steps.tolist()], np.float32))
    taken = table[(np.clip(light, 0, 1) * (_STEPS - 1)).astype(np.int64)]
    return np.asarray(255 * taken, np.uint8)
