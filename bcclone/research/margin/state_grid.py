"""Find the states from which a car comes back: a grid of states, and the steering in each -> sets
of states.

The law of motion is the simulated car's own (`next_yaw_rate`), in coordinates of the road: the
centre line is followed by its curvature, and the speed is held. Each state of the grid is followed
along a stretch of road. Where a stretch ends, the car must be between four states of a set to be in
it. A car comes back if it gets near the middle within two stretches and leaves the road in neither:
a later bend, which it may not manage, does not count. The states from which a car never leaves the
road, however far it drives, are a greatest fixed point: the set begins with all states, and loses
those whose stretch ends off the road or outside the set, until none is lost. At the end of an open
road all is well.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion

from bcclone.simulator.car import LAW_MODULES, STEP_SECONDS, next_yaw_rate
from bcclone.simulator.track import Track
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray
from bcclone.system.compiled import compiled, source_checksum

_STEPS = round(FRAME_SECONDS / STEP_SECONDS)  # of the car, while a steering holds
_SLOWEST = 0.25  # of the speed along the road; a slower car goes astray
LOST = math.nan
WIDEST_TURN = math.radians(24.0)  # of a state; a car that is turned farther is taken for lost
NEAR_M = 0.5  # from the middle, where a car has come back
_STRETCH_SECONDS = (
    2.5  # in which most cars are back, and the yaw rate at its start is long forgotten
)
_ROUNDS = 50
_EXACT = 1e-6  # of the distance between two states: nearer to one, no other counts


class GridStep(NamedTuple):
    """The distances between neighbouring states, at most: metres along, metres across, and degrees."""

    along_m: float
    offset_m: float
    turn_degrees: float


# Between the states whose frames are rendered. The steering is so smooth that it is interpolated
# between them: its error at random states is 0.017 of full lock, of which the road's texture alone
# makes 0.010.
RENDERED = GridStep(4.0, 0.95, 8.0)
STARTS = GridStep(RENDERED.along_m, 0.1, 2.0)  # between the states from which cars start on the map


class StateGrid(NamedTuple):
    """States of a car: all combinations of three evenly spaced rows of values.

    places_m: along the track; on a closed one, the first follows the last; offsets_m: to the right
    of the middle; turns: radians to the right of the road's direction.
    """

    places_m: FloatArray
    offsets_m: FloatArray
    turns: FloatArray
    closed: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.places_m), len(self.offsets_m), len(self.turns)

    @property
    def step_m(self) -> float:
        return float(self.places_m[1] - self.places_m[0])


def state_grid(track: Track, step: GridStep) -> StateGrid:
    """Return the grid of a lap, from edge to edge of the asphalt at its widest, and symmetric to
    the middle.
    """
    count = max(round(track.lap_m / step.along_m), 2)
    places = track.start_m + track.lap_m * np.arange(count + (not track.closed)) / count
    return StateGrid(
        places,
        _symmetric(float(track.limits_m.max()), step.offset_m),
        _symmetric(WIDEST_TURN, math.radians(step.turn_degrees)),
        track.closed,
    )


def _symmetric(most: float, step: float) -> FloatArray:
    count = max(math.ceil(most / step - 1e-9), 1)
    return most * np.arange(-count, count + 1) / count


class RoadShape(NamedTuple):
    """What moves a car along a road, at each point of its line, (points,).

    curvature: 1/m, positive to the right; limits_m: largest offset with all wheels on the asphalt;
    levels: metres on the map for each metre along the road; points_a_metre: of the line; closed:
    whether it is.
    """

    curvature: FloatArray
    limits_m: FloatArray
    levels: FloatArray
    points_a_metre: float
    closed: bool


class SteeringTable(NamedTuple):
    """The steering in each state of a grid, -1 to 1, float32 (places, offsets, turns), interpolated
    between them.
    """

    grid: StateGrid
    steering: Float32Array


class Cars(NamedTuple):
    """States of cars, float64 (cars,) each.

    along_m, offset_m, turn: as in a StateGrid; nearest_m: the smallest distance from the middle on
    the way. A car that has left the road, or is lost, has the offset NaN.
    """

    along_m: FloatArray
    offset_m: FloatArray
    turn: FloatArray
    nearest_m: FloatArray


def shape_of(track: Track) -> RoadShape:
    levels = 1 / np.sqrt(1 + track.grade * track.grade)
    return RoadShape(track.curvature, track.limits_m, levels, track.points_a_metre, track.closed)


def cars_at(grid: StateGrid) -> Cars:
    """Return a car in each state of a grid, in its order."""
    values = np.meshgrid(grid.places_m, grid.offsets_m, grid.turns, indexing="ij")
    along_m, offset_m, turn = (each.reshape(-1) for each in values)
    return Cars(along_m, offset_m, turn, np.abs(offset_m))


def follow(
    road: RoadShape, table: SteeringTable, cars: Cars, speed: float, stretch_m: float
) -> Cars:
    """Return the cars a stretch of road farther on; each starts with the yaw rate of the road's
    bend there.

    speed: m/s. The end of an open road ends the stretch.
    """
    after = Cars(*(each.copy() for each in cars))
    _follow(road, table, after, speed, stretch_m)
    return after


@compiled(inline="always")
def _at(values: Any, position: float, closed: bool) -> float:
    """Return the interpolated value at a position in points along the line."""
    count = len(values)
    index = int(math.floor(position))
    rest = position - index
    if closed:
        return float(values[index % count] * (1 - rest) + values[(index + 1) % count] * rest)
    index = min(max(index, 0), count - 2)
    return float(values[index] * (1 - rest) + values[index + 1] * rest)


@compiled(inline="always")
def _steering_at(table: Any, along_m: float, offset_m: float, turn: float) -> float:
    """Return the interpolated steering in a state; beyond the table's edge, that of the edge."""
    grid, values = table.grid, table.steering
    places, offsets, turns = values.shape
    place = (along_m - grid.places_m[0]) / (grid.places_m[1] - grid.places_m[0])
    low = int(math.floor(place))
    along = place - low
    if grid.closed:
        low, high = low % places, (low + 1) % places
    else:
        low = min(max(low, 0), places - 2)
        along, high = min(max(place - low, 0.0), 1.0), low + 1
    across = min(max((offset_m / grid.offsets_m[-1] + 1) * 0.5 * (offsets - 1), 0.0), offsets - 1.0)
    left = min(int(across), offsets - 2)
    across -= left
    around = min(max((turn / grid.turns[-1] + 1) * 0.5 * (turns - 1), 0.0), turns - 1.0)
    first = min(int(around), turns - 2)
    around -= first
    total = 0.0
    for place_index, by_place in ((low, 1 - along), (high, along)):
        near = (
            values[place_index, left, first] * (1 - around)
            + values[place_index, left, first + 1] * around
        )
        far = (
            values[place_index, left + 1, first] * (1 - around)
            + values[place_index, left + 1, first + 1] * around
        )
        total += by_place * (near * (1 - across) + far * across)
    return min(max(total, -1.0), 1.0)


@compiled(inline="always")
def _off_road(road: Any, along_m: float, offset_m: float) -> bool:
    return abs(offset_m) > _at(road.limits_m, along_m * road.points_a_metre, road.closed)


@compiled(inline="always")
def _step(road: Any, along_m: float, offset_m: float, turn: float, way: Any) -> Any:
    """Return place, offset and turn after 0.02 s. way: metres driven, and the change of the
    heading.
    """
    metres, turned = way
    point = along_m * road.points_a_metre
    bend, level = _at(road.curvature, point, road.closed), _at(road.levels, point, road.closed)
    heading = turn + turned
    ahead_m = metres * level * math.cos(heading) / max(1 - bend * offset_m, 0.1)
    return (
        along_m + ahead_m / level,
        offset_m + metres * level * math.sin(heading),
        heading - bend * ahead_m,
    )


@compiled(cache=True, sources=source_checksum((*LAW_MODULES, __name__)), error_model="numpy")
def _follow(road: Any, table: Any, cars: Any, speed: float, stretch_m: float) -> None:
    """Move each car until it has come a stretch farther along the road, has left it, or is lost."""
    most_steps = int(stretch_m / (_SLOWEST * speed * STEP_SECONDS))
    last_m = math.inf if road.closed else (len(road.curvature) - 1) / road.points_a_metre
    for number in range(len(cars.offset_m)):
        along_m, offset_m, turn = cars.along_m[number], cars.offset_m[number], cars.turn[number]
        goal_m = min(along_m + stretch_m, last_m)
        yaw_rate = speed * _at(road.curvature, along_m * road.points_a_metre, road.closed)
        nearest_m, steering, step = abs(offset_m), 0.0, 0
        lost = _off_road(road, along_m, offset_m)
        while along_m < goal_m and not lost:
            if step % _STEPS == 0:
                steering = _steering_at(table, along_m, offset_m, turn)
            yaw_rate = next_yaw_rate(yaw_rate, steering, speed)
            before_m, beside_m, turned = along_m, offset_m, turn
            way = speed * STEP_SECONDS, yaw_rate * STEP_SECONDS
            along_m, offset_m, turn = _step(road, along_m, offset_m, turn, way)
            if along_m > goal_m:  # the state where it passes the goal
                part = (goal_m - before_m) / (along_m - before_m)
                offset_m, turn = (
                    beside_m + part * (offset_m - beside_m),
                    turned + part * (turn - turned),
                )
                along_m = goal_m
            nearest_m, step = min(nearest_m, abs(offset_m)), step + 1
            lost = (
                _off_road(road, along_m, offset_m)
                or abs(turn) > 2 * WIDEST_TURN
                or step > most_steps
            )
        cars.along_m[number], cars.turn[number], cars.nearest_m[number] = along_m, turn, nearest_m
        cars.offset_m[number] = LOST if lost else offset_m


@dataclass(frozen=True)
class ReturningSet:
    """Sets of the states of a grid, bool (places, offsets, turns) each.

    returns: the car comes within 0.5 m of the middle and does not leave the road, within two
    stretches; stays: it never leaves the road.
    """

    grid: StateGrid
    returns: BoolArray
    stays: BoolArray

    @property
    def margins_m(self) -> FloatArray:
        """Return how far from the middle a car that drives along the road comes back: left, right,
        (places, 2).

        It comes back from all offsets up to there; 0 where it does not even from the middle.
        """
        middle, straight = len(self.grid.offsets_m) // 2, len(self.grid.turns) // 2
        ahead = self.returns[:, :, straight]
        sides = ahead[:, middle::-1], ahead[:, middle:]
        reach = [np.logical_and.accumulate(side, axis=1).sum(axis=1) - 1 for side in sides]
        return np.stack([np.maximum(each, 0) for each in reach], axis=1) * float(
            self.grid.offsets_m[middle + 1] - self.grid.offsets_m[middle]
        )

    @cached_property
    def core(self) -> BoolArray:
        """Return the states that come back, and with them all that are a step of the grid away, as
        `returns`.
        """
        ends = np.pad(
            self.returns, ((1, 1), (0, 0), (0, 0)), mode="wrap" if self.grid.closed else "edge"
        )
        return np.asarray(binary_erosion(ends, np.ones((3, 3, 3)))[1:-1])

    def inside(self, cars: Cars) -> BoolArray:
        """Return which cars are between eight states of the core, (cars,)."""
        places = len(self.grid.places_m)
        place = (cars.along_m - self.grid.places_m[0]) / self.grid.step_m
        low = np.floor(place).astype(int)
        high = low + 1
        if self.grid.closed:
            low, high = low % places, high % places
        else:
            low, high = np.clip(low, 0, places - 2), np.clip(high, 1, places - 1)
        return _between(self.grid, self.core, low, cars) & _between(
            self.grid, self.core, high, cars
        )


def returning_set(
    grid: StateGrid, road: RoadShape, table: SteeringTable, speed: float
) -> ReturningSet:
    """Return the states of a grid from which a car comes back by the steering of a table. speed:
    m/s.
    """
    stretch = max(round(_STRETCH_SECONDS * speed / grid.step_m), 1)
    after = follow(road, table, cars_at(grid), speed, stretch * grid.step_m)
    after = Cars(*(each.reshape(grid.shape) for each in after))
    drives = ~np.isnan(after.offset_m)
    near = drives & (after.nearest_m <= NEAR_M)
    drives_on, comes_near = drives.copy(), near.copy()
    stays = drives.copy()
    for place in range(len(grid.places_m)):
        drives_on[place] &= _lands(grid, stretch, after, drives, place)
        comes_near[place] |= _lands(grid, stretch, after, near, place)
    for _ in range(_ROUNDS):
        before = int(stays.sum())
        for place in range(
            len(grid.places_m) - 1, -1, -1
        ):  # backwards, so that a lap needs few rounds
            stays[place] &= _lands(grid, stretch, after, stays, place)
        if int(stays.sum()) == before:
            break
    return ReturningSet(grid, drives_on & comes_near, stays)


def _lands(grid: StateGrid, stretch: int, after: Cars, states: BoolArray, place: int) -> BoolArray:
    """Return which cars that began at a place end their stretch between four states of a set,
    (offsets, turns).
    """
    landing, places = place + stretch, len(grid.places_m)
    if landing >= places and not grid.closed:
        return np.ones(states.shape[1:], bool)
    ends = np.full(states.shape[1:], landing % places)
    return _between(grid, states, ends, Cars(*(each[place] for each in after)))


def _between(
    grid: StateGrid, states: BoolArray, places: npt.NDArray[np.int_], cars: Cars
) -> BoolArray:
    """Return which cars are between four states of a set, at these places."""
    inside = np.ones(cars.offset_m.shape, bool)
    corners = []
    for values, row in ((cars.offset_m, grid.offsets_m), (cars.turn, grid.turns)):
        position = (values - row[0]) / (row[1] - row[0])
        inside &= (position >= -_EXACT) & (position <= len(row) - 1 + _EXACT)  # NaN is outside
        ends = (
            np.floor(position + _EXACT),
            np.ceil(position - _EXACT),
        )  # the same for a car in a state of the grid
        corners.append([np.clip(np.nan_to_num(end), 0, len(row) - 1).astype(int) for end in ends])
    for offset in corners[0]:
        for turn in corners[1]:
            inside &= states[places, offset, turn]
    return inside
