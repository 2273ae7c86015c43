"""Find the states from which a car comes back: a table of steering -> sets of states.

Each state of the grid is followed along a stretch of road. Where a stretch ends, the car must be between four states of
a set to be in it. A car comes back if it gets near the middle within two stretches and leaves the road in neither: a
later bend, which it may not manage, does not count. The states from which a car never leaves the road, however far it
drives, are a greatest fixed point: the set begins with all states, and loses those whose stretch ends off the road or
outside the set, until none is lost. At the end of an open road all is well.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion

from bcclone.lab.margin.state_grid import Cars, RoadShape, StateGrid, SteeringTable, cars_at, follow
from bcclone.system.arrays import FloatArray

NEAR_M = 0.5  # from the middle, where a car has come back
_STRETCH_SECONDS = 2.5  # in which most cars are back, and the yaw rate at its start is long forgotten
_ROUNDS = 50
_EXACT = 1e-6  # of the distance between two states: nearer to one, no other counts

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReturningSet:
    """Sets of the states of a grid, bool (places, offsets, turns) each.

    returns: the car comes within 0.5 m of the middle and does not leave the road, within two stretches; stays: it never
    leaves the road.
    """

    grid: StateGrid
    returns: Flags
    stays: Flags

    @property
    def margins_m(self) -> FloatArray:
        """Return how far from the middle a car that drives along the road comes back: left, right, (places, 2).

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
    def core(self) -> Flags:
        """Return the states that come back, and with them all that are a step of the grid away, as `returns`."""
        ends = np.pad(self.returns, ((1, 1), (0, 0), (0, 0)), mode="wrap" if self.grid.closed else "edge")
        return np.asarray(binary_erosion(ends, np.ones((3, 3, 3)))[1:-1])

    def inside(self, cars: Cars) -> Flags:
        """Return which cars are between eight states of the core, (cars,)."""
        places = len(self.grid.places_m)
        place = (cars.along_m - self.grid.places_m[0]) / self.grid.step_m
        low = np.floor(place).astype(int)
        high = low + 1
        if self.grid.closed:
            low, high = low % places, high % places
        else:
            low, high = np.clip(low, 0, places - 2), np.clip(high, 1, places - 1)
        return _between(self.grid, self.core, low, cars) & _between(self.grid, self.core, high, cars)


def returning_set(grid: StateGrid, road: RoadShape, table: SteeringTable, speed: float) -> ReturningSet:
    """Return the states of a grid from which a car comes back by the steering of a table. speed: m/s."""
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
        for place in range(len(grid.places_m) - 1, -1, -1):  # backwards, so that a lap needs few rounds
            stays[place] &= _lands(grid, stretch, after, stays, place)
        if int(stays.sum()) == before:
            break
    return ReturningSet(grid, drives_on & comes_near, stays)


def _lands(grid: StateGrid, stretch: int, after: Cars, states: Flags, place: int) -> Flags:
    """Return which cars that began at a place end their stretch between four states of a set, (offsets, turns)."""
    landing, places = place + stretch, len(grid.places_m)
    if landing >= places and not grid.closed:
        return np.ones(states.shape[1:], bool)
    ends = np.full(states.shape[1:], landing % places)
    return _between(grid, states, ends, Cars(*(each[place] for each in after)))


def _between(grid: StateGrid, states: Flags, places: npt.NDArray[np.int_], cars: Cars) -> Flags:
    """Return which cars are between four states of a set, at these places."""
    inside = np.ones(cars.offset_m.shape, bool)
    corners = []
    for values, row in ((cars.offset_m, grid.offsets_m), (cars.turn, grid.turns)):
        position = (values - row[0]) / (row[1] - row[0])
        inside &= (position >= -_EXACT) & (position <= len(row) - 1 + _EXACT)  # NaN is outside
        ends = np.floor(position + _EXACT), np.ceil(position - _EXACT)  # the same for a car in a state of the grid
        corners.append([np.clip(np.nan_to_num(end), 0, len(row) - 1).astype(int) for end in ends])
    for offset in corners[0]:
        for turn in corners[1]:
            inside &= states[places, offset, turn]
    return inside
