"""Draw what stands upright around a road: random numbers -> houses, trees, another car, rails."""

import numpy as np

from bcclone.research.road_samples.drawn_road import DrawnRoad, chance, log_uniform, random_side
from bcclone.research.road_samples.surroundings import Box, color_tuple, random_color
from bcclone.system.numbers import FloatArray, Random


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
