"""Find the states from which a car comes back: a grid of states, and the steering in each -> sets
of states.

Each state of the grid is followed along a stretch of road. Where a stretch ends, the car must be
between four states of a set to be in it. A car comes back if it gets near the middle within two
stretches and leaves the road in neither. A later bend, which it may not manage, does not count.

The states from which a car never leaves the road, however far it drives, are a greatest fixed
point: the set begins with all states, and loses those whose stretch ends off the road or outside
the set, until none is lost. At the end of an open road all is well.
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
from bcclone.system.arrays import BoolArray, FloatArray

NEAR_M = 0.5  # largest distance from the middle at which a car has come back


@dataclass(frozen=True)
class ReturningSet:
    """Two sets of the states of a grid; bool (places, offsets, turns): whether a state is in it."""

    grid: StateGrid
    returns: BoolArray  # comes within NEAR_M of the middle, and stays on the road, in two stretches
    stays: BoolArray  # never leaves the road

    @property
    def margins_m(self) -> FloatArray:
        """Return how far from the middle a car that drives along the road comes back.

        Metres to the left and to the right of the middle, (places, 2). The car comes back from all
        offsets up to this one; 0 where it does not come back even from the middle.
        """
        middle = len(self.grid.offsets_m) // 2
        straight = len(self.grid.turns) // 2
        ahead = self.returns[:, :, straight]
        offset_step_m = float(self.grid.offsets_m[middle + 1] - self.grid.offsets_m[middle])
        left = _reach(ahead[:, middle::-1])
        right = _reach(ahead[:, middle:])
        return np.asarray(np.stack([left, right], axis=1) * offset_step_m, np.float64)

    @cached_property
    def core(self) -> BoolArray:
        """Return the states of `returns` whose 26 neighbours in the grid come back, too.

        bool (places, offsets, turns)
        """
        # beyond the ends of the grid: the other end of a closed lap, or the end itself
        mode: Literal["wrap", "edge"] = "edge"
        if self.grid.closed:
            mode = "wrap"
        padded = np.pad(self.returns, ((1, 1), (0, 0), (0, 0)), mode=mode)
        return np.asarray(binary_erosion(padded, np.ones((3, 3, 3)))[1:-1])

    def inside(self, cars: Cars) -> BoolArray:
        """Return which cars are between eight states of the core, (cars,)."""
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
    """Return how many steps from the middle all states come back, (places,).

    returns: (places, offsets) from the middle outwards
    """
    steps = np.logical_and.accumulate(returns, axis=1).sum(axis=1) - 1
    return np.asarray(np.maximum(steps, 0))


# In this time most cars are back, and the yaw rate at its start is long forgotten.
_STRETCH_SECONDS = 2.5
_MAX_ROUNDS = 50  # most passes over the set until no state is lost; few are needed


def returning_set(
    grid: StateGrid, road: RoadShape, table: SteeringTable, speed: float
) -> ReturningSet:
    """Return the states of a grid from which a car comes back by the steering of a table.

    speed: m/s
    """
    # each state is followed once; the sets are found from where it ends
    stretch = max(round(_STRETCH_SECONDS * speed / grid.step_m), 1)
    cars = follow(road, table, cars_at(grid), speed, stretch * grid.step_m)
    after = Cars(*(values.reshape(grid.shape) for values in cars))

    # a second stretch: it begins in the states where the first ends
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
        # backwards, so that a lap needs few rounds
        for place in reversed(range(len(grid.places_m))):
            stays[place] &= _lands(grid, stretch, after, stays, place)
        if int(stays.sum()) == before:
            break
    return stays


def _lands(grid: StateGrid, stretch: int, after: Cars, states: BoolArray, place: int) -> BoolArray:
    """Return which cars that began at a place end their stretch inside a set, (offsets, turns)."""
    places = len(grid.places_m)
    landing = place + stretch
    if landing >= places and not grid.closed:
        return np.ones(states.shape[1:], bool)
    ends = np.full(states.shape[1:], landing % places)
    return _between(grid, states, ends, Cars(*(values[place] for values in after)))


def _between(
    grid: StateGrid, states: BoolArray, places: npt.NDArray[np.int_], cars: Cars
) -> BoolArray:
    """Return which cars are between four states of a set, at these places."""
    inside = np.ones(cars.offset_m.shape, bool)
    corners = []
    for values, row in ((cars.offset_m, grid.offsets_m), (cars.turn, grid.turns)):
        position = (values - row[0]) / (row[1] - row[0])
        inside &= _within(position, len(row))
        corners.append(_neighbours(position, len(row)))
    offsets, turns = corners
    for offset in offsets:
        for turn in turns:
            inside &= states[places, offset, turn]
    return inside


_EXACT = 1e-6  # of the distance between two states: nearer to one, no other counts


def _within(position: FloatArray, count: int) -> BoolArray:
    """Return which positions are on a row of so many values; NaN is not."""
    return np.asarray((position >= -_EXACT) & (position <= count - 1 + _EXACT))


def _neighbours(position: FloatArray, count: int) -> list[npt.NDArray[np.int_]]:
    """Return the values of a row around each position: twice the same for one that is a value."""
    ends = (np.floor(position + _EXACT), np.ceil(position - _EXACT))
    return [np.clip(np.nan_to_num(end), 0, count - 1).astype(int) for end in ends]
