"""Make a road from a seed: a loop through random points, or an open winding road, with hills, in random materials.

random:7 is the road of seed 7; values after it narrow what the seed chooses from: random:7:length=400-600,hills=0,
surface=dirt.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate, pairwise

import numpy as np

from bcclone.errors import UserError
from bcclone.exact_math import cosine, exponential, sine
from bcclone.simulator.roads import look as looks
from bcclone.simulator.roads.line import interpolate, with_run_outs
from bcclone.simulator.roads.look import RoadLook
from bcclone.simulator.roads.plan import NARROWEST_M, WIDEST_M, ControlPoint, RoadPlan
from bcclone.simulator.roads.rules import RoadRules, faults_of_line

PREFIX = "random:"
_TRIES, _CALMER_TRIES = 200, 100  # of any shape, and of ever rounder ones after that
_ROUNDNESS = 14.0  # a loop is this many times as long as the largest radius that its sharpest bend may have
_BESIDE_M, _INSIDE_M = 6.0, 2.0  # beside the edges: free of other parts of the road, and inside of its bends
_SHAPES = ("loop", "winding")
_WINDING = 0.7  # fraction of the roads of any shape
_NEIGHBOR = 0.25  # fraction of the roads that have another beside them, of any
_EASED, _LEAST_EASED, _MOST_EASED = 0.5, 0.5, 1.0  # fraction of winding roads, of any; of the slope in sharpest bends
# winding roads: steps in metres, the widest turn from the general direction, the logarithm of how many times as wide
# the gentlest bend may be as the sharpest (2.5), straight stretches between bends in steps; the steepest slope, the
# least length of hills' waves
_STRETCH_M, _WIDEST_TURN, _GENTLEST, _LONGEST_STRAIGHT = 5.0, 1.6, 0.9162907318741551, 4
_STEEPEST, _SHORTEST_WAVE_M = 0.3, (30.0, 100.0)
_CHOICES = {
    "surface": looks.SURFACES,
    "lines": looks.LINES,
    "middle": looks.MIDDLES,
    "edges": looks.EDGES,
    "barriers": looks.BARRIERS,
    "surroundings": looks.SURROUNDINGS,
}
# what a seed does not choose unless "any" is asked for; the first is what a road has otherwise
_KINDS = {
    "shape": (*_SHAPES, "any"),
    "neighbor": ("none", "left", "right", "any"),
    "slopes": ("even", "eased", "any"),
}
_OFTEN = {"surface": (0.6, 0.2, 0.2), "barriers": (0.7, 0.15, 0.15)}  # how often each choice is drawn


@dataclass(frozen=True)
class RoadRanges:
    """What the seed of a road chooses from: the smallest and the largest of each, in metres."""

    length: tuple[float, float] = (500.0, 1200.0)
    radius: tuple[float, float] = (18.0, 40.0)
    hills: tuple[float, float] = (0.0, 10.0)
    width: tuple[float, float] = (7.0, 10.0)


_LIMITS = {"length": (150.0, 5000.0), "radius": (8.0, 200.0), "hills": (0.0, 40.0), "width": (NARROWEST_M, WIDEST_M)}


@dataclass(frozen=True)
class _Size:
    """What a seed has drawn: length, difference between the highest and the lowest point, and width."""

    length_m: float
    hills_m: float
    width_m: float


def random_road(name: str) -> RoadPlan:
    """Return the plan of a road such as random:7 or random:7:surface=dirt. Raises UserError for a malformed name."""
    seed, ranges, kinds, chosen = _parse(name)
    randomness = np.random.default_rng([seed, 20])
    look = _draw_look(randomness, seed, chosen)
    length_m, radius_m, hills_m, width_m = (
        low + (high - low) * randomness.random()
        for low, high in (getattr(ranges, each.name) for each in fields(ranges))
    )
    size = _Size(length_m, hills_m, width_m)
    closed = _draw_shape(randomness, kinds["shape"]) == "loop"
    if closed:
        radius_m = min(radius_m, max(length_m / _ROUNDNESS, ranges.radius[0]))
    else:  # more often near the least: sharp bends are those that are hard to drive
        least, most = ranges.radius
        radius_m = least + (radius_m - least) ** 2 / max(most - least, 1e-9)
    clear_m = width_m / 2 + look.edge_m + _BESIDE_M
    look = replace(look, neighbor_m=_draw_neighbor(seed, kinds["neighbor"], width_m))
    eased = _draw_eased(seed, kinds["slopes"])
    rules = RoadRules(None, 0, max(radius_m, clear_m if closed else clear_m - _BESIDE_M + _INSIDE_M))
    for number in range(_TRIES + _CALMER_TRIES):
        wildness = min(1.0, (_TRIES + _CALMER_TRIES - number) / _CALMER_TRIES)
        if closed:
            points = _loop(randomness, size, wildness)
        else:
            points = _winding(randomness, size, rules.least_radius_m / wildness, eased)
        plan = RoadPlan(name, points, closed, look)
        line = interpolate(plan.table, closed)
        line = line if closed else with_run_outs(line)
        if not faults_of_line(line.points[:, [0, 2]], clear_m, rules, closed):
            return plan
    raise UserError(
        f"{name}: found no {'loop' if closed else 'road'} of {length_m:.0f} m with bends of at least {radius_m:.0f} m; "
        f"make it {'longer' if closed else 'shorter'}, or its radius smaller"
    )


def _draw_look(randomness: np.random.Generator, seed: int, chosen: Mapping[str, str]) -> RoadLook:
    """Draw every choice, also those that are given, so that the others stay what they are."""
    drawn = {}
    for name, choices in _CHOICES.items():
        often = np.cumsum(_OFTEN.get(name, (1 / len(choices),) * len(choices)))
        drawn[name] = choices[min(int(np.searchsorted(often, randomness.random())), len(choices) - 1)]
    drawn |= chosen
    return RoadLook(
        surface=drawn["surface"],
        shade=round(0.7 + 0.6 * randomness.random(), 3),
        lines=drawn["lines"],
        middle=drawn["middle"],
        edges=drawn["edges"],
        edge_m=round(0.4 + 1.4 * randomness.random(), 3),
        barriers=drawn["barriers"],
        surroundings=drawn["surroundings"],
        seed=seed,
    )


def _loop(randomness: np.random.Generator, size: _Size, wildness: float) -> tuple[ControlPoint, ...]:
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
        reach = 1.0 + sum(size * cosine(order * angle + 2 * math.pi * phase) for order, size, phase in waves)
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


def _draw_neighbor(seed: int, neighbor: str, width_m: float) -> float:
    """Return the distance of the middle of another road beside it, 0 for none; wide roads have none.

    It is drawn by itself, so that all else of a road stays what it is.
    """
    randomness = np.random.default_rng([seed, 21])
    drawn, gap_m = randomness.random(), 0.1 + 2.0 * randomness.random()
    side = {"left": -1, "right": 1, "none": 0}.get(neighbor, -1 if drawn < _NEIGHBOR / 2 else int(drawn < _NEIGHBOR))
    return round(side * (width_m + gap_m), 2) if 1.5 * width_m + gap_m < looks.REACH_M else 0.0


def _draw_shape(randomness: np.random.Generator, shape: str) -> str:
    """Return loop or winding; a seed draws one only if any is asked for, so that its loops are always the same."""
    return _SHAPES[int(randomness.random() < _WINDING)] if shape == "any" else shape


def _draw_eased(seed: int, slopes: str) -> float:
    """Return by which fraction the slope is gentler in the sharpest bends of a winding road; drawn by itself."""
    randomness = np.random.default_rng([seed, 22])
    drawn, fraction = randomness.random(), _LEAST_EASED + (_MOST_EASED - _LEAST_EASED) * randomness.random()
    return fraction if slopes == "eased" or (slopes == "any" and drawn < _EASED) else 0.0


def _winding(randomness: np.random.Generator, size: _Size, radius_m: float, eased: float) -> tuple[ControlPoint, ...]:
    """Return the points of an open road of bends to both sides, some with a straight stretch between.

    radius_m: of the sharpest bends; eased: by which fraction its slope is gentler there.
    """
    bends: list[float] = []  # curvature of every stretch of _STRETCH_M
    turned = 0.0  # radians from the road's general direction
    gentlest, longest = _GENTLEST * randomness.random(), int(randomness.integers(1, _LONGEST_STRAIGHT + 1))
    while len(bends) * _STRETCH_M < size.length_m:
        side = -1.0 if turned > 0 else 1.0
        turn = abs(turned) + _WIDEST_TURN * randomness.random()
        radius = radius_m * exponential(gentlest * randomness.random())
        count = max(round(turn * radius / _STRETCH_M), 1)
        bends += [side * turn / (count * _STRETCH_M)] * count
        turned += side * turn
        bends += [0.0] * int(randomness.integers(0, longest))
    x = z = 0.0
    places, heading = [], 0.0
    bends = _smoothed(bends)
    for bend in bends:
        places.append((x, z))
        heading += 0.5 * bend * _STRETCH_M
        x, z = x + _STRETCH_M * sine(heading), z + _STRETCH_M * cosine(heading)
        heading += 0.5 * bend * _STRETCH_M
    heights = _heights(randomness, bends, size.hills_m, eased)
    return tuple(ControlPoint(x, height, z, size.width_m) for (x, z), height in zip(places, heights, strict=True))


def _heights(randomness: np.random.Generator, bends: Sequence[float], hills_m: float, eased: float) -> list[float]:
    """Return the heights of a winding road's points, from 0: waves of many lengths, all as steep as one another.

    The difference between the highest and the lowest is hills_m, or less where that would be too steep. bends: the
    curvature at each point; eased: by which fraction the slope is gentler in the sharpest of them.
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


def _parse(name: str) -> tuple[int, RoadRanges, dict[str, str], dict[str, str]]:
    """Return the seed, the ranges of its figures, the value of each of _KINDS, and what is chosen of _CHOICES."""
    seed, _, rest = name.removeprefix(PREFIX).partition(":")
    if not seed.isdecimal() or len(seed) > 9:
        raise UserError(f"{name}: the seed is {seed!r}, expected a whole number of up to nine digits, as in random:7")
    ranges, chosen, given = asdict(RoadRanges()), dict[str, str](), set[str]()
    kinds = {kind: choices[0] for kind, choices in _KINDS.items()}
    for part in filter(None, map(str.strip, rest.split(","))):
        key, _, value = part.partition("=")
        _expect(name, key, value, key not in given, "each only once")
        given.add(key)
        if key in _CHOICES:
            _expect(name, key, value, value in _CHOICES[key], f"one of {', '.join(_CHOICES[key])}")
            chosen[key] = value
        elif key in _KINDS:
            _expect(name, key, value, value in _KINDS[key], f"one of {', '.join(_KINDS[key])}")
            kinds[key] = value
        elif key in _LIMITS:
            low, high = _LIMITS[key]
            span = _span(value.split("-"))
            fits = span is not None and low <= span[0] <= span[1] <= high
            _expect(
                name,
                key,
                value,
                fits,
                f"a number, or a range from the smaller to the larger, of {low:g}-{high:g} metres",
            )
            ranges[key] = span
        else:
            _expect(name, key, value, False, f"{', '.join((*_LIMITS, *_KINDS, *_CHOICES))}")
    return int(seed), RoadRanges(**ranges), kinds, chosen


def _span(texts: Sequence[str]) -> tuple[float, float] | None:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return (numbers[0], numbers[-1]) if 1 <= len(numbers) <= 2 else None


def _expect(name: str, key: str, value: str, fits: bool, expected: str) -> None:
    if not fits:
        raise UserError(f"{name}: {key}={value}, expected {expected}")
