"""Find the states from which a car comes back: a table of steering -> a set of states that no car leaves.

Each state of the grid is followed along a stretch of road. The set of the states from which a car never leaves the road
is a greatest fixed point: it begins with all states, and loses those whose stretch ends off the road, or not between
four states of the set. The states that come back are a least fixed point in it: those that come near the middle within
their stretch, and those whose stretch ends between four such states. At the end of an open road both are taken as kept.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.lab.margin.motion import Cars, RoadShape, SteeringTable, cars_at, follow
from bcclone.lab.margin.states import StateGrid
from bcclone.system.arrays import FloatArray

NEAR_M = 0.5  # from the middle, where a car has come back
_STRETCH_SECONDS = 2.5  # in which most cars are back, and the yaw rate at its start is long forgotten
_MOST_LAPS = 50
_EXACT = 1e-6  # of the distance between two states: nearer to one, no other counts

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReturningSet:
    """The states of a grid from which a car comes back, bool (places, offsets, turns), and those that it never leaves.

    kept: it stays on the road; returns: it also comes within 0.5 m of the middle, so they are some of the kept.
    """

    grid: StateGrid
    kept: Flags
    returns: Flags

    def __post_init__(self) -> None:
        if self.kept.shape != self.grid.shape or self.returns.shape != self.grid.shape:
            raise ValueError(f"sets of {self.kept.shape} and {self.returns.shape}, expected {self.grid.shape}")
        if (self.returns & ~self.kept).any():
            raise ValueError("states that come back without staying on the road, expected none")

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

    def inside(self, cars: Cars) -> Flags:
        """Return which cars are between eight states that come back, (cars,)."""
        places = len(self.grid.places_m)
        place = (cars.along_m - self.grid.places_m[0]) / self.grid.step_m
        low = np.floor(place).astype(int)
        high = low + 1
        if self.grid.closed:
            low, high = low % places, high % places
        else:
            low, high = np.clip(low, 0, places - 2), np.clip(high, 1, places - 1)
        return _between(self.grid, self.returns, low, cars) & _between(self.grid, self.returns, high, cars)


def returning_set(grid: StateGrid, road: RoadShape, table: SteeringTable, speed: float) -> ReturningSet:
    """Return the states of a grid from which a car comes back by the steering of a table. speed: m/s."""
    stretch = max(round(_STRETCH_SECONDS * speed / grid.step_m), 1)
    after = follow(road, table, cars_at(grid), speed, stretch * grid.step_m)
    after = Cars(*(each.reshape(grid.shape) for each in after))
    stays = ~np.isnan(after.offset_m)
    kept = _fixed_point(grid, stretch, after, stays, stays)
    near = kept & (after.nearest_m <= NEAR_M)
    return ReturningSet(grid, kept, _fixed_point(grid, stretch, after, near, kept))


def _fixed_point(grid: StateGrid, stretch: int, after: Cars, first: Flags, most: Flags) -> Flags:
    """Return the set that begins as `first`, and in which a state of `most` is if its stretch ends in the set.

    It shrinks from `first` if that is `most`, and grows otherwise.
    """
    shrinks, places = first is most, len(grid.places_m)
    states = first.copy()
    for _ in range(_MOST_LAPS):
        before = states.copy()
        for place in range(places - 1, -1, -1):
            landing = place + stretch
            if landing >= places and not grid.closed:
                continue
            ends = np.full(states.shape[1:], landing % places)
            inside = _between(grid, states, ends, Cars(*(each[place] for each in after)))
            states[place] = states[place] & inside if shrinks else states[place] | (most[place] & inside)
        if (states == before).all():
            break
    return states


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
