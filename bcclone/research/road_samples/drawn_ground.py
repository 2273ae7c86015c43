"""Draw what lies on the ground: random numbers -> crossings, arrows, mended spots, cables, tape."""

import math

import numpy as np

from bcclone.research.road_samples.drawn_road import DrawnRoad, chance, log_uniform, random_side
from bcclone.research.road_samples.surroundings import Color, Patch, Ring, color_tuple, random_color
from bcclone.system.exact_math import cosine, sine
from bcclone.system.numbers import FloatArray, Random

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
