"""Choose what a road looks like: random numbers -> its surface, shoulders, kerbs and lines; and the
values that painting.py paints.

Colours are RGB, 0 to 255. Textures are noise, made of no one's pictures.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bcclone.system.arrays import FloatArray, Random
from models.making.roads import DrawnRoad, chance, log_uniform, random_side

# ---- what is painted


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
    ragged_m: float  # how far its edges stray to either side
    worn: float  # fraction of it that is worn off, 0 to 1


class Ring(NamedTuple):
    """A circle on the ground: a cable or tape; a straight line is a very large one."""

    right_m: float  # the circle's middle, to the right and ahead
    ahead_m: float
    radius_m: float
    half_m: float  # half of the line's width
    red: float
    green: float
    blue: float


class Patch(NamedTuple):
    """A rectangle or an ellipse on the ground: an arrow, a mended spot, a crossing road."""

    right_m: float  # its middle, to the right and ahead
    ahead_m: float
    direction_right: float  # the direction of its length, a unit vector
    direction_ahead: float
    half_length_m: float
    half_width_m: float
    oval: float  # 1 for an ellipse, 0 for a rectangle
    opaque: float  # how much of the ground it hides, 0 to 1
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
    mirror: float  # how much of the sky and of what stands there the ground reflects, 0 to 1
    ripple: float  # how much the ground's texture distorts what it reflects


class Surroundings(NamedTuple):
    """What is painted. The arrays have a row for each thing, with the fields of its class."""

    bands: FloatArray  # rows of Band; later ones lie over earlier ones
    below: FloatArray  # rows of Patch, which lie under the road
    above: FloatArray  # rows of Patch, which lie on the road
    rings: FloatArray  # rows of Ring
    boxes: FloatArray  # rows of Box, far ones first
    scenery: Scenery
    seed: int  # seed of the textures


def random_color(random: Random, low: float, high: float, tint: float) -> FloatArray:
    """Return a random grey from low to high, each channel of it changed at random.

    tint: largest change of a channel, as a fraction of the grey
    """
    share, *changes = random.random(4).tolist()
    grey = low + (high - low) * share
    channels = [grey * (1.0 + tint * (2.0 * change - 1.0)) for change in changes]
    return np.array([min(max(channel, 0.0), 255.0) for channel in channels])


def color_tuple(color: FloatArray) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue


# ---- the strips along a road


_LEAST_FLOOR_CONTRAST = 50.0  # between lines and floor, where only the lines show the road


def _yellow(random: Random) -> FloatArray:
    red = random.uniform(170, 250)
    green = random.uniform(120, 215)
    blue = random.uniform(0, 90)
    return np.array([red, green, blue])


def random_paint(random: Random) -> FloatArray:
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
        paint = random_paint(random)
        if float(np.abs(paint - floor).max()) >= _LEAST_FLOOR_CONTRAST:
            return paint


def _band(
    random: Random, span_m: tuple[float, float], color: FloatArray, dash_m: float = 0.0
) -> Band:
    """Return a band whose dashes begin anywhere, with straight edges and nothing worn off.

    span_m: its left and right side
    """
    phase_m = 50 * random.random()
    grain = 0.05
    return Band(*span_m, *color_tuple(color), dash_m, phase_m, grain, ragged_m=0.0, worn=0.0)


@dataclass(frozen=True)
class _Paint:
    """How the lines of a road are painted."""

    color: FloatArray
    width_m: float
    worn: float  # as in Band


def draw_bands(random: Random, road: DrawnRoad, surface: FloatArray) -> list[Band]:
    """Return the road's surface, shoulders or kerbs, and lines."""
    bands = []
    if not road.floor:
        bands += _draw_surface(random, road.width_m / 2, surface)
    bands += _draw_lines(random, road, _draw_paint(random, road, surface))
    # the other carriageway of a motorway, or another road beside this one
    if not road.floor and chance(random, 0.1):
        bands = _beside(random, bands, road.width_m) + bands
    return bands


def _draw_paint(random: Random, road: DrawnRoad, surface: FloatArray) -> _Paint:
    """Return how the lines are painted: so wide that they are seen, and narrower than a lane."""
    narrowest_m = 0.08
    if road.floor:
        narrowest_m = 0.2
    width_m = min(log_uniform(random, narrowest_m, 0.6), 0.1 * road.lane_width_m)
    if road.floor:
        return _Paint(_visible_paint(random, surface), width_m, worn=0.0)
    color = random_paint(random)
    worn = 0.0
    if chance(random, 0.3):
        worn = random.uniform(0.0, 0.8)
    return _Paint(color, width_m, worn)


def _draw_lines(random: Random, road: DrawnRoad, paint: _Paint) -> list[Band]:
    """Return the lines at the edges and between the lanes."""
    # the lines at the edges may lie a little inside the edges
    edge_m = road.width_m / 2
    if chance(random, 0.7):
        edge_m -= random.uniform(0.0, 0.08) * road.lane_width_m

    # two lanes mostly have a line between them, more lanes always, and a floor always has lines
    has_edges = chance(random, 0.75)
    middle_share = 0.45
    if road.lanes == 2:
        middle_share = 0.93
    has_middle = road.lanes > 2 or chance(random, middle_share)
    bands = []
    if has_edges or (road.floor and not has_middle):
        bands += _draw_edge_lines(random, edge_m, paint)
    if has_middle:
        bands += _draw_middle_line(random, paint)
    if road.lanes > 2:
        bands += _draw_lane_lines(random, road, paint)
    return [band._replace(worn=paint.worn) for band in bands]


def _beside(random: Random, bands: list[Band], width_m: float) -> list[Band]:
    """Return a road's bands once more, to its left or right."""
    shift_m = random_side(random) * (width_m + log_uniform(random, 1.0, 12.0))
    return [
        band._replace(start_m=band.start_m + shift_m, end_m=band.end_m + shift_m) for band in bands
    ]


def _draw_surface(random: Random, half_m: float, surface: FloatArray) -> list[Band]:
    """Return the surface of a road, and shoulders or dashed kerbs beside it."""
    ragged_m = 0.0
    if chance(random, 0.35):
        ragged_m = log_uniform(random, 0.03, 0.3) * min(half_m, 3.0)
    bands = []
    if chance(random, 0.6):
        beyond_m = half_m + log_uniform(random, 0.15, 2.5)
        color = random_color(random, 30, 235, 0.2)
        dash_m = 0.0
        if chance(random, 0.15):
            dash_m = random.uniform(0.5, 3.0)
        for span_m in ((-beyond_m, -half_m), (half_m, beyond_m)):
            bands.append(_band(random, span_m, color, dash_m))
    road = _band(random, (-half_m, half_m), surface)
    bands.append(road._replace(grain=random.uniform(0.0, 0.25)))
    return [band._replace(ragged_m=ragged_m) for band in bands]


def _draw_edge_lines(random: Random, edge_m: float, paint: _Paint) -> list[Band]:
    """Return the lines at the road's edges; sometimes only one of the two."""
    bands = []
    dash_m = 0.0
    if chance(random, 0.1):
        dash_m = random.uniform(2.0, 8.0)
    only = random.random()  # below 0.12 only the right line, from 0.88 on only the left one
    if only > 0.12:
        span_m = (-edge_m, -edge_m + paint.width_m)
        bands.append(_band(random, span_m, paint.color, dash_m))
    if only < 0.88:
        span_m = (edge_m - paint.width_m, edge_m)
        bands.append(_band(random, span_m, paint.color, dash_m))
    return bands


def _draw_middle_line(random: Random, paint: _Paint) -> list[Band]:
    """Return the line in the middle: single or double, in the edges' colour or in yellow."""
    color = paint.color
    if not chance(random, 0.5):
        color = _yellow(random)
    dash_m = 0.0
    if chance(random, 0.45):
        dash_m = random.uniform(2.0, 14.0)
    middles_m = [0.0]
    if chance(random, 0.25):
        middles_m = [-paint.width_m, paint.width_m]
    bands = []
    for middle_m in middles_m:
        span_m = (middle_m - paint.width_m / 2, middle_m + paint.width_m / 2)
        bands.append(_band(random, span_m, color, dash_m))
    return bands


def _draw_lane_lines(random: Random, road: DrawnRoad, paint: _Paint) -> list[Band]:
    """Return the dashed lines between the lanes of a motorway; the middle has its own line."""
    dash_m = random.uniform(4.0, 18.0)
    bands = []
    for lane in range(1, road.lanes):
        middle_m = lane * road.lane_width_m - road.width_m / 2
        if abs(middle_m) > 0.1:
            span_m = (middle_m - paint.width_m / 2, middle_m + paint.width_m / 2)
            bands.append(_band(random, span_m, paint.color, dash_m))
    return bands
