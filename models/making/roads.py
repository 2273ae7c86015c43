"""Choose the course of a road and the car's place on it: random numbers -> the road's bends, the
pose of the car, and the labels that follow from them.

For a sketch, a picture does not show its scale, so distances are in metres as if the camera were
REFERENCE_M above the road. Offsets, turns and curvatures are positive to the right.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bcclone.camera.vehicle import MOUNTS, ORIGIN_ABOVE_ROAD_M, steering_of
from bcclone.dataset.labels import PATH_ENDS_M
from bcclone.simulator.track import Track
from bcclone.system.arrays import FloatArray, Random
from bcclone.system.exact_math import cosine, exponential, sine

# ---- roads of sketches


REFERENCE_M = MOUNTS["center"][1] + ORIGIN_ABOVE_ROAD_M

# A road is a row of curvatures, from behind the car to as far ahead as a picture can show.
_STEP_M = 0.25  # distance along the road between two curvatures
_BEHIND_M = 8.0  # length of road behind the car
_AHEAD_M = 160.0  # length of road ahead of the car
_STEPS = round((_BEHIND_M + _AHEAD_M) / _STEP_M)
_CAR_STEP = round(_BEHIND_M / _STEP_M)  # the step where the car is

# The steering follows the mean curvature of a stretch ahead times this gain, because people cut
# bends a little, and a network underestimates sharp bends.
BEND_GAIN = 1.15


def chance(random: Random, share: float) -> bool:
    """Return True at random, in this share of the calls."""
    return random.random() < share


def random_side(random: Random) -> float:
    """Return 1 for the right or -1 for the left."""
    if chance(random, 0.5):
        return 1.0
    return -1.0


def log_uniform(random: Random, low: float, high: float) -> float:
    """Return a random number from low to high whose logarithm is uniformly distributed."""
    return low * exponential(math.log(high / low) * random.random())


@dataclass(frozen=True)
class AimDistance:
    """How far ahead people aim: about as far as they drive in a second.

    The wider the bends, the faster people drive, so the distance grows with the square root of the
    radius. In a wide lane people take longer to come back to its middle.
    """

    by_root_of_radius: float = 2.6  # metres of distance, times the square root of the radius in m
    near_m: float = 8.0  # smallest distance
    far_m: float = 60.0  # greatest distance
    lane_widths: float = 0.9  # smallest distance, in widths of the lane

    def metres(self, radius_m: float, lane_width_m: float) -> float:
        least_m = max(self.near_m, self.lane_widths * lane_width_m)
        return min(max(self.by_root_of_radius * math.sqrt(radius_m), least_m), self.far_m)


_AIM = AimDistance()


@dataclass(frozen=True)
class DrawnRoad:
    """A random road around a car."""

    radius_m: float  # radius of the sharpest bends
    width_m: float  # from edge to edge
    lanes: int  # in both directions; the car keeps to one of them
    lane_m: float  # middle of the car's lane, to the right of the road's middle
    floor: bool  # the road is only lines on a floor
    # 1/m, at every _STEP_M along the road from _BEHIND_M behind the car, (steps,)
    curvatures: FloatArray

    @property
    def lane_width_m(self) -> float:
        return self.width_m / self.lanes

    def lane_middle_m(self, lane: int) -> float:
        """Return the middle of a lane, to the right of the road's middle.

        lane: 0 is the leftmost one
        """
        return (lane + 0.5) * self.lane_width_m - self.width_m / 2

    @property
    def aim_m(self) -> float:
        """Return how far ahead people aim on this road."""
        return _AIM.metres(self.radius_m, self.lane_width_m)

    def mean_curvature(self, start_m: float, end_m: float) -> float:
        """Return the mean curvature between two distances ahead of the car, in 1/m."""
        first = _CAR_STEP + round(start_m / _STEP_M)
        end = _CAR_STEP + round(end_m / _STEP_M)
        return float(self.curvatures[first:end].mean())


@dataclass(frozen=True)
class DrawnPlace:
    """A car on a road.

    line: points of the road's middle as the car sees it, float64 (points, 5): metres to the right
        and ahead of the car, the road's direction there (the parts to the right and ahead of a unit
        vector), and metres along the road, negative behind the car
    """

    line: FloatArray
    steering: float  # -1 to 1
    path: Sequence[float]  # where the road leads, in the order of labels.PATH_COLUMNS


@dataclass(frozen=True)
class RoadChoice:
    """Which roads are chosen, and how often. A radius is that of a road's sharpest bends."""

    floor_share: float = 0.35  # share of roads that are only lines on a floor
    radii_m: tuple[float, float] = (6.0, 1000.0)
    widths_m: tuple[float, float] = (3.0, 14.0)
    widest_in_radii: float = 1.6  # width over radius; a wider road would not show its sharp bends
    floor_widths_m: tuple[float, float] = (3.0, 20.0)
    floor_radii: tuple[float, float] = (0.5, 4.0)  # radius on a floor over the width of the road
    least_floor_radius_m: float = 4.0
    two_lanes_share: float = 0.55  # share of two lanes among the roads that are wide enough
    least_two_lanes_m: float = 5.0  # a road wider than this is wide enough
    motorway_share: float = 0.15  # share of roads with gentle bends that have three or four lanes
    motorway_radius_m: float = 60.0  # their bends are wider than this
    motorway_lane_m: tuple[float, float] = (2.7, 4.2)
    right_hand_share: float = 0.8  # share of roads with traffic on the right


_ROADS = RoadChoice()


def draw_road(random: Random) -> DrawnRoad:
    """Return a random road."""
    # on a floor, the width limits how sharp bends are; on a road, the bends limit the width
    floor = chance(random, _ROADS.floor_share)
    if floor:
        width_m = random.uniform(*_ROADS.floor_widths_m)
        radius_m = width_m * log_uniform(random, *_ROADS.floor_radii)
        radius_m = max(radius_m, _ROADS.least_floor_radius_m)
    else:
        radius_m = log_uniform(random, *_ROADS.radii_m)
        narrowest_m, widest_m = _ROADS.widths_m
        by_radius_m = max(_ROADS.widest_in_radii * radius_m, _ROADS.least_two_lanes_m)
        width_m = log_uniform(random, narrowest_m, min(widest_m, by_radius_m))

    lanes = 1
    wide_enough = not floor and width_m > _ROADS.least_two_lanes_m
    if wide_enough and chance(random, _ROADS.two_lanes_share):
        lanes = 2

    side = -1.0
    if chance(random, _ROADS.right_hand_share):
        side = 1.0
    lane_m = 0.0
    if lanes == 2:
        lane_m = side * width_m / 4
    if not floor and radius_m > _ROADS.motorway_radius_m and chance(random, _ROADS.motorway_share):
        lanes = int(random.integers(3, 5))
        lane_width_m = random.uniform(*_ROADS.motorway_lane_m)
        width_m = lanes * lane_width_m
        lane_m = (int(random.integers(lanes)) + 0.5) * lane_width_m - width_m / 2

    curvatures = _draw_curvatures(random, radius_m, floor)
    return DrawnRoad(radius_m, width_m, lanes, lane_m, floor, curvatures)


@dataclass(frozen=True)
class PlaceChoice:
    """Where cars are on a road, and how they are turned.

    Degrees are for the smallest aim distance; cars whose drivers aim farther ahead are turned less.
    """

    near_share: float = 0.7  # share of the cars near the middle of the lane
    near_offset: float = 0.08  # standard deviation, in widths of the lane
    near_degrees: float = 2.5  # standard deviation
    far_offset: float = 0.42  # largest offset of the other cars, in widths of the lane
    far_degrees: float = 6.0  # standard deviation


_PLACES = PlaceChoice()


def place_on(road: DrawnRoad, random: Random) -> DrawnPlace:
    """Return a random place on a road, more often near the middle of its lane."""
    lane_m = road.lane_width_m
    turn_factor = 1.0
    if not road.floor:
        turn_factor = _AIM.near_m / road.aim_m
    if chance(random, _PLACES.near_share):
        offset_m = random.normal(0.0, _PLACES.near_offset * lane_m)
        degrees = random.normal(0.0, _PLACES.near_degrees * turn_factor)
    else:
        offset_m = random.uniform(-_PLACES.far_offset, _PLACES.far_offset) * lane_m
        degrees = random.normal(0.0, _PLACES.far_degrees * turn_factor)
    return place_at(road, offset_m, math.radians(degrees))


_BEND_PART = 0.25  # the steering follows the mean curvature of this part of the aim distance


def place_at(road: DrawnRoad, offset_m: float, turn: float) -> DrawnPlace:
    """Return the place of a car on a road.

    offset_m: to the right of its lane's middle
    turn: radians to the right of the road
    """
    # the steering follows the road's bend less `back`: the curvature of a circle that leads from
    # the car's offset and turn to the point that it aims at
    aim_m = road.aim_m
    back = 2.0 / aim_m * sine(turn) + 2.0 / (aim_m * aim_m) * offset_m
    bend = BEND_GAIN * road.mean_curvature(0.0, _BEND_PART * aim_m)
    return DrawnPlace(
        line=_line(road.curvatures, road.lane_m + offset_m, turn),
        steering=float(steering_of(bend - back)),
        path=path_of(road.mean_curvature, offset_m, turn),
    )


def path_of(
    mean_curvature: Callable[[float, float], float], offset_m: float, turn: float
) -> tuple[float, ...]:
    """Return where a road leads, in the order of labels.PATH_COLUMNS.

    These are, for each stretch ahead, the steering that its bend needs; then the car's offset in
    metres and its turn in radians.

    mean_curvature: two distances ahead -> mean curvature of the road between them, in 1/m
    """
    starts_m = (0.0, *PATH_ENDS_M[:-1])
    bends = map(mean_curvature, starts_m, PATH_ENDS_M)
    return (*(float(steering_of(bend)) for bend in bends), offset_m, turn)


# A road consists of stretches, bends or straights. Lengths are in units of the square root of the
# radius in metres, so that wide bends are long.
_STRETCH = (0.6, 5.0)  # shortest and longest stretch; a bend on a floor is up to twice as long
_LONGEST_STRETCH_PASSED = 6.0  # the first stretch begins at most this far before the road's start
_STRAIGHT_SHARE = 0.28  # share of straights among the stretches
_MOST_TURNED = 3.0  # radians from the car's heading; a road that turned more would cross itself


def _draw_curvatures(random: Random, radius_m: float, floor: bool) -> FloatArray:
    """Return the curvatures of bends to both sides, on a floor up to hairpins, and of straights.

    float64 (steps,), 1/m
    """
    unit_m = math.sqrt(radius_m)
    bends = np.zeros(_STEPS)
    turned = 0.0  # radians from the car's heading to the end of the stretches so far
    start = -int(random.uniform(0.0, _LONGEST_STRETCH_PASSED) * unit_m / _STEP_M)
    while start < _STEPS:
        length_m = random.uniform(*_STRETCH) * unit_m
        bend = 0.0
        if not chance(random, _STRAIGHT_SHARE):
            # a random number is used on roads, too, as for the side of a single lane
            longer = random.random()
            if floor:
                length_m *= 1.0 + longer
            # to either side, but back where the road has turned far already
            side = random_side(random)
            if abs(turned) > _MOST_TURNED / 3:
                side = -math.copysign(1.0, turned)
            bend = side / (radius_m * exponential(random.random()))
            most_m = (_MOST_TURNED - abs(turned)) / abs(bend)
            length_m = min(length_m, max(most_m, _STEP_M))
        end = start + max(int(length_m / _STEP_M), 1)
        bends[max(start, 0) : max(end, 0)] = bend
        # a bend behind the car does not turn the road that the car sees
        steps_ahead = max(end - max(start, _CAR_STEP), 0)
        turned += bend * steps_ahead * _STEP_M
        start = end
    # "| 1" makes the number of steps odd
    return _running_mean(bends, max(int(0.5 * unit_m / _STEP_M), 1) | 1)


def _running_mean(values: FloatArray, width: int) -> FloatArray:
    """Return for each value the mean of the values around it, so that bends begin gradually.

    width: number of values in a mean, odd
    """
    padded = np.pad(values, width // 2, mode="edge")
    total = np.cumsum(np.concatenate([[0.0], padded]))
    return np.asarray((total[width:] - total[:-width]) / width)


def _line_steps() -> list[int]:
    """Return the steps at which a line has its points: the farther from the car, the fewer."""
    kept = [
        *range(0, _CAR_STEP // 2, 4),
        *range(_CAR_STEP // 2, _CAR_STEP, 2),
        _CAR_STEP,
    ]
    while True:
        steps_ahead = kept[-1] - _CAR_STEP
        step = kept[-1] + max(1, round(0.055 * steps_ahead))
        if step >= _STEPS - 1:
            return kept
        kept.append(step)


_LINE_STEPS = _line_steps()


def _line(curvatures: FloatArray, offset_m: float, turn: float) -> FloatArray:
    """Return the road's middle as a car sees it, as in DrawnPlace.

    offset_m: offset of the car, to the right of the road's middle
    turn: turn of the car, in radians to the right of the road
    """
    # the road's heading at each step, relative to the car's
    headings = np.concatenate([[0.0], np.cumsum(curvatures * _STEP_M)])
    headings -= headings[_CAR_STEP] + turn

    # from a point to the next one, the road has the heading of the step halfway between them
    between = [(step + following) // 2 for step, following in pairwise(_LINE_STEPS)]
    lengths_m = np.diff(_LINE_STEPS) * _STEP_M
    to_right, to_front = _directions(headings[between])
    right_m = np.concatenate([[0.0], np.cumsum(lengths_m * to_right)])
    ahead_m = np.concatenate([[0.0], np.cumsum(lengths_m * to_front)])

    # moved so that the car is at the origin
    car = _LINE_STEPS.index(_CAR_STEP)
    right_m = right_m - right_m[car] - offset_m * cosine(turn)
    ahead_m = ahead_m - ahead_m[car] - offset_m * sine(turn)
    along_m = (np.array(_LINE_STEPS) - _CAR_STEP) * _STEP_M
    return np.stack([right_m, ahead_m, *_directions(headings[_LINE_STEPS]), along_m], axis=1)


def _directions(headings: FloatArray) -> FloatArray:
    """Return the sines and the cosines of headings in radians, (2, headings)."""
    return np.array([list(map(sine, headings)), list(map(cosine, headings))])


# ---- poses of the simulator's cars


class Pose(NamedTuple):
    """How a car stands on a road; the fields are in the order of start_on()."""

    offset_m: float  # to the right of the road's middle
    along_m: float
    turn: float  # radians to the right of the road
    rise: float  # radians by which the car's nose is up


# where cars stand on a road, and how they are turned
_NEAR_SHARE = 0.45  # share of cars near the middle of the road
_NEAR_M = 0.4  # standard deviation of their offset
_NEAR_DEGREES = 3.0  # standard deviation of their turn
_FAR_DEGREES = 7.0  # standard deviation of the turn of the other cars
_BEYOND_M = 0.3  # how far a wheel of the other cars may be off the asphalt
_HALF_CAR_M = 1.0  # from the car's middle to the outside of its wheels
_RISE_DEGREES = 0.6  # mean of how far the throttle raises the nose; a brake lowers it
_RISE_DEVIATION = 0.8  # standard deviation of the rise, in degrees


def draw_pose(track: Track, random: Random) -> Pose:
    """Return the pose of a car anywhere on a road, nearly half of them near its middle."""
    along_m = track.start_m + track.lap_m * random.random()
    return draw_pose_at(along_m, float(track.widths_m[track.index(along_m)]), random)


def draw_pose_at(along_m: float, width_m: float, random: Random) -> Pose:
    """Return the pose of a car at a place of a road. width_m: of the road there"""
    limit_m = width_m / 2 + _BEYOND_M - _HALF_CAR_M
    if chance(random, _NEAR_SHARE):
        offset_m = random.normal(0.0, _NEAR_M)
        turn = random.normal(0.0, _NEAR_DEGREES)
    else:
        offset_m = random.uniform(-limit_m, limit_m)
        turn = random.normal(0.0, _FAR_DEGREES)
    rise = random.normal(_RISE_DEGREES, _RISE_DEVIATION)
    return Pose(offset_m, along_m, math.radians(turn), math.radians(rise))


@dataclass(frozen=True)
class Teacher:
    """How the steering of a frame follows from the pose of its car."""

    bend_m: float = 6.0  # the steering follows the mean curvature of this length of road ahead
    # curvature, 1/m, for each unit of the sine of the turn, which is positive to the right
    by_turn: float = -0.25
    by_offset: float = -0.0139  # curvature, 1/m, for each metre to the right of the road's middle


TEACHER = Teacher()


def steering_at(track: Track, pose: Pose) -> float:
    """Return the steering, -1 to 1, that a pose on a track calls for."""
    return steering_in(mean_curvature(track, pose.along_m, 0.0, TEACHER.bend_m), pose)


def steering_in(bend: float, pose: Pose) -> float:
    """Return the steering, -1 to 1: along the bend ahead, and back to the middle.

    The steering turns a car firmly into the road's direction and gently towards the middle, as
    people do when they are off the middle.

    bend: mean curvature of TEACHER.bend_m of road ahead, in 1/m, positive to the right
    """
    curvature = BEND_GAIN * bend
    curvature += TEACHER.by_turn * sine(pose.turn)
    curvature += TEACHER.by_offset * pose.offset_m
    return float(steering_of(curvature))


_CURVATURE_STEP_M = 0.5  # distance between the places whose curvatures are averaged


def mean_curvature(track: Track, along_m: float, start_m: float, end_m: float) -> float:
    """Return the mean curvature of the road between two distances ahead.

    In 1/m, positive to the right.
    """
    ahead_m = np.arange(start_m, end_m + _CURVATURE_STEP_M / 2, _CURVATURE_STEP_M)
    places = [track.index(along_m + metres) for metres in ahead_m.tolist()]
    return float(np.mean([track.curvature[place] for place in places]))
