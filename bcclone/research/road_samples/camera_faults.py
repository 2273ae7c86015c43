"""Add the faults of a camera at random: a painted picture -> the image that the camera takes of it,
RGB uint8 (height, width, 3).

Exposure, colour casts, vignette, gamma, blur, contrast, noise and JPEG are as of cheap cameras.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import Image, decode_image
from bcclone.research.road_samples.drawn_road import chance, log_uniform
from bcclone.system.arrays import Float32Array, FloatArray, Random
from bcclone.system.exact_math import exponentials
from bcclone.system.opencv import cv2


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
