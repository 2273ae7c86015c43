"""Draw trees, bushes and signs, as upright cards with a depth test; compiled."""

import math
from typing import Any

from bcclone.simulator.render.compiled import SOURCES, compiled, entry
from bcclone.simulator.render.surface import put, seen_through
from bcclone.simulator.scene.plants import CARD_HEIGHT, CARD_WIDTH, Kind

_NEAR_M, _BUSH_FAR_M = 1.5, 170.0
_LEAST_PX = 0.7
_OPAQUE = 128
_BUSH_A, _BUSH_B = int(Kind.BUSH_A), int(Kind.BUSH_B)


@compiled(inline=True)
def _draw_card(eye: Any, card: Any, pictures: Any, air: Any, canvas: Any) -> None:
    """Draw the pixels of a card that are nearer than the canvas's depths."""
    axes, focal, kind = eye.axes, eye.focal, int(card[5])
    rows, columns = canvas.depths.shape
    x, y, z = card[0] - eye.position[0], card[1] - eye.position[1], card[2] - eye.position[2]
    depth = axes[0, 2] * x + axes[1, 2] * y + axes[2, 2] * z
    if depth < _NEAR_M or focal * card[3] < _LEAST_PX * depth or (depth > _BUSH_FAR_M and kind in (_BUSH_A, _BUSH_B)):
        return
    middle = columns * 0.5 + focal * (axes[0, 0] * x + axes[1, 0] * y + axes[2, 0] * z) / depth
    foot = rows * 0.5 - focal * (axes[0, 1] * x + axes[1, 1] * y + axes[2, 1] * z) / depth
    half, tall = focal * card[4] * 0.5 / depth, focal * card[3] / depth
    top, left = foot - tall, middle - half
    for row in range(max(0, int(top)), min(rows - 1, int(foot)) + 1):
        down = int(math.floor((row + 0.5 - top) / tall * CARD_HEIGHT))
        for column in range(max(0, int(left)), min(columns - 1, int(middle + half)) + 1):
            right = int(math.floor((column + 0.5 - left) / (2 * half) * CARD_WIDTH))
            inside = 0 <= down < CARD_HEIGHT and 0 <= right < CARD_WIDTH
            if inside and canvas.depths[row, column] >= depth and pictures[kind, down, right, 3] >= _OPAQUE:
                texel = pictures[kind, down, right]
                color = (float(texel[0]), float(texel[1]), float(texel[2]))
                put(canvas, row, column, seen_through(color, depth, air), air.brightness)
                canvas.depths[row, column] = depth


def _make_draw_cards(sources: int) -> Any:
    @entry()
    def draw_cards(eye: Any, placements: Any, pictures: Any, air: Any, canvas: Any) -> None:
        """Draw all cards that are nearer than the canvas's depths, and update these.

        placements: float32 (cards, 6), as in Cards; pictures: RGBA uint8 (kinds, height, width, 4).
        """
        if not sources:
            return
        for number in range(placements.shape[0]):
            _draw_card(eye, placements[number], pictures, air, canvas)

    return draw_cards


draw_cards = _make_draw_cards(SOURCES)
