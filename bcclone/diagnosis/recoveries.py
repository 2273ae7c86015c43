"""Measure the correction of the side cameras' steering from the recoveries in a recording.

In: a log with images. Out: a `MeasuredCorrection`: the steering of a driver who is as far off the
line as a side camera, and the steering that geometry gives for it.

A recovery begins after a pause, with the car off its line and parallel to it, and ends when the car
is back on the line. The steering at its begin, minus the steering at its end, is the driver's
answer to the car's offset at the begin. What an offset looks like is learned from the recording
itself: the three frames of a row show one place of the road from three positions.
docs/explanation/training.md shows how well this works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bcclone.camera.images import cv2, recolored, resized, try_frame
from bcclone.camera.vehicle import MOUNTS, SIDE_CAMERA_M
from bcclone.dataset.labels import camera_correction
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.recording.files import ImageIndex, Images
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS
from bcclone.system.numbers import BoolArray, Float32Array, FloatArray, IndexArray, jackknife_error

_FEWEST = 4  # fewer recoveries do not give a correction
_SIDES = ("left", "right")
_LEAST_MPH = 3.0  # slower rows are not driving

Paths = Sequence[str | None]  # of the images of one camera, None for a missing one


@dataclass(frozen=True)
class MeasuredCorrection:
    """The correction of the side cameras that a recording shows, and what geometry gives."""

    recoveries: int  # number of the recoveries in the recording
    geometry: float  # the correction that geometry gives at the recording's speeds
    measured: float | None = None  # the measured correction, None if it cannot be measured
    standard_error: float | None = None  # of the measured correction, by the jackknife
    reason: str | None = None  # why the correction cannot be measured
    from_right: int = 0  # number of the recoveries that begin to the right of the line

    def as_text(self) -> str:
        geometry = f"geometry gives {self.geometry:.3f} at its speeds"
        if self.measured is None:
            return f"the recording does not tell it: {self.reason}; {geometry}"
        return (
            f"{self.measured:.3f} +- {self.standard_error:.3f} (standard error) by "
            f"{self.recoveries} recoveries; {geometry}"
        )


@dataclass(frozen=True)
class Stretch:
    """What a recording shows in the first seconds after a pause: a recovery, if the car returns."""

    returned_m: float  # how far the car has moved to the left, in metres
    back: float  # steering at the begin, minus the steering at the end
    against: float  # steering in the middle, minus the steering at the end


def measure_correction(log: Log, index: Images | None = None) -> MeasuredCorrection | None:
    """Measure the correction from the recoveries of a recording.

    Returns None if it lacks images of the side cameras, or rows of driving.

    index: finds the log's images; None to make a new index
    """
    if index is None:
        index = ImageIndex(log.path)
    speeds = log.rows["speed_mph"].to_numpy(np.float64)
    driven = speeds[speeds >= _LEAST_MPH]
    paths = {camera: [index.find(name) for name in log.rows[camera]] for camera in CAMERAS}
    complete = np.array([all(row) for row in zip(*paths.values(), strict=True)], np.bool_)
    if not (len(driven) and complete.any()):
        return None
    left, right = (camera_correction(SampleSettings(), side, driven) for side in _SIDES)
    # the two corrections differ in their signs
    geometry = float((left - right).mean() / 2)
    return measured_correction(_measured_stretches(log, paths, complete), geometry)


def measured_correction(stretches: Sequence[Stretch], geometry: float) -> MeasuredCorrection:
    """Return the correction that the stretches after pauses show, if they are recoveries.

    In a recovery the driver steers back to the line and then to the other side, so as not to cross
    the line. A bend looks like an offset, but there nobody steers to the other side.

    geometry: the correction that geometry gives
    """
    least_return_m = 0.5  # of a recovery
    least_errors = 2.0  # a mean is clearly above 0 from this many standard errors on
    recoveries = [stretch for stretch in stretches if abs(stretch.returned_m) >= least_return_m]
    count = len(recoveries)
    from_right = sum(recovery.returned_m > 0 for recovery in recoveries)
    unknown = MeasuredCorrection(count, geometry, from_right=from_right)
    if count < _FEWEST:
        reason = f"{count} recoveries after a pause of the recording, expected {_FEWEST} or more"
        return replace(unknown, reason=reason)
    returned_m = np.array([recovery.returned_m for recovery in recoveries])
    back = np.array([recovery.back for recovery in recoveries])
    against = np.array([recovery.against for recovery in recoveries])
    side = np.sign(returned_m)  # 1 for recoveries from the right, -1 from the left
    # From the right, the driver steers to the left and then to the right: back < 0 < against. Noisy
    # offsets would bias a regression's slope towards 0; a ratio of means is unbiased.
    measured, error = _ratio(-side * back * SIDE_CAMERA_M, side * returned_m)
    # the ratio to ones is the mean
    mean_against, against_error = _ratio(side * against, np.ones(count))
    if mean_against < least_errors * against_error or measured < least_errors * error:
        reason = (
            f"in the {count} stretches after a pause, the driver does not clearly steer back and "
            "then against it"
        )
        return replace(unknown, reason=reason)
    return replace(unknown, measured=measured, standard_error=error)


def _ratio(above: FloatArray, below: FloatArray) -> tuple[float, float]:
    """Return the ratio of two sums, and its standard error by the jackknife."""
    error = jackknife_error((above.sum() - above) / (below.sum() - below))
    return float(above.sum() / below.sum()), error


class _StretchRows(NamedTuple):
    """The begin, middle and end of a stretch after a pause, as indices of rows."""

    back: IndexArray  # rows in which the driver steers back to the line
    against: IndexArray  # rows in which the driver steers to the other side
    end: IndexArray  # rows in which the car is back on the line


def _measured_stretches(log: Log, paths: Mapping[str, Paths], complete: BoolArray) -> list[Stretch]:
    """Return the stretches after pauses; none if the frames of the cameras cannot be compared.

    paths: camera -> path of the image of each row
    complete: whether a row has the images of all three cameras, (rows,)
    """
    most_training_rows = 600  # enough to learn what an offset looks like
    rows_of_stretches = _stretches_after_pauses(log, complete)
    if len(rows_of_stretches) < _FEWEST:
        return []

    # what an offset looks like is learned from the other rows
    used = np.concatenate([np.concatenate(rows) for rows in rows_of_stretches])
    unused = np.setdiff1d(np.flatnonzero(complete), used)
    if not len(unused):
        return []
    to_offset = _offset_weights(paths, unused[:: len(unused) // most_training_rows + 1])

    # For other frames than those of the fit, the weights give offsets that are too small. The side
    # cameras' frames show by how much, since the distance of these cameras is known.
    ends = np.concatenate([rows.end for rows in rows_of_stretches])
    between = _appearances(paths["right"], ends) - _appearances(paths["left"], ends)
    apart_m = _mean(between @ to_offset)
    gain = apart_m / (MOUNTS["right"][0] - MOUNTS["left"][0])
    if not gain > 0:  # `not >`: also for NaN, which comes of unreadable frames
        return []

    steering = log.rows["steering"].to_numpy(np.float64)
    stretches = []
    for rows in rows_of_stretches:
        before_m = _mean(_appearances(paths["center"], rows.back) @ to_offset)
        after_m = _mean(_appearances(paths["center"], rows.end) @ to_offset)
        at_end = steering[rows.end].mean()
        stretch = Stretch(
            returned_m=(before_m - after_m) / gain,
            back=float(steering[rows.back].mean() - at_end),
            against=float(steering[rows.against].mean() - at_end),
        )
        if np.isfinite(stretch.returned_m):
            stretches.append(stretch)
    return stretches


def _mean(offsets_m: FloatArray | Float32Array) -> float:
    """Return the mean of the offsets of readable frames, NaN if there are none.

    The offset of an unreadable frame is NaN.
    """
    readable = offsets_m[np.isfinite(offsets_m)]
    if not len(readable):
        return float("nan")
    return float(readable.mean())


def _stretches_after_pauses(log: Log, complete: BoolArray) -> list[_StretchRows]:
    """Return the rows of the stretches that begin after a pause and are long enough."""
    # seconds after the pause, from and to, of each part of a _StretchRows
    parts_seconds = ((0.0, 0.25), (0.8, 1.8), (1.8, 2.8))
    seconds = log.rows["time_ms"].to_numpy(np.float64) / 1000
    episode = log.rows["episode"].to_numpy()
    speeds = log.rows["speed_mph"].to_numpy(np.float64)
    stretches = []
    for start in (np.flatnonzero(np.diff(episode)) + 1).tolist():
        of_episode = (episode == episode[start]) & complete
        since = np.where(of_episode, seconds - seconds[start], np.nan)
        rows = _StretchRows(
            *(np.flatnonzero((since >= begin) & (since < end)) for begin, end in parts_seconds)
        )
        if all(map(len, rows)) and speeds[rows.back].min() >= _LEAST_MPH:
            stretches.append(rows)
    return stretches


# ---- how far to the right a frame was taken


# size to which the picture of the ground is reduced, in pixels
_COLUMNS = 64
_ROWS = 13


def _appearances(paths: Paths, rows: IndexArray) -> Float32Array:
    """Return how the ground looks in one camera's frames of some rows, (rows, values).

    The values are saturation and brightness of the reduced picture, each less its mean and divided
    by its standard deviation; NaN for an unreadable frame.

    rows: indices of the rows
    """
    ground_rows = slice(70, 135)  # the rows of a frame that show the ground
    least_deviation = 8.0  # of 255; added so that the noise of plain ground is not enlarged
    values = np.full((len(rows), 2 * _COLUMNS * _ROWS), np.nan, np.float32)
    for number, row in enumerate(rows.tolist()):
        frame, _ = try_frame(paths[row])
        if frame is None:
            continue
        ground = recolored(frame[ground_rows], cv2.COLOR_RGB2HSV)[..., 1:]
        reduced = resized(ground, (_COLUMNS, _ROWS)).astype(np.float32)
        scaled = (reduced - reduced.mean((0, 1))) / (reduced.std((0, 1)) + least_deviation)
        values[number] = scaled.ravel()
    return values


def _offset_weights(paths: Mapping[str, Paths], rows: IndexArray) -> Float32Array:
    """Return weights, (values,): an appearance times the weights is the offset of a frame.

    The offset is how far to the right the frame was taken, in metres. The weights are fitted by
    ridge regression on the differences between the frames of one row, so that the place on the
    road, and the car's distance from the middle, do not count.

    rows: indices of the rows to fit the weights to
    """
    ridge = 1000.0  # keeps the weights small, so that they do not fit a few rows only
    center = _appearances(paths["center"], rows)
    differences = np.concatenate([_appearances(paths[side], rows) - center for side in _SIDES])
    offsets = np.repeat([MOUNTS[side][0] for side in _SIDES], len(rows)).astype(np.float32)
    readable = np.isfinite(differences).all(axis=1)
    differences = differences[readable]
    offsets = offsets[readable]
    products = differences @ differences.T
    products[np.diag_indices(len(products))] += ridge
    weights: Float32Array = differences.T @ np.linalg.solve(products, offsets)
    return weights
