"""Choose the shape of a road at random.

In: random numbers. Out: the points of a loop or of a winding road, with hills.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bcclone.system.exact_math import cosine, exponential, sine
from bcclone.system.numbers import Random

Points = list[tuple[float, float, float]]  # x, height, z in metres


# Loops


def loop_points(randomness: Random, length_m: float, hills_m: float, wildness: float) -> Points:
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


# Winding roads


_POINT_SPACING_M = 5.0  # along a winding road


@dataclass(frozen=True)
class WindingShape:
    """What a winding road should be like."""

    length_m: float
    hills_m: float  # from the lowest to the highest point, or less where that would be too steep
    radius_m: float  # of the sharpest bends
    # fraction by which the slope is gentler in the sharpest bends, as mountain roads are built: the
    # car is then level in a bend, and sees where it leads
    eased: float


def winding_points(randomness: Random, shape: WindingShape) -> Points:
    """Return the points of an open road of bends to both sides, some with a straight between."""
    bends = _draw_bends(randomness, shape)
    heights = _heights(randomness, bends, shape)
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


def _draw_bends(randomness: Random, shape: WindingShape) -> list[float]:
    """Return the curvature at each point of the road, radians for each metre."""
    bends: list[float] = []
    turned = 0.0  # radians from the road's general direction
    # how gentle the bends of this road may be, and how many points its straights may have
    log_gentlest_ratio = _LOG_GENTLEST_RATIO * randomness.random()
    most_straight_points = int(randomness.integers(0, _MOST_STRAIGHT_POINTS + 1))
    while len(bends) * _POINT_SPACING_M < shape.length_m:
        # a bend back to the general direction, and beyond it to the other side
        side = -1.0 if turned > 0 else 1.0
        turn = abs(turned) + _WIDEST_TURN * randomness.random()
        radius_m = shape.radius_m * exponential(log_gentlest_ratio * randomness.random())
        count = max(round(turn * radius_m / _POINT_SPACING_M), 1)
        bends += [side * turn / (count * _POINT_SPACING_M)] * count
        turned += side * turn
        bends += [0.0] * int(randomness.integers(0, most_straight_points + 1))

    # the curvature is smoothed over three points, so that bends begin gradually
    padded = [bends[0], *bends, bends[-1]]
    return [sum(padded[number : number + 3]) / 3 for number in range(len(bends))]


# Hills


_STEEPEST = 0.3  # slope
# the hills' shortest wave has a length between these
_SHORTEST_WAVE_MIN_M = 30.0
_SHORTEST_WAVE_MAX_M = 100.0


def _heights(randomness: Random, bends: Sequence[float], shape: WindingShape) -> list[float]:
    """Return the heights of a winding road's points, from 0.

    They are waves of many lengths and of the same steepness.

    bends: the curvature at each point
    """
    count = len(bends)
    range_m = _SHORTEST_WAVE_MAX_M - _SHORTEST_WAVE_MIN_M
    shortest_m = _SHORTEST_WAVE_MIN_M + range_m * randomness.random()
    orders = max(int(count * _POINT_SPACING_M / shortest_m), 3)
    heights = _waves([randomness.random() for _ in range(orders)], count)
    if shape.eased:
        heights = _with_eased_bends(heights, bends, shape.eased)

    steepest = max(abs(after - before) for before, after in pairwise(heights)) / _POINT_SPACING_M
    lowest = min(heights)
    spread = max(max(heights) - lowest, 1e-9)
    scale = min(shape.hills_m / spread, _STEEPEST / max(steepest, 1e-9))
    return [scale * (height - lowest) for height in heights]


def _with_eased_bends(
    heights: Sequence[float], bends: Sequence[float], eased: float
) -> list[float]:
    """Return heights that change less where the road bends."""
    sharpest = max(map(abs, bends))
    rises = []
    # the last point has no rise
    for (before, after), bend in zip(pairwise(heights), bends, strict=False):
        rises.append((after - before) * (1 - eased * abs(bend) / sharpest))
    return list(accumulate(rises, initial=0.0))


def _waves(phases: Sequence[float], count: int) -> list[float]:
    """Return the sum of waves at `count` points.

    One wave fits once into the road, one twice, and so on.

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
