"""Draw rain and snow over a finished picture; compiled.

The picture, RGB uint8 (height, width, 3), is changed in place. The strengths of rain and snow, 0 to
1, decide how many drops it gets. A drop is a streak of rain or a flake of snow. Moments are
numbered, and a moment's number decides the places of all its drops, so the same moment always shows
the same drops.
"""

from typing import Any

import numpy as np

from bcclone.simulator.render.surface import RGB, SOURCES_CHECKSUM, drawing

# numbers of drops at full strength, in a picture of 160 x 320 pixels
_STREAKS = 420
_FLAKES = 900
_PIXELS = 51200.0  # pixels of such a picture

_RAIN_COLOR = (190.0, 198.0, 210.0)
_SNOW_COLOR = (250.0, 250.0, 252.0)
_RAIN_COVER = 0.38  # fraction of the picture behind a streak that the streak hides
_SNOW_COVER = 0.85  # the same of a flake
_DARKEST = 0.25  # smallest brightness of drops, in the darkest night


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def draw_drops(picture: Any, rain: float, snow: float, light: float, moment: int) -> None:
    """Draw streaks of rain and flakes of snow.

    picture: RGB uint8 (rows, columns, 3)
    rain, snow: 0 to 1
    light: brightness of things near the camera; 1 is daylight
    moment: number of the moment
    """
    rows = picture.shape[0]
    columns = picture.shape[1]
    scale = rows / 160.0
    size = rows * columns / _PIXELS
    shade = min(max(light, _DARKEST), 1.0)
    # neighbouring moments begin far apart in the sequence of random numbers
    state = np.uint64(moment) * np.uint64(2862933555777941757) + np.uint64(3037000493)

    # streaks, which slant a pixel to the right every five rows
    wet = _shaded(_RAIN_COLOR, shade)
    for _ in range(int(_STREAKS * rain * size)):
        state, column = _drawn(state, columns)
        state, row = _drawn(state, rows)
        state, longer = _drawn(state, 13)
        for step in range(max(int((5.0 + longer) * scale), 1)):
            _blend_pixel(picture, row + step, column + int(0.2 * step), wet, _RAIN_COVER)

    # flakes: every sixth is near, and two pixels wide
    white = _shaded(_SNOW_COLOR, shade)
    for _ in range(int(_FLAKES * snow * size)):
        state, column = _drawn(state, columns)
        state, row = _drawn(state, rows)
        state, distance = _drawn(state, 6)
        side = 2 if distance == 0 and scale >= 0.75 else 1
        for down in range(side):
            for right in range(side):
                _blend_pixel(picture, row + down, column + right, white, _SNOW_COVER)


@drawing(inline="always")
def _drawn(state: Any, choices: int) -> tuple[Any, int]:
    """Return the next state of a sequence of random numbers, and a number from 0 to choices - 1.

    The sequence is a linear congruence of 64 bits (Knuth, The Art of Computer Programming, 3rd
    edition, section 3.3.4: MMIX).
    """
    following = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return following, int((following >> np.uint64(33)) % np.uint64(choices))


@drawing()
def _shaded(color: RGB, shade: float) -> RGB:
    return color[0] * shade, color[1] * shade, color[2] * shade


@drawing(inline="always")
def _blend_pixel(picture: Any, row: int, column: int, color: RGB, cover: float) -> None:
    """Mix a colour into a pixel that lies in the picture. cover: fraction of the colour, 0 to 1."""
    if 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]:
        for channel in range(3):
            before = float(picture[row, column, channel])
            value = before + (color[channel] - before) * cover
            picture[row, column, channel] = int(min(value, 255.0))
