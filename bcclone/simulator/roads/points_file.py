"""Read a road from a JSON file of control points.

{"points": [[x, z, width], ...], "closed": false, "look": {"surface": "dirt"}}; a list of points alone is allowed, and a
point may have its height as a fourth number.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from bcclone.simulator.roads.look import RoadLook
from bcclone.simulator.roads.road_plan import ControlPoint, RoadPlan
from bcclone.system.errors import UserError

_STEEPEST = 0.6  # between two points
_EXPECTED = 'expected {"points": [[x, z, width], ...]} in metres, with "closed" and "look" if needed'


def read_points(path: Path) -> RoadPlan:
    """Return the plan in a file. Raises UserError if it is not a road."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the road: {error.strerror}; name another file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}; {_EXPECTED}") from None
    if isinstance(stored, list):
        stored = {"points": stored}
    if not isinstance(stored, dict) or not isinstance(stored.get("points"), list):
        raise UserError(f"{path}: no list of points; {_EXPECTED}")
    if unknown := sorted(set(stored) - {"points", "closed", "look"}):
        raise UserError(f"{path}: unknown entry {', '.join(unknown)}; {_EXPECTED}")
    closed = stored.get("closed", False)
    if not isinstance(closed, bool):
        raise UserError(f'{path}: "closed" is {closed!r}, expected true or false')
    points = tuple(_point(path, number, point) for number, point in enumerate(stored["points"], 1))
    _check_slopes(path, points, closed)
    return RoadPlan(str(path), points, closed, _look(path, stored.get("look", {})))


def _check_slopes(path: Path, points: Sequence[ControlPoint], closed: bool) -> None:
    for number, (here, there) in enumerate(pairwise((*points, points[0]) if closed and points else points), 1):
        rise, run = abs(there.y - here.y), math.dist((here.x, here.z), (there.x, there.z))
        if rise > _STEEPEST * run > 0:
            raise UserError(
                f"{path}: {rise:.0f} m of height over {run:.0f} m from point {number} to {number % len(points) + 1}; "
                f"expected at most {_STEEPEST:g} m for each metre"
            )


def _point(path: Path, number: int, stored: Any) -> ControlPoint:
    numbers = isinstance(stored, list) and all(type(value) in (int, float) for value in stored)
    if not numbers or len(stored) not in (3, 4):
        raise UserError(f"{path}: point {number} is {stored!r}, expected [x, z, width] or [x, z, width, height]")
    x, z, width_m, *rest = map(float, stored)
    return ControlPoint(x, rest[0] if rest else 0.0, z, width_m)


def _look(path: Path, stored: Any) -> RoadLook:
    names = [each.name for each in fields(RoadLook)]
    if not isinstance(stored, dict) or (unknown := sorted(set(stored) - set(names))):
        what = f"unknown {', '.join(unknown)}" if isinstance(stored, dict) else f"{stored!r}"
        raise UserError(f'{path}: "look": {what}, expected {", ".join(names)}')
    try:
        return RoadLook(**stored)
    except (ValueError, TypeError) as error:
        raise UserError(f'{path}: "look": {error}') from None
