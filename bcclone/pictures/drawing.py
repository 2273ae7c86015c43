"""Draw shapes and words: colours, boxes, dots, lines and texts -> pixels of an overlay.

A picture is uint8 and is changed in place.
"""

from functools import cache, lru_cache

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from bcclone.camera.images import Image, cv2
from bcclone.system.numbers import Float32Array, FloatArray

Color = tuple[int, ...]
Point = tuple[float, float]

# M. Okabe and K. Ito, "Color universal design" (2008): safe for colour-blind viewers
SKY = (86, 180, 233)
ORANGE = (230, 159, 0)
RED = (213, 94, 0)
YELLOW = (240, 228, 66)
GREEN = (0, 158, 115)

GROUND = (22, 25, 31)  # background of the panel
RAIL = (58, 64, 74)  # the empty part of a bar
ROAD = (120, 126, 136)
FAINT = (165, 172, 182)  # labels
WHITE = (242, 244, 247)

SMALL_SIZE = 13  # size of a label's font, in pixels

_FRACTION_BITS = 4  # OpenCV takes coordinates as whole numbers, here of 1/16 pixel
_ASCENT = 0.95  # height above the baseline / size of the font
_DESCENT = 0.3  # depth below the baseline / size of the font

_font = cache(PIL.ImageFont.load_default)  # Aileron, in the public domain


@lru_cache(4096)  # a clip repeats the same words and numbers
def _coverage_of(words: str, size: int) -> Float32Array:
    """Return how much of each pixel a text covers, 0 to 1, (height, width, 1)."""
    font = _font(size)
    # the baseline stands size * _ASCENT below the top, as write() expects
    width = max(round(font.getlength(words)), 1) + 2
    baseline = round(size * _ASCENT)
    coverage = PIL.Image.new("L", (width, baseline + round(size * _DESCENT)))
    anchor = "ls"  # the text begins at the left end of its baseline
    PIL.ImageDraw.Draw(coverage).text((0, baseline), words, 255, font, anchor)
    return np.asarray(coverage, np.float32)[..., np.newaxis] / np.float32(255)


def text_width(words: str, size: int = SMALL_SIZE) -> int:
    return int(_coverage_of(words, size).shape[1])


def write(
    picture: Image,
    words: str,
    x: int,
    y: int,
    size: int = SMALL_SIZE,
    color: Color = FAINT,
    to_left: bool = False,
) -> None:
    """Write words whose baseline begins at x and y; what would stand outside is left out.

    size: of the font, in pixels
    to_left: whether the baseline ends at x and y
    """
    left = x - text_width(words, size) if to_left else x
    top = y - round(size * _ASCENT)
    coverage = _coverage_of(words, size)[max(-top, 0) :, max(-left, 0) :]
    area = picture[max(top, 0) :, max(left, 0) :][: len(coverage), : coverage.shape[1]]
    coverage = coverage[: len(area), : area.shape[1]]
    area[:] = area + (np.array(color, np.float32) - area) * coverage + np.float32(0.5)


def draw_box(picture: Image, begin: Point, end: Point, color: Color) -> None:
    """Fill a rectangle between two corners, which are rounded to whole pixels."""
    left, right = sorted((round(begin[0]), round(end[0])))
    top, bottom = sorted((round(begin[1]), round(end[1])))
    picture[top:bottom, left:right] = color


def dim(picture: Image, fraction: float) -> None:
    """Mix a picture with the overlay's background. fraction: how much of the picture is left."""
    cv2.addWeighted(picture, fraction, np.full_like(picture, GROUND), 1 - fraction, 0, dst=picture)


def draw_dot(picture: Image, center: Point, radius: float, color: Color) -> None:
    """Draw a filled circle with smooth edges."""
    x = round(center[0] * 2**_FRACTION_BITS)
    y = round(center[1] * 2**_FRACTION_BITS)
    fine_radius = round(radius * 2**_FRACTION_BITS)
    cv2.circle(picture, (x, y), fine_radius, color, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)


def draw_line(
    picture: Image, points: FloatArray, color: Color, width: int, closed: bool = False
) -> None:
    """Draw a line with smooth edges through points, (points, 2)."""
    fine_points = np.rint(points * 2**_FRACTION_BITS).astype(np.int32)
    cv2.polylines(picture, [fine_points], closed, color, width, cv2.LINE_AA, _FRACTION_BITS)
