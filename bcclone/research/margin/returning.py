"""Find the states from which a car comes back: a grid of states, and the steering in each -> sets
of states.

A car is followed from each state of the grid along a stretch of road. A stretch ends at a place of
the grid, and the car counts as inside a set of states there if the four states around it (two
offsets, two turns) are in the set.

A car comes back if it gets near the middle within two stretches and leaves the road in neither. A
later bend, which the car may not manage, does not count.

The states from which a car never leaves the road, however far it drives, are a greatest fixed
point: the set begins with all states, and loses those whose stretch ends off the road or outside
the set, until no more are lost.

The places of an open road end with the road, so a car whose first stretch leads beyond the last
place cannot be followed through a second one. If it stays on the road in the first, it counts as
inside every set: it comes back, even if it has never been near the middle, and it never leaves the
road.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion

from bcclone.research.margin.following import (
    Cars,
    RoadShape,
    StateGrid,
    SteeringTable,
    cars_at,
    follow,
)
from bcclone.system.numbers import BoolArray, FloatArray

NEAR_M = 0.5  # largest distance from the middle at which a car has come back


@dataclass(frozen=True)
class ReturningSet:
    """Two sets of states of a grid: whether a state is in it, bool (places, offsets, turns)."""

    grid: StateGrid
    # within two stretches, the car comes within NEAR_M of the middle and does not leave the road;
    # in the last stretch of an open road, it need not come near the middle
    returns: BoolArray
    stays: BoolArray  # the car never leaves the road

    @property
    def margins_m(self) -> FloatArray:
        """Return the offsets up to which a car that drives along the road always comes back.

        Metres to the left and to the right of the middle, (places, 2); 0 where the car does not
        come back even from the middle.
        """
        middle = len(self.grid.offsets_m) // 2
        straight = len(self.grid.turns) // 2
        ahead = self.returns[:, :, straight]
        offset_step_m = float(self.grid.offsets_m[middle + 1] - self.grid.offsets_m[middle])
        left = _reach(ahead[:, middle::-1])  # from the middle to the left
        right = _reach(ahead[:, middle:])
        return np.asarray(np.stack([left, right], axis=1) * offset_step_m, np.float64)

    @cached_property
    def core(self) -> BoolArray:
        """Return the states of `returns` whose 26 neighbours in the grid come back, too.

        bool (places, offsets, turns)
        """
        # the neighbours of the first and the last place: on a lap, these two are neighbours; on an
        # open road, each counts as its own neighbour
        mode: Literal["wrap", "edge"] = "edge"
        if self.grid.closed:
            mode = "wrap"
        padded = np.pad(self.returns, ((1, 1), (0, 0), (0, 0)), mode=mode)
        # asarray(), here and below, is for the type checker: it copies nothing
        return np.asarray(binary_erosion(padded, np.ones((3, 3, 3)))[1:-1])

    def inside(self, cars: Cars) -> BoolArray:
        """Return which cars have eight states of the core around them, (cars,)."""
        places = len(self.grid.places_m)
        position = (cars.along_m - self.grid.places_m[0]) / self.grid.step_m
        place = np.floor(position).astype(int)
        following = place + 1
        if self.grid.closed:
            place = place % places
            following = following % places
        else:
            place = np.clip(place, 0, places - 2)
            following = np.clip(following, 1, places - 1)
        before = _between(self.grid, self.core, place, cars)
        return before & _between(self.grid, self.core, following, cars)


def _reach(returns: BoolArray) -> npt.NDArray[np.int_]:
    """Return how many steps of the grid lie between the middle and the last offset that comes back.

    From all offsets between the two, the car comes back, too. Integers (places,); 0 where it does
    not come back even from the middle.

    returns: whether a state comes back, (places, offsets) from the middle outwards
    """
    # the first of the offsets is the middle itself, which is no step away
    steps = np.logical_and.accumulate(returns, axis=1).sum(axis=1) - 1
    return np.asarray(np.maximum(steps, 0))


# Duration of a stretch. In this time most cars come back, and the yaw rate at the start no longer
# matters.
_STRETCH_SECONDS = 2.5
_MAX_ROUNDS = 50  # most passes over the states of a set; far fewer are needed


def returning_set(
    grid: StateGrid, road: RoadShape, table: SteeringTable, speed: float
) -> ReturningSet:
    """Return the states of a grid from which a car comes back by the steering of a table.

    speed: m/s
    """
    # each state is followed for one stretch; the sets follow from where the stretches end
    stretch = max(round(_STRETCH_SECONDS * speed / grid.step_m), 1)
    cars = follow(road, table, cars_at(grid), speed, stretch * grid.step_m)
    after = Cars(*(values.reshape(grid.shape) for values in cars))

    # the second stretch begins in the states where the first one ends: the car stays on the road if
    # it does so in both, and comes near the middle if it does so in one
    drives = ~np.isnan(after.offset_m)
    near = drives & (after.nearest_m <= NEAR_M)
    drives_on = drives.copy()
    comes_near = near.copy()
    for place in range(len(grid.places_m)):
        drives_on[place] &= _lands(grid, stretch, after, drives, place)
        comes_near[place] |= _lands(grid, stretch, after, near, place)
    stays = _staying(grid, stretch, after, drives)
    return ReturningSet(grid, drives_on & comes_near, stays)


def _staying(grid: StateGrid, stretch: int, after: Cars, drives: BoolArray) -> BoolArray:
    """Return the states from which a car never leaves the road."""
    stays = drives.copy()
    for _ in range(_MAX_ROUNDS):
        before = int(stays.sum())
        # backwards, so that a loss reaches all earlier places of a lap in one round
        for place in reversed(range(len(grid.places_m))):
            stays[place] &= _lands(grid, stretch, after, stays, place)
        if int(stays.sum()) == before:
            break
    return stays


def _lands(grid: StateGrid, stretch: int, after: Cars, states: BoolArray, place: int) -> BoolArray:
    """Return which cars that began at a place end their stretch inside a set, (offsets, turns).

    stretch: length of a stretch, in places
    after: states of the cars at the end of their stretch, (places, offsets, turns)
    states: the set, bool (places, offsets, turns)
    """
    places = len(grid.places_m)
    landing = place + stretch
    # beyond the last place of an open road nothing is known: a car that gets there counts as inside
    # any set
    if landing >= places and not grid.closed:
        return np.ones(states.shape[1:], bool)
    ends = np.full(states.shape[1:], landing % places)
    return _between(grid, states, ends, Cars(*(values[place] for values in after)))


def _between(
    grid: StateGrid, states: BoolArray, places: npt.NDArray[np.int_], cars: Cars
) -> BoolArray:
    """Return which cars are between four states of a set.

    states: the set, bool (places, offsets, turns)
    places: the place of the grid at which each car is
    """
    inside = np.ones(cars.offset_m.shape, bool)
    corners = []
    for values, axis in ((cars.offset_m, grid.offsets_m), (cars.turn, grid.turns)):
        # counted in steps of the grid from the first value of the axis
        position = (values - axis[0]) / (axis[1] - axis[0])
        inside &= _within(position, len(axis))
        corners.append(_neighbours(position, len(axis)))
    offsets, turns = corners
    for offset in offsets:
        for turn in turns:
            inside &= states[places, offset, turn]
    return inside


# a position that is nearer than this to a whole number counts as that number; in steps of the grid
_EXACT = 1e-6


def _within(position: FloatArray, count: int) -> BoolArray:
    """Return which positions are from 0 to count - 1; NaN is not."""
    return np.asarray((position >= -_EXACT) & (position <= count - 1 + _EXACT))


def _neighbours(position: FloatArray, count: int) -> list[npt.NDArray[np.int_]]:
    """Return the whole numbers before and after each position, limited to 0 to count - 1.

    For a position that is a whole number, both are that number.
    """
    ends = (np.floor(position + _EXACT), np.ceil(position - _EXACT))
    return [np.clip(np.nan_to_num(end), 0, count - 1).astype(int) for end in ends]
