"""Make a road from a seed: a name such as random:7 -> a plan, a loop or a winding road with hills and materials.

random:7 is the road of seed 7; values after it narrow what the seed chooses from: random:7:length=400-600,hills=0,
surface=dirt.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from bcclone.simulator.roads.line import RoadRules, faults_of_line, interpolate, with_run_outs
from bcclone.simulator.roads.road_plan import (
    BARRIERS,
    EDGES,
    LINES,
    MIDDLES,
    NARROWEST_M,
    REACH_M,
    SURFACES,
    SURROUNDINGS,
    WIDEST_M,
    RoadLook,
    RoadPlan,
)
from bcclone.simulator.roads.shapes import RoadSize, loop, winding
from bcclone.system.errors import UserError, did_you_mean

_TRIES, _CALMER_TRIES = 200, 100  # of any shape, and then of ever rounder ones
_ROUNDNESS = 14.0  # length of a loop over the largest radius of its sharpest bend
_BESIDE_M, _INSIDE_M = 6.0, 2.0  # free of other parts of the road: outside its edges, and on the inside of its bends
_WINDING = 0.7  # fraction of winding roads, where the shape is any
_NEIGHBOR = 0.25  # fraction of the roads with a neighbor, where the kind is any
# eased slopes: fraction of the winding roads where slopes may be any; by how much the slope is gentler in sharp bends
_EASED, _LOW_EASED, _FULL_EASED = 0.5, 0.5, 1.0
_OFTEN = {"surface": (0.6, 0.2, 0.2), "barriers": (0.7, 0.15, 0.15)}  # how often each choice is drawn
RANDOM_PREFIX = "random:"
CHOICES = {
    "surface": SURFACES,
    "lines": LINES,
    "middle": MIDDLES,
    "edges": EDGES,
    "barriers": BARRIERS,
    "surroundings": SURROUNDINGS,
}
# kinds of roads: the default first; a seed chooses only where the name says "any"
KINDS = {
    "shape": ("loop", "winding", "any"),
    "neighbor": ("none", "left", "right", "any"),
    "slopes": ("even", "eased", "any"),
}


@dataclass(frozen=True)
class RoadRanges:
    """What the seed of a road chooses from: the smallest and the largest of each, in metres."""

    length: tuple[float, float] = (500.0, 1200.0)
    radius: tuple[float, float] = (18.0, 40.0)
    hills: tuple[float, float] = (0.0, 10.0)
    width: tuple[float, float] = (7.0, 10.0)


_LIMITS = {"length": (150.0, 5000.0), "radius": (8.0, 200.0), "hills": (0.0, 40.0), "width": (NARROWEST_M, WIDEST_M)}


@dataclass(frozen=True)
class RoadName:
    """What the name of a road states: its seed, ranges of its figures, a value for each kind, and choices of its look.

    kinds: name in KINDS -> value; chosen: name in CHOICES -> value, for the names that the seed does not choose.
    """

    seed: int
    ranges: RoadRanges
    kinds: Mapping[str, str]
    chosen: Mapping[str, str]


def parse_name(name: str) -> RoadName:
    """Return what a name such as random:7 or random:7:surface=dirt states; raises ValueError for a malformed one."""
    seed, _, rest = name.removeprefix(RANDOM_PREFIX).partition(":")
    if not seed.isdecimal() or len(seed) > 9:
        raise ValueError(f"the seed is {seed!r}, expected a whole number of up to nine digits, as in random:7")
    ranges, stated = asdict(RoadRanges()), dict[str, str]()
    for part in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = map(str.strip, part.partition("="))
        if not equals:
            raise ValueError(f"{part!r}, expected a name and a value, such as surface=dirt")
        if key in stated:
            raise ValueError(f"{part}, expected each only once")
        stated[key] = value
        if key in _LIMITS:
            ranges[key] = _span(key, value)
        elif (choices := (CHOICES | KINDS).get(key)) is None:
            names = (*_LIMITS, *KINDS, *CHOICES)
            raise ValueError(f"{key}={value}{_instead(key, names)}")
        elif value not in choices:
            raise ValueError(f"{key}={value}, expected one of {', '.join(choices)}")
    kinds = {kind: stated.get(kind, choices[0]) for kind, choices in KINDS.items()}
    return RoadName(int(seed), RoadRanges(**ranges), kinds, {key: stated[key] for key in CHOICES if key in stated})


def _instead(key: str, names: Sequence[str]) -> str:
    hint = did_you_mean(key, names)
    return f": {hint}" if hint else f", expected {', '.join(names)}"


def _span(key: str, value: str) -> tuple[float, float]:
    low, high = _LIMITS[key]
    with suppress(ValueError):
        first, *more = map(float, value.split("-"))
        last = more[0] if more else first
        if len(more) < 2 and low <= first <= last <= high:
            return first, last
    raise ValueError(
        f"{key}={value}, expected a number, or a range from the smaller to the larger, of {low:g}-{high:g} metres"
    )


def random_road(name: str) -> RoadPlan:
    """Return the plan of a road such as random:7 or random:7:surface=dirt. Raises UserError for a malformed name."""
    try:
        stated = parse_name(name)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    seed, ranges, kinds = stated.seed, stated.ranges, stated.kinds
    randomness = np.random.default_rng([seed, 20])
    look = _draw_look(randomness, seed, stated.chosen)
    length_m, radius_m, hills_m, width_m = (
        low + (high - low) * randomness.random()
        for low, high in (getattr(ranges, each.name) for each in fields(ranges))
    )
    size = RoadSize(length_m, hills_m, width_m)
    closed = _draw_shape(randomness, kinds["shape"]) == "loop"
    if closed:
        radius_m = min(radius_m, max(length_m / _ROUNDNESS, ranges.radius[0]))
    else:  # more often near the least: sharp bends are hard to drive
        least, most = ranges.radius
        radius_m = least + (radius_m - least) ** 2 / max(most - least, 1e-9)
    clear_m = width_m / 2 + look.edge_m + _BESIDE_M
    look = replace(look, neighbor_m=_draw_neighbor(seed, kinds["neighbor"], width_m))
    eased = _draw_eased(seed, kinds["slopes"])
    rules = RoadRules(None, 0, max(radius_m, clear_m if closed else clear_m - _BESIDE_M + _INSIDE_M))
    for number in range(_TRIES + _CALMER_TRIES):
        wildness = min(1.0, (_TRIES + _CALMER_TRIES - number) / _CALMER_TRIES)
        if closed:
            points = loop(randomness, size, wildness)
        else:
            points = winding(randomness, size, rules.least_radius_m / wildness, eased)
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
    """Draw every choice, also one that the name states, so that the others stay as they are."""
    drawn: dict[str, Any] = {}
    for name, choices in CHOICES.items():
        often = np.cumsum(_OFTEN.get(name, (1 / len(choices),) * len(choices)))
        drawn[name] = choices[min(int(np.searchsorted(often, randomness.random())), len(choices) - 1)]
    drawn |= chosen
    shade, edge_m = 0.7 + 0.6 * randomness.random(), 0.4 + 1.4 * randomness.random()
    return RoadLook(**drawn, shade=round(shade, 3), edge_m=round(edge_m, 3), seed=seed)


def _draw_neighbor(seed: int, neighbor: str, width_m: float) -> float:
    """Return the distance of the middle of a neighboring road, 0 for none; wide roads have none.

    It has random numbers of its own, so that the rest of a road does not depend on it.
    """
    randomness = np.random.default_rng([seed, 21])
    drawn, gap_m = randomness.random(), 0.1 + 2.0 * randomness.random()
    side = {"left": -1, "right": 1, "none": 0}.get(neighbor, -1 if drawn < _NEIGHBOR / 2 else int(drawn < _NEIGHBOR))
    return round(side * (width_m + gap_m), 2) if 1.5 * width_m + gap_m < REACH_M else 0.0


def _draw_shape(randomness: np.random.Generator, shape: str) -> str:
    """Return loop or winding; a seed draws it only where it may be any, so that its loops stay the same."""
    if shape != "any":
        return shape
    return "winding" if randomness.random() < _WINDING else "loop"


def _draw_eased(seed: int, slopes: str) -> float:
    """Return the fraction by which the slope is gentler in the sharpest bends; it has random numbers of its own."""
    randomness = np.random.default_rng([seed, 22])
    drawn, fraction = randomness.random(), _LOW_EASED + (_FULL_EASED - _LOW_EASED) * randomness.random()
    return fraction if slopes == "eased" or (slopes == "any" and drawn < _EASED) else 0.0
