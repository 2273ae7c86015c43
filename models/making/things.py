"""Choose what is around a road: random numbers -> `Surroundings`, with what lies on the ground
(crossings, arrows, spots, cables), what stands upright (houses, trees, cars, rails), light and sky.

To draw means here to draw lots; painting.py paints the picture.
"""

import math
from collections.abc import Sequence

import numpy as np

from bcclone.system.arrays import FloatArray, Random
from bcclone.system.exact_math import cosine, sine
from models.making.looks import (
    Band,
    Box,
    Color,
    Patch,
    Ring,
    Scenery,
    Surroundings,
    color_tuple,
    draw_bands,
    random_color,
    random_paint,
)
from models.making.roads import REFERENCE_M, DrawnRoad, chance, log_uniform, random_side

# ---- what lies on the ground


_STRAIGHT_M = 2000.0  # radius of a circle that is as good as a straight line


def draw_rings(random: Random, floor: bool) -> list[Ring]:
    """Return joints, tape and cables; most floors have some, most roads none."""
    share = 0.15
    if floor:
        share = 0.6
    if not chance(random, share):
        return []
    rings = []
    for _ in range(int(random.integers(1, 5))):
        angle = random.uniform(0.0, 2 * math.pi)
        distance_m = random.uniform(-3.0, 12.0)  # from the camera to the line
        radius_m = _STRAIGHT_M
        if chance(random, 0.5):
            radius_m = log_uniform(random, 2.0, 60.0)
        middle_m = distance_m + radius_m
        half_m = log_uniform(random, 0.02, 0.12)
        color = color_tuple(random_color(random, 5, 170, tint=0.2))
        place_m = (middle_m * cosine(angle), middle_m * sine(angle))
        rings.append(Ring(*place_m, radius_m, half_m, *color))
    return rings


def draw_side_roads(random: Random, line: FloatArray, surface: FloatArray) -> list[Patch]:
    """Return roads and driveways that meet the road, and lie under it.

    line: the road's middle, as in DrawnPlace
    """
    patches = []
    if chance(random, 0.25):
        for _ in range(int(random.integers(1, 3))):
            point = _point_ahead(random, line, 3.0, 80.0)
            angle = random.uniform(0.3, math.pi - 0.3)  # between the two roads
            half_length_m = log_uniform(random, 4.0, 60.0)
            half_width_m = log_uniform(random, 1.0, 7.0)
            color = surface
            if chance(random, 0.4):
                color = random_color(random, 15, 220, tint=0.2)
            # half of them end at the road
            shift_m = 0.0
            if chance(random, 0.5):
                shift_m = random_side(random) * half_length_m
            half_m = (half_length_m, half_width_m)
            patches.append(_patch(point, (0.0, shift_m, angle), half_m, color_tuple(color)))
    return patches


def draw_patches(
    random: Random, line: FloatArray, road: DrawnRoad, paint: Color, surface: FloatArray
) -> list[Patch]:
    """Return what lies on the road or the floor: arrows, zebra crossings, spots, leaves, paper.

    line: the road's middle, as in DrawnPlace
    paint: colour of the road's lines
    """
    patches = []
    spots_share = 0.35
    if road.floor:
        spots_share = 0.15
    if chance(random, spots_share):
        patches += _draw_spots(random, line, road, surface)
    if not road.floor and chance(random, 0.12):
        patches += _draw_arrows(random, line, road, paint)
    if not road.floor and chance(random, 0.06):
        patches += _draw_zebra(random, line, road, paint)
    return patches


def _draw_spots(
    random: Random, line: FloatArray, road: DrawnRoad, surface: FloatArray
) -> list[Patch]:
    """Return mended spots, stains, manholes, leaves."""
    patches = []
    most_m = 0.5 * road.lane_width_m
    for _ in range(int(random.integers(1, 7))):
        point = _point_ahead(random, line, 1.5, 40.0)
        offset_m = random.uniform(-0.7, 0.7) * road.width_m
        angle = random.uniform(-0.2, 0.2)
        if chance(random, 0.3):
            angle = random.uniform(-math.pi, math.pi)
        half_length_m = log_uniform(random, 0.1, 10.0)
        half_width_m = log_uniform(random, 0.1, most_m)
        color = surface * random.uniform(0.5, 1.4)
        if chance(random, 0.3):
            color = random_color(random, 5, 240, tint=0.4)
        half_m = (half_length_m, half_width_m)
        spot = _patch(point, (offset_m, 0.0, angle), half_m, color_tuple(color))
        oval = float(chance(random, 0.4))
        patches.append(spot._replace(oval=oval, opaque=random.uniform(0.2, 1.0)))
    return patches


def _draw_arrows(random: Random, line: FloatArray, road: DrawnRoad, paint: Color) -> list[Patch]:
    """Return arrows, words and signs that are painted on a lane, as a few strokes each."""
    patches = []
    for _ in range(int(random.integers(1, 3))):
        point = _point_ahead(random, line, 4.0, 50.0)
        middle_m = road.lane_middle_m(int(random.integers(road.lanes)))
        for _ in range(int(random.integers(1, 5))):
            offset_m = middle_m + random.uniform(-0.2, 0.2) * road.lane_width_m
            angle = random.normal(0.0, 0.4)
            half_m = (random.uniform(0.3, 3.0), random.uniform(0.06, 0.25))
            along_m = random.uniform(-1.5, 1.5)
            patches.append(_patch(point, (offset_m, along_m, angle), half_m, paint))
    return patches


def _draw_zebra(random: Random, line: FloatArray, road: DrawnRoad, paint: Color) -> list[Patch]:
    """Return a zebra crossing, or a stop line, which is a single bar across the road."""
    point = _point_ahead(random, line, 4.0, 40.0)
    if chance(random, 0.4):
        half_m = (road.width_m / 2, random.uniform(0.15, 0.5))
        return [_patch(point, (0.0, 0.0, math.pi / 2), half_m, paint)]
    half_bar_m = random.uniform(0.2, 0.4)
    half_length_m = random.uniform(1.0, 2.5)
    bars = min(int(road.width_m / (4 * half_bar_m)), 16)
    offsets_m = [(bar + 0.5) * 4 * half_bar_m - road.width_m / 2 for bar in range(bars)]
    half_m = (half_length_m, half_bar_m)
    return [_patch(point, (offset_m, 0.0, 0.0), half_m, paint) for offset_m in offsets_m]


def _point_ahead(
    random: Random, line: FloatArray, nearest_m: float, farthest_m: float
) -> FloatArray:
    """Return a point of the road's middle at a random distance, (5,)."""
    distance_m = log_uniform(random, nearest_m, farthest_m)
    return np.asarray(line[int(np.searchsorted(line[:, 4], distance_m))])


def _patch(
    point: FloatArray,
    place: tuple[float, float, float],
    half_m: tuple[float, float],
    color: Color,
) -> Patch:
    """Return a rectangle near a point of the road, which hides all that it covers.

    place: metres to the right of the point and along the road, and its angle to the road
    half_m: half of its length and of its width
    """
    offset_m, along_m, angle = place
    right, ahead = float(point[2]), float(point[3])  # the road's direction
    along_right = right * cosine(angle) + ahead * sine(angle)
    along_ahead = ahead * cosine(angle) - right * sine(angle)
    right_m = float(point[0]) + ahead * offset_m + right * along_m
    ahead_m = float(point[1]) - right * offset_m + ahead * along_m
    return Patch(right_m, ahead_m, along_right, along_ahead, *half_m, 0.0, 1.0, *color)


# ---- what stands upright


def draw_boxes(random: Random, line: FloatArray, road: DrawnRoad, indoor: bool) -> list[Box]:
    """Return everything that stands upright. line: the road's middle, as in DrawnPlace"""
    boxes = _draw_background(random, indoor)
    ahead = line[line[:, 4] > 1.5]  # points of the road's middle more than 1.5 m ahead of the car
    boxes += _draw_roadside(random, ahead, road.width_m / 2)
    if not road.floor and chance(random, 0.35):
        boxes += _draw_traffic(random, ahead, road)
    if chance(random, 0.3):
        boxes += _draw_rails(random, ahead, road.width_m / 2)
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
        color = random_color(random, 5, 230, 0.35)
        box = Box(right_m, away_m, half_m, top_m, *color_tuple(color), 0.0, texture_scale, texture)
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
        color = random_color(random, 5, 240, 0.5)
        place_m = _beside(point, offset_m)
        box = Box(*place_m, half_m, top_m, *color_tuple(color), bottom_m, texture_scale, texture)
        boxes.append(box)
    return boxes


def _draw_traffic(random: Random, ahead: FloatArray, road: DrawnRoad) -> list[Box]:
    """Return other cars and lorries, in any lane, also in the own one."""
    boxes = []
    for _ in range(int(random.integers(1, 5))):
        distance_m = log_uniform(random, 7.0, 100.0)
        point = ahead[min(int(np.searchsorted(ahead[:, 4], distance_m)), len(ahead) - 1)]
        lane = int(random.integers(road.lanes))
        if road.lanes == 1:
            offset_m = random_side(random) * road.width_m / 4
        else:
            offset_m = road.lane_middle_m(lane)
        boxes += _draw_car(random, _beside(point, offset_m))
    return boxes


def _draw_car(random: Random, place_m: tuple[float, float]) -> list[Box]:
    """Return a car as a shadow, a body and a cabin; a lorry has no cabin."""
    half_m = random.uniform(0.75, 1.0)
    lorry = chance(random, 0.15)
    top_m = random.uniform(0.7, 1.1)
    if lorry:
        half_m = random.uniform(1.0, 1.3)
        top_m = random.uniform(2.2, 4.0)
    body = color_tuple(random_color(random, 5, 250, 0.4))
    dark = color_tuple(random_color(random, 2, 40, 0.1))
    boxes = [
        Box(*place_m, half_m, 0.3, *dark, 0.0, 1.0, 0.0),
        Box(*place_m, half_m, top_m, *body, 0.25, 2.0, random.uniform(0.1, 0.5)),
    ]
    if not lorry:
        cabin = color_tuple(random_color(random, 5, 120, 0.2))
        cabin_top_m = top_m + random.uniform(0.4, 0.7)
        boxes.append(Box(*place_m, 0.8 * half_m, cabin_top_m, *cabin, top_m, 2.0, 0.3))
    return boxes


def _draw_rails(random: Random, ahead: FloatArray, road_half_m: float) -> list[Box]:
    """Return a rail, a wall, a bank or trees along the road, on one side or on both, as posts."""
    side = random_side(random)
    offset_m = side * (road_half_m + log_uniform(random, 0.3, 8.0))
    top_m = log_uniform(random, 0.3, 10.0)
    color = random_color(random, 10, 230, 0.3)
    uneven = 0.0  # how much the posts differ in height and in brightness
    texture = 0.1
    if chance(random, 0.5):  # a hedge, trees
        uneven = random.uniform(0.1, 0.6)
        texture = random.uniform(0.1, 0.7)
    offsets_m = [offset_m]
    if chance(random, 0.4):
        offsets_m = [offset_m, -offset_m]
    boxes = []
    for post_offset_m in offsets_m:
        for point in ahead[1::2]:
            # the farther ahead, the wider a post is, as the line's points lie farther apart there
            half_m = 0.12 + 0.06 * float(point[4])
            place_m = _beside(point, post_offset_m)
            post_top_m = top_m * (1.0 + uneven * random.uniform(-1.0, 1.0))
            post = color_tuple(color * (1.0 + 0.5 * uneven * random.uniform(-1.0, 1.0)))
            boxes.append(Box(*place_m, half_m, post_top_m, *post, 0.0, 1.0, texture))
    return boxes


def _beside(point: FloatArray, offset_m: float) -> tuple[float, float]:
    """Return the place, right and ahead, that is offset_m to the right of a point of the line.

    point: as in DrawnPlace.line, (5,)
    """
    right_m = float(point[0] + point[3] * offset_m)
    ahead_m = float(point[1] - point[2] * offset_m)
    return right_m, ahead_m


# ---- all of it


# Smallest contrasts: differences in at least one colour channel
_LEAST_CONTRAST = 25.0  # between road and ground, so that a network can tell them apart


def draw_surroundings(random: Random, road: DrawnRoad, line: FloatArray) -> Surroundings:
    """Return the look of a road. line: the road's middle as the car sees it, as in DrawnPlace."""
    # a road in the colour of the ground beside it could not be seen, so that both are chosen again
    ground = _ground_color(random)
    surface = random_color(random, 15, 190, tint=0.15)
    while not road.floor and float(np.abs(ground - surface).max()) < _LEAST_CONTRAST:
        ground = _ground_color(random)
        surface = random_color(random, 15, 190, tint=0.15)

    # every floor is in a room; a quarter of the roads have a room's surroundings, too
    indoor = road.floor
    if not road.floor:
        indoor = chance(random, 0.25)

    # most ground is rather smooth, and floors are smoother
    most_grain = 0.35
    if road.floor:
        most_grain = 0.2
    grain = most_grain * random.random() ** 2

    # a road on a floor has the floor's colour; only its lines show it
    if road.floor:
        surface = ground

    # each of these takes the next random numbers, so the order decides what a seed means
    bands = draw_bands(random, road, surface)
    below: list[Patch] = []
    if not road.floor:
        below = draw_side_roads(random, line, surface)
    above = draw_patches(random, line, road, color_tuple(random_paint(random)), surface)
    rings = draw_rings(random, road.floor)
    boxes = _table(draw_boxes(random, line, road, indoor), Box)
    scenery = _draw_scenery(random, ground, grain, indoor)
    return Surroundings(
        bands=_table(bands, Band),
        below=_table(below, Patch),
        above=_table(above, Patch),
        rings=_table(rings, Ring),
        boxes=_far_ones_first(boxes),
        scenery=scenery,
        seed=int(random.integers(1 << 30)),
    )


def _ground_color(random: Random) -> FloatArray:
    """Return the colour of grass, sand, earth, carpet or wood; a third has any colour."""
    kind = random.random()
    if kind < 0.33:
        return random_color(random, 15, 235, tint=0.4)
    grey = random_color(random, 15, 235, tint=0.08)
    if kind < 0.55:
        return grey
    if kind < 0.78:  # green or yellow
        tint = (random.uniform(0.6, 1.1), 1.0, random.uniform(0.3, 0.8))
    else:  # brown
        tint = (1.0, random.uniform(0.7, 0.95), random.uniform(0.4, 0.85))
    return np.asarray(grey * np.array(tint))


def _table(rows: Sequence[tuple[float, ...]], kind: type[Band | Patch | Ring | Box]) -> FloatArray:
    """Return rows as an array with the right number of columns, also if there are none."""
    return np.array(rows, float).reshape(-1, len(kind._fields))


def _far_ones_first(boxes: FloatArray) -> FloatArray:
    """Return the boxes more than a metre ahead, in the order in which they are painted."""
    ahead_m = boxes[:, Box._fields.index("ahead_m")]
    boxes = boxes[ahead_m > 1.0]
    ahead_m = ahead_m[ahead_m > 1.0]
    return boxes[np.argsort(-ahead_m, kind="stable")]


def _draw_scenery(random: Random, ground: FloatArray, grain: float, indoor: bool) -> Scenery:
    """Return ground, light and sky. grain: strength of the ground's finest texture."""
    # a room has a ceiling; outdoors there is a sky, mostly bluish
    if indoor:
        haze = random_color(random, 20, 230, tint=0.25)
        zenith = random_color(random, 10, 255, tint=0.2)
    else:
        haze = random_color(random, 60, 255, tint=0.2)
        red = random.uniform(20, 170)
        green = random.uniform(70, 200)
        blue = random.uniform(120, 255)
        zenith = np.array([red, green, blue])
        # a sky is often much brighter than the ground
        if chance(random, 0.5):
            brighter = log_uniform(random, 0.7, 4.0)
            haze = haze * brighter
            zenith = zenith * brighter

    # factor of the light: below 1 for shadows, more seldom above 1 for glare, and 0 for neither
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

    # a polished floor, or a wet road
    mirror = 0.0
    share = 0.12
    if indoor:
        share = 0.4
    if chance(random, share):
        mirror = 0.9 * random.random() ** 2

    return Scenery(
        camera_m=REFERENCE_M,
        ground_curvature=ground_curvature,
        ground=color_tuple(ground),
        grain=grain,
        patch_m=log_uniform(random, 0.5, 12.0),
        patch=random.uniform(0.0, 0.25),
        light=light,
        light_across_m=log_uniform(random, 0.8, 12.0),
        light_along_m=log_uniform(random, 0.8, 12.0),
        light_from=random.uniform(-0.6, 0.6),
        light_slope=random.uniform(1.5, 12.0),
        haze=color_tuple(haze),
        zenith=color_tuple(zenith),
        haze_m=log_uniform(random, 60.0, 400.0),
        haze_most=random.uniform(0.0, 0.8),
        mirror=mirror,
        ripple=log_uniform(random, 0.003, 0.1),
    )
