"""Change a picture as cheap cameras do: exposure, colour casts, vignette, blur, noise, JPEG."""

import numpy as np

from bcclone.dataset.images import Image, decode_jpeg, encode_jpeg
from bcclone.system.arrays import FloatArray
from bcclone.system.opencv import cv2


def with_effects(picture: FloatArray, random: np.random.Generator) -> Image:
    """Return the picture of a camera, RGB uint8 (height, width, 3), from RGB of 0 to 255 and above."""
    height, width, _ = picture.shape
    light = picture.astype(np.float32) / np.float32(255)
    exposure = random.uniform(0.15, 0.6) / max(float(light.mean()), 0.02)
    light *= np.float32(exposure) * (1 + random.normal(0.0, 0.1, 3)).astype(np.float32)
    if random.random() < 0.4:  # vignette
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        away = (x * x)[None, :, None] + (y * y)[:, None, None]
        light = light * (1 - np.float32(random.uniform(0.1, 0.45)) * away)
    gamma = np.float32(2.0 ** random.normal(0.0, 0.4))
    light = np.power(np.clip(light, 0, 1), gamma)
    if random.random() < 0.3:
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * np.float32(random.uniform(0.0, 1.8))
    if random.random() < 0.5:
        light = cv2.GaussianBlur(light, (0, 0), float(random.uniform(0.3, 1.2)))
    if random.random() < 0.25:  # motion
        length = int(random.integers(2, 7))
        light = cv2.blur(light, (length, 1) if random.random() < 0.7 else (1, length))
    light = light + np.float32(random.uniform(0.0, 0.17) ** 2) * random.standard_normal(light.shape, np.float32)
    low, high = random.uniform(-0.1, 0.15), random.uniform(0.75, 1.1)
    light = low + light * (high - low)
    image = np.clip(light * 255, 0, 255).astype(np.uint8)
    if random.random() < 0.5:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image
