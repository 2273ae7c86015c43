"""Choose a camera at random: the rays of its pixels, and the faults that it adds to a picture.

In: random numbers, and the radius of the road's bends. Out: an `AnyCamera`, which gives a unit
vector for each pixel, float64 (height, width, 3). Then with_effects() turns a painted picture into
the image that a camera with faults takes, RGB uint8 (height, width, 3).

A camera has any field of view, from a narrow lens to a fisheye, and is tilted and rolled. Exposure,
colour casts, vignette, gamma, blur, contrast, noise and JPEG are as of cheap cameras.

The lens is the unified camera model (C. Mei, P. Rives, "Single view point omnidirectional camera
calibration from planar grids", ICRA 2007): xi is 0 for a pinhole and about 1 for a fisheye. The
model needs no trigonometric function for each pixel, so that the rays are the same on every
processor.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcclone.camera.images import Image, decode_image
from bcclone.research.road_samples.drawn_road import chance, log_uniform
from bcclone.system.arrays import Float32Array, FloatArray, Random
from bcclone.system.exact_math import arctangent, cosine, exponentials, sine
from bcclone.system.opencv import cv2


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


def draw_camera(random: Random, radius_m: float, floor: bool) -> AnyCamera:
    """Return a random camera for a road.

    radius_m: radius of the road's sharpest bends
    floor: the road is only lines on a floor
    """
    # a field of view that shows enough of this road to steer by
    narrowest = _CAMERAS.narrowest_degrees
    if floor:
        narrowest = _CAMERAS.narrowest_floor_degrees
    widest = _CAMERAS.widest_gentle_degrees
    if radius_m < _CAMERAS.gentle_m:
        widest = _CAMERAS.widest_degrees
    field = log_uniform(random, narrowest, widest)

    # the wider the field, the more a lens must distort
    if field < _CAMERAS.pinhole_degrees:
        xi = 0.0
        if chance(random, 0.5):
            xi = random.uniform(0.0, 0.5)
    else:
        least_xi = min((field - _CAMERAS.pinhole_degrees) / 80.0, 0.6)
        xi = random.uniform(least_xi, 1.1)
    half_field = math.radians(field / 2)
    focal = 0.5 * (cosine(half_field) + xi) / sine(half_field)
    aspect = log_uniform(random, *_CAMERAS.aspects)

    # the camera is tilted so that the horizon is in the upper half of the image: `horizon` is its
    # height on the image plane, and the tilt turns the ray there level
    horizon = (0.5 - random.uniform(*_CAMERAS.horizons)) / (focal * aspect)
    stretch = float(_stretch(horizon * horizon, xi))
    pitch = -arctangent(stretch * horizon / max(stretch - xi, 0.05))
    roll = math.radians(random.normal(0.0, _CAMERAS.roll_degrees))
    yaw = math.radians(random.normal(0.0, _CAMERAS.yaw_degrees))
    return AnyCamera(focal, xi, aspect, pitch, roll, yaw)


@dataclass(frozen=True)
class EffectChoice:
    """The ranges from which a camera's faults are chosen; 1 is full light."""

    dark_share: float = 0.2  # fraction of the pictures that are dark
    brightness: tuple[float, float] = (0.2, 0.6)  # mean of a picture that is not dark
    darkness: tuple[float, float] = (0.05, 0.2)  # mean of a dark picture
    cast: float = 0.1  # standard deviation of each colour channel's factor
    gamma: tuple[float, float] = (0.5, 1.6)  # exponent of the light
    gamma_steps: int = 1024  # rows of the gamma's table, for light from 0 to 1
    root_of_noise: float = 0.15  # square root of the strongest noise; weak noise is more frequent
    jpeg_quality: tuple[int, int] = (25, 90)


_EFFECTS = EffectChoice()


def with_effects(picture: FloatArray, random: Random) -> Image:
    """Return what a camera with random faults makes of a picture, RGB uint8 (height, width, 3).

    picture: RGB of 0 to 255 and above, of any exposure, (height, width, 3)
    """
    image = _exposed((picture / 255).astype(np.float32), random)

    # out of focus, or moved while the shutter was open
    if chance(random, 0.5):
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 1.2)), np.uint8)
    if chance(random, 0.25):
        length = int(random.integers(2, 7))
        kernel = (1, length)
        if chance(random, 0.7):
            kernel = (length, 1)
        image = np.asarray(cv2.blur(image, kernel), np.uint8)

    # the sensor adds noise, and the camera's program changes the contrast: black becomes `low`, and
    # full light `high`
    strength = 255 * random.uniform(0.0, _EFFECTS.root_of_noise) ** 2
    noise = strength * random.standard_normal(image.shape, np.float32)
    low = random.uniform(-0.1, 0.15)
    high = random.uniform(0.75, 1.1)
    image = np.clip(255 * low + (high - low) * (image + noise), 0, 255).astype(np.uint8)

    if chance(random, 0.5):
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(*_EFFECTS.jpeg_quality))]
        content = cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes()
        image = decode_image(content)
    return image


def _exposed(light: Float32Array, random: Random) -> Image:
    """Return the image that the lens and the sensor of a camera make of light, RGB uint8.

    light: RGB of 0 to 1 and above, (height, width, 3)
    """
    # exposure for a random brightness, with a white balance that is a little wrong
    brightness_range = _EFFECTS.brightness
    if chance(random, _EFFECTS.dark_share):
        brightness_range = _EFFECTS.darkness
    exposure = log_uniform(random, *brightness_range) / max(float(light.mean()), 0.02)
    balance = exposure * (1 + random.normal(0.0, _EFFECTS.cast, 3))
    light = light * balance.astype(np.float32)

    if chance(random, 0.4):
        light = light * _vignette(light.shape[0], light.shape[1], random.uniform(0.1, 0.45))
    if chance(random, 0.3):  # weaker or stronger colours
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * np.float32(random.uniform(0.0, 1.8))

    # the light to the power of gamma, from a table whose values are the same on every processor
    steps = np.arange(1, _EFFECTS.gamma_steps + 1) / _EFFECTS.gamma_steps
    gamma = log_uniform(random, *_EFFECTS.gamma)
    logarithms = [gamma * math.log(step) for step in steps.tolist()]
    table = exponentials(np.array(logarithms, np.float32))
    rows = (np.clip(light, 0, 1) * (_EFFECTS.gamma_steps - 1)).astype(np.int64)
    return np.asarray(255 * table[rows], np.uint8)


def _vignette(height: int, width: int, strength: float) -> Float32Array:
    """Return the factor of each pixel's light, (height, width, 1); it falls towards the corners.

    strength: how much light is missing at the middle of an edge; twice as much in a corner
    """
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)
    squared = x * x + (y * y)[:, None]
    return np.asarray((1 - np.float32(strength) * squared)[..., None])
