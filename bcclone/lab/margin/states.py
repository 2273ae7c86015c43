"""Lay a grid of states over a road: places along it, offsets from its middle, and headings."""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.simulator.track import Track
from bcclone.system.arrays import FloatArray

WIDEST_TURN = math.radians(24.0)  # of a state; a car that is turned farther is taken for lost


@dataclass(frozen=True)
class GridStep:
    """The distances between neighbouring states, at most: metres along, metres across, and degrees."""

    along_m: float
    offset_m: float
    turn_degrees: float


# Between the states whose frames are rendered. The steering is so smooth that it is interpolated between them: its
# error at random states is 0.017 of full lock coarsely, 0.012 finely, of which the road's texture alone makes 0.010.
COARSE, FINE = GridStep(4.0, 0.95, 8.0), GridStep(1.0, 0.47, 4.0)
# between the states from which cars start on the map
COARSE_STARTS, FINE_STARTS = GridStep(COARSE.along_m, 0.1, 2.0), GridStep(FINE.along_m, 0.05, 1.0)


@dataclass(frozen=True)
class StateGrid:
    """States of a car: all combinations of three evenly spaced rows of values.

    places_m: along the track; on a closed one, the first follows the last; offsets_m: to the right of the middle;
    turns: radians to the right of the road's direction.
    """

    places_m: FloatArray
    offsets_m: FloatArray
    turns: FloatArray
    closed: bool

    def __post_init__(self) -> None:
        for name in ("places_m", "offsets_m", "turns"):
            values = getattr(self, name)
            if values.ndim != 1 or len(values) < 2 or not np.allclose(np.diff(values), values[1] - values[0]):
                raise ValueError(f"{name} {values}, expected two values or more, evenly spaced")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return how many places, offsets and turns there are."""
        return len(self.places_m), len(self.offsets_m), len(self.turns)

    @property
    def step_m(self) -> float:
        """Return the distance between two places."""
        return float(self.places_m[1] - self.places_m[0])


def state_grid(track: Track, step: GridStep) -> StateGrid:
    """Return the grid of a lap, from edge to edge of the asphalt at its widest, and symmetric to the middle."""
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
