"""Compute the steering label of each frame: smoothed and shifted in time, and corrected for its camera.

A key is either pressed or not, so the steering of a keyboard jumps between a few values while the path of the car,
which is what the images show, is a smooth curve. Without smoothing, a network learns the jumps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from bcclone.arrays import Float32Array, FloatArray, IndexArray
from bcclone.sample_settings import SampleSettings
from bcclone.vehicle import MOUNTS, MPH, SIDE_CAMERA_M, lookahead_of, steering_to_line

LEARNED_SPEED_MPH = 30.0  # the unit of a learned speed: about the car's top speed
_SPEED_LEAD_SECONDS = 0.5  # a controller needs some time to reach the speed of a bend
_SIDE = {"center": 0.0, "left": 1.0, "right": -1.0}
_SHORTEST_LOOKAHEAD_M = 6.0  # a shorter one would teach a slow car to swerve
_REACH = 3.0  # standard deviations
_MOST_NEIGHBOURS = 200  # rows, on either side


def steering_labels(rows: pd.DataFrame, smooth_seconds: float, lead_seconds: float) -> FloatArray:
    """Return the steering that the images of each row call for, (rows,).

    It is the mean of the recorded steering around a time lead_seconds later, within the episode, weighted by a Gaussian
    of standard deviation smooth_seconds. rows: with `episode`, `time_ms`, `steering`, ordered by the first two.
    """
    steering = rows["steering"].to_numpy(np.float64)
    seconds = rows["time_ms"].to_numpy(np.float64) / 1000
    labels = steering.copy()
    for episode in _episodes(rows["episode"].to_numpy()):
        if smooth_seconds:
            labels[episode] = _smoothed(seconds[episode], steering[episode], smooth_seconds)
        if lead_seconds:
            labels[episode] = np.interp(seconds[episode] + lead_seconds, seconds[episode], labels[episode])
    return labels


def learned_speeds(episode: IndexArray, time_ms: IndexArray, speed_mph: FloatArray) -> Float32Array:
    """Return the speed that the images of each row call for, in units of LEARNED_SPEED_MPH, float32 (rows,).

    It is the speed recorded half a second later, within the episode. The rows are ordered by episode and time.
    """
    seconds, speeds = np.asarray(time_ms, np.float64) / 1000, np.array(speed_mph, np.float64)
    for rows in _episodes(episode):
        speeds[rows] = np.interp(seconds[rows] + _SPEED_LEAD_SECONDS, seconds[rows], speeds[rows])
    return (speeds / LEARNED_SPEED_MPH).astype(np.float32)


def _episodes(episode: IndexArray) -> Iterator[slice]:
    """Yield the rows of each episode."""
    ends = [*np.flatnonzero(np.diff(episode)) + 1, len(episode)]
    yield from (slice(start, end) for start, end in zip([0, *ends], ends, strict=False) if start < end)


def _smoothed(seconds: FloatArray, steering: FloatArray, spread: float) -> FloatArray:
    """Return the weighted mean around each time of one episode."""
    reach = np.searchsorted(seconds, seconds + _REACH * spread, "right") - np.arange(len(seconds))
    total, weights = np.zeros(len(seconds)), np.zeros(len(seconds))
    for step in range(min(int(reach.max(initial=1)), _MOST_NEIGHBOURS, len(seconds))):
        late, early = slice(step, None), slice(None, len(seconds) - step)
        weight = np.exp(-0.5 * ((seconds[late] - seconds[early]) / spread) ** 2)
        for here, there in ((late, early), (early, late))[: 2 if step else 1]:
            total[here] += weight * steering[there]
            weights[here] += weight
    return total / weights


@dataclass(frozen=True)
class Correction:
    """How the steering is corrected for a camera or a car that is off its line.

    steering: correction for a side camera, the same at every speed, or "auto": the steering that brings the car back to
    its line when it aims at the point lookahead_seconds ahead.
    """

    steering: float | str = SampleSettings.correction
    lookahead_seconds: float = SampleSettings.lookahead_seconds

    @classmethod
    def of(cls, settings: SampleSettings) -> Self:
        """Return the correction of these settings."""
        return cls(settings.correction, settings.lookahead_seconds)

    def lookahead_m(self, speed_mph: FloatArray) -> FloatArray:
        """Return how far ahead on its line a returning car aims, in metres, (speeds,), at each of (speeds,)."""
        if isinstance(self.steering, str) or not self.steering:
            return np.maximum(np.asarray(speed_mph, float) * MPH * self.lookahead_seconds, _SHORTEST_LOOKAHEAD_M)
        return np.full(np.shape(speed_mph), lookahead_of(SIDE_CAMERA_M, self.steering))

    def of_camera(self, camera: str, speed_mph: FloatArray) -> FloatArray:
        """Return the correction for a frame of that camera, (speeds,), at each of (speeds,)."""
        if not isinstance(self.steering, str):
            return np.full(np.shape(speed_mph), _SIDE[camera] * self.steering)
        return np.asarray(steering_to_line(MOUNTS[camera][0], 0.0, self.lookahead_m(np.round(speed_mph, 1))))
