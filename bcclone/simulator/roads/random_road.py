"""Make a road from a seed: a loop through random points, or an open winding road, with hills, in random materials.

random:7 is the road of seed 7; values after it narrow what the seed chooses from: random:7:length=400-600,hills=0,
surface=dirt.
"""

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from bcclone.simulator.roads import look as looks
from bcclone.simulator.roads.line import interpolate, with_run_outs
from bcclone.simulator.roads.look import RoadLook
from bcclone.simulator.roads.road_name import CHOICES, parse_name
from bcclone.simulator.roads.road_plan import RoadPlan
from bcclone.simulator.roads.rules import RoadRules, faults_of_line
from bcclone.simulator.roads.shapes import RoadSize, loop, winding
from bcclone.system.errors import UserError

_TRIES, _CALMER_TRIES = 200, 100  # of any shape, and of ever rounder ones after that
_ROUNDNESS = 14.0  # a loop is this many times as long as the largest radius that its sharpest bend may have
_BESIDE_M, _INSIDE_M = 6.0, 2.0  # beside the edges: free of other parts of the road, and inside of its bends
_WINDING = 0.7  # fraction of the roads of any shape
_NEIGHBOR = 0.25  # fraction of the roads that have another beside them, of any
_EASED, _LEAST_EASED, _MOST_EASED = 0.5, 0.5, 1.0  # fraction of winding roads, of any; of the slope in sharpest bends
_OFTEN = {"surface": (0.6, 0.2, 0.2), "barriers": (0.7, 0.15, 0.15)}  # how often each choice is drawn


def random_road(name: str) -> RoadPlan:
    """Return the plan of a road such as random:7 or random:7:surface=dirt. Raises UserError for a malformed name."""
    stated = parse_name(name)
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
    """Draw every choice, also those that are given, so that the others stay what they are."""
    drawn = {}
    for name, choices in CHOICES.items():
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
    if shape != "any":
        return shape
    return "winding" if randomness.random() < _WINDING else "loop"


def _draw_eased(seed: int, slopes: str) -> float:
    """Return by which fraction the slope is gentler in the sharpest bends of a winding road; drawn by itself."""
    randomness = np.random.default_rng([seed, 22])
    drawn, fraction = randomness.random(), _LEAST_EASED + (_MOST_EASED - _LEAST_EASED) * randomness.random()
    return fraction if slopes == "eased" or (slopes == "any" and drawn < _EASED) else 0.0
