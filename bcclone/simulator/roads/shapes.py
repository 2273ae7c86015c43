"""Draw the shape of a random road: random numbers -> control points of a loop or an open winding road, with hills."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from bcclone.simulator.roads.road_plan import ControlPoint
from bcclone.system.exact_math import cosine, exponential, sine

# of winding roads
_STRETCH_M = 5.0  # between two points
_WIDEST_TURN = 1.6  # radians from the general direction
_GENTLEST = 0.9162907318741551  # logarithm of 2.5: the radius of the gentlest bend over the radius of the sharpest
_STRAIGHT_POINTS = 4  # points between two bends
_STEEPEST, _SHORTEST_WAVE_M = 0.3, (30.0, 100.0)  # slope; range of the length of the hills' shortest wave


@dataclass(frozen=True)
class RoadSize:
    """What a seed has drawn: length, difference between the highest and the lowest point, and width."""

    length_m: float
    hills_m: float
    width_m: float


def loop(randomness: np.random.Generator, size: RoadSize, wildness: float) -> tuple[ControlPoint, ...]:
    """Return the points of a loop: a circle whose radius and angle vary, stretched to the length.

    wildness: how much they vary, from 1 to 0 for a circle.
    """
    count = int(randomness.integers(7, 15))
    waves = [
        (order, 0.5 * wildness / order * (randomness.random() - 0.5), randomness.random()) for order in (2, 3, 4, 5, 6)
    ]
    corners, side = [], 1 if randomness.random() < 0.5 else -1  # anticlockwise or clockwise
    for number in range(count):
        angle = 2 * math.pi * (number + 0.5 * wildness * (randomness.random() - 0.5)) / count
        reach = 1.0 + sum(sway * cosine(order * angle + 2 * math.pi * phase) for order, sway, phase in waves)
        reach *= 1.0 + wildness * (0.5 * randomness.random() - 0.25)
        corners.append((side * reach * cosine(angle), reach * sine(angle)))
    around = [
        math.sqrt((x - there_x) ** 2 + (z - there_z) ** 2)
        for (x, z), (there_x, there_z) in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    scale = size.length_m / (1.08 * sum(around))  # a spline through the points is a little longer than their polygon
    phases = [randomness.random() for _ in range(3)]
    heights = [
        sum(sine(2 * math.pi * (order * number / count + phases[order - 1])) / order for order in (1, 2, 3))
        for number in range(count)
    ]
    lowest, spread = min(heights), max(max(heights) - min(heights), 1e-9)
    return tuple(
        ControlPoint(x * scale, size.hills_m * (height - lowest) / spread, z * scale, size.width_m)
        for (x, z), height in zip(corners, heights, strict=True)
    )


def winding(randomness: np.random.Generator, size: RoadSize, radius_m: float, eased: float) -> tuple[ControlPoint, ...]:
    """Return the points of an open road of bends to both sides, some with a straight stretch between.

    radius_m: of the sharpest bends; eased: fraction by which the slope is gentler there.
    """
    bends: list[float] = []  # curvature of every stretch of _STRETCH_M
    turned = 0.0  # radians from the road's general direction
    gentlest, longest = _GENTLEST * randomness.random(), int(randomness.integers(1, _STRAIGHT_POINTS + 1))
    while len(bends) * _STRETCH_M < size.length_m:
        side = -1.0 if turned > 0 else 1.0
        turn = abs(turned) + _WIDEST_TURN * randomness.random()
        radius = radius_m * exponential(gentlest * randomness.random())
        count = max(round(turn * radius / _STRETCH_M), 1)
        bends += [side * turn / (count * _STRETCH_M)] * count
        turned += side * turn
        bends += [0.0] * int(randomness.integers(0, longest))
    bends = _smoothed(bends)
    x = z = 0.0
    places, heading = [], 0.0
    for bend in bends:
        places.append((x, z))
        heading += 0.5 * bend * _STRETCH_M
        x, z = x + _STRETCH_M * sine(heading), z + _STRETCH_M * cosine(heading)
        heading += 0.5 * bend * _STRETCH_M
    heights = _heights(randomness, bends, size.hills_m, eased)
    return tuple(ControlPoint(x, height, z, size.width_m) for (x, z), height in zip(places, heights, strict=True))


def _heights(randomness: np.random.Generator, bends: Sequence[float], hills_m: float, eased: float) -> list[float]:
    """Return the heights of a winding road's points, from 0: waves of many lengths and of the same steepness.

    The difference between the highest and the lowest is hills_m, or less where that would be too steep. bends: the
    curvature at each point; eased: fraction by which the slope is gentler in the sharpest bends.
    """
    count = len(bends)
    least, most = _SHORTEST_WAVE_M
    orders = range(1, max(int(count * _STRETCH_M / (least + (most - least) * randomness.random())), 3) + 1)
    phases = [randomness.random() for _ in orders]
    heights = [
        sum(
            sine(2 * math.pi * (order * number / count + phase)) / order
            for order, phase in zip(orders, phases, strict=True)
        )
        for number in range(count)
    ]
    if eased:
        heights = _gentler_in_bends(heights, bends, eased)
    steepest = max(abs(there - here) for here, there in pairwise(heights)) / _STRETCH_M
    lowest, spread = min(heights), max(max(heights) - min(heights), 1e-9)
    scale = min(hills_m / spread, _STEEPEST / max(steepest, 1e-9))
    return [scale * (height - lowest) for height in heights]


def _gentler_in_bends(heights: Sequence[float], bends: Sequence[float], fraction: float) -> list[float]:
    """Return heights whose slope is gentler by that fraction in the sharpest bends, as mountain roads are built.

    The car is then level in a bend, and does not see where it leads when the road falls away behind it.
    """
    sharpest = max(map(abs, bends))
    rises = (
        (there - here) * (1 - fraction * abs(bend) / sharpest)
        for (here, there), bend in zip(pairwise(heights), bends, strict=False)
    )
    return list(accumulate(rises, initial=0.0))


def _smoothed(bends: Sequence[float]) -> list[float]:
    """Return curvatures that change over three stretches instead of from one to the next."""
    padded = [bends[0], *bends, bends[-1]]
    return [sum(padded[number : number + 3]) / 3 for number in range(len(bends))]
