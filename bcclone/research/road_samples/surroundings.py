"""Draw what a road looks like, and what is around it: random numbers -> `Surroundings`, which
painting.py paints.

Colours are RGB, 0 to 255. Textures are noise; no picture of anybody is in them.
"""

import math
from typing import NamedTuple

import numpy as np

from bcclone.research.road_samples.drawn_road import REFERENCE_M, DrawnRoad, log_uniform
from bcclone.system.arrays import FloatArray, Random
from bcclone.system.exact_math import cosine, sine

_BAND, _MARK, _BOX = 8, 7, 10  # columns
_LEAST_CONTRAST, _LEAST_FLOOR_CONTRAST = (
    25.0,
    50.0,
)  # of road and ground, of line and floor, in one of the colours


Color = tuple[float, float, float]


class Scenery(NamedTuple):
    """Ground, light and sky.

    camera_m: height of the camera; crest: curvature of the ground in the direction of the car, in
    1/m, positive in a dip; grain, patch: strength of the ground's textures; patch_m: wavelength of
    the coarse one; light: factor of the light in shadows, or of glare above 1, 0 for none;
    light_across_m, light_along_m: their wavelengths; light_from, light_slope: where the noise
    becomes shadow, and how sharply; haze: the horizon's colour, which the ground gets nearly up to
    haze_m, by a fraction haze_most; zenith: colour of the sky or the ceiling.
    """

    camera_m: float
    crest: float
    ground: Color
    grain: float
    patch_m: float
    patch: float
    light: float
    light_across_m: float
    light_along_m: float
    light_from: float
    light_slope: float
    haze: Color
    zenith: Color
    haze_m: float
    haze_most: float


class Surroundings(NamedTuple):
    """What is painted.

    bands: strips along the road, each from and to metres to the right of its middle, RGB, the
    period of its dashes (0 for none) and their phase in metres, and the strength of its grain,
    (bands, 8), later ones over earlier ones. marks: straight lines on the ground: the two parts of
    their normal, distance, half width, RGB, (marks, 7). boxes: upright things: metres to the right
    and ahead, half width, top, RGB, bottom, and scale and strength of their texture, (boxes, 10),
    far ones first.
    """

    bands: FloatArray
    marks: FloatArray
    boxes: FloatArray
    air: Scenery
    seed: int  # of textures


def draw_surroundings(random: Random, road: DrawnRoad, line: FloatArray) -> Surroundings:
    """Return the look of a road. line: its middle as the car sees it, of DrawnPlace."""
    ground, surface = _color(random, 15, 235, 0.4), _color(random, 15, 190, 0.15)
    while not road.floor and float(np.abs(ground - surface).max()) < _LEAST_CONTRAST:
        ground, surface = _color(random, 15, 235, 0.4), _color(random, 15, 190, 0.15)
    indoor = road.floor or random.random() < 0.25
    grain = random.uniform(0.0, 0.06 if road.floor and random.random() < 0.5 else 0.35)
    bands = _table(_draw_bands(random, road, ground if road.floor else surface), _BAND)
    marks: list[list[float]] = []  # joints, tape, cables
    if random.random() < (0.6 if road.floor else 0.15):
        for _ in range(int(random.integers(1, 5))):
            angle = random.uniform(0.0, 2 * math.pi)
            distance, half = random.uniform(-3.0, 12.0), log_uniform(random, 0.02, 0.15)
            marks.append([cosine(angle), sine(angle), distance, half, *_color(random, 5, 200, 0.2)])
    boxes = _table(_draw_boxes(random, line, road.width_m / 2, indoor), _BOX)
    boxes = boxes[boxes[:, 1] > 1.0]
    boxes = boxes[np.argsort(-boxes[:, 1], kind="stable")]
    air = _draw_air(random, ground, grain, indoor)
    return Surroundings(bands, _table(marks, _MARK), boxes, air, int(random.integers(1 << 30)))


def _table(rows: list[list[float]], columns: int) -> FloatArray:
    return np.array(rows, float).reshape(-1, columns)


def _color(random: Random, low: float, high: float, tint: float) -> FloatArray:
    """Return a grey between low and high, each of whose channels differs by up to a fraction
    `tint`.
    """
    return np.clip(
        random.uniform(low, high) * (1.0 + tint * (random.random(3) * 2 - 1)), 0.0, 255.0
    )


def _yellow(random: Random) -> FloatArray:
    return np.array([random.uniform(170, 250), random.uniform(120, 215), random.uniform(0, 90)])


def _paint(random: Random) -> FloatArray:
    """Return the colour of lines: mostly white or yellow."""
    kind = random.random()
    if kind < 0.6:
        return _color(random, 150, 250, 0.06)
    return _yellow(random) if kind < 0.85 else _color(random, 5, 250, 0.8)


def _visible_paint(random: Random, floor: FloatArray) -> FloatArray:
    """Return the colour of lines that can be told from the floor's."""
    while float(np.abs((paint := _paint(random)) - floor).max()) < _LEAST_FLOOR_CONTRAST:
        pass
    return paint


def _draw_bands(random: Random, road: DrawnRoad, surface: FloatArray) -> list[list[float]]:
    """Return the road's surface, shoulders or kerbs, and lines."""
    bands: list[list[float]] = []

    def band(
        start: float, end: float, color: FloatArray, dash_m: float = 0.0, grain: float = 0.05
    ) -> None:
        bands.append([start, end, *color, dash_m, 50 * random.random(), grain])

    half = road.width_m / 2
    if not road.floor:
        if random.random() < 0.6:
            beyond, color = half + log_uniform(random, 0.15, 2.5), _color(random, 30, 235, 0.2)
            dash_m = random.uniform(0.5, 3.0) if random.random() < 0.15 else 0.0
            band(-beyond, -half, color, dash_m)
            band(half, beyond, color, dash_m)
        band(-half, half, surface, grain=random.uniform(0.0, 0.25))
    line_m = min(log_uniform(random, 0.2 if road.floor else 0.08, 0.6), 0.1 * road.width_m)
    edge, paint = half, _visible_paint(random, surface) if road.floor else _paint(random)
    if random.random() < 0.7:
        edge -= random.uniform(0.0, 0.08) * road.width_m
    edges, middle = random.random() < 0.75, random.random() < (0.93 if road.lanes == 2 else 0.45)
    if edges or (road.floor and not middle):
        dash_m = random.uniform(2.0, 8.0) if random.random() < 0.1 else 0.0
        only = random.random()  # one of both, sometimes
        if only > 0.12:
            band(-edge, -edge + line_m, paint, dash_m)
        if only < 0.88:
            band(edge - line_m, edge, paint, dash_m)
    if middle:
        color = paint if random.random() < 0.5 else _yellow(random)
        dash_m = random.uniform(2.0, 14.0) if random.random() < 0.45 else 0.0
        at = (-line_m, line_m) if random.random() < 0.25 else (0.0,)  # double, or single
        for cross_m in at:
            band(cross_m - line_m / 2, cross_m + line_m / 2, color, dash_m)
    return bands


def _draw_boxes(random: Random, line: FloatArray, half_m: float, indoor: bool) -> list[list[float]]:
    """Return far walls, windows, houses, hills; trees, poles, furniture and legs beside the road;
    another car on it; rails or walls along it.
    """
    boxes = []
    for _ in range(int(random.integers(0, 9))):
        away = random.uniform(8.0, 30.0) if indoor else random.uniform(60.0, 300.0)
        place = [away * random.uniform(-1.6, 1.6), away, away * random.uniform(0.03, 0.6)]
        texture = [random.uniform(2.0, 30.0) / away, random.uniform(0.0, 0.7)]
        boxes.append(
            [
                *place,
                away * random.uniform(0.02, 0.35),
                *_color(random, 5, 230, 0.35),
                0.0,
                *texture,
            ]
        )
    ahead = line[line[:, 4] > 1.5]
    for _ in range(int(random.integers(0, 16))):
        point = ahead[int(random.integers(len(ahead) * 3 // 4))]
        wide, tall = log_uniform(random, 0.05, 2.5), log_uniform(random, 0.3, 9.0)
        off = _side(random) * (half_m + wide + log_uniform(random, 0.2, 25.0))
        bottom = random.uniform(0.0, 0.8) * tall if random.random() < 0.3 else 0.0
        texture = [random.uniform(0.5, 8.0), random.uniform(0.0, 0.6)]
        boxes.append(
            [*_beside(point, off), wide, tall, *_color(random, 5, 240, 0.5), bottom, *texture]
        )
    if random.random() < 0.2:
        point = ahead[int(random.integers(len(ahead) // 3, len(ahead)))]
        body = _color(random, 5, 240, 0.4)
        boxes.append([*_beside(point, _side(random) * half_m / 2), 0.9, 1.5, *body, 0.2, 1.0, 0.4])
    if random.random() < 0.25:
        off, tall = (
            _side(random) * (half_m + log_uniform(random, 0.3, 6.0)),
            log_uniform(random, 0.3, 4.0),
        )
        color = _color(random, 20, 230, 0.2)
        for along in (off, -off) if random.random() < 0.4 else (off,):
            for each in ahead[1::2]:
                boxes.append(
                    [*_beside(each, along), 0.12 + 0.06 * each[4], tall, *color, 0.0, 1.0, 0.1]
                )
    return boxes


def _side(random: Random) -> float:
    return 1.0 if random.random() < 0.5 else -1.0


def _beside(point: FloatArray, off_m: float) -> tuple[float, float]:
    """Return the place off_m to the right of a point of the road's line."""
    return float(point[0] + point[3] * off_m), float(point[1] - point[2] * off_m)


def _draw_air(random: Random, ground: FloatArray, grain: float, indoor: bool) -> Scenery:
    """Return ground, light and sky. grain: strength of the ground's finest texture."""
    if indoor:
        haze, zenith = _color(random, 20, 230, 0.25), _color(random, 10, 255, 0.2)
    else:
        haze = _color(random, 60, 255, 0.2)
        zenith = np.array(
            [random.uniform(20, 170), random.uniform(70, 200), random.uniform(120, 255)]
        )
    light, kind = 0.0, random.random()
    if kind < 0.52:
        light = random.uniform(0.12, 0.7) if kind < 0.4 else random.uniform(1.2, 2.5)
    crest = (
        0.0
        if indoor or random.random() < 0.4
        else float(np.clip(random.normal(0.0, 0.0012), -0.004, 0.004))
    )
    return Scenery(
        camera_m=REFERENCE_M,
        crest=crest,
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
