"""Draw what stands upright around a road: random numbers -> houses, trees, another car, rails."""

from bcclone.research.road_samples.drawn_road import chance, log_uniform, random_side
from bcclone.research.road_samples.surroundings import Box, color_tuple, random_color
from bcclone.system.arrays import FloatArray, Random


def draw_boxes(random: Random, line: FloatArray, half_m: float, indoor: bool) -> list[Box]:
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


def _draw_other_car(random: Random, ahead: FloatArray, road_half_m: float) -> Box:
    """Return another car on the road, in either lane."""
    point = ahead[int(random.integers(len(ahead) // 3, len(ahead)))]
    body = random_color(random, 5, 240, 0.4)
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
    color = random_color(random, 20, 230, 0.2)
    offsets_m = [offset_m]
    if chance(random, 0.4):
        offsets_m = [offset_m, -offset_m]
    boxes = []
    for post_offset_m in offsets_m:
        for point in ahead[1::2]:
            # the farther ahead, the wider a post is, as the line's points lie farther apart there
            half_m = 0.12 + 0.06 * float(point[4])
            place_m = _beside(point, post_offset_m)
            boxes.append(Box(*place_m, half_m, top_m, *color_tuple(color), 0.0, 1.0, 0.1))
    return boxes


def _beside(point: FloatArray, offset_m: float) -> tuple[float, float]:
    """Return the place, right and ahead, that is offset_m to the right of a point of the line.

    point: as in DrawnPlace.line, (5,)
    """
    right_m = float(point[0] + point[3] * offset_m)
    ahead_m = float(point[1] - point[2] * offset_m)
    return right_m, ahead_m
