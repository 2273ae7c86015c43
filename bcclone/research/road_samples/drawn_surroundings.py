"""Choose at random what a road looks like, and what is around it: random numbers -> `Surroundings`.

To draw means here to draw lots; painting.py paints the picture.
"""

import math
from collections.abc import Sequence

import numpy as np

from bcclone.research.road_samples.drawn_bands import draw_bands
from bcclone.research.road_samples.drawn_boxes import draw_boxes
from bcclone.research.road_samples.drawn_road import REFERENCE_M, DrawnRoad, chance, log_uniform
from bcclone.research.road_samples.surroundings import (
    Band,
    Box,
    Mark,
    Scenery,
    Surroundings,
    color_tuple,
    random_color,
)
from bcclone.system.arrays import FloatArray, Random
from bcclone.system.exact_math import cosine, sine

# Smallest contrasts: differences in at least one colour channel
_LEAST_CONTRAST = 25.0  # between road and ground, so that a network can tell them apart


def draw_surroundings(random: Random, road: DrawnRoad, line: FloatArray) -> Surroundings:
    """Return the look of a road. line: the road's middle as the car sees it, as in DrawnPlace."""
    # a road in the colour of the ground beside it could not be seen, so that both are chosen again
    ground = random_color(random, 15, 235, tint=0.4)
    surface = random_color(random, 15, 190, tint=0.15)
    while not road.floor and float(np.abs(ground - surface).max()) < _LEAST_CONTRAST:
        ground = random_color(random, 15, 235, tint=0.4)
        surface = random_color(random, 15, 190, tint=0.15)

    # every floor is in a room; a quarter of the roads have a room's surroundings, too
    indoor = road.floor
    if not road.floor:
        indoor = chance(random, 0.25)

    # half of the floors are smooth
    most_grain = 0.35
    if road.floor and chance(random, 0.5):
        most_grain = 0.06
    grain = random.uniform(0.0, most_grain)

    # a road on a floor has the floor's colour; only its lines show it
    if road.floor:
        surface = ground

    # each of these takes the next random numbers, so the order decides what a seed means
    bands = draw_bands(random, road, surface)
    marks = _draw_marks(random, road.floor)
    boxes = _table(draw_boxes(random, line, road.width_m / 2, indoor), Box)
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
        color = random_color(random, 5, 200, tint=0.2)
        marks.append(Mark(cosine(angle), sine(angle), distance_m, half_m, *color_tuple(color)))
    return marks


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
    )
