"""Compute the steering label of each frame: smoothed and shifted in time, and corrected for its
camera.

In: rows with time and steering. Out: labels, one for each row, and the correction for each camera.

A key is either pressed or not, so the steering of a keyboard jumps between a few values while the
path of the car, which is what the images show, is a smooth curve. Without smoothing, a network
learns the jumps.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bcclone.camera.vehicle import MOUNTS, MPH, SIDE_CAMERA_M, lookahead_of, steering_to_line
from bcclone.dataset.answer import Output
from bcclone.dataset.rows import RowTable
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray

# metres ahead where the stretches of a path end; columns that have the path of rows of `simulate
# roads`
PATH_ENDS_M = (2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 25.0)
PATH_COLUMNS = *(f"path_{end:g}m" for end in PATH_ENDS_M), "path_offset", "path_turn"
_PATH_POINTS = 5  # of each stretch
_SIDE = {"center": 0.0, "left": 1.0, "right": -1.0}
FEWEST_STEERED = 50  # rows; fewer may all be of a straight road
LOST_STEERING = (
    "look where the steering was lost: name its column to bcclone import, or record again"
)
_SHORTEST_LOOKAHEAD_M = 6.0  # a shorter one would teach a slow car to swerve
_LEAST_SPREAD = 1e-3  # of steering
_REACH = 3.0  # standard deviations
_MAX_NEIGHBOURS = 200  # rows, on either side


def steering_labels(rows: pd.DataFrame, smooth_seconds: float, lead_seconds: float) -> FloatArray:
    """Return the steering that the images of each row call for, (rows,).

    It is the mean of the recorded steering around a time lead_seconds later, within the episode,
    weighted by a Gaussian of standard deviation smooth_seconds. rows: with `episode`, `time_ms`,
    `steering`, ordered by the first two.
    """
    steering = rows["steering"].to_numpy(np.float64)
    seconds = rows["time_ms"].to_numpy(np.float64) / 1000
    labels = steering.copy()
    for episode in _episodes(rows["episode"].to_numpy()):
        if smooth_seconds:
            labels[episode] = _smoothed(seconds[episode], steering[episode], smooth_seconds)
        if lead_seconds:
            labels[episode] = np.interp(
                seconds[episode] + lead_seconds, seconds[episode], labels[episode]
            )
    return labels


def output_labels(rows: RowTable, outputs: Sequence[Output]) -> Float32Array:
    """Return the labels of outputs other than the steering, in their units, (rows, outputs).

    rows: ordered by episode and time.
    """
    labels = np.empty((len(rows), len(outputs)), np.float32)
    seconds = np.asarray(rows["time_ms"], np.float64) / 1000
    for number, output in enumerate(outputs):
        values = np.array(rows[output.column], np.float64)
        for episode in _episodes(rows["episode"]):
            later = seconds[episode] + output.lead_seconds
            values[episode] = np.interp(later, seconds[episode], values[episode])
        labels[:, number] = values / output.unit
    return labels


def knows_road(rows: RowTable) -> bool:
    """Return whether some of the rows are of `simulate roads`, and so have the path ahead."""
    return PATH_COLUMNS[0] in (rows.dtype.names or ()) and bool(
        np.isfinite(rows[PATH_COLUMNS[0]]).any()
    )


def path_labels(rows: RowTable, settings: SampleSettings) -> Float32Array:
    """Return where the road leads from each row, as steering, float32 (rows, stretches and more).

    It is the mean steering over each stretch ahead, between 0 m and PATH_ENDS_M, within the
    episode; rows of `simulate roads` also have the car's offset from the middle of the road and its
    turn. Each is scaled to the spread of the steering, so that all of them count alike in a loss.
    rows: ordered by episode and time. Raises ValueError if only some of them have a path.
    """
    if set(PATH_COLUMNS) <= set(rows.dtype.names or ()):
        path = np.stack([rows[name].astype(np.float64) for name in PATH_COLUMNS], axis=1)
        if (lacking := np.flatnonzero(~np.isfinite(path).all(axis=1))).size:
            raise ValueError(
                f"only some of the rows know their path, and row {lacking[0]} does not"
            )
    else:
        path = _driven_path(rows, settings)
    steering = rows["steering"].astype(np.float64)
    spread = np.maximum(path.std(axis=0), _LEAST_SPREAD)
    scaled: Float32Array = (path * (max(float(steering.std()), _LEAST_SPREAD) / spread)).astype(
        np.float32
    )
    return scaled


def _driven_path(rows: RowTable, settings: SampleSettings) -> FloatArray:
    """Return the mean of the steering labels over each stretch that the car then drove, (rows,
    stretches).
    """
    frame = pd.DataFrame({name: rows[name] for name in ("episode", "time_ms", "steering")})
    labels = steering_labels(frame, settings.smooth_seconds, settings.lead_seconds)
    seconds, speeds = (
        np.asarray(rows["time_ms"], np.float64) / 1000,
        np.asarray(rows["speed_mph"], np.float64) * MPH,
    )
    starts = np.array([0.0, *PATH_ENDS_M[:-1]])
    parts = (np.arange(_PATH_POINTS) + 0.5) / _PATH_POINTS
    path = np.empty((len(rows), len(PATH_ENDS_M)))
    for episode in _episodes(rows["episode"]):
        steps = np.diff(seconds[episode]) * (speeds[episode][1:] + speeds[episode][:-1]) / 2
        driven = np.concatenate([[0.0], np.cumsum(steps)])
        for number, (start, end) in enumerate(zip(starts, PATH_ENDS_M, strict=True)):
            ahead = driven[:, np.newaxis] + start + parts * (end - start)
            path[episode, number] = np.interp(ahead, driven, labels[episode]).mean(axis=1)
    return path


def _episodes(episode: IndexArray) -> Iterator[slice]:
    ends = [*np.flatnonzero(np.diff(episode)) + 1, len(episode)]
    yield from (
        slice(start, end) for start, end in zip([0, *ends], ends, strict=False) if start < end
    )


def _smoothed(seconds: FloatArray, steering: FloatArray, spread: float) -> FloatArray:
    """Return the weighted mean around each time of one episode."""
    reach = np.searchsorted(seconds, seconds + _REACH * spread, "right") - np.arange(len(seconds))
    total, weights = np.zeros(len(seconds)), np.zeros(len(seconds))
    for step in range(min(int(reach.max(initial=1)), _MAX_NEIGHBOURS, len(seconds))):
        late, early = slice(step, None), slice(None, len(seconds) - step)
        weight = np.exp(-0.5 * ((seconds[late] - seconds[early]) / spread) ** 2)
        for here, there in ((late, early), (early, late))[: 2 if step else 1]:
            total[here] += weight * steering[there]
            weights[here] += weight
    return total / weights


def lookahead_m(settings: SampleSettings, speed_mph: FloatArray) -> FloatArray:
    """Return how far ahead on its line a returning car aims, in metres, (speeds,), at each of
    (speeds,).
    """
    if isinstance(settings.correction, str) or not settings.correction:
        return np.maximum(
            np.asarray(speed_mph, float) * MPH * settings.lookahead_seconds, _SHORTEST_LOOKAHEAD_M
        )
    return np.full(np.shape(speed_mph), lookahead_of(SIDE_CAMERA_M, settings.correction))


def camera_correction(settings: SampleSettings, camera: str, speed_mph: FloatArray) -> FloatArray:
    """Return the correction of the steering for frames of a camera, (speeds,), at each of
    (speeds,).

    It is a number of the settings, or, for "auto", the steering that brings a car in the camera's
    place back to its line.
    """
    if not isinstance(settings.correction, str):
        return np.full(np.shape(speed_mph), _SIDE[camera] * settings.correction)
    return np.asarray(steering_to_line(MOUNTS[camera][0], 0.0, lookahead_m(settings, speed_mph)))
