"""Change a picture as cheap cameras do: exposure, colour casts, vignette, gamma, blur, contrast, noise, JPEG."""

import math

import numpy as np

from bcclone.dataset.images import Image, decode_image
from bcclone.lab.road_samples.drawn_road import log_uniform
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.exact_math import exponentials
from bcclone.system.opencv import cv2

_DARK = 0.2  # fraction of the pictures
_BRIGHTNESS, _DARKNESS = (0.2, 0.6), (0.05, 0.2)  # mean of the picture
_CAST = 0.1  # standard deviation of each colour channel
_GAMMA = (0.5, 1.6)
_STEPS = 1024  # of light, for the gamma
_NOISE = 0.15  # square root of the strongest, of full light
_QUALITY = (25, 90)


def with_effects(picture: FloatArray, random: np.random.Generator) -> Image:
    """Return the picture of a camera, RGB uint8 (height, width, 3), from RGB of 0 to 255 and above, of any exposure."""
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


def _exposed(light: Float32Array, random: np.random.Generator) -> Image:
    """Return light, 0 to 1 and above, as the sensor and the lens of a camera take it."""
    brightness = log_uniform(random, *(_DARKNESS if random.random() < _DARK else _BRIGHTNESS))
    exposure = brightness / max(float(light.mean()), 0.02)
    light = light * (exposure * (1 + random.normal(0.0, _CAST, 3))).astype(np.float32)
    if random.random() < 0.4:  # vignette
        x, y = (np.linspace(-1, 1, count, dtype=np.float32) for count in (light.shape[1], light.shape[0]))
        light = light * (1 - np.float32(random.uniform(0.1, 0.45)) * (x * x + (y * y)[:, None]))[..., None]
    if random.random() < 0.3:  # more or fewer colours
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * np.float32(random.uniform(0.0, 1.8))
    steps = np.arange(1, _STEPS + 1) / _STEPS
    gamma = log_uniform(random, *_GAMMA)
    table = exponentials(np.array([gamma * math.log(step) for step in steps.tolist()], np.float32))
    taken = table[(np.clip(light, 0, 1) * (_STEPS - 1)).astype(np.int64)]
    return np.asarray(255 * taken, np.uint8)
