"""Find the states from which a car comes back to the middle of a road: a grid of states, and the
steering in each -> sets of states.

A state is a place along the road, an offset from its middle, and a turn: the angle between the
car's heading and the road's direction. The law of motion is the simulated car's own
(`next_yaw_rate`), in coordinates of the road: the centre line is given by its curvature, and the
speed is constant. The steering is known in the states of a coarse grid, and interpolated between
them.

A car is followed from each state of a fine grid along a stretch of road, which ends at a place of
the grid. It comes back if it gets near the middle within two stretches and leaves the road in
neither. The states from which it never leaves the road are a greatest fixed point: the set begins
with all states, and loses those whose stretch ends off the road or outside the set.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from bcclone.simulator.car import LAW_MODULES, STEP_SECONDS, next_yaw_rate
from bcclone.simulator.track import Track
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray
from bcclone.system.compiled import compiled, source_checksum

# ---- grids of states

WIDEST_TURN = math.radians(24.0)  # largest turn in a grid; a car turned twice as far is lost

# The distances between neighbouring states: metres along the road, metres across it, degrees.
# RENDERED are those of the states whose frames are rendered. The steering is so smooth that it can
# be interpolated between these states: the error at random states is 0.017 of full lock, and 0.010
# of it are due to the road's texture.
RENDERED = (4.0, 0.95, 8.0)
STARTS = (4.0, 0.1, 2.0)  # of the states from which cars start for the map


class StateGrid(NamedTuple):
    """States of a car: all combinations of evenly spaced places, offsets and turns."""

    places_m: FloatArray  # metres along the track, rising; on a lap, the first follows the last
    offsets_m: FloatArray  # metres to the right of the middle, rising
    turns: FloatArray  # radians to the right of the road's direction, rising
    closed: bool  # the track is closed

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the numbers of places, offsets and turns."""
        return len(self.places_m), len(self.offsets_m), len(self.turns)

    @property
    def step_m(self) -> float:
        """Return the distance between two places."""
        return float(self.places_m[1] - self.places_m[0])


def state_grid(track: Track, along_m: float, offset_m: float, turn_degrees: float) -> StateGrid:
    """Return the grid of states of a lap, as wide as the widest road.

    along_m, offset_m, turn_degrees: largest distances between neighbouring states
    """
    steps = max(round(track.lap_m / along_m), 2)
    places = steps
    if not track.closed:
        places = steps + 1  # the road's end is not its start
    return StateGrid(
        places_m=track.start_m + track.lap_m * np.arange(places) / steps,
        offsets_m=_symmetric(float(track.limits_m.max()), offset_m),
        turns=_symmetric(WIDEST_TURN, math.radians(turn_degrees)),
        closed=track.closed,
    )


def _symmetric(most: float, step: float) -> FloatArray:
    """Return evenly spaced values from -most to most, 0 among them, at most a step apart."""
    count = max(math.ceil(most / step - 1e-9), 1)
    return most * np.arange(-count, count + 1) / count


# ---- cars that are followed

# A car is lost when it has left the road, is turned away from it, or hardly gets ahead along it.
LOST = math.nan  # offset of a lost car
_STEPS = round(FRAME_SECONDS / STEP_SECONDS)  # steps of the car from frame to frame
_SLOWEST = 0.25  # smallest speed along the road, as a share of the speed; a slower car is lost


class RoadShape(NamedTuple):
    """The shape of a road: arrays have a value for each point of the centre line, (points,)."""

    curvature: FloatArray  # 1/m, positive to the right
    limits_m: FloatArray  # largest offset with all wheels on the asphalt
    levels: FloatArray  # metres on the map for each metre along the road: below 1 on a slope
    points_a_metre: float  # points of the centre line for each metre along the road
    closed: bool


class CarStates(NamedTuple):
    """States of cars, float64 (cars,) each."""

    along_m: FloatArray  # metres along the track
    offset_m: FloatArray  # metres to the right of the middle, LOST for a lost car
    turn: FloatArray  # radians to the right of the road's direction
    nearest_m: FloatArray  # the smallest distance from the middle so far


def shape_of(track: Track) -> RoadShape:
    levels = 1 / np.sqrt(1 + track.grade * track.grade)
    return RoadShape(track.curvature, track.limits_m, levels, track.points_a_metre, track.closed)


def cars_at(grid: StateGrid) -> CarStates:
    """Return a car in each state of a grid, in its order."""
    values = np.meshgrid(grid.places_m, grid.offsets_m, grid.turns, indexing="ij")
    along_m, offset_m, turn = (value.reshape(-1) for value in values)
    return CarStates(along_m, offset_m, turn, np.abs(offset_m))


def follow(
    road: RoadShape,
    grid: StateGrid,
    steering: Float32Array,
    cars: CarStates,
    speed: float,
    stretch_m: float,
) -> CarStates:
    """Return the states of cars after a stretch of road, or at the end of an open road.

    Each car starts with the yaw rate that the bend at its place needs.

    steering: in each state of the grid, between which it is interpolated, (places, offsets, turns)
    speed: m/s
    stretch_m: length of the stretch along the road
    """
    after = CarStates(*(values.copy() for values in cars))
    _follow(road, grid, np.ascontiguousarray(steering), after, speed, stretch_m)
    return after


@compiled(inline="always")
def _at(values: Any, position: float, closed: bool) -> float:
    """Return the interpolated value at a position along the line. position: in points."""
    count = len(values)
    index = int(math.floor(position))
    rest = position - index
    if closed:
        return float(values[index % count] * (1 - rest) + values[(index + 1) % count] * rest)
    index = min(max(index, 0), count - 2)
    return float(values[index] * (1 - rest) + values[index + 1] * rest)


@compiled(inline="always")
def _steering_at(grid: Any, values: Any, along_m: float, offset_m: float, turn: float) -> float:
    """Return the steering in a state, interpolated between eight states of the grid.

    Beyond the grid's edge, the steering is that at the edge.

    values: steering in the states of the grid, (places, offsets, turns)
    """
    places, offsets, turns = values.shape

    # the places before and after the car, and the part of the way from one to the other
    position = (along_m - grid.places_m[0]) / (grid.places_m[1] - grid.places_m[0])
    place = int(math.floor(position))
    along = position - place
    if grid.closed:
        place = place % places
        following = (place + 1) % places
    else:
        place = min(max(place, 0), places - 2)
        along = min(max(position - place, 0.0), 1.0)
        following = place + 1

    # the offset to the left of the car, and the part of the way to the next offset; the same with
    # turns
    across = min(max((offset_m / grid.offsets_m[-1] + 1) * 0.5 * (offsets - 1), 0.0), offsets - 1.0)
    left = min(int(across), offsets - 2)
    across -= left
    around = min(max((turn / grid.turns[-1] + 1) * 0.5 * (turns - 1), 0.0), turns - 1.0)
    lower = min(int(around), turns - 2)
    around -= lower

    # the weighted mean of the steering in eight states
    total = 0.0
    for index, weight in ((place, 1 - along), (following, along)):
        at_left = values[index, left, lower] * (1 - around)
        at_left += values[index, left, lower + 1] * around
        at_right = values[index, left + 1, lower] * (1 - around)
        at_right += values[index, left + 1, lower + 1] * around
        total += weight * (at_left * (1 - across) + at_right * across)
    return min(max(total, -1.0), 1.0)


@compiled(inline="always")
def _off_road(road: Any, along_m: float, offset_m: float) -> bool:
    return abs(offset_m) > _at(road.limits_m, along_m * road.points_a_metre, road.closed)


@compiled(cache=True, sources=source_checksum((*LAW_MODULES, __name__)), error_model="numpy")
def _follow(road: Any, grid: Any, steering: Any, cars: Any, speed: float, stretch_m: float) -> None:
    """Move each car until it has come a stretch farther along the road, or is lost."""
    most_steps = int(stretch_m / (_SLOWEST * speed * STEP_SECONDS))
    last_m = math.inf
    if not road.closed:
        last_m = (len(road.curvature) - 1) / road.points_a_metre
    for car in range(len(cars.offset_m)):
        along_m = cars.along_m[car]
        offset_m = cars.offset_m[car]
        turn = cars.turn[car]
        nearest_m = abs(offset_m)
        goal_m = min(along_m + stretch_m, last_m)
        yaw_rate = speed * _at(road.curvature, along_m * road.points_a_metre, road.closed)
        steered = 0.0
        step = 0
        lost = _off_road(road, along_m, offset_m)
        while along_m < goal_m and not lost:
            # a steering holds until the next frame
            if step % _STEPS == 0:
                steered = _steering_at(grid, steering, along_m, offset_m, turn)
            yaw_rate = next_yaw_rate(yaw_rate, steered, speed)
            along_before_m = along_m
            offset_before_m = offset_m
            turn_before = turn

            # metres along the road's middle; on the inside of a bend this is more than the car
            # itself travels
            metres = speed * STEP_SECONDS
            point = along_m * road.points_a_metre
            bend = _at(road.curvature, point, road.closed)
            level = _at(road.levels, point, road.closed)
            heading = turn + yaw_rate * STEP_SECONDS
            ahead_m = metres * level * math.cos(heading) / max(1 - bend * offset_m, 0.1)
            along_m += ahead_m / level
            offset_m += metres * level * math.sin(heading)
            turn = heading - bend * ahead_m

            # past the goal: the state at the goal, interpolated
            if along_m > goal_m:
                part = (goal_m - along_before_m) / (along_m - along_before_m)
                offset_m = offset_before_m + part * (offset_m - offset_before_m)
                turn = turn_before + part * (turn - turn_before)
                along_m = goal_m

            nearest_m = min(nearest_m, abs(offset_m))
            step += 1
            turned_away = abs(turn) > 2 * WIDEST_TURN
            lost = _off_road(road, along_m, offset_m) or turned_away or step > most_steps
        cars.along_m[car] = along_m
        cars.offset_m[car] = LOST if lost else offset_m
        cars.turn[car] = turn
        cars.nearest_m[car] = nearest_m


# ---- sets of states

NEAR_M = 0.5  # largest distance from the middle at which a car has come back
# Duration of a stretch. In this time most cars come back, and the yaw rate at the start no longer
# matters.
_STRETCH_SECONDS = 2.5
# a position that is nearer than this to a whole number counts as that number; in steps of the grid
_EXACT = 1e-6


def returning_states(
    grid: StateGrid, road: RoadShape, steering_grid: StateGrid, steering: Float32Array, speed: float
) -> tuple[BoolArray, BoolArray]:
    """Return from which states of a grid a car comes back, and from which it never leaves the road,
    bool (places, offsets, turns) each.

    In the last stretch of an open road, a car that comes back need not come near the middle.

    steering_grid: the grid in whose states the steering is known
    steering: in these states, (places, offsets, turns)
    speed: m/s
    """
    # each state is followed for one stretch; the sets follow from where the stretches end
    stretch = max(round(_STRETCH_SECONDS * speed / grid.step_m), 1)
    ends = follow(road, steering_grid, steering, cars_at(grid), speed, stretch * grid.step_m)
    after = CarStates(*(values.reshape(grid.shape) for values in ends))
    lands_in = _landings(grid, stretch, after)

    # the second stretch begins in the states where the first one ends: the car stays on the road if
    # it does so in both, and comes near the middle if it does so in one
    drives = ~np.isnan(after.offset_m)
    near = drives & (after.nearest_m <= NEAR_M)
    returns = drives & lands_in(drives) & (near | lands_in(near))

    # from which states a car never leaves the road
    stays = drives
    while True:
        kept = stays & lands_in(stays)
        if kept.sum() == stays.sum():
            return returns, stays
        stays = kept


def _landings(grid: StateGrid, stretch: int, after: CarStates) -> Callable[[BoolArray], BoolArray]:
    """Return a function that says which cars end their stretch inside a set of states.

    The set and the result are bool (places, offsets, turns). A car is inside if the states of the
    grid around it are.

    stretch: length of a stretch, in places
    after: states of the cars at the end of their stretch, (places, offsets, turns)
    """
    corners = []
    inside = np.ones(grid.shape, bool)
    for values, axis in ((after.offset_m, grid.offsets_m), (after.turn, grid.turns)):
        # counted in steps of the grid from the first value of the axis; NaN is never inside
        position = (values - axis[0]) / (axis[1] - axis[0])
        last = len(axis) - 1
        inside &= (position >= -_EXACT) & (position <= last + _EXACT)
        # the whole numbers before and after; both are equal for a whole number
        ends = (np.floor(position + _EXACT), np.ceil(position - _EXACT))
        corners.append([np.clip(np.nan_to_num(end), 0, last).astype(int) for end in ends])
    places = np.arange(len(grid.places_m)) + stretch
    landing = (places % len(places))[:, np.newaxis, np.newaxis]

    def in_which(states: BoolArray) -> BoolArray:
        lands = inside.copy()
        for offset, turn in product(*corners):
            lands &= states[landing, offset, turn]
        # beyond the last place of an open road nothing is known: a car that gets there counts as
        # inside any set
        if not grid.closed:
            lands[places >= len(places)] = True
        return lands

    return in_which


def margins_of(returns: BoolArray, grid: StateGrid) -> FloatArray:
    """Return the offsets up to which a car that drives along the road always comes back.

    Metres to the left and to the right of the middle, (places, 2); 0 where the car does not come
    back even from the middle.

    returns: as returning_states() returns it
    """
    middle = len(grid.offsets_m) // 2
    ahead = returns[:, :, len(grid.turns) // 2]
    steps = []
    for outwards in (ahead[:, middle::-1], ahead[:, middle:]):  # to the left, and to the right
        # the steps outwards before the first state from which the car does not come back; the
        # middle itself is not a step
        steps.append(np.logical_and.accumulate(outwards, axis=1).sum(axis=1) - 1)
    step_m = float(grid.offsets_m[middle + 1] - grid.offsets_m[middle])
    return np.asarray(np.maximum(np.stack(steps, axis=1), 0) * step_m, np.float64)
