"""Measure the correction of the side cameras' steering from the recoveries in a recording.

In: a log with images. Out: a `MeasuredCorrection`: the steering of a driver who is as far off the
line as a side camera, and the one that geometry gives.

A recovery begins after a pause, with the car off its line and parallel to it, and ends when the car
is back. Its first steering, minus the steering at its end, is the driver's answer to the offset
that the car has lost. What an offset looks like is learned from the recording itself: the frames of
a row show one place of the road from three positions. docs/explanation/training.md shows how well
this works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bcclone.camera.images import try_frame
from bcclone.camera.vehicle import MOUNTS, SIDE_CAMERA_M
from bcclone.dataset.labels import camera_correction
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.opencv import cv2, recolored, resized
from bcclone.system.statistics import jackknife_error

# of a stretch after a pause, in seconds: the driver steers back, then against it, and is back on
# the line
_PARTS = (0.0, 0.25), (0.8, 1.8), (1.8, 2.8)
_LEAST_RETURN_M = 0.5
_FEWEST = 4  # recoveries
_CLEAR = 2.0  # standard errors above 0
_SIDES = ("left", "right")
_MAX_TRAINING_ROWS = 600
_GROUND = slice(70, 135)  # rows of a frame
_COLUMNS, _ROWS = 64, 13  # of the reduced ground
_LEAST_DEVIATION = 8.0  # of 255
_RIDGE = 1000.0
_LEAST_MPH = 3.0  # slower rows are not driving

Paths = Sequence[str | None]  # of the images of one camera, None for a missing one


@dataclass(frozen=True)
class MeasuredCorrection:
    """The correction of the side cameras that a recording shows, and the one that geometry gives at
    its speeds.

    recoveries: their number; measured: None if it cannot be measured, for the reason given;
    standard_error: of measured, by the jackknife; from_right: number of the recoveries that begin
    right of the line.
    """

    recoveries: int
    geometry: float
    measured: float | None = None
    standard_error: float | None = None
    reason: str | None = None
    from_right: int = 0

    def as_text(self) -> str:
        geometry = f"geometry gives {self.geometry:.3f} at its speeds"
        if self.measured is None:
            return f"the recording does not tell it: {self.reason}; {geometry}"
        return (
            f"{self.measured:.3f} +- {self.standard_error:.3f} (standard error) by {self.recoveries} recoveries; "
            f"{geometry}"
        )


@dataclass(frozen=True)
class Recovery:
    """What a recording shows in the first seconds after a pause.

    returned_m: how far the car has moved to the left; back, against: steering at first, and
    half-way, minus that at the end.
    """

    returned_m: float
    back: float
    against: float


def measure_correction(log: Log, index: ImageIndex | None = None) -> MeasuredCorrection | None:
    """Measure the correction from the recoveries of a recording; None if it lacks images of the
    side cameras.
    """
    if index is None:
        index = ImageIndex(log.path)
    speeds = log.rows["speed_mph"].to_numpy(np.float64)
    driven = speeds[speeds >= _LEAST_MPH]
    paths = {camera: [index.find(name) for name in log.rows[camera]] for camera in CAMERAS}
    complete = np.array([all(of_row) for of_row in zip(*paths.values(), strict=True)], np.bool_)
    if not (len(driven) and complete.any()):
        return None
    left, right = (camera_correction(SampleSettings(), side, driven) for side in _SIDES)
    return measured_correction(_recoveries(log, paths, complete), float((left - right).mean() / 2))


def measured_correction(stretches: Sequence[Recovery], geometry: float) -> MeasuredCorrection:
    """Return the correction that the stretches after pauses show, if they are recoveries.

    In a recovery the driver steers back to the line and then against that, so as not to cross it. A
    bend looks like an offset, but nobody steers against it.
    """
    found = [each for each in stretches if abs(each.returned_m) >= _LEAST_RETURN_M]
    from_right = sum(each.returned_m > 0 for each in found)
    unknown = MeasuredCorrection(len(found), geometry, from_right=from_right)
    if len(found) < _FEWEST:
        reason = (
            f"{len(found)} recoveries after a pause of the recording, expected {_FEWEST} or more"
        )
        return replace(unknown, reason=reason)
    returned_m, back, against = np.array(
        [(each.returned_m, each.back, each.against) for each in found]
    ).T
    side = np.sign(returned_m)
    # noisy offsets would bias a regression's slope towards 0; a ratio of means is unbiased
    measured, error = _ratio(-side * back * SIDE_CAMERA_M, side * returned_m)
    clear, clear_error = _ratio(side * against, np.ones(len(found)))
    if clear < _CLEAR * clear_error or measured < _CLEAR * error:
        reason = f"in the {len(found)} stretches after a pause, the driver does not clearly steer back and then against it"
        return replace(unknown, reason=reason)
    return replace(unknown, measured=measured, standard_error=error)


def _ratio(above: FloatArray, below: FloatArray) -> tuple[float, float]:
    """Return the ratio of two sums, and its standard error by the jackknife."""
    error = jackknife_error((above.sum() - above) / (below.sum() - below))
    return float(above.sum() / below.sum()), error


def _appearances(paths: Paths, rows: IndexArray) -> Float32Array:
    """Return how the ground looks in the frames of some rows, (rows, values), NaN for those that
    cannot be read.

    The values are saturation and brightness, reduced and each scaled to its mean and deviation.
    """
    values = np.full((len(rows), 2 * _COLUMNS * _ROWS), np.nan, np.float32)
    for number, row in enumerate(rows.tolist()):
        frame, _ = try_frame(paths[row])
        if frame is not None:
            ground = recolored(frame[_GROUND], cv2.COLOR_RGB2HSV)[..., 1:]
            reduced = resized(ground, (_COLUMNS, _ROWS)).astype(np.float32)
            scaled = (reduced - reduced.mean((0, 1))) / (reduced.std((0, 1)) + _LEAST_DEVIATION)
            values[number] = scaled.ravel()
    return values


def _recoveries(log: Log, paths: Mapping[str, Paths], complete: BoolArray) -> list[Recovery]:
    """Return the stretches after pauses; none if the frames of the cameras cannot be compared.

    paths: of the images of each camera; complete: whether a row has all three, (rows,).
    """
    parts = _parts_after_pauses(log, complete)
    if len(parts) < _FEWEST:
        return []
    used = np.concatenate([np.concatenate(part) for part in parts])
    others = np.setdiff1d(np.flatnonzero(complete), used)
    if not len(others):
        return []
    to_offset = _offset_weights(paths, others[:: len(others) // _MAX_TRAINING_ROWS + 1])
    steering = log.rows["steering"].to_numpy(np.float64)
    ends = np.concatenate([part[2] for part in parts])
    # for frames that they were not fitted to, the weights give less than the true distance between
    # the cameras
    apart_m = _mean(
        (_appearances(paths["right"], ends) - _appearances(paths["left"], ends)) @ to_offset
    )
    gain = apart_m / (MOUNTS["right"][0] - MOUNTS["left"][0])
    if not gain > 0:  # NaN where no frame can be read
        return []
    found = []
    for first, half_way, end in parts:
        before, after = (
            _mean(_appearances(paths["center"], rows) @ to_offset) for rows in (first, end)
        )
        back, against = (steering[rows].mean() - steering[end].mean() for rows in (first, half_way))
        found.append(Recovery((before - after) / gain, float(back), float(against)))
    return [each for each in found if np.isfinite(each.returned_m)]


def _mean(offsets_m: FloatArray | Float32Array) -> float:
    """Return the mean of offsets in frames that could be read; NaN if there are none."""
    readable = offsets_m[np.isfinite(offsets_m)]
    return float(readable.mean()) if len(readable) else float("nan")


def _parts_after_pauses(log: Log, complete: BoolArray) -> list[tuple[IndexArray, ...]]:
    """Return the rows of the three parts of each stretch that begins after a pause and is long
    enough.
    """
    seconds, episode = (
        log.rows["time_ms"].to_numpy(np.float64) / 1000,
        log.rows["episode"].to_numpy(),
    )
    speeds = log.rows["speed_mph"].to_numpy(np.float64)
    stretches = []
    for start in (np.flatnonzero(np.diff(episode)) + 1).tolist():
        since = np.where((episode == episode[start]) & complete, seconds - seconds[start], np.nan)
        parts = tuple(np.flatnonzero((since >= begin) & (since < end)) for begin, end in _PARTS)
        if all(map(len, parts)) and speeds[parts[0]].min() >= _LEAST_MPH:
            stretches.append(parts)
    return stretches


def _offset_weights(paths: Mapping[str, Paths], rows: IndexArray) -> Float32Array:
    """Return the weights of an appearance, (values,), whose sum is how far to the right a frame was
    taken, in metres.

    They are fitted by ridge regression on the differences within a row, so the car's place on the
    road, and its distance from the middle, do not count.
    """
    center = _appearances(paths["center"], rows)
    differences = np.concatenate([_appearances(paths[side], rows) - center for side in _SIDES])
    offsets = np.repeat([MOUNTS[side][0] for side in _SIDES], len(rows)).astype(np.float32)
    readable = np.isfinite(differences).all(axis=1)
    differences, offsets = differences[readable], offsets[readable]
    products = differences @ differences.T
    products[np.diag_indices(len(products))] += _RIDGE
    weights: Float32Array = differences.T @ np.linalg.solve(products, offsets)
    return weights
