"""Rows -> the steering that each instant calls for: smoothed, ahead in time, corrected where a camera is aside.

A key is pressed or it is not, so that a keyboard's steering jumps between a few values where the car's path, which
is what the images show, bends evenly. A network that has learned the jumps has learned when a finger came down.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.vehicle import MOUNTS, MPH, SIDE_CAMERA_M, lookahead_of, steering_to_line

Floats = npt.NDArray[np.float64]

AUTO = "auto"
_SIDE = {"center": 0.0, "left": 1.0, "right": -1.0}
_SHORTEST_LOOKAHEAD_M = 6.0  # or a slow car's way back would be learned as a swerve
_REACH = 3.0  # standard deviations
_MOST_NEIGHBOURS = 200  # rows, to either side


@dataclass(frozen=True)
class Correction:
    """What a camera or a car aside of its line adds to the steering.

    steering: that of a side camera, the same at every speed, or AUTO: what brings the car back to its line by aiming
    so many lookahead_seconds ahead on it.
    """

    steering: float | str = AUTO
    lookahead_seconds: float = 0.85

    def lookahead_m(self, speed_mph: Floats) -> Floats:
        """Return how far ahead on its line a car aims that comes back, (speeds,), at each of (speeds,)."""
        if isinstance(self.steering, str) or not self.steering:
            return np.maximum(np.asarray(speed_mph, float) * MPH * self.lookahead_seconds, _SHORTEST_LOOKAHEAD_M)
        return np.full(np.shape(speed_mph), lookahead_of(SIDE_CAMERA_M, self.steering))

    def of_camera(self, camera: str, speed_mph: Floats) -> Floats:
        """Return what is added to the steering for a frame of that camera, (speeds,), at each of (speeds,)."""
        if not isinstance(self.steering, str):
            return np.full(np.shape(speed_mph), _SIDE[camera] * self.steering)
        return np.asarray(steering_to_line(MOUNTS[camera][0], 0.0, self.lookahead_m(np.round(speed_mph, 1))))


def steering_labels(rows: pd.DataFrame, smooth_seconds: float, lead_seconds: float) -> Floats:
    """Return the steering that each row's images call for, (rows,).

    It is the mean of the steering recorded around a moment lead_seconds later, weighted by a Gaussian of standard
    deviation smooth_seconds, within the episode. rows: with `episode`, `time_ms`, `steering`, ordered by the first two.
    """
    steering = rows["steering"].to_numpy(np.float64)
    seconds = rows["time_ms"].to_numpy(np.float64) / 1000
    labels = steering.copy()
    for part in _episodes(rows["episode"].to_numpy()):
        if smooth_seconds:
            labels[part] = _smoothed(seconds[part], steering[part], smooth_seconds)
        if lead_seconds:
            labels[part] = np.interp(seconds[part] + lead_seconds, seconds[part], labels[part])
    return labels


def _episodes(episode: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Yield where each episode lies."""
    ends = [*np.flatnonzero(np.diff(episode)) + 1, len(episode)]
    yield from (slice(start, end) for start, end in zip([0, *ends], ends, strict=False) if start < end)


def _smoothed(seconds: Floats, steering: Floats, spread: float) -> Floats:
    """Return the weighted means around each moment of one episode."""
    reach = np.searchsorted(seconds, seconds + _REACH * spread, "right") - np.arange(len(seconds))
    total, weights = np.zeros(len(seconds)), np.zeros(len(seconds))
    for step in range(min(int(reach.max(initial=1)), _MOST_NEIGHBOURS, len(seconds))):
        late, early = slice(step, None), slice(None, len(seconds) - step)
        weight = np.exp(-0.5 * ((seconds[late] - seconds[early]) / spread) ** 2)
        for here, there in ((late, early), (early, late))[: 2 if step else 1]:
            total[here] += weight * steering[there]
            weights[here] += weight
    return total / weights
