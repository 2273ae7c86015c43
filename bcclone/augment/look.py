"""Image -> how it looks on another day or through another lens; the steering stays.

All is drawn before any image is touched, so that the frames of a window change alike.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from bcclone.augment.settings import AugmentSettings
from bcclone.images import Image

# Changes an image, RGB uint8 (height, width, 3), in place; the second one of its shape is there to work in.
Change = Callable[[Image, Image], None]

_GRAY = np.array([0.299, 0.587, 0.114])  # of red, green and blue: ITU-R BT.601
_MIDDLE = 115.0  # about the mean of the simulator's frames
_HAZE_SHARE, _SOMBRE_SHARE = 0.2, 0.3
_UNITY = 127.5  # what stands for a factor of 1 in a byte


@dataclass(frozen=True)
class Extent:
    """Which rows of a prepared image are changed: those from `top` on of so many columns and rows."""

    top: int
    rows: int
    width: int
    height: int


def draw_looks(
    settings: AugmentSettings, extent: Extent, count: int, random: np.random.Generator
) -> Iterator[list[Change]]:
    """Yield the changes of each of so many images, in the order in which they are made."""
    lights = _draw_lights(settings.look, count, random) if settings.look else []
    one_by_one = Random(int(random.integers(2**63)))  # numpy takes ten times as long for a single number
    for place in range(count):
        changes = lights[place : place + 1]
        for share, draw in (
            (settings.shadows, _draw_shadows),
            (settings.blur, _draw_blur),
            (settings.patches, _draw_patches),
            (settings.noise, _draw_noise),
        ):
            if one_by_one.random() < share:
                changes.append(draw(extent, one_by_one))
        yield changes


def _draw_lights(strength: float, count: int, random: np.random.Generator) -> list[Change]:
    """Draw other brightness, contrast and colours, and now and then haze, an affine change; and another gamma."""
    contrast = np.exp(0.25 * strength * random.standard_normal((count, 1)))
    brightness = 25.0 * strength * random.standard_normal((count, 1))
    tints = np.exp(0.08 * strength * random.standard_normal((count, 3, 1)))
    sombre, hazy = random.random((2, count)) < np.array([[_SOMBRE_SHARE], [_HAZE_SHARE]]) * strength
    saturation = np.where(sombre, random.uniform(0.0, 1.5, count), 1.0)[:, np.newaxis, np.newaxis]
    haze = np.where(hazy, random.uniform(0.0, 0.6, count), 0.0)[:, np.newaxis]
    colors = tints * (saturation * np.eye(3) + (1 - saturation) * _GRAY)
    constant = colors.sum(axis=2) * _MIDDLE * (1 - contrast) + brightness
    constant = (1 - haze) * constant + haze * random.uniform(120.0, 230.0, (count, 1))
    affine = np.concatenate([((1 - haze) * contrast)[..., np.newaxis] * colors, constant[..., np.newaxis]], axis=2)
    exponents = np.exp(0.25 * strength * random.standard_normal((count, 1)))
    tables = np.round(255 * (np.arange(256) / 255) ** exponents).astype(np.uint8)
    return [partial(_relight, affine=one, table=table) for one, table in zip(affine, tables, strict=True)]


def _relight(image: Image, spare: Image, affine: npt.NDArray[np.float64], table: Image) -> None:
    cv2.transform(image, affine, spare)
    cv2.LUT(spare, table, image)


def _draw_shadows(extent: Extent, random: Random) -> Change:
    """Draw some shadows, or spots of light, on the image's lower part; hard or soft at their edges."""
    mask = np.zeros((extent.rows, extent.width), np.uint8)
    for _ in range(random.randint(1, 4)):
        draw = _draw_bush if random.random() < 0.5 else _draw_band
        draw(mask, extent, random)
    if random.random() < 0.5:
        mask = np.asarray(cv2.blur(mask, (5, 5)), np.uint8)
    strength = random.uniform(0.3, 0.8) if random.random() < 0.8 else random.uniform(1.1, 1.5)
    factors = np.round(_UNITY * (1 + (strength - 1) * np.arange(256) / 255)).astype(np.uint8)
    return partial(_multiply, factor=np.asarray(cv2.LUT(mask, factors), np.uint8))


def _draw_bush(mask: Image, extent: Extent, random: Random) -> None:
    """Draw the shadow of a bush: a flat ellipse."""
    width, height = extent.width, extent.height
    center = random.uniform(-0.15, 1.15) * width, random.uniform(0.3, 1.0) * height - extent.top
    size = random.uniform(0.08, 0.95) * width, random.uniform(0.03, 0.4) * height
    cv2.ellipse(mask, (center, size, random.uniform(-40, 40)), 255, -1)


def _draw_band(mask: Image, extent: Extent, random: Random) -> None:
    """Draw the shadow of a trunk or a wall: a band from the horizon to the lower edge."""
    width, horizon, edge = extent.width, int(0.33 * extent.height) - extent.top, extent.height - extent.top
    far = [random.uniform(0, width) for _ in range(2)]
    near = [random.uniform(-0.5 * width, 1.5 * width) for _ in range(2)]
    corners = np.array([[far[0], horizon], [far[1], horizon], [near[0], edge], [near[1], edge]], np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners).astype(np.int32), 255)


def _multiply(image: Image, spare: Image, factor: Image) -> None:
    cv2.merge([factor, factor, factor], spare)
    cv2.multiply(image, spare, image, 1 / _UNITY)


def _draw_blur(extent: Extent, random: Random) -> Change:
    """Draw how far the image is out of focus."""
    return partial(_blur, sigma=random.uniform(0.4, 1.5))


def _blur(image: Image, spare: Image, sigma: float) -> None:
    size = 2 * round(1.5 * sigma) + 1  # 3 standard deviations across, of more OpenCV is half as fast
    cv2.GaussianBlur(image, (size, size), sigma, spare)
    image[:] = spare


def _draw_patches(extent: Extent, random: Random) -> Change:
    """Draw some rectangles of one colour over the image."""
    width, height, boxes = extent.width, extent.height, []
    for _ in range(random.randint(1, 3)):
        left, top = random.uniform(0, 0.95) * width, random.uniform(0.2, 0.95) * height
        right, bottom = left + random.uniform(0.03, 0.3) * width, top + random.uniform(0.03, 0.23) * height
        first, last = (math.floor(left), math.floor(top) - extent.top), (int(right), math.floor(bottom) - extent.top)
        boxes.append((first, last, tuple(random.randbytes(3))))
    return partial(_cover, boxes=boxes)


def _cover(image: Image, spare: Image, boxes: list[tuple[tuple[int, int], tuple[int, int], tuple[int, ...]]]) -> None:
    for first, last, color in boxes:
        cv2.rectangle(image, first, last, color, -1)


def _draw_noise(extent: Extent, random: Random) -> Change:
    """Draw the noise of a bad JPEG."""
    return partial(_compress, quality=random.randrange(20, 80))


def _compress(image: Image, spare: Image, quality: int) -> None:
    simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(image, quality=quality, colorsubsampling="420"), buffer=image)
