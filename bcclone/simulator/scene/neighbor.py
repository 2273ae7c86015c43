"""Find where a second road lies beside the road, as where a track comes back along itself."""

import numpy as np

from bcclone.simulator.track import Track
from bcclone.system.arrays import Float32Array

_STRAIGHT = 2.5  # the bend's radius is at least so many times the distance between the two roads
_AROUND_M = 12  # which holds so far ahead and back


def neighbor_of(track: Track) -> Float32Array:
    """Return how far to the right of the road's middle that of the second road is, in metres, float32 (metres,).

    It is negative for one on the left, and 0 where there is none: a road has none in sharp bends.
    """
    beside_m = track.road.look.neighbor_m
    metres = int(track.length_m) + 1
    if not beside_m:
        return np.zeros(metres, np.float32)
    bends = np.abs(track.curvature[[track.index(metre) for metre in range(metres)]]) * abs(beside_m) * _STRAIGHT > 1
    around = np.convolve(np.pad(bends, _AROUND_M, mode="edge"), np.ones(2 * _AROUND_M + 1), "valid")
    return np.where(around > 0, 0.0, beside_m).astype(np.float32)
