"""Plan a random road: its name, with a seed -> checked control points and materials.

random:7 is the road of seed 7. Values after the seed narrow what the seed chooses from, as in
random:7:length=400-600,hills=0,surface=dirt.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from bcclone.simulator.road_line import faults_of_line, interpolate, with_run_outs
from bcclone.simulator.roads import (
    CHOICES,
    NARROWEST_M,
    REACH_M,
    WIDEST_M,
    ControlPoint,
    RoadLook,
    RoadPlan,
)
from bcclone.system.arrays import Random
from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.exact_math import cosine, exponential, sine

# ---- the name of a random road


RANDOM_PREFIX = "random:"

_Range = tuple[float, float]  # smallest and largest

# figure in metres -> the range that a seed chooses from, and the range of values that a name may
# state
_FIGURES: dict[str, tuple[_Range, _Range]] = {
    "length": ((500.0, 1200.0), (150.0, 5000.0)),
    "radius": ((18.0, 40.0), (8.0, 200.0)),
    "hills": ((0.0, 10.0), (0.0, 40.0)),
    "width": ((7.0, 10.0), (NARROWEST_M, WIDEST_M)),
}
# kind of road -> its choices, the default first; a seed chooses only where a name says "any"
_KINDS = {
    "shape": ("loop", "winding", "any"),
    "neighbor": ("none", "left", "right", "any"),
    "slopes": ("even", "eased", "any"),
}


def _parse_name(name: str) -> tuple[int, Mapping[str, _Range], Mapping[str, str]]:
    """Return what a name such as random:7 or random:7:surface=dirt states.

    Three things: the seed; a range for each of _FIGURES, the seed's usual one where the name states
    none; and all values that the name states, as texts. Raises ValueError for a malformed name.
    """
    seed, _, rest = name.removeprefix(RANDOM_PREFIX).partition(":")
    if not seed.isdecimal() or len(seed) > 9:
        raise ValueError(
            f"the seed is {seed!r}, expected a whole number of up to nine digits, as in random:7"
        )
    ranges = {figure: usual for figure, (usual, _) in _FIGURES.items()}
    stated = dict[str, str]()
    for part in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = map(str.strip, part.partition("="))
        if not equals:
            raise ValueError(f"{part!r}, expected a name and a value, such as surface=dirt")
        if key in stated:
            raise ValueError(f"{part!r}, expected each only once")
        stated[key] = value
        if key in _FIGURES:
            ranges[key] = _range_of(key, value)
            continue
        choices = (_KINDS | CHOICES).get(key)
        if choices is None:
            names = (*_FIGURES, *_KINDS, *CHOICES)
            hint = did_you_mean(key, names) or f"expected {', '.join(names)}"
            raise ValueError(f"{part}: {hint}")
        if value not in choices:
            raise ValueError(f"{part}, expected one of {', '.join(choices)}")
    return int(seed), ranges, stated


def _range_of(figure: str, value: str) -> _Range:
    """Return the range that a value such as 400 or 400-600 states; raises ValueError."""
    low, high = _FIGURES[figure][1]
    with suppress(ValueError):
        first, *more = map(float, value.split("-"))
        last = more[0] if more else first
        if len(more) < 2 and low <= first <= last <= high:
            return first, last
    raise ValueError(
        f"{figure}={value}, expected a number, or a range from the smaller to the larger, of "
        f"{low:g}-{high:g} metres"
    )


# ---- a random road


_TRIES = 200  # shapes of full wildness that are tried
_CALMER_TRIES = 100  # shapes that are tried after these, each calmer than the one before
_WINDING = 0.7  # where the shape is "any": fraction of winding roads; the others are loops
# the sharpest bend of a loop may be asked to have a radius of at most the length over this
_ROUNDNESS = 14.0
_BESIDE_M = 6.0  # land on each side of every part of the road that is free of other parts
_INSIDE_M = 2.0  # radius of the road's inner edge in the sharpest bend of a winding road


def random_road(name: str) -> RoadPlan:
    """Return the plan of a road such as random:7 or random:7:surface=dirt.

    The order of the random numbers is part of the format: another order gives other roads. Raises
    UserError for a malformed name, and if no road keeps to it.
    """
    try:
        seed, ranges, stated = _parse_name(name)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    # 20: other random numbers than those of other choices with the same seed
    randomness = np.random.default_rng([seed, 20])
    look = _draw_look(randomness, seed, stated)
    figures = {
        figure: low + (high - low) * randomness.random() for figure, (low, high) in ranges.items()
    }
    length_m = figures["length"]
    width_m = figures["width"]

    # a random number is used only where the name asks for any shape, so that the loops of a seed
    # stay the same
    kinds = {kind: stated.get(kind, choices[0]) for kind, choices in _KINDS.items()}
    shape = kinds["shape"]
    if shape == "any":
        shape = "winding" if randomness.random() < _WINDING else "loop"
    closed = shape == "loop"

    least_m, most_m = ranges["radius"]
    radius_m = figures["radius"]
    if closed:
        # a loop cannot be rounder than a circle
        radius_m = min(radius_m, max(length_m / _ROUNDNESS, least_m))
    else:
        # more often near the smallest radius, since sharp bends are hard to drive; 1e-9 stands for
        # an empty range, where the other factor is 0
        radius_m = least_m + (radius_m - least_m) ** 2 / max(most_m - least_m, 1e-9)
    # two parts of the road keep twice this distance between their centre lines
    clear_m = width_m / 2 + look["edge_m"] + _BESIDE_M
    # the sharpest bend's radius is so large that the road's inner edge has room
    inside_m = clear_m if closed else clear_m - _BESIDE_M + _INSIDE_M
    least_radius_m = max(radius_m, inside_m)
    look["neighbor_m"] = _draw_neighbor(seed, kinds["neighbor"], width_m)
    eased = _draw_eased(seed, kinds["slopes"])

    # random shapes are tried until one has no fault
    for number in range(_TRIES + _CALMER_TRIES):
        # 1 for any shape; the nearer to 0, the rounder it is
        wildness = min(1.0, (_TRIES + _CALMER_TRIES - number) / _CALMER_TRIES)
        if closed:
            points = _loop_points(randomness, length_m, figures["hills"], wildness)
        else:
            points = _winding_points(
                randomness, length_m, figures["hills"], least_radius_m / wildness, eased
            )
        control_points = tuple(ControlPoint(x, y, z, width_m) for x, y, z in points)
        plan = RoadPlan(name, control_points, closed, RoadLook(**look))
        line = interpolate(plan.table, closed)
        if not closed:
            line = with_run_outs(line)
        # the road is judged as if it were as wide as the land that it keeps clear
        if not faults_of_line(line.points[:, [0, 2]], clear_m, least_radius_m, closed=closed):
            return plan
    kind, remedy = ("loop", "longer") if closed else ("road", "shorter")
    raise UserError(
        f"{name}: found no {kind} of {length_m:.0f} m with bends of at least {radius_m:.0f} m; "
        f"make it {remedy}, or its radius smaller"
    )


# field of RoadLook -> fractions of its CHOICES, in their order; the choices of a field that is not
# here are equally frequent
_OFTEN = {
    "surface": (0.6, 0.2, 0.2),
    "barriers": (0.7, 0.15, 0.15),
}


def _draw_look(randomness: Random, seed: int, stated: Mapping[str, str]) -> dict[str, Any]:
    """Return fields of a RoadLook: random materials, or those that the name states.

    A random number is used for a stated material, too, so that the others do not depend on it.
    """
    look: dict[str, Any] = {"seed": seed}
    for name, choices in CHOICES.items():
        often = _OFTEN.get(name, (1 / len(choices),) * len(choices))
        number = int(np.searchsorted(np.cumsum(often), randomness.random()))
        # rounded fractions may add up to a little less than 1
        drawn = choices[min(number, len(choices) - 1)]
        look[name] = stated.get(name, drawn)
    look["shade"] = round(0.7 + 0.6 * randomness.random(), 3)
    look["edge_m"] = round(0.4 + 1.4 * randomness.random(), 3)
    return look


_NEIGHBOR = 0.25  # where the neighbor is "any": fraction of the roads with one


def _draw_neighbor(seed: int, neighbor: str, width_m: float) -> float:
    """Return the offset of a neighboring road's middle, positive to the right, 0 for none.

    A neighbor that would be too far away to be seen whole is left out. The random numbers here have
    a seed of their own, so that the rest of a road does not depend on its neighbor.

    neighbor: one of the _KINDS
    """
    randomness = np.random.default_rng([seed, 21])
    drawn = randomness.random()
    gap_m = 0.1 + 2.0 * randomness.random()
    if neighbor == "any":
        neighbor = "none"
        if drawn < _NEIGHBOR / 2:
            neighbor = "left"
        elif drawn < _NEIGHBOR:
            neighbor = "right"
    if neighbor == "none" or 1.5 * width_m + gap_m >= REACH_M:
        return 0.0
    side = -1 if neighbor == "left" else 1
    return round(side * (width_m + gap_m), 2)


_EASED = 0.5  # where the slopes are "any": fraction of the roads with eased ones
_LOW_EASED = 0.5  # smallest fraction by which they are gentler
_FULL_EASED = 1.0  # greatest fraction


def _draw_eased(seed: int, slopes: str) -> float:
    """Return the fraction by which the slope is gentler in the sharpest bends.

    The random numbers here have a seed of their own, as in _draw_neighbor().

    slopes: one of the _KINDS
    """
    randomness = np.random.default_rng([seed, 22])
    drawn = randomness.random()
    fraction = _LOW_EASED + (_FULL_EASED - _LOW_EASED) * randomness.random()
    eased = slopes == "eased" or (slopes == "any" and drawn < _EASED)
    return fraction if eased else 0.0


# ---- random shapes


_Points = list[tuple[float, float, float]]  # x, height, z in metres


def _loop_points(randomness: Random, length_m: float, hills_m: float, wildness: float) -> _Points:
    """Return the points of a loop: a circle whose radius and angle vary, stretched to the length.

    hills_m: height difference between the road's lowest and its highest point
    wildness: how much radius and angle vary: 0 for a circle, at most 1
    """
    count = int(randomness.integers(7, 15))
    corners = _loop_corners(randomness, count, wildness)

    # a spline through the points is a little longer than their polygon
    side_lengths = [
        math.sqrt((x - next_x) ** 2 + (z - next_z) ** 2)
        for (x, z), (next_x, next_z) in pairwise([*corners, corners[0]])
    ]
    scale = length_m / (1.08 * sum(side_lengths))

    heights = _waves([randomness.random() for _ in range(3)], count)
    lowest = min(heights)
    spread = max(max(heights) - lowest, 1e-9)
    return [
        (x * scale, hills_m * (height - lowest) / spread, z * scale)
        for (x, z), height in zip(corners, heights, strict=True)
    ]


def _loop_corners(randomness: Random, count: int, wildness: float) -> list[tuple[float, float]]:
    """Return x and z of points around a circle of radius 1, whose radius and angle vary."""
    # slow changes of the radius: how often around, how much, and from where on
    waves = []
    for order in (2, 3, 4, 5, 6):
        sway = 0.5 * wildness / order * (randomness.random() - 0.5)
        waves.append((order, sway, randomness.random()))
    side = 1 if randomness.random() < 0.5 else -1  # anticlockwise or clockwise

    corners = []
    for number in range(count):
        angle = 2 * math.pi * (number + 0.5 * wildness * (randomness.random() - 0.5)) / count
        reach = 1.0 + sum(
            sway * cosine(order * angle + 2 * math.pi * phase) for order, sway, phase in waves
        )
        reach *= 1.0 + wildness * (0.5 * randomness.random() - 0.25)
        corners.append((side * reach * cosine(angle), reach * sine(angle)))
    return corners


_POINT_SPACING_M = 5.0  # along a winding road


def _winding_points(
    randomness: Random, length_m: float, hills_m: float, radius_m: float, eased: float
) -> _Points:
    """Return the points of an open road of bends to both sides, some with a straight between.

    hills_m: from the lowest to the highest point, or less where that would be too steep
    radius_m: of the sharpest bends
    eased: fraction by which the slope is gentler in the sharpest bends, as mountain roads are
        built: the car is then level in a bend, and sees where it leads
    """
    bends = _draw_bends(randomness, length_m, radius_m)
    heights = _heights(randomness, bends, hills_m, eased)
    x = 0.0
    z = 0.0
    heading = 0.0
    points = []
    for bend, height in zip(bends, heights, strict=True):
        points.append((x, height, z))
        # half of the turn before the step and half after it
        heading += 0.5 * bend * _POINT_SPACING_M
        x += _POINT_SPACING_M * sine(heading)
        z += _POINT_SPACING_M * cosine(heading)
        heading += 0.5 * bend * _POINT_SPACING_M
    return points


_WIDEST_TURN = 1.6  # radians from the general direction
# log(2.5): the radius of the gentlest bend is up to 2.5 times that of the sharpest. It is a number,
# since the C library may round the logarithm differently on another processor, and a road would
# not be the same there.
_LOG_GENTLEST_RATIO = 0.9162907318741551
_MOST_STRAIGHT_POINTS = 3  # on the straight between two bends


def _draw_bends(randomness: Random, length_m: float, sharpest_m: float) -> list[float]:
    """Return the curvature at each point of the road, radians for each metre."""
    bends: list[float] = []
    turned = 0.0  # radians from the road's general direction
    # how gentle the bends of this road may be, and how many points its straights may have
    log_gentlest_ratio = _LOG_GENTLEST_RATIO * randomness.random()
    most_straight_points = int(randomness.integers(0, _MOST_STRAIGHT_POINTS + 1))
    while len(bends) * _POINT_SPACING_M < length_m:
        # a bend back to the general direction, and beyond it to the other side
        side = -1.0 if turned > 0 else 1.0
        turn = abs(turned) + _WIDEST_TURN * randomness.random()
        radius_m = sharpest_m * exponential(log_gentlest_ratio * randomness.random())
        count = max(round(turn * radius_m / _POINT_SPACING_M), 1)
        bends += [side * turn / (count * _POINT_SPACING_M)] * count
        turned += side * turn
        bends += [0.0] * int(randomness.integers(0, most_straight_points + 1))

    # the curvature is smoothed over three points, so that bends begin gradually
    padded = [bends[0], *bends, bends[-1]]
    return [sum(padded[number : number + 3]) / 3 for number in range(len(bends))]


_STEEPEST = 0.3  # slope
# the hills' shortest wave has a length between these
_SHORTEST_WAVE_MIN_M = 30.0
_SHORTEST_WAVE_MAX_M = 100.0


def _heights(
    randomness: Random, bends: Sequence[float], hills_m: float, eased: float
) -> list[float]:
    """Return the heights of a winding road's points, from 0: waves of many lengths.

    bends: the curvature at each point
    """
    count = len(bends)
    range_m = _SHORTEST_WAVE_MAX_M - _SHORTEST_WAVE_MIN_M
    shortest_m = _SHORTEST_WAVE_MIN_M + range_m * randomness.random()
    orders = max(int(count * _POINT_SPACING_M / shortest_m), 3)
    heights = _waves([randomness.random() for _ in range(orders)], count)
    if eased:
        # heights that change less where the road bends; the last point has no rise
        sharpest = max(map(abs, bends))
        rises = [
            (after - before) * (1 - eased * abs(bend) / sharpest)
            for (before, after), bend in zip(pairwise(heights), bends, strict=False)
        ]
        heights = list(accumulate(rises, initial=0.0))

    steepest = max(abs(after - before) for before, after in pairwise(heights)) / _POINT_SPACING_M
    lowest = min(heights)
    spread = max(max(heights) - lowest, 1e-9)
    scale = min(hills_m / spread, _STEEPEST / max(steepest, 1e-9))
    return [scale * (height - lowest) for height in heights]


def _waves(phases: Sequence[float], count: int) -> list[float]:
    """Return the sum of waves at `count` points: one fits once into the road, one twice, and so on.

    phases: where each wave begins, 0 to 1
    """
    heights = []
    for number in range(count):
        terms = (
            sine(2 * math.pi * (order * number / count + phase)) / order
            for order, phase in enumerate(phases, 1)
        )
        heights.append(sum(terms))
    return heights
