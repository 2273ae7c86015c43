"""Trees, bushes and signs -> picture: upright cards, drawn where nothing nearer is; compiled."""

from typing import Any

from numba import njit

from bcclone.simulator.render.surface import put, seen_through
from bcclone.simulator.scene.plants import CARD_HEIGHT, CARD_WIDTH, Kind

_NEAR_M, _BUSH_FAR_M = 1.5, 170.0
_LEAST_PX = 0.7
_BUSH_A, _BUSH_B = int(Kind.BUSH_A), int(Kind.BUSH_B)


@njit(fastmath=True, cache=True, nogil=True)
def draw_cards(eye: Any, places: Any, pictures: Any, air: Any, canvas: Any) -> None:
    """Draw every card that is nearer than what the canvas shows, and note its depth there.

    places: float32 (cards, 6), as in Cards; pictures: RGBA uint8 (kinds, height, width, 4).
    """
    depths, axes, position, focal = canvas.depths, eye.axes, eye.position, eye.focal
    rows, columns = depths.shape
    for card in range(places.shape[0]):
        x, y, z = places[card, 0] - position[0], places[card, 1] - position[1], places[card, 2] - position[2]
        depth = axes[0, 2] * x + axes[1, 2] * y + axes[2, 2] * z
        height, width, kind = places[card, 3], places[card, 4], int(places[card, 5])
        if depth < _NEAR_M or focal * height < _LEAST_PX * depth:
            continue
        if depth > _BUSH_FAR_M and kind in (_BUSH_A, _BUSH_B):
            continue
        middle = columns * 0.5 + focal * (axes[0, 0] * x + axes[1, 0] * y + axes[2, 0] * z) / depth
        foot = rows * 0.5 - focal * (axes[0, 1] * x + axes[1, 1] * y + axes[2, 1] * z) / depth
        half, tall = focal * width * 0.5 / depth, focal * height / depth
        top, left = foot - tall, middle - half
        for row in range(max(0, int(top)), min(rows - 1, int(foot)) + 1):
            down = int((row + 0.5 - top) / tall * CARD_HEIGHT)
            if down < 0 or down >= CARD_HEIGHT:
                continue
            for column in range(max(0, int(left)), min(columns - 1, int(middle + half)) + 1):
                if depths[row, column] < depth:
                    continue
                right = int((column + 0.5 - left) / (2 * half) * CARD_WIDTH)
                if right < 0 or right >= CARD_WIDTH or pictures[kind, down, right, 3] < 128:
                    continue
                texel = pictures[kind, down, right]
                color = (float(texel[0]), float(texel[1]), float(texel[2]))
                put(canvas, row, column, seen_through(color, depth, air), air.brightness)
                depths[row, column] = depth
