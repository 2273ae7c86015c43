"""Compute labels: what a network should answer to each frame.

In: rows with time and steering. Out: for each row the label of the steering (smoothed and shifted
in time), the correction of each camera, and the labels of other outputs.

A key is either pressed or not, so the steering of a keyboard jumps between a few values while the
path of the car, which is what the images show, is a smooth curve. Without smoothing, a network
learns the jumps.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.camera.vehicle import MOUNTS, MPH, SIDE_CAMERA_M, lookahead_of, steering_to_line
from bcclone.dataset.answer import Output
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray

# (rows,), one field for each column of docs/reference/store.md
RowTable = npt.NDArray[np.void]

# metres ahead where the stretches of a path end
PATH_ENDS_M = (2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 25.0)
# columns of the rows that have the path, in stores of random roads
PATH_COLUMNS = (*(f"path_{end:g}m" for end in PATH_ENDS_M), "path_offset", "path_turn")

FEWEST_STEERED = 50  # rows; in fewer, constant steering may just be a straight road
# remedy, in messages, for a recording whose steering is constant
LOST_STEERING = "look where the steering was lost: name its column to the import, or record again"

# ---- the steering


def steering_labels(rows: pd.DataFrame, smooth_seconds: float, lead_seconds: float) -> FloatArray:
    """Return the steering that the images of each row call for, (rows,).

    It is the mean of the recorded steering around a time lead_seconds later, within the episode,
    weighted by a Gaussian of standard deviation smooth_seconds.

    rows: table with `episode`, `time_ms` and `steering`, ordered by episode and time
    """
    steering = rows["steering"].to_numpy(np.float64)
    seconds = rows["time_ms"].to_numpy(np.float64) / 1000
    labels = steering.copy()
    for episode in _episodes(rows["episode"].to_numpy()):
        if smooth_seconds:
            labels[episode] = _smoothed(seconds[episode], steering[episode], smooth_seconds)
        if lead_seconds:
            later = seconds[episode] + lead_seconds
            labels[episode] = np.interp(later, seconds[episode], labels[episode])
    return labels


def _episodes(episode: IndexArray) -> Iterator[slice]:
    """Yield the rows of each episode, as a slice.

    episode: number of the episode of each row, (rows,); the rows of an episode are contiguous
    """
    later_starts = np.flatnonzero(np.diff(episode)) + 1  # of all episodes but the first
    start = 0
    for end in (*later_starts, len(episode)):
        if start < end:
            yield slice(start, end)
        start = end


def _smoothed(seconds: FloatArray, steering: FloatArray, spread: float) -> FloatArray:
    """Return the steering of one episode, smoothed by a Gaussian: the weighted mean at each time.

    seconds, steering: (rows,), of one episode
    spread: standard deviation of the Gaussian, in seconds
    """
    reach = 3.0  # standard deviations beyond which rows have no weight
    max_neighbours = 200  # most rows that have weight, on either side
    count = len(seconds)
    rows_ahead = np.searchsorted(seconds, seconds + reach * spread, "right") - np.arange(count)
    steps = min(int(rows_ahead.max(initial=1)), max_neighbours, count)

    # for each distance in rows, add all pairs of rows at that distance, in one NumPy operation
    total = np.zeros(count)
    weights = np.zeros(count)
    for step in range(steps):
        late = slice(step, None)
        early = slice(None, count - step)
        weight = np.exp(-0.5 * ((seconds[late] - seconds[early]) / spread) ** 2)
        total[late] += weight * steering[early]
        weights[late] += weight
        if step:  # at distance 0 a row is paired with itself, which must count only once
            total[early] += weight * steering[late]
            weights[early] += weight
    return total / weights


# ---- other outputs


def output_labels(rows: RowTable, outputs: Sequence[Output]) -> Float32Array:
    """Return the labels of outputs other than the steering, (rows, outputs).

    Each is divided by the output's `unit`, as the network computes it.

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


# ---- the path


def knows_road(rows: RowTable) -> bool:
    """Return whether some of the rows are of random roads, and so have the path ahead."""
    column = PATH_COLUMNS[0]
    if column not in (rows.dtype.names or ()):
        return False
    return bool(np.isfinite(rows[column]).any())


def path_labels(rows: RowTable, settings: SampleSettings) -> Float32Array:
    """Return the labels of the path ahead of each row, float32 (rows, labels).

    A label is the mean steering over a stretch of the road ahead; the stretches end at PATH_ENDS_M,
    or where the episode ends. For rows of random roads there are two more labels: the car's
    offset from the middle of the road, and its turn against the road. Each label is scaled to the
    standard deviation of the steering, so that all count alike in a loss. Raises ValueError if only
    some of the rows have a path.

    rows: ordered by episode and time.
    """
    if set(PATH_COLUMNS) <= set(rows.dtype.names or ()):
        path = np.stack([rows[name].astype(np.float64) for name in PATH_COLUMNS], axis=1)
        lacking = np.flatnonzero(~np.isfinite(path).all(axis=1))
        if lacking.size:
            raise ValueError(
                f"only some of the rows know their path, and row {lacking[0]} does not"
            )
    else:
        path = _driven_path(rows, settings)
    least_spread = 1e-3  # against division by 0, since on a straight road the deviation is 0
    steering = rows["steering"].astype(np.float64)
    steering_spread = max(float(steering.std()), least_spread)
    path_spread = np.maximum(path.std(axis=0), least_spread)
    scaled: Float32Array = (path * (steering_spread / path_spread)).astype(np.float32)
    return scaled


def _driven_path(rows: RowTable, settings: SampleSettings) -> FloatArray:
    """Return the mean steering over each stretch ahead, as the car drove it, (rows, stretches)."""
    frame = pd.DataFrame({name: rows[name] for name in ("episode", "time_ms", "steering")})
    labels = steering_labels(frame, settings.smooth_seconds, settings.lead_seconds)
    seconds = np.asarray(rows["time_ms"], np.float64) / 1000
    speeds = np.asarray(rows["speed_mph"], np.float64) * MPH

    points = 5  # points in each stretch at which the label is looked up; their mean is used
    parts = (np.arange(points) + 0.5) / points
    starts = np.array([0.0, *PATH_ENDS_M[:-1]])
    path = np.empty((len(rows), len(PATH_ENDS_M)))
    for episode in _episodes(rows["episode"]):
        speed = speeds[episode]
        # metres between two rows, at the mean of their speeds
        steps = np.diff(seconds[episode]) * (speed[1:] + speed[:-1]) / 2
        driven = np.concatenate([[0.0], np.cumsum(steps)])  # metres driven up to each row, (rows,)
        for number, (start, end) in enumerate(zip(starts, PATH_ENDS_M, strict=True)):
            # metres driven at the points of the stretch ahead of each row, (rows, points)
            ahead = driven[:, np.newaxis] + start + parts * (end - start)
            path[episode, number] = np.interp(ahead, driven, labels[episode]).mean(axis=1)
    return path


# ---- the cameras


def lookahead_m(settings: SampleSettings, speed_mph: FloatArray) -> FloatArray:
    """Return how far ahead on its line a car aims, to return to the line, in metres, (speeds,).

    With a number in settings.correction, it is the distance for which that number is right. With
    "auto" or 0, it grows with the speed.
    """
    if isinstance(settings.correction, str) or not settings.correction:
        shortest = 6.0  # metres; a shorter one would teach a slow car to swerve
        driven = np.asarray(speed_mph, float) * MPH * settings.lookahead_seconds
        return np.maximum(driven, shortest)
    return np.full(np.shape(speed_mph), lookahead_of(SIDE_CAMERA_M, settings.correction))


def camera_correction(settings: SampleSettings, camera: str, speed_mph: FloatArray) -> FloatArray:
    """Return the correction of the steering for frames of a camera, at each speed, (speeds,).

    With a number in settings.correction, it is that number for the left camera and its opposite for
    the right one. With "auto", it is the steering that brings a car from the camera's place back to
    its line.
    """
    if not isinstance(settings.correction, str):
        side = {"center": 0.0, "left": 1.0, "right": -1.0}[camera]
        return np.full(np.shape(speed_mph), side * settings.correction)
    right_m, _, _ = MOUNTS[camera]
    steering = steering_to_line(
        lateral_offset_m=right_m, yaw_rad=0.0, lookahead_m=lookahead_m(settings, speed_mph)
    )
    return np.asarray(steering)
