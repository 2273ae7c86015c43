"""Draw trees, bushes and signs: upright cards that face the camera; compiled.

In: a camera, a scene's cards with their pictures, and a canvas that has the ground. Out: the same
canvas, changed in place: colours, depths and labels of the pixels where a card is nearer than what
was drawn before.
"""

import math
from typing import Any, NamedTuple

from bcclone.simulator.render.surface import (
    OBJECT,
    SOURCES_CHECKSUM,
    drawing,
    headlight_beam,
    light_at,
    set_pixel,
    through_fog,
)
from bcclone.simulator.scene.card_pictures import BUSHES, CARD_HEIGHT, CARD_WIDTH

_NEAR_M = 1.5  # a nearer card would fill the picture, and is not drawn
_BUSHES_TO_M = 170.0  # a bush that is farther away is not drawn
_MIN_PX = 0.7  # a card that is less high in the picture is not drawn
_OPAQUE = 128  # smallest alpha, of 255, of a texel that is drawn; the others are holes


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def draw_cards(eye: Any, placements: Any, pictures: Any, air: Any, canvas: Any) -> None:
    """Draw what the cards show nearer than the canvas's depths, and update depths and labels.

    placements: a card in each row, as in Cards, float32 (cards, 6)
    pictures: the picture of each kind of card, RGBA uint8 (kinds, CARD_HEIGHT, CARD_WIDTH, 4)
    """
    for number in range(placements.shape[0]):
        _draw_card(eye, placements[number], pictures, air, canvas)


class _Rectangle(NamedTuple):
    """A card's place in the picture, in pixels from the top left."""

    top: float
    foot: float
    left: float
    right: float
    height: float
    width: float


@drawing(inline="always")
def _draw_card(eye: Any, card: Any, pictures: Any, air: Any, canvas: Any) -> None:
    """Draw the pixels of a card that are nearer than the canvas's depths."""
    height_m = card[3]
    width_m = card[4]
    kind = int(card[5])

    # from the camera to the card's foot, in the world's directions; then how far it is ahead
    axes = eye.axes
    x = card[0] - eye.position[0]
    y = card[1] - eye.position[1]
    z = card[2] - eye.position[2]
    depth = axes[0, 2] * x + axes[1, 2] * y + axes[2, 2] * z
    if depth < _NEAR_M or eye.focal_up_px * height_m < _MIN_PX * depth:
        return
    if depth > _BUSHES_TO_M and kind in BUSHES:
        return

    # where the card is in the picture
    rows, columns = canvas.depths_m.shape
    right_m = axes[0, 0] * x + axes[1, 0] * y + axes[2, 0] * z
    up_m = axes[0, 1] * x + axes[1, 1] * y + axes[2, 1] * z
    middle = columns * 0.5 + eye.focal_across_px * right_m / depth
    foot = rows * 0.5 - eye.focal_up_px * up_m / depth
    height = eye.focal_up_px * height_m / depth
    half = eye.focal_across_px * width_m * 0.5 / depth
    box = _Rectangle(foot - height, foot, middle - half, middle + half, height, 2 * half)

    # the card faces the camera, so all of it is equally far away and equally lit
    beam = headlight_beam(air, (middle - columns * 0.5) / eye.focal_across_px)
    light = light_at(air, depth, beam)
    _paint(box, depth, light, pictures[kind], air, canvas)


@drawing(inline="always")
def _paint(box: Any, depth: float, light: float, texels: Any, air: Any, canvas: Any) -> None:
    """Paint a card's texels into its rectangle. texels: RGBA, (CARD_HEIGHT, CARD_WIDTH, 4)."""
    rows, columns = canvas.depths_m.shape
    for row in range(max(0, int(box.top)), min(rows - 1, int(box.foot)) + 1):
        # the row of the card's texel; right is its column
        down = int(math.floor((row + 0.5 - box.top) / box.height * CARD_HEIGHT))
        for column in range(max(0, int(box.left)), min(columns - 1, int(box.right)) + 1):
            right = int(math.floor((column + 0.5 - box.left) / box.width * CARD_WIDTH))
            inside = 0 <= down < CARD_HEIGHT and 0 <= right < CARD_WIDTH
            if (
                inside
                and canvas.depths_m[row, column] >= depth
                and texels[down, right, 3] >= _OPAQUE
            ):
                texel = texels[down, right]
                color = (float(texel[0]), float(texel[1]), float(texel[2]))
                set_pixel(canvas, row, column, through_fog(color, depth, air), light)
                canvas.depths_m[row, column] = depth
                canvas.labels[row, column] = OBJECT
