"""Add the faults of a camera at random: a painted picture -> the image that the camera takes of it,
RGB uint8 (height, width, 3).

Exposure, colour casts, vignette, gamma, blur, contrast, noise and JPEG are as of cheap cameras.
"""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import Image, cv2, decode_image
from bcclone.research.road_samples.drawn_road import chance, log_uniform
from bcclone.system.exact_math import exponentials
from bcclone.system.numbers import Float32Array, FloatArray, Random


@dataclass(frozen=True)
class EffectChoice:
    """The ranges from which a camera's faults are chosen; 1 is full light."""

    dark_share: float = 0.14  # fraction of the pictures that are dark
    brightness: tuple[float, float] = (0.2, 0.6)  # mean of a picture that is not dark
    darkness: tuple[float, float] = (0.03, 0.2)  # mean of a dark picture
    darkest_ground: float = 0.5  # least mean of the lower half, over that of the picture
    cast: float = 0.1  # standard deviation of each colour channel's factor
    gamma: tuple[float, float] = (0.5, 1.6)  # exponent of the light
    gamma_steps: int = 1024  # rows of the gamma's table, for light from 0 to 1
    root_of_noise: float = 0.15  # square root of the strongest noise; weak noise is more frequent
    bonnet_share: float = 0.12  # fraction of the pictures that show a part of the own car
    glare_share: float = 0.1  # fraction of the pictures that show the sun or a lamp
    full_noise_from: float = 40.0  # mean of 0 to 255 below which a picture has less noise
    jpeg_quality: tuple[int, int] = (25, 90)


_EFFECTS = EffectChoice()
# of the light in each row of the gamma's table
_LOGARITHMS = np.array(
    [math.log(step / _EFFECTS.gamma_steps) for step in range(1, _EFFECTS.gamma_steps + 1)]
)


def with_effects(picture: FloatArray, random: Random) -> Image:
    """Return what a camera with random faults makes of a picture, RGB uint8 (height, width, 3).

    picture: RGB of 0 to 255 and above, of any exposure, (height, width, 3)
    """
    light = (picture / 255).astype(np.float32)
    if chance(random, _EFFECTS.bonnet_share):
        light = _with_bonnet(light, random)
    if chance(random, _EFFECTS.glare_share):
        light = _with_glare(light, random)
    image = _exposed(light, random)

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
    mean = float(image.mean())
    strength = 255 * random.uniform(0.0, _EFFECTS.root_of_noise) ** 2
    strength *= min(mean / _EFFECTS.full_noise_from, 1.0)
    noise = strength * random.standard_normal(image.shape, np.float32)
    low = random.uniform(-0.1, 0.15)
    low = max(low, -0.3 * mean / 255)  # dark pictures keep their contrasts
    high = random.uniform(0.75, 1.1)
    image = np.clip(255 * low + (high - low) * (image + noise), 0, 255).astype(np.uint8)

    if chance(random, 0.5):
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(*_EFFECTS.jpeg_quality))]
        content = cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes()
        image = decode_image(content)
    return image


def _with_bonnet(light: Float32Array, random: Random) -> Float32Array:
    """Return the picture with a bonnet, a bumper or a wheel at its lower edge.

    light: RGB of 0 to 1 and above, (height, width, 3)
    """
    height, width, _ = light.shape
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    middle = np.float32(random.normal(0.0, 0.3))
    bend = np.float32(random.uniform(-0.1, 0.6))
    top = np.float32(random.uniform(0.72, 0.98))
    depth = y - (top + bend * (x - middle) ** 2)  # how far a pixel is below the upper edge
    dark = random.uniform(0.02, 0.6)
    color = (dark * (1.0 + 0.3 * random.uniform(-1.0, 1.0, 3))).astype(np.float32)
    shine = np.float32(random.uniform(-1.5, 3.0))
    covered = np.clip(depth * height, 0.0, 1.0)[..., None]
    body = color * np.maximum(1.0 + shine * depth, 0.1)[..., None]
    return np.asarray(light + covered * (body - light), np.float32)


def _with_glare(light: Float32Array, random: Random) -> Float32Array:
    """Return the picture with a bright spot around the sun or a lamp, which veils what is near it.

    light: RGB of 0 to 1 and above, (height, width, 3)
    """
    height, width, _ = light.shape
    x = np.linspace(-1, 1, width, dtype=np.float32) - np.float32(random.uniform(-1.1, 1.1))
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    y = 2 * (y - np.float32(random.uniform(-0.1, 0.6)))
    radius = np.float32(log_uniform(random, 0.05, 0.7))
    strength = np.float32(log_uniform(random, 0.3, 4.0))
    squared = (x * x + y * y) / (radius * radius)
    veil = strength / ((1 + squared) * (1 + squared))
    tint = np.array([1.0, random.uniform(0.85, 1.0), random.uniform(0.65, 1.0)], np.float32)
    return np.asarray(light + veil[..., None] * tint, np.float32)


def _exposed(light: Float32Array, random: Random) -> Image:
    """Return the image that the lens and the sensor of a camera make of light, RGB uint8.

    light: RGB of 0 to 1 and above, (height, width, 3)
    """
    # exposure for a random brightness, with a white balance that is a little wrong
    brightness_range = _EFFECTS.brightness
    if chance(random, _EFFECTS.dark_share):
        brightness_range = _EFFECTS.darkness
    brightness = log_uniform(random, *brightness_range)
    exposure = brightness / max(float(light.mean()), 0.02)
    # a camera lets the ground be dark under a bright sky, but not black
    ground = float(light[light.shape[0] // 2 :].mean())
    exposure = max(exposure, _EFFECTS.darkest_ground * brightness / max(ground, 0.02))
    balance = exposure * (1 + random.normal(0.0, _EFFECTS.cast, 3))
    light = light * balance.astype(np.float32)

    if chance(random, 0.4):
        light = light * _vignette(light.shape[0], light.shape[1], random.uniform(0.1, 0.45))
    if chance(random, 0.3):  # weaker or stronger colours
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * np.float32(random.uniform(0.0, 1.8))

    # the light to the power of gamma, from a table whose values are the same on every processor
    gamma = log_uniform(random, *_EFFECTS.gamma)
    table = exponentials((gamma * _LOGARITHMS).astype(np.float32))
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
