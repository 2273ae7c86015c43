"""Draw what stands before ground and sky; compiled.

Walls and decks are parallelograms, trees, bushes and signs upright cards, both with a depth test.
Rain and snow come last: their drops are random, but those of a moment are always the same, since
its number decides their places.
"""

import math
from typing import Any

import numpy as np

from bcclone.simulator.render.surface import (
    EDGE,
    GROUND,
    OBJECT,
    RGB,
    SOURCES,
    RoadPixel,
    direction,
    drawing,
    headlight_beam,
    level_of,
    light_at,
    lit,
    mountain_road,
    put,
    seen_through,
    texel,
    weathered,
)
from bcclone.simulator.scene.plants import BUSHES, CARD_HEIGHT, CARD_WIDTH
from bcclone.simulator.scene.structures import BLACK_WALL, BRICK, DECK, RAIL, STONE
from bcclone.simulator.scene.textures import GRAIN

_CARD_NEAR_M, _BUSH_FAR_M = 1.5, 170.0
_LEAST_PX = 0.7
_OPAQUE = 128

_FACE_NEAR_M, _FACE_FAR_M = 0.3, 300.0
_CLOSER_M = 0.02  # than the pixel's present depth

_STREAKS, _FLAKES = 420, 900  # in a picture of 160 x 320 pixels, at full strength
_RAIN_COLOR, _SNOW_COLOR = (190.0, 198.0, 210.0), (250.0, 250.0, 252.0)
_RAIN_COVER, _SNOW_COVER = 0.38, 0.85  # how much a drop hides


@drawing(inline="always")
def _draw_card(eye: Any, card: Any, pictures: Any, air: Any, canvas: Any) -> None:
    """Draw the pixels of a card that are nearer than the canvas's depths."""
    axes, kind = eye.axes, int(card[5])
    rows, columns = canvas.depths.shape
    x, y, z = card[0] - eye.position[0], card[1] - eye.position[1], card[2] - eye.position[2]
    depth = axes[0, 2] * x + axes[1, 2] * y + axes[2, 2] * z
    if depth < _CARD_NEAR_M or eye.up_px * card[3] < _LEAST_PX * depth:
        return
    if depth > _BUSH_FAR_M and kind in BUSHES:
        return
    middle = (
        columns * 0.5 + eye.across_px * (axes[0, 0] * x + axes[1, 0] * y + axes[2, 0] * z) / depth
    )
    foot = rows * 0.5 - eye.up_px * (axes[0, 1] * x + axes[1, 1] * y + axes[2, 1] * z) / depth
    half, tall = eye.across_px * card[4] * 0.5 / depth, eye.up_px * card[3] / depth
    light = light_at(air, depth, headlight_beam(air, (middle - columns * 0.5) / eye.across_px))
    top, left = foot - tall, middle - half
    for row in range(max(0, int(top)), min(rows - 1, int(foot)) + 1):
        down = int(math.floor((row + 0.5 - top) / tall * CARD_HEIGHT))
        for column in range(max(0, int(left)), min(columns - 1, int(middle + half)) + 1):
            right = int(math.floor((column + 0.5 - left) / (2 * half) * CARD_WIDTH))
            inside = 0 <= down < CARD_HEIGHT and 0 <= right < CARD_WIDTH
            if (
                inside
                and canvas.depths[row, column] >= depth
                and pictures[kind, down, right, 3] >= _OPAQUE
            ):
                texel = pictures[kind, down, right]
                color = (float(texel[0]), float(texel[1]), float(texel[2]))
                put(canvas, row, column, seen_through(color, depth, air), light)
                canvas.depths[row, column], canvas.labels[row, column] = depth, OBJECT


@drawing(cache=True, sources=SOURCES)
def draw_cards(eye: Any, placements: Any, pictures: Any, air: Any, canvas: Any) -> None:
    """Draw all cards that are nearer than the canvas's depths, and update these.

    placements: float32 (cards, 6), as in Cards; pictures: RGBA uint8 (kinds, height, width, 4).
    """
    for number in range(placements.shape[0]):
        _draw_card(eye, placements[number], pictures, air, canvas)


@drawing()
def _dot(one: Any, other: Any) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


@drawing()
def _seen_box(
    corner: Any, ahead: Any, across: Any, eye: Any, canvas: Any
) -> tuple[int, int, int, int]:
    """Return the first and last row and column of a face in the picture; an empty box if it is not
    visible.
    """
    rows, columns = canvas.depths.shape
    points, cut, box = canvas.room[2:6], canvas.room[6], canvas.room[7]
    for number in range(4):
        first, second = number in (1, 2), number >= 2
        for axis in range(3):
            total = 0.0
            for part in range(3):
                total += eye.axes[part, axis] * (
                    corner[part] + first * ahead[part] + second * across[part]
                )
            points[number, axis] = total
    box[0], box[1], box[2], box[3] = 1e9, -1e9, 1e9, -1e9
    for number in range(4):
        here, there = points[number], points[(number + 1) % 4]
        if here[2] >= _FACE_NEAR_M:
            _widen(box, here, eye, rows, columns)
        if (here[2] < _FACE_NEAR_M) != (there[2] < _FACE_NEAR_M):
            fraction = (_FACE_NEAR_M - here[2]) / (there[2] - here[2])
            for axis in range(2):
                cut[axis] = here[axis] + (there[axis] - here[axis]) * fraction
            cut[2] = _FACE_NEAR_M
            _widen(box, cut, eye, rows, columns)
    top, bottom = max(int(math.floor(box[0])), 0), min(int(math.ceil(box[1])), rows - 1)
    left, right = max(int(math.floor(box[2])), 0), min(int(math.ceil(box[3])), columns - 1)
    return top, bottom, left, right


@drawing()
def _widen(box: Any, point: Any, eye: Any, rows: int, columns: int) -> None:
    """Extend a box of rows and columns to a point in front of the camera."""
    row = rows * 0.5 - eye.up_px * point[1] / point[2]
    column = columns * 0.5 + eye.across_px * point[0] / point[2]
    # clipped just outside the picture, so that it fits an integer
    row, column = min(max(row, -9.0), rows + 9.0), min(max(column, -9.0), columns + 9.0)
    box[0], box[1] = min(box[0], row), max(box[1], row)
    box[2], box[3] = min(box[2], column), max(box[3], column)


@drawing()
def _face_color(
    face: Any, along: float, across: float, pixel_m: float, surface: Any, air: Any
) -> tuple[RGB, int]:
    """Return the colour and the label of a point of a face; along, across: 0 to 1 on its edges."""
    material = int(face[9])
    u = face[10] + along * math.sqrt(face[3] ** 2 + face[4] ** 2 + face[5] ** 2)
    v = face[11] + across * math.sqrt(face[6] ** 2 + face[7] ** 2 + face[8] ** 2)
    if material == DECK:
        pixel = RoadPixel(u, v, 1.0, pixel_m, pixel_m * 6.0)
        color, label = mountain_road(pixel, surface.paint, air.line_visibility)
        if label == GROUND or air.road_visibility < 0.5:
            return lit((132.0, 126.0, 112.0), 1.0, 1.0), EDGE
        return weathered(color, pixel, surface.paint.textures, air), label
    grain = texel(
        surface.paint.textures, GRAIN, (u + 7.3) * 20.0, v * 20.0, level_of(pixel_m * 20.0)
    )
    if material == STONE:
        cap = 1.25 if across > 0.8 else 1.0
        return lit((138.0, 132.0, 116.0), (1.0 + 0.16 * grain) * cap, 0.6), OBJECT
    if material == BLACK_WALL:
        return lit(
            (40.0, 40.0, 40.0) if across > 0.95 else (10.0, 10.0, 12.0), 1.0 + 0.06 * grain, 0.8
        ), OBJECT
    if material == RAIL:
        return lit((176.0, 180.0, 184.0), 0.75 + 0.5 * across + 0.05 * grain, 0.7), OBJECT
    if material == BRICK:
        joint = pixel_m < 0.04 and abs(v * 5.0 - math.floor(v * 5.0) - 0.5) > 0.42
        return lit(
            (170.0, 160.0, 150.0) if joint else (158.0, 96.0, 74.0), 1.0 + 0.14 * grain, 0.65
        ), OBJECT
    return lit((60.0, 58.0, 54.0), 1.0 + 0.1 * grain, 0.2), OBJECT


@drawing(inline="always")
def _draw_face(
    eye: Any, face: Any, corner: Any, normal: Any, surface: Any, air: Any, canvas: Any
) -> None:
    """Draw a face where the pixels' rays meet its plane within its edges."""
    axes, ahead, across = eye.axes, face[3:6], face[6:9]
    rows, columns = canvas.depths.shape
    away = _dot(normal, corner)
    top, bottom, left, right = _seen_box(corner, ahead, across, eye, canvas)
    squared, mutual, other = _dot(ahead, ahead), _dot(ahead, across), _dot(across, across)
    spread = squared * other - mutual * mutual
    for row in range(top, bottom + 1):
        up = (rows * 0.5 - row - 0.5) / eye.up_px
        for column in range(left, right + 1):
            sideways = (column + 0.5 - columns * 0.5) / eye.across_px
            dx, dy, dz = direction(axes, sideways, up)
            facing = normal[0] * dx + normal[1] * dy + normal[2] * dz
            if abs(facing) < 1e-9:
                continue
            depth = away / facing
            if depth < _FACE_NEAR_M or depth > canvas.depths[row, column] - _CLOSER_M:
                continue
            x, y, z = dx * depth - corner[0], dy * depth - corner[1], dz * depth - corner[2]
            first = x * ahead[0] + y * ahead[1] + z * ahead[2]
            second = x * across[0] + y * across[1] + z * across[2]
            along = (first * other - second * mutual) / spread
            over = (second * squared - first * mutual) / spread
            if 0.0 <= along <= 1.0 and 0.0 <= over <= 1.0:
                color, label = _face_color(face, along, over, depth / eye.across_px, surface, air)
                light = light_at(air, depth, headlight_beam(air, sideways))
                put(canvas, row, column, seen_through(color, depth, air), light)
                canvas.depths[row, column], canvas.labels[row, column] = depth, label


@drawing(cache=True, sources=SOURCES)
def draw_faces(eye: Any, faces: Any, surface: Any, air: Any, canvas: Any) -> None:
    """Draw all faces that are nearer than the canvas's depths, and update these.

    faces: as of build_structures().
    """
    corner, normal = canvas.room[0], canvas.room[1]
    for number in range(faces.shape[0]):
        face = faces[number]
        for axis in range(3):
            corner[axis] = face[axis] - eye.position[axis]
            after, last = (axis + 1) % 3, (axis + 2) % 3
            normal[axis] = face[3 + after] * face[6 + last] - face[3 + last] * face[6 + after]
        if abs(corner[0]) < _FACE_FAR_M and abs(corner[2]) < _FACE_FAR_M:
            _draw_face(eye, face, corner, normal, surface, air, canvas)


@drawing(inline="always")
def _drawn(state: Any, choices: int) -> tuple[Any, int]:
    """Return the next state of a sequence of random numbers, and one of them below `choices`.

    A linear congruence of 64 bits (Knuth, The Art of Computer Programming, 3rd edition, section
    3.3.4: MMIX).
    """
    following = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return following, int((following >> np.uint64(33)) % np.uint64(choices))


@drawing(inline="always")
def _blend_pixel(
    picture: Any, row: int, column: int, color: tuple[float, float, float], cover: float
) -> None:
    if 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]:
        for channel in range(3):
            before = float(picture[row, column, channel])
            picture[row, column, channel] = int(
                min(before + (color[channel] - before) * cover, 255.0)
            )


@drawing(cache=True, sources=SOURCES)
def draw_drops(picture: Any, rain: float, snow: float, light: float, moment: int) -> None:
    """Draw streaks of rain and flakes of snow. rain, snow: 0 to 1; moment: its number decides the
    places.
    """
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
