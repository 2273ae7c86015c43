"""Colours, text and shapes for the parts of an overlay, drawn in place into pictures, RGB uint8 (height, width, 3)."""

from functools import lru_cache

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from bcclone.images import Image
from bcclone.video.run_data import Mask

Color = tuple[int, int, int]
Point = tuple[float, float]

# M. Okabe and K. Ito, "Color universal design" (2008): told apart by colour-blind eyes, too
SKY, ORANGE, RED, YELLOW = (86, 180, 233), (230, 159, 0), (213, 94, 0), (240, 228, 66)
GROUND, RAIL, ROAD, FAINT, WHITE = (22, 25, 31), (58, 64, 74), (120, 126, 136), (165, 172, 182), (242, 244, 247)

_SHIFT = 4  # bits behind the point of OpenCV's coordinates


def text(picture: Image, words: str, at: tuple[int, int], size: int, color: Color = WHITE) -> int:
    """Write words with their left end and baseline at a point, cut off at the edges; return where they end."""
    glyphs, ascent = _glyphs(words, size)
    left, top = at[0], at[1] - ascent
    height, width = picture.shape[:2]
    rows = slice(max(top, 0), min(top + glyphs.shape[0], height))
    columns = slice(max(left, 0), min(left + glyphs.shape[1], width))
    if rows.start < rows.stop and columns.start < columns.stop:
        alpha = glyphs[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
        under = picture[rows, columns]
        under[:] = (under.astype(np.uint16) * (255 - alpha) + np.array(color, np.uint16) * alpha + 127) // 255
    return left + int(glyphs.shape[1])


def text_width(words: str, size: int) -> int:
    """Return how many pixels words take."""
    return int(_glyphs(words, size)[0].shape[1])


def right_text(picture: Image, words: str, at: tuple[int, int], size: int, color: Color = WHITE) -> None:
    """Write words with their right end and baseline at a point."""
    text(picture, words, (at[0] - text_width(words, size), at[1]), size, color)


def box(picture: Image, begin: Point, end: Point, color: Color) -> None:
    """Fill a rectangle between two corners, each to the nearest pixel."""
    (left, right), (top, bottom) = ((round(min(pair)), round(max(pair))) for pair in zip(begin, end, strict=True))
    picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = color


def dim(picture: Image, share: float) -> None:
    """Darken a part of a picture to a share of its brightness, towards the ground colour of the overlay."""
    cv2.addWeighted(picture, share, np.full_like(picture, GROUND), 1 - share, 0, dst=picture)


def dot(picture: Image, at: Point, radius: float, color: Color) -> None:
    """Draw a filled circle with smooth edges."""
    cv2.circle(picture, _fine(at), round(radius * 2**_SHIFT), color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def path(picture: Image, points: np.ndarray, color: tuple[int, ...], width: int, closed: bool = False) -> None:
    """Draw a line through points (count, 2) with smooth edges."""
    fine = np.rint(points * 2**_SHIFT).astype(np.int32)
    cv2.polylines(picture, [fine], closed, color, width, cv2.LINE_AA, _SHIFT)


def _fine(point: Point) -> tuple[int, int]:
    return round(point[0] * 2**_SHIFT), round(point[1] * 2**_SHIFT)


@lru_cache(4096)  # a clip writes the same words and numbers over and over
def _glyphs(words: str, size: int) -> tuple[np.ndarray, int]:
    """Return how much of each pixel words cover, uint16 (height, width) up to 255, and the height above the baseline.

    Pillow brings the font along: Aileron, in the public domain.
    """
    font = PIL.ImageFont.load_default(size)
    ascent, descent = round(size * 0.95), round(size * 0.3)
    width = max(round(font.getlength(words)), 1)
    picture = PIL.Image.new("L", (width + 2, ascent + descent))
    PIL.ImageDraw.Draw(picture).text((0, ascent), words, fill=255, font=font, anchor="ls")
    return np.asarray(picture, np.uint16), ascent


_STRONGEST = 0.85  # share of the colour where the mask is 1: the frame shines through
_COLOR_KEPT, _GRAY_KEPT = 0.3, 0.55  # of the frame under it: what glows must not be taken for yellow sand
_LEVELS = np.linspace(0.0, 1.0, 256)[:, np.newaxis]
_OPACITY = np.ascontiguousarray(np.broadcast_to(_STRONGEST * _LEVELS**0.8, (256, 3))).astype(np.float32)
_GLOW = ((np.array(RED) * (1 - _LEVELS) + np.array(YELLOW) * _LEVELS) * _OPACITY).astype(np.float32)


def heat(frame: Image, mask: Mask) -> Image:
    """Return an RGB frame, uint8 (height, width, 3), under a mask of its pixels, 0 to 1: red where a little of the
    steering comes from, yellow where most of it does; the frame itself is paler."""
    height, width = frame.shape[:2]
    fitting = mask if mask.shape == (height, width) else cv2.resize(mask, (width, height))
    level = np.rint(np.clip(fitting, 0, 1) * 255).astype(np.uint8)
    opacity = np.take(_OPACITY, level, axis=0)
    gray = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    faint = cv2.addWeighted(frame, _COLOR_KEPT, gray, _GRAY_KEPT, 0)
    return np.asarray(faint * (1 - opacity) + np.take(_GLOW, level, axis=0), np.uint8)
