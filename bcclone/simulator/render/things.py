"""Draw what stands on the ground, then rain and snow, on a canvas that has the ground; compiled.

draw_faces() draws walls, decks and houses: parallelograms in the world. draw_cards() draws trees,
bushes and signs: upright cards that face the camera. Both change colours, depths and labels of the
pixels where something is nearer than what was drawn before. draw_drops() comes last.

Frames of reference: the *world* has x to the east, y up, z to the north; the *camera* has right, up
and ahead. Positions are metres from the camera in both; they differ in the axes.
"""

import math
from typing import Any

import numpy as np

from bcclone.simulator.render.road import (
    MOUNTAIN_STAINS_A_METRE,
    RoadPixel,
    asphalt,
    mountain_road,
    stains,
    weathered,
)
from bcclone.simulator.render.surface import (
    EDGE,
    GROUND,
    OBJECT,
    RGB,
    SOURCES_CHECKSUM,
    Number,
    drawing,
    level_of,
    light_at,
    lit,
    show,
    texel,
)
from bcclone.simulator.scene.plants import BUSHES, CARD_HEIGHT, CARD_WIDTH
from bcclone.simulator.scene.structures import BLACK_WALL, BRICK, DECK, RAIL, STONE
from bcclone.simulator.scene.textures import GRAIN

# ---- faces


_NEAR_M = 0.3  # nothing nearer to the camera is drawn
_FAR_M = 300.0  # a face whose corner is farther away, in x or in z, is not drawn
# a face is drawn where it is at least this much nearer than the pixel's present depth, so that of
# two faces at the same depth the first one stays
_CLOSER_M = 0.02

_Point = tuple[float, float, float]
_Box = tuple[float, float, float, float]  # top, bottom, left and right: pixels from the top left


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def draw_faces(eye: Any, faces: Any, surface: Any, air: Any, canvas: Any) -> None:
    """Draw what the faces show nearer than the canvas's depths, and update depths and labels.

    faces: as build_structures() returns them, (faces, 12)
    """
    for number in range(faces.shape[0]):
        face = faces[number]
        x = face[0] - eye.position[0]
        z = face[2] - eye.position[2]
        if abs(x) < _FAR_M and abs(z) < _FAR_M:
            _draw_face(eye, face, (x, face[1] - eye.position[1], z), surface, air, canvas)


@drawing(inline="always")
def _draw_face(eye: Any, face: Any, corner: _Point, surface: Any, air: Any, canvas: Any) -> None:
    """Draw a face where the pixels' lines of sight meet its plane between its edges."""
    rows, columns = canvas.depths_m.shape
    axes = eye.axes
    # the edges that lead away from the corner, and the normal, which is upright on both
    first = (face[3], face[4], face[5])
    second = (face[6], face[7], face[8])
    normal = (
        first[1] * second[2] - first[2] * second[1],
        first[2] * second[0] - first[0] * second[2],
        first[0] * second[1] - first[1] * second[0],
    )
    # the face's plane: all points of it have the same product, normal * point = plane
    plane = _dot(normal, corner)
    # these products resolve a point of the plane into its parts along both edges (Cramer's rule)
    first_first = _dot(first, first)
    first_second = _dot(first, second)
    second_second = _dot(second, second)
    determinant = first_first * second_second - first_second * first_second

    box = _seen_box(corner, first, second, eye, rows, columns)
    for row in range(max(int(math.floor(box[0])), 0), min(int(math.ceil(box[1])), rows - 1) + 1):
        up = (rows * 0.5 - row - 0.5) / eye.focal_up_px
        last = min(int(math.ceil(box[3])), columns - 1)
        for column in range(max(int(math.floor(box[2])), 0), last + 1):
            # the pixel's line of sight in the world, of length 1 along the camera's axis
            across = (column + 0.5 - columns * 0.5) / eye.focal_across_px
            sight = (
                axes[0, 0] * across + axes[0, 1] * up + axes[0, 2],
                axes[1, 0] * across + axes[1, 1] * up + axes[1, 2],
                axes[2, 0] * across + axes[2, 1] * up + axes[2, 2],
            )
            # the depth at which the line of sight meets the plane; nowhere, if they are parallel
            facing = _dot(normal, sight)
            if abs(facing) < 1e-9:
                continue
            depth = plane / facing
            if depth < _NEAR_M or depth > canvas.depths_m[row, column] - _CLOSER_M:
                continue

            # where the line of sight meets the face: 0 to 1 along each edge
            met = (
                sight[0] * depth - corner[0],
                sight[1] * depth - corner[1],
                sight[2] * depth - corner[2],
            )
            on_first = _dot(met, first)
            on_second = _dot(met, second)
            along_first = (on_first * second_second - on_second * first_second) / determinant
            along_second = (on_second * first_first - on_first * first_second) / determinant
            if 0.0 <= along_first <= 1.0 and 0.0 <= along_second <= 1.0:
                u = face[10] + along_first * math.sqrt(first_first)
                v = face[11] + along_second * math.sqrt(second_second)
                width_m = depth / eye.focal_across_px
                color, label = _face_color(int(face[9]), u, v, along_second, width_m, surface, air)
                light = light_at(air, depth, across)
                show(canvas, row, column, color, label, depth, light, air)


@drawing()
def _dot(left: _Point, right: _Point) -> float:
    return left[0] * right[0] + left[1] * right[1] + left[2] * right[2]


@drawing()
def _seen_box(
    corner: _Point, first: _Point, second: _Point, eye: Any, rows: int, columns: int
) -> _Box:
    """Return where a face is in the picture; empty, if it cannot be seen."""
    opposite = _plus(_plus(corner, first), second)
    corners = (
        _in_camera(corner, eye.axes),
        _in_camera(_plus(corner, first), eye.axes),
        _in_camera(opposite, eye.axes),
        _in_camera(_plus(corner, second), eye.axes),
    )
    # an empty box, which the corners widen
    box = (1e9, -1e9, 1e9, -1e9)
    for number in range(4):
        here = corners[number]
        there = corners[(number + 1) % 4]
        if here[2] >= _NEAR_M:
            box = _widened(box, here, eye, rows, columns)
        # an edge from ahead of the camera to behind it counts only up to _NEAR_M ahead
        if (here[2] < _NEAR_M) != (there[2] < _NEAR_M):
            fraction = (_NEAR_M - here[2]) / (there[2] - here[2])
            cut = (
                here[0] + (there[0] - here[0]) * fraction,
                here[1] + (there[1] - here[1]) * fraction,
                _NEAR_M,
            )
            box = _widened(box, cut, eye, rows, columns)
    return box


@drawing()
def _plus(point: _Point, edge: _Point) -> _Point:
    return point[0] + edge[0], point[1] + edge[1], point[2] + edge[2]


@drawing()
def _in_camera(point: _Point, axes: Any) -> _Point:
    """Return a point along the camera's axes. point: along the world's axes."""
    return (
        axes[0, 0] * point[0] + axes[1, 0] * point[1] + axes[2, 0] * point[2],
        axes[0, 1] * point[0] + axes[1, 1] * point[1] + axes[2, 1] * point[2],
        axes[0, 2] * point[0] + axes[1, 2] * point[1] + axes[2, 2] * point[2],
    )


@drawing()
def _widened(box: _Box, point: _Point, eye: Any, rows: int, columns: int) -> _Box:
    """Return a box extended to a point ahead of the camera. point: along the camera's axes."""
    row = rows * 0.5 - eye.focal_up_px * point[1] / point[2]
    column = columns * 0.5 + eye.focal_across_px * point[0] / point[2]
    # a point far outside is moved to just outside the picture, so that its row fits an integer
    row = min(max(row, -9.0), rows + 9.0)
    column = min(max(column, -9.0), columns + 9.0)
    return min(box[0], row), max(box[1], row), min(box[2], column), max(box[3], column)


_CONCRETE = (132.0, 126.0, 112.0)  # colour of the mountain's bridge beside the road on it
_STONE_COLOR = (138.0, 132.0, 116.0)
_BLACK_COLOR = (10.0, 10.0, 12.0)
_BLACK_CAP = (40.0, 40.0, 40.0)
_RAIL_COLOR = (176.0, 180.0, 184.0)
_BRICK_COLOR = (158.0, 96.0, 74.0)
_JOINT_COLOR = (170.0, 160.0, 150.0)
_DARK_COLOR = (60.0, 58.0, 54.0)
_COURSES_A_METRE = 5.0  # rows of bricks in a metre of height
_JOINTS_TO_M = 0.04  # a wider pixel shows no joints


@drawing()
def _face_color(
    material: int, u: float, v: float, height: float, width_m: float, surface: Any, air: Any
) -> tuple[RGB, int]:
    """Return the colour and the label of a point of a face.

    u, v: metres along the first and the second edge, or where the face's texture begins
    height: 0 at the wall's foot, 1 at its top
    width_m: width of a pixel on the face
    """
    textures = surface.paint.textures
    if material == DECK:
        return _deck_color(u, v, width_m, textures, air)
    # every material has a fixed sunlight, the last value of lit(): walls have no shadows
    level = level_of(np.float32(width_m * 20.0))
    grain = texel(textures, GRAIN, np.float32((u + 7.3) * 20.0), np.float32(v * 20.0), level)
    if material == STONE:
        cap = 1.25 if height > 0.8 else 1.0
        return lit(_STONE_COLOR, (1.0 + 0.16 * grain) * cap, 0.6), OBJECT
    if material == BLACK_WALL:
        color = _BLACK_CAP if height > 0.95 else _BLACK_COLOR
        return lit(color, 1.0 + 0.06 * grain, 0.8), OBJECT
    if material == RAIL:
        return lit(_RAIL_COLOR, 0.75 + 0.5 * height + 0.05 * grain, 0.7), OBJECT
    if material == BRICK:
        course = v * _COURSES_A_METRE
        joint = width_m < _JOINTS_TO_M and abs(course - math.floor(course) - 0.5) > 0.42
        color = _JOINT_COLOR if joint else _BRICK_COLOR
        return lit(color, 1.0 + 0.14 * grain, 0.65), OBJECT
    return lit(_DARK_COLOR, 1.0 + 0.1 * grain, 0.2), OBJECT


@drawing()
def _deck_color(
    along_m: Number, cross_m: Number, width_m: Number, textures: Any, air: Any
) -> tuple[RGB, int]:
    """Return the colour and the label of the mountain's bridge: road, and concrete beside it.

    along_m, cross_m: metres along the track, and to the right of its middle
    """
    along_m = np.float32(along_m)
    cross_m = np.float32(cross_m)
    width_m = np.float32(width_m)
    # the deck is seen at a flat angle, so a pixel is taken to be six times as long as wide
    length_m = np.float32(width_m * 6.0)
    size_m = np.float32(width_m * math.sqrt(6.0))
    fine = asphalt(along_m, cross_m, width_m, length_m, textures)
    broad = stains(along_m, cross_m, size_m, MOUNTAIN_STAINS_A_METRE, textures)
    pixel = RoadPixel(along_m, cross_m, np.float32(1.0), width_m, length_m, size_m, fine, broad)
    color, label = mountain_road(pixel, air.line_visibility)
    if label == GROUND:
        return lit(_CONCRETE, 1.0, 1.0), EDGE
    return weathered(color, pixel, textures, air), label


# ---- cards


_NEAR_CARD_M = 1.5  # a nearer card would fill the picture, and is not drawn
_BUSHES_TO_M = 170.0  # a bush that is farther away is not drawn
_MIN_PX = 0.7  # a card that is less high in the picture is not drawn
_OPAQUE = 128  # smallest alpha, of 255, of a texel that is drawn; the others are holes


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def draw_cards(eye: Any, placements: Any, pictures: Any, air: Any, canvas: Any) -> None:
    """Draw what the cards show nearer than the canvas's depths, and update depths and labels.

    placements: a card in each row, as in Cards, float32 (cards, 6)
    pictures: the picture of each kind of card, RGBA uint8 (kinds, CARD_HEIGHT, CARD_WIDTH, 4)
    """
    rows, columns = canvas.depths_m.shape
    axes = eye.axes
    for number in range(placements.shape[0]):
        card = placements[number]
        height_m = card[3]
        kind = int(card[5])
        # from the camera to the card's foot, in the world's directions; then how far it is ahead
        x = card[0] - eye.position[0]
        y = card[1] - eye.position[1]
        z = card[2] - eye.position[2]
        depth = axes[0, 2] * x + axes[1, 2] * y + axes[2, 2] * z
        if depth < _NEAR_CARD_M or eye.focal_up_px * height_m < _MIN_PX * depth:
            continue
        if depth > _BUSHES_TO_M and kind in BUSHES:
            continue

        # where the card is in the picture, in pixels from the top left
        right_m = axes[0, 0] * x + axes[1, 0] * y + axes[2, 0] * z
        up_m = axes[0, 1] * x + axes[1, 1] * y + axes[2, 1] * z
        middle = columns * 0.5 + eye.focal_across_px * right_m / depth
        foot = rows * 0.5 - eye.focal_up_px * up_m / depth
        height = eye.focal_up_px * height_m / depth
        half = eye.focal_across_px * card[4] * 0.5 / depth

        # the card faces the camera, so all of it is equally far away and equally lit
        light = light_at(air, depth, (middle - columns * 0.5) / eye.focal_across_px)
        box = (foot - height, foot, middle - half, middle + half)
        _paint(box, height, 2 * half, depth, light, pictures[kind], air, canvas)


@drawing(inline="always")
def _paint(
    box: _Box,
    height: float,
    width: float,
    depth: float,
    light: float,
    texels: Any,
    air: Any,
    canvas: Any,
) -> None:
    """Paint a card into its box. texels: RGBA, (CARD_HEIGHT, CARD_WIDTH, 4)."""
    top, foot, left, right = box
    rows, columns = canvas.depths_m.shape
    for row in range(max(0, int(top)), min(rows - 1, int(foot)) + 1):
        # row and column of the card's texel
        down = int(math.floor((row + 0.5 - top) / height * CARD_HEIGHT))
        for column in range(max(0, int(left)), min(columns - 1, int(right)) + 1):
            across = int(math.floor((column + 0.5 - left) / width * CARD_WIDTH))
            inside = 0 <= down < CARD_HEIGHT and 0 <= across < CARD_WIDTH
            if (
                inside
                and canvas.depths_m[row, column] >= depth
                and texels[down, across, 3] >= _OPAQUE
            ):
                texel = texels[down, across]
                color = (float(texel[0]), float(texel[1]), float(texel[2]))
                show(canvas, row, column, color, OBJECT, depth, light, air)


# ---- rain and snow


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
    """Draw streaks of rain and flakes of snow; the same moment always shows the same drops.

    picture: RGB uint8 (rows, columns, 3)
    rain, snow: 0 to 1
    light: brightness of things near the camera; 1 is daylight
    """
    rows = picture.shape[0]
    columns = picture.shape[1]
    scale = rows / 160.0
    size = rows * columns / _PIXELS
    shade = min(max(light, _DARKEST), 1.0)
    # neighbouring moments begin far apart in the sequence of random numbers
    state = np.uint64(moment) * np.uint64(2862933555777941757) + np.uint64(3037000493)

    # streaks, which slant a pixel to the right every five rows
    wet = (_RAIN_COLOR[0] * shade, _RAIN_COLOR[1] * shade, _RAIN_COLOR[2] * shade)
    for _ in range(int(_STREAKS * rain * size)):
        state, column = _drawn(state, columns)
        state, row = _drawn(state, rows)
        state, longer = _drawn(state, 13)
        for step in range(max(int((5.0 + longer) * scale), 1)):
            _blend_pixel(picture, row + step, column + int(0.2 * step), wet, _RAIN_COVER)

    # flakes: every sixth is near, and two pixels wide
    white = (_SNOW_COLOR[0] * shade, _SNOW_COLOR[1] * shade, _SNOW_COLOR[2] * shade)
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


@drawing(inline="always")
def _blend_pixel(picture: Any, row: int, column: int, color: RGB, cover: float) -> None:
    """Mix a colour into a pixel that lies in the picture. cover: fraction of the colour, 0 to 1."""
    if 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]:
        for channel in range(3):
            before = float(picture[row, column, channel])
            value = before + (color[channel] - before) * cover
            picture[row, column, channel] = int(min(value, 255.0))
