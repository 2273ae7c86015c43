"""Draw the course of a road for one frame: random numbers -> its bends, the car's place on it, and
their labels.

Distances are in metres for a camera REFERENCE_M above the road; offsets, turns and curvatures are
positive to the right.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bcclone.camera.vehicle import MOUNTS, ORIGIN_ABOVE_ROAD_M, steering_of
from bcclone.dataset.labels import PATH_ENDS_M
from bcclone.system.arrays import FloatArray, Random
from bcclone.system.exact_math import cosine, exponential, sine

REFERENCE_M = MOUNTS["center"][1] + ORIGIN_ABOVE_ROAD_M
_STEP_M, _BEHIND_M, _AHEAD_M = 0.25, 8.0, 160.0
_BEGIN = round(_BEHIND_M / _STEP_M)  # the car's step
_RADII_M, _WIDTHS_M = (6.0, 1000.0), (3.0, 14.0)
_FLOOR_RADII, _FLOOR_WIDTHS_M, _LEAST_FLOOR_RADIUS_M = (
    (0.5, 4.0),
    (3.0, 20.0),
    4.0,
)  # radii in widths
_STRAIGHT = 0.28  # fraction of the stretches
_TURNED = 3.0  # radians from where the car is
_TWO_LANES, _LEAST_TWO_M, _RIGHT_HAND = 0.55, 5.0, 0.8
_FLOOR = 0.35  # fraction of the roads that are only lines on a floor
# The car aims as far ahead as it drives in about a second: the wider the bends, the faster people
# drive. In a wide lane they come back to its middle no faster than they would across it.
_AIM, _NEAR_AIM_M, _FAR_AIM_M, _AIM_WIDTHS = 2.6, 8.0, 60.0, 0.9
# The steering follows the mean curvature of a stretch ahead, times a gain: people cut bends a
# little, and a network underestimates sharp ones.
BEND_GAIN, _BEND_PART = 1.15, 0.25  # part of the aim
_IN_THE_LANE = 0.7  # fraction of the places
# standard deviations: of the offset, in widths of the lane, and of the turn, in degrees at the
# least aim
_NEAR, _NEAR_DEGREES, _FAR, _FAR_DEGREES = 0.08, 2.5, 0.42, 6.0


def _kept_steps() -> list[int]:
    """Return the steps of the points of a line: the farther ahead, the fewer."""
    kept = [*range(0, _BEGIN // 2, 4), *range(_BEGIN // 2, _BEGIN, 2), _BEGIN]
    last = round((_BEHIND_M + _AHEAD_M) / _STEP_M) - 1
    while (step := kept[-1] + max(1, round(0.055 * (kept[-1] - _BEGIN)))) < last:
        kept.append(step)
    return kept


_KEPT = _kept_steps()


@dataclass(frozen=True)
class DrawnRoad:
    """A road.

    radius_m: of its sharpest bends; width_m: between its edges; lanes: 1 or 2, of which the car
    keeps to one; lane_m: the middle of that one, to the right of the road's middle; floor: only
    lines, on a floor; curvatures: at each quarter of a metre, in 1/m, from _BEHIND_M behind the
    car, float64 (steps,).
    """

    radius_m: float
    width_m: float
    lanes: int
    lane_m: float
    floor: bool
    curvatures: FloatArray

    @property
    def aim_m(self) -> float:
        """Return how far ahead people aim on it."""
        least_m = max(_NEAR_AIM_M, _AIM_WIDTHS * self.width_m / self.lanes)
        return min(max(_AIM * math.sqrt(self.radius_m), least_m), _FAR_AIM_M)


@dataclass(frozen=True)
class DrawnPlace:
    """A car on a road, its steering, and its path in the order of labels.PATH_COLUMNS.

    line: the road's middle as the car sees it: metres to the right and ahead, the road's direction
    to the right and ahead, and metres along the road, float64 (points, 5).
    """

    line: FloatArray
    steering: float
    path: Sequence[float]


def log_uniform(random: Random, low: float, high: float) -> float:
    """Return a random number between two, whose logarithm is uniform."""
    return low * exponential(math.log(high / low) * random.random())


def draw_road(random: Random) -> DrawnRoad:
    floor = random.random() < _FLOOR
    if floor:
        width_m = random.uniform(*_FLOOR_WIDTHS_M)
        radius_m = max(width_m * log_uniform(random, *_FLOOR_RADII), _LEAST_FLOOR_RADIUS_M)
    else:
        radius_m = log_uniform(random, *_RADII_M)
        width_m = log_uniform(
            random, _WIDTHS_M[0], min(_WIDTHS_M[1], max(1.6 * radius_m, _LEAST_TWO_M))
        )
    lanes = 2 if not floor and width_m > _LEAST_TWO_M and random.random() < _TWO_LANES else 1
    side = 1.0 if random.random() < _RIGHT_HAND else -1.0
    lane_m = side * width_m / 4 if lanes == 2 else 0.0
    return DrawnRoad(
        radius_m, width_m, lanes, lane_m, floor, _draw_curvatures(random, radius_m, floor)
    )


def place_on(road: DrawnRoad, random: Random) -> DrawnPlace:
    """Return a random place on a road, more often near the middle of its lane."""
    lane_m, degrees = road.width_m / road.lanes, 1.0 if road.floor else _NEAR_AIM_M / road.aim_m
    if random.random() < _IN_THE_LANE:
        offset_m, turn = (
            random.normal(0.0, _NEAR * lane_m),
            random.normal(0.0, _NEAR_DEGREES * degrees),
        )
    else:
        offset_m, turn = (
            random.uniform(-_FAR, _FAR) * lane_m,
            random.normal(0.0, _FAR_DEGREES * degrees),
        )
    return place_at(road, offset_m, math.radians(turn))


def place_at(road: DrawnRoad, offset_m: float, turn: float) -> DrawnPlace:
    """Return the place of a car offset_m to the right of its lane's middle, turned `turn` radians
    to its right.
    """
    aim_m = road.aim_m

    def mean(start_m: float, end_m: float) -> float:
        steps = slice(_BEGIN + round(start_m / _STEP_M), _BEGIN + round(end_m / _STEP_M))
        return float(road.curvatures[steps].mean())

    back = 2.0 / aim_m * sine(turn) + 2.0 / (aim_m * aim_m) * offset_m
    steering = steering_of(BEND_GAIN * mean(0.0, _BEND_PART * aim_m) - back)
    path = path_of(mean, offset_m, turn)
    return DrawnPlace(_line(road.curvatures, road.lane_m + offset_m, turn), float(steering), path)


def path_of(
    mean_curvature: Callable[[float, float], float], offset_m: float, turn: float
) -> tuple[float, ...]:
    """Return where a road leads, in the order of labels.PATH_COLUMNS.

    These are the steering along the road over each stretch ahead, the car's offset in metres and
    its turn in radians. mean_curvature: of the road between two distances ahead, in 1/m.
    """
    bends = map(mean_curvature, (0.0, *PATH_ENDS_M[:-1]), PATH_ENDS_M)
    return (*(float(steering_of(bend)) for bend in bends), offset_m, turn)


def _draw_curvatures(random: Random, radius_m: float, floor: bool) -> FloatArray:
    """Return the curvatures of a road: bends to both sides, on a floor up to hairpins, and straight
    stretches.
    """
    count = round((_BEHIND_M + _AHEAD_M) / _STEP_M)
    unit, bends, turned = math.sqrt(radius_m), np.zeros(count), 0.0
    start = -int(random.uniform(0.0, 6.0) * unit / _STEP_M)
    while start < count:
        metres, bend = random.uniform(0.6, 5.0) * unit, 0.0
        if random.random() >= _STRAIGHT:
            metres *= 1.0 + floor * random.random()
            side = 1.0 if random.random() < 0.5 else -1.0
            if abs(turned) > _TURNED / 3:
                side = -math.copysign(1.0, turned)
            bend = side / (radius_m * exponential(random.random()))
            metres = min(metres, max((_TURNED - abs(turned)) / abs(bend), _STEP_M))
        end = start + max(int(metres / _STEP_M), 1)
        bends[max(start, 0) : max(end, 0)] = bend
        turned += bend * max(end - max(start, _BEGIN), 0) * _STEP_M
        start = end
    width = max(int(0.5 * unit / _STEP_M), 1) | 1  # of the running mean
    total = np.cumsum(np.concatenate([[0.0], np.pad(bends, width // 2, mode="edge")]))
    return np.asarray((total[width:] - total[:-width]) / width)


def _line(curvatures: FloatArray, offset_m: float, turn: float) -> FloatArray:
    """Return the road's middle from a car offset_m to the right of it, turned to the right by
    `turn`.
    """
    headings = np.concatenate([[0.0], np.cumsum(curvatures * _STEP_M)])
    headings -= headings[_BEGIN] + turn
    between = [(here + there) // 2 for here, there in pairwise(_KEPT)]
    lengths = np.diff(_KEPT) * _STEP_M
    right, ahead = (
        np.concatenate([[0.0], np.cumsum(lengths * part)])
        for part in _directions(headings[between])
    )
    here = _KEPT.index(_BEGIN)
    right, ahead = (
        right - right[here] - offset_m * cosine(turn),
        ahead - ahead[here] - offset_m * sine(turn),
    )
    along = (np.array(_KEPT) - _BEGIN) * _STEP_M
    return np.stack([right, ahead, *_directions(headings[_KEPT]), along], axis=1)


def _directions(headings: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the unit vectors of headings, (headings,) to the right and ahead, the same on every
    processor.
    """
    right, ahead = (
        [function(heading) for heading in headings.tolist()] for function in (sine, cosine)
    )
    return np.array(right), np.array(ahead)
