"""Image -> how it looks on another day or through another lens; the steering stays."""

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from bcclone.images import Image

_GRAY = np.array([0.299, 0.587, 0.114])  # of red, green and blue: ITU-R BT.601
_MIDDLE = 115.0  # about the mean of the simulator's frames
_HAZE_SHARE, _SOMBRE_SHARE = 0.2, 0.3


def change_light(image: Image, strength: float, random: np.random.Generator) -> Image:
    """Return the image with other brightness, contrast and colours, and now and then in haze: one affine change."""
    contrast, tints = math.exp(0.25 * strength * random.standard_normal()), 0.08 * strength * random.standard_normal(3)
    brightness = 25.0 * strength * random.standard_normal()
    colors = np.diag(np.exp(tints))
    if random.random() < _SOMBRE_SHARE * strength:
        saturation = random.uniform(0.0, 1.5)
        colors = colors @ (saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _GRAY))
    constant = colors @ np.full(3, _MIDDLE * (1 - contrast)) + brightness
    colors = contrast * colors
    if random.random() < _HAZE_SHARE * strength:
        haze, color = random.uniform(0.0, 0.6), random.uniform(120.0, 230.0)
        colors, constant = (1 - haze) * colors, (1 - haze) * constant + haze * color
    changed = cv2.transform(image, np.hstack([colors, constant[:, np.newaxis]]))
    return cv2.LUT(changed, _gamma(math.exp(0.25 * strength * random.standard_normal()))).astype(np.uint8, copy=False)


def _gamma(exponent: float) -> Image:
    return np.asarray(np.round(255 * (np.arange(256) / 255) ** exponent), np.uint8)


def cast_shadows(image: Image, random: np.random.Generator) -> Image:
    """Return the image with some shadows, or spots of light, on its lower part; hard or soft at their edges."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for _ in range(random.integers(1, 5)):
        draw: Callable[..., None] = _draw_patch if random.random() < 0.5 else _draw_band
        draw(mask, random)
    if random.random() < 0.5:
        mask = np.asarray(cv2.blur(mask, (5, 5)), np.uint8)
    strength = random.uniform(0.3, 0.8) if random.random() < 0.8 else random.uniform(1.1, 1.5)
    return _mixed(image, np.asarray(cv2.convertScaleAbs(image, alpha=strength), np.uint8), mask)


def _draw_patch(mask: Image, random: np.random.Generator) -> None:
    """Draw the shadow of a bush: a flat ellipse."""
    height, width = mask.shape
    center = random.uniform(-0.15, 1.15) * width, random.uniform(0.3, 1.0) * height
    size = random.uniform(0.08, 0.95) * width, random.uniform(0.03, 0.4) * height
    cv2.ellipse(mask, (center, size, random.uniform(-40, 40)), 255, -1)


def _draw_band(mask: Image, random: np.random.Generator) -> None:
    """Draw the shadow of a trunk or a wall: a band from the horizon to the lower edge."""
    height, width = mask.shape
    far, near = random.uniform(0, width, 2), random.uniform(-0.5 * width, 1.5 * width, 2)
    corners = np.array([[far[0], 0.33 * height], [far[1], 0.33 * height], [near[0], height], [near[1], height]])
    cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 255)


def _mixed(image: Image, other: Image, mask: Image) -> Image:
    """Return the other image where the mask is 255, and both mixed where it is between."""
    share = cv2.merge([mask, mask, mask])
    changed = cv2.multiply(other, share, scale=1 / 255)
    kept = cv2.multiply(image, cv2.bitwise_not(share), scale=1 / 255)
    return np.asarray(cv2.add(changed, kept), np.uint8)


def blur(image: Image, random: np.random.Generator) -> Image:
    """Return the image out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.5)), np.uint8)


def compress(image: Image, random: np.random.Generator) -> Image:
    """Return the image with the noise of a bad JPEG."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=int(random.integers(20, 80)))
    return np.asarray(simplejpeg.decode_jpeg(data), np.uint8)


def cover(image: Image, random: np.random.Generator) -> Image:
    """Return the image with some rectangles of one colour over it."""
    height, width = image.shape[:2]
    covered = image.copy()
    for _ in range(random.integers(1, 4)):
        left, top = int(random.uniform(0, 0.95) * width), int(random.uniform(0.2, 0.95) * height)
        right, bottom = left + int(random.uniform(0.03, 0.3) * width), top + int(random.uniform(0.03, 0.23) * height)
        color: npt.NDArray[np.uint8] = random.integers(0, 256, 3, np.uint8)
        covered[top : bottom + 1, left : right + 1] = color
    return covered
