"""Draw the pictures of trees, bushes and signs: a seed -> a picture for each kind of card.

The pictures are drawn stroke by stroke, with random numbers from the seed, so no image file is
needed.
"""

import math

import numpy as np

from bcclone.camera.images import Image, cv2
from bcclone.system.exact_math import cosine, normals, sine
from bcclone.system.numbers import Random

# size of a picture in texels
CARD_HEIGHT = 128
CARD_WIDTH = 64

# Kinds of cards: a kind is the number of the picture that a card shows. A plant has several kinds.
PINES = (0, 1, 2, 3)
BUSHES = (4, 5)
SIGN = 6
TOWER = 7
PALMS = (8, 9)
TIRE = 10
_KINDS = 11  # number of all kinds

Pictures = Image
_RGBA = tuple[int, int, int, int]

_FOOT = (32, 127)  # column and row of a plant's foot


def draw_pictures(seed: int) -> Pictures:
    """Return the picture of every kind, RGBA uint8 (kinds, CARD_HEIGHT, CARD_WIDTH, 4)."""
    pictures = np.zeros((_KINDS, CARD_HEIGHT, CARD_WIDTH, 4), np.uint8)
    for kind in PINES:
        _draw_pine(pictures[kind], np.random.default_rng(seed * 97 + kind))
    for kind in PALMS:
        _draw_palm(pictures[kind], np.random.default_rng(seed * 97 + kind))
    for kind in BUSHES:
        _draw_bush(pictures[kind], np.random.default_rng(seed * 97 + kind))
    _draw_sign(pictures[SIGN])
    _draw_tower(pictures[TOWER])
    cv2.ellipse(pictures[TIRE], (32, 70), (31, 58), 0, 0, 360, (20, 20, 22, 255), -1)
    return pictures


def _draw_pine(picture: Image, randomness: Random) -> None:
    """Draw a bare trunk below, and clumps of needles, dark beneath and lit above."""
    lean = int(randomness.integers(-3, 4))
    cv2.line(picture, _FOOT, (32 + lean, 20), (62, 50, 38, 255), 3)
    # the row at which the crown ends; below it the trunk is bare
    lowest = int(randomness.integers(62, 86))
    for _ in range(46):
        # a clump: the crown is widest in its middle
        y = int(randomness.uniform(8, lowest))
        widest = 5 + 24 * sine(math.pi * min((y + 8) / (lowest + 24), 1.0))
        x = int(32 + lean * (1 - y / 127) + widest * 0.42 * normals(randomness))
        for _ in range(11):
            leaf_x = int(x + 4 * normals(randomness))
            leaf_y = int(y + 2.2 * normals(randomness))
            brightness = randomness.uniform(0.4, 0.9)
            if leaf_y < y and leaf_x > x:  # the light comes from above, on the right
                brightness += 0.5
            size = (int(randomness.integers(1, 4)), int(randomness.integers(1, 3)))
            color = _shaded((70, 76, 46), brightness)
            cv2.ellipse(picture, (leaf_x, leaf_y), size, 0, 0, 360, color, -1)


def _draw_palm(picture: Image, randomness: Random) -> None:
    """Draw a trunk, and fronds that bend down at their tips."""
    top = (32, 26)
    cv2.line(picture, _FOOT, top, (122, 96, 66, 255), 4)
    for degrees in np.linspace(-200, 20, 12) + 6 * normals(randomness, (12,)):
        angle = math.radians(degrees)
        tip = (32 + 29 * cosine(angle), 30 + 26 * sine(angle) + 12)
        middle = ((32 + tip[0]) / 2, (26 + tip[1]) / 2 - 8)
        frond = np.array([top, middle, tip], np.int32)
        color = _shaded((70, 98, 30), randomness.uniform(0.6, 1.2))
        cv2.polylines(picture, [frond], False, color, 5)


def _draw_bush(picture: Image, randomness: Random) -> None:
    """Draw leaves within a dome, lighter towards its top."""
    for _ in range(150):
        x = 32 + 13 * normals(randomness)
        y = randomness.uniform(14, 127)
        if abs(x - 32) >= 31 * math.sqrt(min((y - 6) / 70, 1.0)):
            continue
        brightness = randomness.uniform(0.45, 0.9) + 0.3 * (1 - y / 127)
        color = _shaded((62, 70, 30), brightness)
        cv2.ellipse(picture, (int(x), int(y)), (3, 7), 0, 0, 360, color, -1)


def _draw_sign(picture: Image) -> None:
    """Draw a dark board on a post."""
    cv2.rectangle(picture, (29, 50), (35, 127), (34, 34, 38, 255), -1)
    cv2.rectangle(picture, (3, 4), (61, 56), (26, 30, 40, 255), -1)
    cv2.rectangle(picture, (7, 8), (57, 52), (58, 66, 84, 255), 2)


def _draw_tower(picture: Image) -> None:
    """Draw a pylon of steel: two legs, crossed struts, two arms."""
    color = (70, 88, 108, 255)
    cv2.line(picture, (12, 127), (30, 0), color, 2)
    cv2.line(picture, (52, 127), (34, 0), color, 2)
    for y in range(10, 127, 14):
        half = int(2 + 18 * y / 127)
        cv2.line(picture, (32 - half, y), (32 + half, y + 14), color, 1)
        cv2.line(picture, (32 + half, y), (32 - half, y + 14), color, 1)
    for y in (14, 30):
        cv2.line(picture, (4, y), (60, y), color, 2)


def _shaded(color: tuple[int, int, int], brightness: float) -> _RGBA:
    """Return a colour times a brightness, opaque."""
    red, green, blue = (int(min(channel * brightness, 255)) for channel in color)
    return red, green, blue, 255
