"""Draw the strips along a road: random numbers -> its surface, shoulders, kerbs and lines."""

import numpy as np

from bcclone.research.road_samples.drawn_road import DrawnRoad, chance, log_uniform
from bcclone.research.road_samples.surroundings import Band, color_tuple, random_color
from bcclone.system.arrays import FloatArray, Random

_LEAST_FLOOR_CONTRAST = 50.0  # between lines and floor, where only the lines show the road


def _yellow(random: Random) -> FloatArray:
    red = random.uniform(170, 250)
    green = random.uniform(120, 215)
    blue = random.uniform(0, 90)
    return np.array([red, green, blue])


def _paint(random: Random) -> FloatArray:
    """Return a random colour of lines: mostly white or yellow."""
    kind = random.random()
    if kind < 0.6:
        return random_color(random, 150, 250, 0.06)
    if kind < 0.85:
        return _yellow(random)
    return random_color(random, 5, 250, 0.8)


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
    return Band(*span_m, *color_tuple(color), dash_m, phase_m, grain)


def draw_bands(random: Random, road: DrawnRoad, surface: FloatArray) -> list[Band]:
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
        color = random_color(random, 30, 235, 0.2)
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
