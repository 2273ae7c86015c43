"""Make a road from a seed: a name such as random:7 -> a plan, with hills and materials.

random:7 is the road of seed 7. Values after the seed narrow what the seed chooses from, as in
random:7:length=400-600,hills=0,surface=dirt.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bcclone.simulator.random_shape import Points, WindingShape, loop_points, winding_points
from bcclone.simulator.road_line import interpolate, with_run_outs
from bcclone.simulator.road_plan import (
    CHOICES,
    NARROWEST_M,
    REACH_M,
    WIDEST_M,
    ControlPoint,
    RoadLook,
    RoadPlan,
)
from bcclone.simulator.road_rules import RoadRules, faults_of_line
from bcclone.system.errors import UserError, did_you_mean
from bcclone.system.numbers import Random

RANDOM_PREFIX = "random:"

_Range = tuple[float, float]  # smallest and largest

# figure in metres -> the range that a seed chooses from, and the range of values that a name may
# state
FIGURES: dict[str, tuple[_Range, _Range]] = {
    "length": ((500.0, 1200.0), (150.0, 5000.0)),
    "radius": ((18.0, 40.0), (8.0, 200.0)),
    "hills": ((0.0, 10.0), (0.0, 40.0)),
    "width": ((7.0, 10.0), (NARROWEST_M, WIDEST_M)),
}
# kind of road -> its choices, the default first; a seed chooses only where a name says "any"
KINDS = {
    "shape": ("loop", "winding", "any"),
    "neighbor": ("none", "left", "right", "any"),
    "slopes": ("even", "eased", "any"),
}


# The name


def parse_name(name: str) -> tuple[int, Mapping[str, _Range], Mapping[str, str]]:
    """Return what a name such as random:7 or random:7:surface=dirt states.

    Three things: the seed; a range for each of FIGURES, the seed's usual one where the name states
    none; and all values that the name states, as texts. Raises ValueError for a malformed name.
    """
    seed, _, rest = name.removeprefix(RANDOM_PREFIX).partition(":")
    if not seed.isdecimal() or len(seed) > 9:
        raise ValueError(
            f"the seed is {seed!r}, expected a whole number of up to nine digits, as in random:7"
        )
    ranges = {figure: usual for figure, (usual, _) in FIGURES.items()}
    stated = dict[str, str]()
    for part in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = map(str.strip, part.partition("="))
        if not equals:
            raise ValueError(f"{part!r}, expected a name and a value, such as surface=dirt")
        if key in stated:
            raise ValueError(f"{part!r}, expected each only once")
        stated[key] = value
        if key in FIGURES:
            ranges[key] = _range_of(key, value)
        else:
            _check_choice(key, value)
    return int(seed), ranges, stated


def _range_of(figure: str, value: str) -> _Range:
    """Return the range that a value such as 400 or 400-600 states; raises ValueError."""
    low, high = FIGURES[figure][1]
    with suppress(ValueError):
        first, *more = map(float, value.split("-"))
        last = more[0] if more else first
        if len(more) < 2 and low <= first <= last <= high:
            return first, last
    raise ValueError(
        f"{figure}={value}, expected a number, or a range from the smaller to the larger, of "
        f"{low:g}-{high:g} metres"
    )


def _check_choice(key: str, value: str) -> None:
    """Raise ValueError unless `value` is a choice of `key`, which is one of KINDS or CHOICES."""
    choices = (KINDS | CHOICES).get(key)
    if choices is None:
        names = (*FIGURES, *KINDS, *CHOICES)
        hint = did_you_mean(key, names)
        if hint:
            raise ValueError(f"{key}={value}: {hint}")
        raise ValueError(f"{key}={value}, expected {', '.join(names)}")
    if value not in choices:
        raise ValueError(f"{key}={value}, expected one of {', '.join(choices)}")


# The road


@dataclass(frozen=True)
class _Wish:
    """What a seed and a name ask of a road. Random shapes are tried until one keeps to it."""

    name: str
    closed: bool
    length_m: float
    hills_m: float  # height from the lowest point to the highest
    width_m: float
    radius_m: float  # radius of the sharpest bend, as asked for
    least_radius_m: float  # the same, but at least so large that the road's inner edge has room
    clear_m: float  # two parts of the road keep twice this distance between their centre lines
    eased: float  # fraction by which the slope is gentler in the sharpest bends
    look: RoadLook


_TRIES = 200  # shapes of full wildness that are tried
_CALMER_TRIES = 100  # shapes that are tried after these, each calmer than the one before


def random_road(name: str) -> RoadPlan:
    """Return the plan of a road such as random:7 or random:7:surface=dirt.

    Raises UserError for a malformed name, and if no road keeps to it.
    """
    try:
        seed, ranges, stated = parse_name(name)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    # 20: other random numbers than those of other choices with the same seed
    randomness = np.random.default_rng([seed, 20])
    wish = _draw_wish(randomness, name, seed, ranges, stated)
    for number in range(_TRIES + _CALMER_TRIES):
        wildness = min(1.0, (_TRIES + _CALMER_TRIES - number) / _CALMER_TRIES)
        plan = _plan_of(wish, _draw_points(randomness, wish, wildness))
        if not _has_faults(plan, wish):
            return plan
    kind = "loop" if wish.closed else "road"
    remedy = "longer" if wish.closed else "shorter"
    raise UserError(
        f"{name}: found no {kind} of {wish.length_m:.0f} m with bends of at least "
        f"{wish.radius_m:.0f} m; make it {remedy}, or its radius smaller"
    )


_WINDING = 0.7  # where the shape is "any": fraction of winding roads; the others are loops
# the sharpest bend of a loop may be asked to have a radius of at most the length over this
_ROUNDNESS = 14.0
_BESIDE_M = 6.0  # land on each side of every part of the road that is free of other parts
_INSIDE_M = 2.0  # radius of the road's inner edge in the sharpest bend of a winding road


def _draw_wish(
    randomness: Random,
    name: str,
    seed: int,
    ranges: Mapping[str, _Range],
    stated: Mapping[str, str],
) -> _Wish:
    """Choose everything but the shape at random.

    The order of the random numbers is part of the format: another order gives other roads.
    """
    kinds = {kind: stated.get(kind, choices[0]) for kind, choices in KINDS.items()}
    look = _draw_look(randomness, seed, stated)
    figures = {
        figure: low + (high - low) * randomness.random() for figure, (low, high) in ranges.items()
    }

    # a random number is used only where the name asks for any shape, so that the loops of a seed
    # stay the same
    shape = kinds["shape"]
    if shape == "any":
        shape = "winding" if randomness.random() < _WINDING else "loop"
    closed = shape == "loop"

    least_m, most_m = ranges["radius"]
    radius_m = figures["radius"]
    if closed:
        # a loop cannot be rounder than a circle
        radius_m = min(radius_m, max(figures["length"] / _ROUNDNESS, least_m))
    else:
        # more often near the smallest radius, since sharp bends are hard to drive; 1e-9 stands for
        # an empty range, where the other factor is 0
        radius_m = least_m + (radius_m - least_m) ** 2 / max(most_m - least_m, 1e-9)
    clear_m = figures["width"] / 2 + look.edge_m + _BESIDE_M
    # the smallest radius of the centre line that leaves room on the inside of a bend
    inside_m = clear_m if closed else clear_m - _BESIDE_M + _INSIDE_M

    neighbor_m = _draw_neighbor(seed, kinds["neighbor"], figures["width"])
    return _Wish(
        name=name,
        closed=closed,
        length_m=figures["length"],
        hills_m=figures["hills"],
        width_m=figures["width"],
        radius_m=radius_m,
        least_radius_m=max(radius_m, inside_m),
        clear_m=clear_m,
        eased=_draw_eased(seed, kinds["slopes"]),
        look=replace(look, neighbor_m=neighbor_m),
    )


def _draw_points(randomness: Random, wish: _Wish, wildness: float) -> Points:
    """Return a random shape. wildness: 1 for any shape; the nearer to 0, the rounder it is."""
    if wish.closed:
        return loop_points(randomness, wish.length_m, wish.hills_m, wildness)
    shape = WindingShape(wish.length_m, wish.hills_m, wish.least_radius_m / wildness, wish.eased)
    return winding_points(randomness, shape)


def _plan_of(wish: _Wish, points: Points) -> RoadPlan:
    control_points = tuple(ControlPoint(x, y, z, wish.width_m) for x, y, z in points)
    return RoadPlan(wish.name, control_points, wish.closed, wish.look)


def _has_faults(plan: RoadPlan, wish: _Wish) -> bool:
    """Return whether a road has too sharp a bend, or comes too near to itself."""
    line = interpolate(plan.table, plan.closed)
    if not plan.closed:
        line = with_run_outs(line)
    # neither a map nor a length is asked for
    rules = RoadRules(map_m=None, least_length_m=0, least_radius_m=wish.least_radius_m)
    # the road is judged as if it were as wide as the land that it keeps clear
    half_width_m = wish.clear_m
    return bool(faults_of_line(line.points[:, [0, 2]], half_width_m, rules, plan.closed))


# The look


# field of RoadLook -> fractions of its CHOICES, in their order; the choices of a field that is not
# here are equally frequent
_OFTEN = {
    "surface": (0.6, 0.2, 0.2),
    "barriers": (0.7, 0.15, 0.15),
}


def _draw_look(randomness: Random, seed: int, stated: Mapping[str, str]) -> RoadLook:
    """Return random materials, or those that the name states.

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
    return RoadLook(**look)


_NEIGHBOR = 0.25  # where the neighbor is "any": fraction of the roads with one


def _draw_neighbor(seed: int, neighbor: str, width_m: float) -> float:
    """Return the offset of a neighboring road's middle, positive to the right, 0 for none.

    A neighbor that would be too far away to be seen whole is left out. The random numbers here have
    a seed of their own, so that the rest of a road does not depend on its neighbor.

    neighbor: a choice of KINDS
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


# Eased slopes are gentler in sharp bends
_EASED = 0.5  # where the slopes are "any": fraction of the roads with eased ones
_LOW_EASED = 0.5  # smallest fraction by which they are gentler
_FULL_EASED = 1.0  # greatest fraction


def _draw_eased(seed: int, slopes: str) -> float:
    """Return the fraction by which the slope is gentler in the sharpest bends.

    The random numbers here have a seed of their own, as in _draw_neighbor().

    slopes: a choice of KINDS
    """
    randomness = np.random.default_rng([seed, 22])
    drawn = randomness.random()
    fraction = _LOW_EASED + (_FULL_EASED - _LOW_EASED) * randomness.random()
    eased = slopes == "eased" or (slopes == "any" and drawn < _EASED)
    return fraction if eased else 0.0
