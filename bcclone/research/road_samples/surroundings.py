"""Choose what a road looks like, and what is around it: random numbers -> `Surroundings`, which
painting.py paints.

Colours are RGB, 0 to 255. Textures are noise, made of no one's pictures.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bcclone.research.road_samples.drawn_road import (
    REFERENCE_M,
    DrawnRoad,
    chance,
    log_uniform,
    random_side,
)
from bcclone.system.arrays import FloatArray, Random
from bcclone.system.exact_math import cosine, sine

Color = tuple[float, float, float]


class Band(NamedTuple):
    """A strip along the road: its surface, a shoulder, or a line."""

    start_m: float  # left side, in metres to the right of the road's middle
    end_m: float  # right side
    red: float
    green: float
    blue: float
    dash_m: float  # length of a dash and a gap together; 0 for no dashes
    phase_m: float  # shift of the dashes along the road
    grain: float  # strength of the band's finest texture


class Mark(NamedTuple):
    """A straight line on the ground: a joint, tape or a cable."""

    normal_right: float  # the line's unit normal, to the right and ahead
    normal_ahead: float
    distance_m: float  # from the camera, along the normal
    half_m: float  # half of the line's width
    red: float
    green: float
    blue: float


class Box(NamedTuple):
    """An upright thing that faces the camera."""

    right_m: float  # the thing's middle, to the right and ahead
    ahead_m: float
    half_m: float  # half of the thing's width
    top_m: float  # height of its upper edge above the road
    red: float
    green: float
    blue: float
    bottom_m: float  # height of its lower edge above the road
    texture_scale: float  # half wavelengths of its texture in a metre
    texture: float  # strength of its texture


class Scenery(NamedTuple):
    """Ground, light and sky."""

    camera_m: float  # height of the camera
    ground_curvature: float  # in the car's direction, in 1/m, positive in a dip
    ground: Color
    grain: float  # strength of the ground's fine texture
    patch_m: float  # half a wavelength of its coarse texture
    patch: float  # strength of its coarse texture
    light: float  # factor of the light: below 1 in shadows, above 1 in glare; 0 for neither
    light_across_m: float  # half a wavelength of the shadows or the glare, to the right
    light_along_m: float  # the same, ahead
    light_from: float  # value of the noise, about -1.6 to 1.6, from which the ground is in shadow
    light_slope: float  # how sharp the shadows' edges are
    haze: Color  # the horizon's colour
    zenith: Color  # colour of the sky or the ceiling overhead
    haze_m: float  # the distance from which the ground is haziest
    haze_most: float  # the fraction of haze in the ground's colour there


class Surroundings(NamedTuple):
    """What is painted. The arrays have a row for each thing, with the fields of its class."""

    bands: FloatArray  # rows of Band; later ones lie over earlier ones
    marks: FloatArray  # rows of Mark
    boxes: FloatArray  # rows of Box, far ones first
    scenery: Scenery
    seed: int  # seed of the textures


# Smallest contrasts: differences in at least one colour channel
_LEAST_CONTRAST = 25.0  # between road and ground, so that a network can tell them apart
_LEAST_FLOOR_CONTRAST = 50.0  # between lines and floor, where only the lines show the road


def draw_surroundings(random: Random, road: DrawnRoad, line: FloatArray) -> Surroundings:
    """Return the look of a road. line: the road's middle as the car sees it, as in DrawnPlace."""
    # a road in the colour of the ground beside it could not be seen, so that both are chosen again
    ground = _color(random, 15, 235, 0.4)
    surface = _color(random, 15, 190, 0.15)
    while not road.floor and float(np.abs(ground - surface).max()) < _LEAST_CONTRAST:
        ground = _color(random, 15, 235, 0.4)
        surface = _color(random, 15, 190, 0.15)

    # half of the floors are smooth, as in a room
    indoor = road.floor
    if not road.floor:
        indoor = chance(random, 0.25)
    most_grain = 0.35
    if road.floor and chance(random, 0.5):
        most_grain = 0.06
    grain = random.uniform(0.0, most_grain)

    # each of these takes the next random numbers, so the order decides what a seed means
    if road.floor:
        surface = ground
    bands = _draw_bands(random, road, surface)
    marks = _draw_marks(random, road.floor)
    boxes = _table(_draw_boxes(random, line, road.width_m / 2, indoor), Box)
    scenery = _draw_scenery(random, ground, grain, indoor)
    return Surroundings(
        bands=_table(bands, Band),
        marks=_table(marks, Mark),
        boxes=_far_ones_first(boxes),
        scenery=scenery,
        seed=int(random.integers(1 << 30)),
    )


def _table(rows: Sequence[tuple[float, ...]], kind: type[Band | Mark | Box]) -> FloatArray:
    """Return rows as an array with the right number of columns, also if there are none."""
    return np.array(rows, float).reshape(-1, len(kind._fields))


def _far_ones_first(boxes: FloatArray) -> FloatArray:
    """Return the boxes more than a metre ahead, in the order in which they are painted."""
    ahead_m = boxes[:, Box._fields.index("ahead_m")]
    boxes = boxes[ahead_m > 1.0]
    ahead_m = ahead_m[ahead_m > 1.0]
    return boxes[np.argsort(-ahead_m, kind="stable")]


def _color(random: Random, low: float, high: float, tint: float) -> FloatArray:
    """Return a random grey from low to high, each channel of it changed at random.

    tint: largest change of a channel, as a fraction of the grey
    """
    grey = random.uniform(low, high)
    channels = 1.0 + tint * (random.random(3) * 2 - 1)
    return np.clip(grey * channels, 0.0, 255.0)


def _yellow(random: Random) -> FloatArray:
    red = random.uniform(170, 250)
    green = random.uniform(120, 215)
    blue = random.uniform(0, 90)
    return np.array([red, green, blue])


def _paint(random: Random) -> FloatArray:
    """Return a random colour of lines: mostly white or yellow."""
    kind = random.random()
    if kind < 0.6:
        return _color(random, 150, 250, 0.06)
    if kind < 0.85:
        return _yellow(random)
    return _color(random, 5, 250, 0.8)


def _visible_paint(random: Random, floor: FloatArray) -> FloatArray:
    """Return a random colour of lines that differs enough from the floor's."""
    while True:
        paint = _paint(random)
        if float(np.abs(paint - floor).max()) >= _LEAST_FLOOR_CONTRAST:
            return paint


def _band(
    random: Random,
    span_m: tuple[float, float],
    color: FloatArray,
    *,
    dash_m: float = 0.0,
    grain: float = 0.05,
) -> Band:
    """Return a band whose dashes begin anywhere. span_m: its left and right side."""
    phase_m = 50 * random.random()
    return Band(*span_m, *_tuple(color), dash_m, phase_m, grain)


def _draw_bands(random: Random, road: DrawnRoad, surface: FloatArray) -> list[Band]:
    """Return the road's surface, shoulders or kerbs, and lines."""
    bands = []
    if not road.floor:
        bands += _draw_surface(random, road.width_m / 2, surface)

    # lines are wide enough to be seen, and narrow enough to leave a road between them
    narrowest_m = 0.08
    if road.floor:
        narrowest_m = 0.2
    line_m = min(log_uniform(random, narrowest_m, 0.6), 0.1 * road.width_m)
    if road.floor:
        paint = _visible_paint(random, surface)
    else:
        paint = _paint(random)

    # the lines at the edges may lie a little inside the edges
    edge_m = road.width_m / 2
    if chance(random, 0.7):
        edge_m -= random.uniform(0.0, 0.08) * road.width_m

    # two lanes mostly have a line between them, and a floor always has lines
    has_edges = chance(random, 0.75)
    middle_share = 0.45
    if road.lanes == 2:
        middle_share = 0.93
    has_middle = chance(random, middle_share)
    if has_edges or (road.floor and not has_middle):
        bands += _draw_edge_lines(random, edge_m, line_m, paint)
    if has_middle:
        bands += _draw_middle_line(random, line_m, paint)
    return bands


def _draw_surface(random: Random, half_m: float, surface: FloatArray) -> list[Band]:
    """Return the surface of a road, and shoulders or dashed kerbs beside it."""
    bands = []
    if chance(random, 0.6):
        beyond_m = half_m + log_uniform(random, 0.15, 2.5)
        color = _color(random, 30, 235, 0.2)
        dash_m = 0.0
        if chance(random, 0.15):
            dash_m = random.uniform(0.5, 3.0)
        bands.append(_band(random, (-beyond_m, -half_m), color, dash_m=dash_m))
        bands.append(_band(random, (half_m, beyond_m), color, dash_m=dash_m))
    grain = random.uniform(0.0, 0.25)
    bands.append(_band(random, (-half_m, half_m), surface, grain=grain))
    return bands


def _draw_edge_lines(random: Random, edge_m: float, line_m: float, paint: FloatArray) -> list[Band]:
    """Return the lines at the road's edges; sometimes only one of the two."""
    bands = []
    dash_m = 0.0
    if chance(random, 0.1):
        dash_m = random.uniform(2.0, 8.0)
    only = random.random()  # below 0.12 only the right line, from 0.88 on only the left one
    if only > 0.12:
        bands.append(_band(random, (-edge_m, -edge_m + line_m), paint, dash_m=dash_m))
    if only < 0.88:
        bands.append(_band(random, (edge_m - line_m, edge_m), paint, dash_m=dash_m))
    return bands


def _draw_middle_line(random: Random, line_m: float, paint: FloatArray) -> list[Band]:
    """Return the line in the middle: single or double, in the edges' colour or in yellow."""
    color = paint
    if not chance(random, 0.5):
        color = _yellow(random)
    dash_m = 0.0
    if chance(random, 0.45):
        dash_m = random.uniform(2.0, 14.0)
    middles_m = [0.0]
    if chance(random, 0.25):
        middles_m = [-line_m, line_m]
    bands = []
    for middle_m in middles_m:
        span_m = (middle_m - line_m / 2, middle_m + line_m / 2)
        bands.append(_band(random, span_m, color, dash_m=dash_m))
    return bands


def _draw_marks(random: Random, floor: bool) -> list[Mark]:
    """Return the joints, tape and cables on the ground; most floors have some, most roads none."""
    share = 0.15
    if floor:
        share = 0.6
    if not chance(random, share):
        return []
    marks = []
    for _ in range(int(random.integers(1, 5))):
        angle = random.uniform(0.0, 2 * math.pi)
        distance_m = random.uniform(-3.0, 12.0)
        half_m = log_uniform(random, 0.02, 0.15)
        color = _color(random, 5, 200, 0.2)
        marks.append(Mark(cosine(angle), sine(angle), distance_m, half_m, *_tuple(color)))
    return marks


def _draw_boxes(random: Random, line: FloatArray, half_m: float, indoor: bool) -> list[Box]:
    """Return everything that stands upright.

    line: the road's middle, as in DrawnPlace
    half_m: half of the road's width
    """
    boxes = _draw_background(random, indoor)
    ahead = line[line[:, 4] > 1.5]  # points of the road's middle more than 1.5 m ahead of the car
    boxes += _draw_roadside(random, ahead, half_m)
    if chance(random, 0.2):
        boxes.append(_draw_other_car(random, ahead, half_m))
    if chance(random, 0.25):
        boxes += _draw_rails(random, ahead, half_m)
    return boxes


def _draw_background(random: Random, indoor: bool) -> list[Box]:
    """Return far walls and windows, or houses and hills."""
    boxes = []
    for _ in range(int(random.integers(0, 9))):
        if indoor:
            away_m = random.uniform(8.0, 30.0)
        else:
            away_m = random.uniform(60.0, 300.0)
        right_m = away_m * random.uniform(-1.6, 1.6)
        half_m = away_m * random.uniform(0.03, 0.6)
        texture_scale = random.uniform(2.0, 30.0) / away_m
        texture = random.uniform(0.0, 0.7)
        top_m = away_m * random.uniform(0.02, 0.35)
        color = _color(random, 5, 230, 0.35)
        box = Box(right_m, away_m, half_m, top_m, *_tuple(color), 0.0, texture_scale, texture)
        boxes.append(box)
    return boxes


def _draw_roadside(random: Random, ahead: FloatArray, road_half_m: float) -> list[Box]:
    """Return trees, poles, furniture and legs beside the road."""
    boxes = []
    for _ in range(int(random.integers(0, 16))):
        point = ahead[int(random.integers(len(ahead) * 3 // 4))]
        half_m = log_uniform(random, 0.05, 2.5)
        top_m = log_uniform(random, 0.3, 9.0)
        side = random_side(random)
        offset_m = side * (road_half_m + half_m + log_uniform(random, 0.2, 25.0))
        bottom_m = 0.0
        if chance(random, 0.3):  # a crown, a sign, a table
            bottom_m = random.uniform(0.0, 0.8) * top_m
        texture_scale = random.uniform(0.5, 8.0)
        texture = random.uniform(0.0, 0.6)
        color = _color(random, 5, 240, 0.5)
        place_m = _beside(point, offset_m)
        box = Box(*place_m, half_m, top_m, *_tuple(color), bottom_m, texture_scale, texture)
        boxes.append(box)
    return boxes


def _draw_other_car(random: Random, ahead: FloatArray, road_half_m: float) -> Box:
    """Return another car on the road, in either lane."""
    point = ahead[int(random.integers(len(ahead) // 3, len(ahead)))]
    body = _color(random, 5, 240, 0.4)
    place_m = _beside(point, random_side(random) * road_half_m / 2)
    return Box(
        *place_m,
        half_m=0.9,
        top_m=1.5,
        red=float(body[0]),
        green=float(body[1]),
        blue=float(body[2]),
        bottom_m=0.2,
        texture_scale=1.0,
        texture=0.4,
    )


def _draw_rails(random: Random, ahead: FloatArray, road_half_m: float) -> list[Box]:
    """Return a rail or a wall along the road, on one side or on both, as posts side by side."""
    side = random_side(random)
    offset_m = side * (road_half_m + log_uniform(random, 0.3, 6.0))
    top_m = log_uniform(random, 0.3, 4.0)
    color = _color(random, 20, 230, 0.2)
    offsets_m = [offset_m]
    if chance(random, 0.4):
        offsets_m = [offset_m, -offset_m]
    boxes = []
    for post_offset_m in offsets_m:
        for point in ahead[1::2]:
            # the farther ahead, the wider a post is, as the line's points lie farther apart there
            half_m = 0.12 + 0.06 * float(point[4])
            place_m = _beside(point, post_offset_m)
            boxes.append(Box(*place_m, half_m, top_m, *_tuple(color), 0.0, 1.0, 0.1))
    return boxes


def _beside(point: FloatArray, offset_m: float) -> tuple[float, float]:
    """Return the place, right and ahead, that is offset_m to the right of a point of the line.

    point: as in DrawnPlace.line, (5,)
    """
    right_m = float(point[0] + point[3] * offset_m)
    ahead_m = float(point[1] - point[2] * offset_m)
    return right_m, ahead_m


def _draw_scenery(random: Random, ground: FloatArray, grain: float, indoor: bool) -> Scenery:
    """Return ground, light and sky. grain: strength of the ground's finest texture."""
    # a room has a ceiling; outdoors there is a sky, mostly bluish
    if indoor:
        haze = _color(random, 20, 230, 0.25)
        zenith = _color(random, 10, 255, 0.2)
    else:
        haze = _color(random, 60, 255, 0.2)
        red = random.uniform(20, 170)
        green = random.uniform(70, 200)
        blue = random.uniform(120, 255)
        zenith = np.array([red, green, blue])

    # shadows, more seldom glare, or neither
    light = 0.0
    kind = random.random()
    if kind < 0.4:
        light = random.uniform(0.12, 0.7)
    elif kind < 0.52:
        light = random.uniform(1.2, 2.5)

    # a floor is flat, and so are many roads
    ground_curvature = 0.0
    if not indoor and not chance(random, 0.4):
        ground_curvature = float(np.clip(random.normal(0.0, 0.0012), -0.004, 0.004))

    return Scenery(
        camera_m=REFERENCE_M,
        ground_curvature=ground_curvature,
        ground=_tuple(ground),
        grain=grain,
        patch_m=log_uniform(random, 0.5, 12.0),
        patch=random.uniform(0.0, 0.25),
        light=light,
        light_across_m=log_uniform(random, 0.8, 12.0),
        light_along_m=log_uniform(random, 0.8, 12.0),
        light_from=random.uniform(-0.6, 0.6),
        light_slope=random.uniform(1.5, 12.0),
        haze=_tuple(haze),
        zenith=_tuple(zenith),
        haze_m=log_uniform(random, 60.0, 400.0),
        haze_most=random.uniform(0.0, 0.8),
    )


def _tuple(color: FloatArray) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
