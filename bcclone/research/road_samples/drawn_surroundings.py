"""Choose at random what a road looks like, and what is around it: random numbers -> `Surroundings`.

To draw means here to draw lots; painting.py paints the picture.
"""

from collections.abc import Sequence

import numpy as np

from bcclone.research.road_samples.drawn_bands import draw_bands, random_paint
from bcclone.research.road_samples.drawn_boxes import draw_boxes
from bcclone.research.road_samples.drawn_ground import draw_patches, draw_rings, draw_side_roads
from bcclone.research.road_samples.drawn_road import REFERENCE_M, DrawnRoad, chance, log_uniform
from bcclone.research.road_samples.surroundings import (
    Band,
    Box,
    Patch,
    Ring,
    Scenery,
    Surroundings,
    color_tuple,
    random_color,
)
from bcclone.system.numbers import FloatArray, Random

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
