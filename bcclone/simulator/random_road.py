"""Make a road from a seed: a name such as random:7 -> a plan, a loop or a winding road with hills
and materials.

random:7 is the road of seed 7; values after it narrow what the seed chooses from:
random:7:length=400-600,hills=0, surface=dirt.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from bcclone.simulator.road_plan import (
    CHOICES,
    NARROWEST_M,
    REACH_M,
    WIDEST_M,
    ControlPoint,
    RoadLook,
    RoadPlan,
    RoadRules,
    faults_of_line,
    interpolate,
    with_run_outs,
)
from bcclone.system.arrays import Random
from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.exact_math import cosine, exponential, sine

RANDOM_PREFIX = "random:"
# figures in metres: the range that a seed chooses from, and the smallest and the largest value that
# a name may state
FIGURES = {
    "length": ((500.0, 1200.0), (150.0, 5000.0)),
    "radius": ((18.0, 40.0), (8.0, 200.0)),
    "hills": ((0.0, 10.0), (0.0, 40.0)),
    "width": ((7.0, 10.0), (NARROWEST_M, WIDEST_M)),
}
# kinds of roads: the default first; a seed chooses only where the name says "any"
KINDS = {
    "shape": ("loop", "winding", "any"),
    "neighbor": ("none", "left", "right", "any"),
    "slopes": ("even", "eased", "any"),
}
_OFTEN = {
    "surface": (0.6, 0.2, 0.2),
    "barriers": (0.7, 0.15, 0.15),
}  # how often each choice is drawn
_TRIES, _CALMER_TRIES = 200, 100  # of any shape, and then of ever rounder ones
_ROUNDNESS = 14.0  # length of a loop over the largest radius of its sharpest bend
_BESIDE_M, _INSIDE_M = (
    6.0,
    2.0,
)  # free of other parts of the road: outside its edges, and on the inside of its bends
_WINDING = 0.7  # fraction of winding roads, where the shape is any
_NEIGHBOR = 0.25  # fraction of the roads with a neighbor, where the kind is any
# eased slopes: fraction of the winding roads where slopes may be any; by how much the slope is
# gentler in sharp bends
_EASED, _LOW_EASED, _FULL_EASED = 0.5, 0.5, 1.0
Points = list[tuple[float, float, float]]  # x, height, z
# of winding roads
_STRETCH_M = 5.0  # between two points
_WIDEST_TURN = 1.6  # radians from the general direction
# logarithm of 2.5: the radius of the gentlest bend over the radius of the sharpest
_GENTLEST = 0.9162907318741551
_STRAIGHT_POINTS = 4  # points between two bends
_STEEPEST, _SHORTEST_WAVE_M = (
    0.3,
    (30.0, 100.0),
)  # slope; range of the length of the hills' shortest wave


def parse_name(name: str) -> tuple[int, Mapping[str, tuple[float, float]], Mapping[str, str]]:
    """Return what a name such as random:7 or random:7:surface=dirt states; raises ValueError for a
    malformed one.

    These are the seed, a range for each of FIGURES, and everything that is stated, as texts.
    """
    seed, _, rest = name.removeprefix(RANDOM_PREFIX).partition(":")
    if not seed.isdecimal() or len(seed) > 9:
        raise ValueError(
            f"the seed is {seed!r}, expected a whole number of up to nine digits, as in random:7"
        )
    ranges, stated = {figure: usual for figure, (usual, _) in FIGURES.items()}, dict[str, str]()
    for part in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = map(str.strip, part.partition("="))
        if not equals or key in stated:
            expected = (
                "expected each only once"
                if equals
                else "expected a name and a value, such as surface=dirt"
            )
            raise ValueError(f"{part!r}, {expected}")
        stated[key] = value
        if key in FIGURES:
            ranges[key] = _span(key, value)
        elif (choices := (KINDS | CHOICES).get(key)) is None:
            names = (*FIGURES, *KINDS, *CHOICES)
            hint = did_you_mean(key, names)
            raise ValueError(
                f"{key}={value}" + (f": {hint}" if hint else f", expected {', '.join(names)}")
            )
        elif value not in choices:
            raise ValueError(f"{key}={value}, expected one of {', '.join(choices)}")
    return int(seed), ranges, stated


def _span(figure: str, value: str) -> tuple[float, float]:
    low, high = FIGURES[figure][1]
    with suppress(ValueError):
        first, *more = map(float, value.split("-"))
        last = more[0] if more else first
        if len(more) < 2 and low <= first <= last <= high:
            return first, last
    raise ValueError(
        f"{figure}={value}, expected a number, or a range from the smaller to the larger, of {low:g}-{high:g} metres"
    )


def random_road(name: str) -> RoadPlan:
    """Return the plan of a road such as random:7 or random:7:surface=dirt. Raises UserError for a
    malformed name.
    """
    try:
        seed, ranges, stated = parse_name(name)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    shape, neighbor, slopes = (stated.get(kind, choices[0]) for kind, choices in KINDS.items())
    randomness = np.random.default_rng([seed, 20])
    look = _draw_look(randomness, seed, stated)
    length_m, radius_m, hills_m, width_m = (
        low + (high - low) * randomness.random() for low, high in ranges.values()
    )
    if shape == "any":  # drawn only here, so that the loops of a seed stay the same
        shape = "winding" if randomness.random() < _WINDING else "loop"
    closed, (least, most) = shape == "loop", ranges["radius"]
    if closed:
        radius_m = min(radius_m, max(length_m / _ROUNDNESS, least))
    else:  # more often near the least: sharp bends are hard to drive
        radius_m = least + (radius_m - least) ** 2 / max(most - least, 1e-9)
    clear_m = width_m / 2 + look["edge_m"] + _BESIDE_M
    look["neighbor_m"] = _draw_neighbor(seed, neighbor, width_m)
    eased = _draw_eased(seed, slopes)
    rules = RoadRules(
        None, 0, max(radius_m, clear_m if closed else clear_m - _BESIDE_M + _INSIDE_M)
    )
    for number in range(_TRIES + _CALMER_TRIES):
        wildness = min(1.0, (_TRIES + _CALMER_TRIES - number) / _CALMER_TRIES)
        if closed:
            points = _loop(randomness, length_m, hills_m, wildness)
        else:
            points = _winding(randomness, length_m, hills_m, rules.least_radius_m / wildness, eased)
        plan = RoadPlan(
            name, tuple(ControlPoint(*point, width_m) for point in points), closed, RoadLook(**look)
        )
        line = interpolate(plan.table, closed)
        line = line if closed else with_run_outs(line)
        if not faults_of_line(line.points[:, [0, 2]], clear_m, rules, closed):
            return plan
    raise UserError(
        f"{name}: found no {'loop' if closed else 'road'} of {length_m:.0f} m with bends of at least {radius_m:.0f} m; "
        f"make it {'longer' if closed else 'shorter'}, or its radius smaller"
    )


def _draw_look(randomness: Random, seed: int, stated: Mapping[str, str]) -> dict[str, Any]:
    """Draw every choice, also one that the name states, so that the others stay as they are."""
    look: dict[str, Any] = {"seed": seed}
    for name, choices in CHOICES.items():
        often = np.cumsum(_OFTEN.get(name, (1 / len(choices),) * len(choices)))
        drawn = choices[min(int(np.searchsorted(often, randomness.random())), len(choices) - 1)]
        look[name] = stated.get(name, drawn)
    look["shade"] = round(0.7 + 0.6 * randomness.random(), 3)
    look["edge_m"] = round(0.4 + 1.4 * randomness.random(), 3)
    return look


def _draw_neighbor(seed: int, neighbor: str, width_m: float) -> float:
    """Return the distance of the middle of a neighboring road, 0 for none; wide roads have none.

    It has random numbers of its own, so that the rest of a road does not depend on it.
    """
    randomness = np.random.default_rng([seed, 21])
    drawn, gap_m = randomness.random(), 0.1 + 2.0 * randomness.random()
    side = {"left": -1, "right": 1, "none": 0}.get(
        neighbor, -1 if drawn < _NEIGHBOR / 2 else int(drawn < _NEIGHBOR)
    )
    return round(side * (width_m + gap_m), 2) if 1.5 * width_m + gap_m < REACH_M else 0.0


def _draw_eased(seed: int, slopes: str) -> float:
    """Return the fraction by which the slope is gentler in the sharpest bends; it has random
    numbers of its own.
    """
    randomness = np.random.default_rng([seed, 22])
    drawn, fraction = (
        randomness.random(),
        _LOW_EASED + (_FULL_EASED - _LOW_EASED) * randomness.random(),
    )
    return fraction if slopes == "eased" or (slopes == "any" and drawn < _EASED) else 0.0


def _loop(randomness: Random, length_m: float, hills_m: float, wildness: float) -> Points:
    """Return the points of a loop: a circle whose radius and angle vary, stretched to the length.

    hills_m: from its lowest to its highest point; wildness: how much they vary, from 1 to 0 for a
    circle.
    """
    count = int(randomness.integers(7, 15))
    waves = [
        (order, 0.5 * wildness / order * (randomness.random() - 0.5), randomness.random())
        for order in (2, 3, 4, 5, 6)
    ]
    corners, side = [], 1 if randomness.random() < 0.5 else -1  # anticlockwise or clockwise
    for number in range(count):
        angle = 2 * math.pi * (number + 0.5 * wildness * (randomness.random() - 0.5)) / count
        reach = 1.0 + sum(
            sway * cosine(order * angle + 2 * math.pi * phase) for order, sway, phase in waves
        )
        reach *= 1.0 + wildness * (0.5 * randomness.random() - 0.25)
        corners.append((side * reach * cosine(angle), reach * sine(angle)))
    around = [
        math.sqrt((x - there_x) ** 2 + (z - there_z) ** 2)
        for (x, z), (there_x, there_z) in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    scale = length_m / (
        1.08 * sum(around)
    )  # a spline through the points is a little longer than their polygon
    heights = _waves([randomness.random() for _ in range(3)], count)
    lowest, spread = min(heights), max(max(heights) - min(heights), 1e-9)
    return [
        (x * scale, hills_m * (height - lowest) / spread, z * scale)
        for (x, z), height in zip(corners, heights, strict=True)
    ]


def _winding(
    randomness: Random, length_m: float, hills_m: float, radius_m: float, eased: float
) -> Points:
    """Return the points of an open road of bends to both sides, some with a straight stretch
    between.

    radius_m: of the sharpest bends; eased: fraction by which the slope is gentler there.
    """
    bends: list[float] = []  # curvature of every stretch of _STRETCH_M
    turned = 0.0  # radians from the road's general direction
    gentlest, longest = (
        _GENTLEST * randomness.random(),
        int(randomness.integers(1, _STRAIGHT_POINTS + 1)),
    )
    while len(bends) * _STRETCH_M < length_m:
        side = -1.0 if turned > 0 else 1.0
        turn = abs(turned) + _WIDEST_TURN * randomness.random()
        radius = radius_m * exponential(gentlest * randomness.random())
        count = max(round(turn * radius / _STRETCH_M), 1)
        bends += [side * turn / (count * _STRETCH_M)] * count
        turned += side * turn
        bends += [0.0] * int(randomness.integers(0, longest))
    padded = [bends[0], *bends, bends[-1]]
    bends = [
        sum(padded[number : number + 3]) / 3 for number in range(len(bends))
    ]  # they change over three stretches
    heights = _heights(randomness, bends, hills_m, eased)
    x = z = heading = 0.0
    points = []
    for bend, height in zip(bends, heights, strict=True):
        points.append((x, height, z))
        heading += 0.5 * bend * _STRETCH_M
        x, z = x + _STRETCH_M * sine(heading), z + _STRETCH_M * cosine(heading)
        heading += 0.5 * bend * _STRETCH_M
    return points


def _heights(
    randomness: Random, bends: Sequence[float], hills_m: float, eased: float
) -> list[float]:
    """Return the heights of a winding road's points, from 0: waves of many lengths and of the same
    steepness.

    The difference between the highest and the lowest is hills_m, or less where that would be too
    steep. bends: the curvature at each point; eased: fraction by which the slope is gentler in the
    sharpest bends, as mountain roads are built: the car is then level in a bend, and sees where it
    leads.
    """
    count, (least, most) = len(bends), _SHORTEST_WAVE_M
    orders = max(int(count * _STRETCH_M / (least + (most - least) * randomness.random())), 3)
    heights = _waves([randomness.random() for _ in range(orders)], count)
    if eased:
        sharpest = max(map(abs, bends))
        rises = (
            (there - here) * (1 - eased * abs(bend) / sharpest)
            for (here, there), bend in zip(pairwise(heights), bends, strict=False)
        )
        heights = list(accumulate(rises, initial=0.0))
    steepest = max(abs(there - here) for here, there in pairwise(heights)) / _STRETCH_M
    lowest, spread = min(heights), max(max(heights) - min(heights), 1e-9)
    scale = min(hills_m / spread, _STEEPEST / max(steepest, 1e-9))
    return [scale * (height - lowest) for height in heights]


def _waves(phases: Sequence[float], count: int) -> list[float]:
    """Return the sum of waves at so many points: one that fits once into the road, one that fits
    twice, and so on.
    """
    return [
        sum(
            sine(2 * math.pi * (order * number / count + phase)) / order
            for order, phase in enumerate(phases, 1)
        )
        for number in range(count)
    ]
