"""Draw text, shapes and saliency in place into pictures, RGB uint8 (height, width, 3)."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from bcclone.dataset.images import Image
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.opencv import cv2

Color = tuple[int, int, int]
Point = tuple[float, float]

# M. Okabe and K. Ito, "Color universal design" (2008): safe for colour-blind viewers
SKY, ORANGE, RED, YELLOW, GREEN = (86, 180, 233), (230, 159, 0), (213, 94, 0), (240, 228, 66), (0, 158, 115)
GROUND, RAIL, ROAD, FAINT, WHITE = (22, 25, 31), (58, 64, 74), (120, 126, 136), (165, 172, 182), (242, 244, 247)

_SHIFT = 4  # fractional bits of OpenCV's coordinates

_MAX_OPACITY = 0.85  # of the colour where the mask is 1: the frame stays visible
_COLOR_KEPT, _GRAY_KEPT = 0.3, 0.55  # of the frame below: pale, so that nobody takes yellow sand for saliency
_LEVELS = np.linspace(0.0, 1.0, 256)[:, np.newaxis]
_OPACITY = np.ascontiguousarray(np.broadcast_to(_MAX_OPACITY * _LEVELS**0.8, (256, 3))).astype(np.float32)
_GLOW = ((np.array(RED) * (1 - _LEVELS) + np.array(YELLOW) * _LEVELS) * _OPACITY).astype(np.float32)


def saliency_overlay(frame: Image, mask: Float32Array) -> Image:
    """Return a frame, RGB uint8 (height, width, 3), made paler and covered by a mask of its pixels, 0 to 1.

    A pixel with little influence on the steering is red, one with much influence is yellow.
    """
    level = np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)
    opacity = np.take(_OPACITY, level, axis=0)
    gray = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pale = cv2.addWeighted(frame, _COLOR_KEPT, gray, _GRAY_KEPT, 0)
    return np.asarray(pale * (1 - opacity) + np.take(_GLOW, level, axis=0), np.uint8)


def text(picture: Image, words: str, at: tuple[int, int], size: int, color: Color = WHITE) -> int:
    """Write text with its left end and baseline at a point, cut off at the edges; return its right end."""
    glyphs, ascent = _glyphs(words, size)
    left, top = at[0], at[1] - ascent
    under = picture[top : top + glyphs.shape[0], left : left + glyphs.shape[1]]
    alpha = glyphs[: under.shape[0], : under.shape[1], np.newaxis]
    under[:] = (under.astype(np.uint16) * (255 - alpha) + np.array(color, np.uint16) * alpha + 127) // 255
    return int(left + glyphs.shape[1])


def text_width(words: str, size: int) -> int:
    return int(_glyphs(words, size)[0].shape[1])


def right_text(picture: Image, words: str, at: tuple[int, int], size: int, color: Color = WHITE) -> None:
    text(picture, words, (at[0] - text_width(words, size), at[1]), size, color)


def box(picture: Image, begin: Point, end: Point, color: Color) -> None:
    """Fill a rectangle between two corners, which are rounded to whole pixels."""
    (left, right), (top, bottom) = (sorted(map(round, pair)) for pair in zip(begin, end, strict=True))
    picture[top:bottom, left:right] = color


def dim(picture: Image, fraction: float) -> None:
    """Darken a picture to a fraction of its brightness, towards the background colour of the overlay."""
    cv2.addWeighted(picture, fraction, np.full_like(picture, GROUND), 1 - fraction, 0, dst=picture)


def dot(picture: Image, at: Point, radius: float, color: Color) -> None:
    """Draw a filled circle with smooth edges."""
    x, y, fine = (round(value * 2**_SHIFT) for value in (*at, radius))
    cv2.circle(picture, (x, y), fine, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def path(picture: Image, points: FloatArray, color: tuple[int, ...], width: int, closed: bool = False) -> None:
    """Draw a line with smooth edges through points, (points, 2)."""
    fine = np.rint(points * 2**_SHIFT).astype(np.int32)
    cv2.polylines(picture, [fine], closed, color, width, cv2.LINE_AA, _SHIFT)


@lru_cache(4096)  # a clip repeats the same words and numbers
def _glyphs(words: str, size: int) -> tuple[npt.NDArray[np.uint16], int]:
    """Return the coverage of each pixel by a text, (height, width), 0 to 255, and the height above the baseline.

    The font is Pillow's own: Aileron, in the public domain.
    """
    font = PIL.ImageFont.load_default(size)
    ascent, descent = round(size * 0.95), round(size * 0.3)
    width = max(round(font.getlength(words)), 1)
    picture = PIL.Image.new("L", (width + 2, ascent + descent))
    PIL.ImageDraw.Draw(picture).text((0, ascent), words, fill=255, font=font, anchor="ls")
    return np.asarray(picture, np.uint16), ascent
