"""Draw rain and snow: their strength and a moment -> drops and flakes over a picture; compiled.

The drops of a moment are random but always the same: their places are computed from its number.
"""

from typing import Any

import numpy as np

from bcclone.simulator.render.surface import SOURCES, drawing

_STREAKS, _FLAKES = 420, 900  # in a picture of 160 x 320 pixels, at full strength
_RAIN_COLOR, _SNOW_COLOR = (190.0, 198.0, 210.0), (250.0, 250.0, 252.0)
_RAIN_COVER, _SNOW_COVER = 0.38, 0.85  # how much a drop hides


@drawing(inline="always")
def _drawn(state: Any, choices: int) -> tuple[Any, int]:
    """Return the next state of a sequence of random numbers, and one of them below `choices`.

    A linear congruence of 64 bits (Knuth, The Art of Computer Programming, 3rd edition, section 3.3.4: MMIX).
    """
    following = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return following, int((following >> np.uint64(33)) % np.uint64(choices))


@drawing(inline="always")
def _blend_pixel(picture: Any, row: int, column: int, color: tuple[float, float, float], cover: float) -> None:
    if 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]:
        for channel in range(3):
            before = float(picture[row, column, channel])
            picture[row, column, channel] = int(min(before + (color[channel] - before) * cover, 255.0))


@drawing(cache=True, sources=SOURCES)
def draw_drops(picture: Any, rain: float, snow: float, light: float, moment: int) -> None:
    """Draw streaks of rain and flakes of snow. rain, snow: 0 to 1; moment: its number decides the places."""
    rows, columns = picture.shape[0], picture.shape[1]
    scale, size = rows / 160.0, rows * columns / 51200.0
    shade = min(max(light, 0.25), 1.0)
    state = np.uint64(moment) * np.uint64(2862933555777941757) + np.uint64(3037000493)
    wet = (_RAIN_COLOR[0] * shade, _RAIN_COLOR[1] * shade, _RAIN_COLOR[2] * shade)
    for _ in range(int(_STREAKS * rain * size)):
        state, column = _drawn(state, columns)
        state, row = _drawn(state, rows)
        state, longer = _drawn(state, 13)
        for step in range(max(int((5.0 + longer) * scale), 1)):
            _blend_pixel(picture, row + step, column + int(0.2 * step), wet, _RAIN_COVER)
    white = (_SNOW_COLOR[0] * shade, _SNOW_COLOR[1] * shade, _SNOW_COLOR[2] * shade)
    for _ in range(int(_FLAKES * snow * size)):
        state, column = _drawn(state, columns)
        state, row = _drawn(state, rows)
        state, far = _drawn(state, 6)
        side = 2 if far == 0 and scale >= 0.75 else 1
        for down in range(side):
            for right in range(side):
                _blend_pixel(picture, row + down, column + right, white, _SNOW_COVER)
