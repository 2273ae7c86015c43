"""The frames of a drive -> the path of the camera at each row that shows one.

odometry.py measures how the camera moved. The path at a row is the piece around the time at which
the car answers the steering of this row. Its curvature is its turn divided by its length.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bcclone.camera.framing import Framing
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import Image, resized, try_frame
from bcclone.camera.vehicle import STEERING_LAG_SECONDS, steering_of
from bcclone.diagnosis.odometry import CameraMotion, measure_motion, shown_pixels
from bcclone.exchange.rows import CameraPath
from bcclone.realcar.film_faults import film_faults
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray
from bcclone.system.pool import read_ahead

# smallest share of rows with a new picture in an ordinary film; with fewer, pictures were repeated
# to give a slower film more frames a second
_MOSTLY_NEW = 0.95
_NOTHING_FOLLOWED = "nothing can be followed"


@dataclass(frozen=True)
class ShownPaths:
    """What the frames of a drive show."""

    paths: dict[int, CameraPath]  # by the row's time in milliseconds, in order of time
    hidden: dict[int, str]  # time of each other row -> why it shows no path, after "where"
    remarks: tuple[str, ...]  # sentences on how good the paths are


def path_steering(path: CameraPath, height_m: float | None) -> float:
    """Return the steering of a path, -1 to 1.

    height_m: height of the camera in metres; None for that of the simulator's camera
    """
    return _steering(path.curvature, height_m)


def _steering(curvature: float, height_m: float | None) -> float:
    """Return the steering of a path with a curvature in 1 / camera height."""
    return float(steering_of(curvature / (height_m or HEIGHT_M)))


def measure_paths(
    times_ms: Sequence[int],
    pictures: Sequence[str],
    framing: Framing | None,
    height_m: float | None,
) -> ShownPaths:
    """Return the paths that the frames of a drive show.

    times_ms: time of each row, rising
    pictures: path of each row's frame
    framing: framing that made the frames; None for frames of the simulator
    height_m: height of the camera in metres; None if it is unknown
    """
    if len(pictures) < 2:
        return ShownPaths({}, dict.fromkeys(times_ms, _NOTHING_FOLLOWED), ())

    # a picture that is repeated shows no motion
    new = _new_pictures(pictures)
    new_times_ms = np.asarray(times_ms, np.int64)[new]
    seconds = new_times_ms / 1000
    has_repeats = len(new) < _MOSTLY_NEW * len(pictures)
    passed, ends = _seconds_passed(seconds, has_repeats)

    def read(row: int) -> Image | None:
        return try_frame(pictures[new[row]])[0]

    motion = measure_motion(read, passed.tolist(), ends.tolist(), framing)

    # sort the rows into those that show a path and those that do not
    paths: dict[int, CameraPath] = {}
    repeated = np.setdiff1d(np.arange(len(pictures)), new)
    hidden = {times_ms[row]: "the picture is the one before" for row in repeated.tolist()}
    measured = _paths(motion, seconds, passed, height_m)
    for time_ms, path in zip(new_times_ms.tolist(), measured, strict=True):
        if isinstance(path, CameraPath):
            paths[time_ms] = path
        else:
            hidden[time_ms] = path
    remarks: list[str] = []
    masked = motion.overlay[shown_pixels(framing)]
    if masked.any():
        remarks.append(
            f"masked: {masked.mean():.0%} of the picture; it stands still or changes by itself "
            "while the rest moves, as writing, a logo or the bonnet"
        )
    if paths:
        errors = [path.error for path in paths.values()]
        error = _steering(float(np.median(errors)), height_m)
        remarks.append(
            f"standard error of the steering {error:.3f} in the median, besides that of the focal "
            "length, on which its scale depends; the near ground shows "
            f"{motion.near_to_far:.2f} times the speed of the far, expected 1"
        )
        remarks += [f"careful: {fault}" for fault in film_faults(motion, passed, read)]
    return ShownPaths(paths, hidden, tuple(remarks))


def _new_pictures(paths: Sequence[str]) -> IndexArray:
    """Return the indices of the rows whose picture is not a repetition of the picture before.

    In a video that was made from a video with fewer frames a second, pictures are repeated.
    """
    rows_around = 10  # to either side, for the usual change from picture to picture
    repeated = 0.2  # share of the usual change, below which a picture is a repetition
    with read_ahead("looking for repeated pictures", "rows", _thumbnail, paths) as pictures:
        changes = np.array([np.abs(before - after).mean() for before, after in pairwise(pictures)])
    around = sliding_window_view(np.pad(changes, rows_around, "edge"), 2 * rows_around + 1)
    usual = np.percentile(around, 75, axis=1)
    # `not <`: a change of NaN, because a picture cannot be read, counts as new
    is_new = ~(changes < repeated * usual)
    return np.flatnonzero(np.append(True, is_new))


def _thumbnail(path: str) -> FloatArray:
    """Return a picture, reduced and grey, (20, 40); NaN for one that cannot be read."""
    frame, _ = try_frame(path)
    if frame is None:
        return np.full((20, 40), np.nan)
    return np.asarray(resized(frame, (40, 20)).mean(axis=2))


def _seconds_passed(seconds: FloatArray, has_repeats: bool) -> tuple[FloatArray, BoolArray]:
    """Return the seconds until the next row (0 before a gap), and whether a gap follows.

    Both have the shape (rows,).

    seconds: time of each row, (rows,)
    has_repeats: whether many pictures were repeated, and are left out; the others were taken at an
        even rate, which their times do not show, so the seconds are averaged
    """
    passed = np.append(np.diff(seconds), 0.0)
    ends = passed > EPISODE_GAP_MS / 1000
    if has_repeats:
        around = np.ones(21)  # ten rows to either side
        sums = np.convolve(np.where(ends, 0.0, passed), around, "same")
        counts = np.convolve(~ends, around, "same")
        passed = sums / np.maximum(counts, 1)
    passed[ends] = 0.0
    return passed, ends


@dataclass(frozen=True)
class _PathWindow:
    """Which times around a row its path is measured from, and how large its error may be."""

    spread_seconds: float = 0.1  # standard deviation of the times
    reach_seconds: float = 0.3  # largest distance of a time
    least_shown: float = 0.5  # share of these times in which the frames show the motion
    greatest_error: float = 0.1  # standard error of a steering
    greatest_share: float = 0.5  # standard error of a steering in a bend, as a share of it


_WINDOW = _PathWindow()


def _paths(
    motion: CameraMotion, seconds: FloatArray, passed: FloatArray, height_m: float | None
) -> Iterator[CameraPath | str]:
    """Yield the path at each row, or why the film shows none.

    seconds: time of each row, (rows,)
    passed: seconds from each row to the next, 0 before a gap, (rows,)
    """
    middles = seconds + passed / 2
    way = motion.speed * passed
    turn = motion.yaw_rate * passed
    way_error = motion.speed_error * passed
    turn_error = motion.yaw_error * passed
    # a row's own picture is used if the motion to it or from it is known
    readable = motion.usable | np.roll(motion.usable, 1)
    for row, at in enumerate(seconds + STEERING_LAG_SECONDS):
        # the steps around the time of the answer, the nearest with the greatest weight: `near` are
        # all weights, `seen` those of steps that the frames show, `driven` those of a moving car
        reach = _WINDOW.reach_seconds
        part = slice(*np.searchsorted(middles, (at - reach, at + reach)))
        near = np.exp(-(((middles[part] - at) / _WINDOW.spread_seconds) ** 2) / 2)
        seen = near * motion.usable[part]
        driven = seen * (way[part] > 0)
        if not readable[row] or seen.sum() <= _WINDOW.least_shown * near.sum():
            yield _NOTHING_FOLLOWED
            continue
        if driven.sum() <= _WINDOW.least_shown * seen.sum():
            yield "the car stands"
            continue

        # the curvature is the turn divided by the length; its error comes of the errors of both
        length = float(driven @ way[part])
        curvature = float(driven @ turn[part]) / length
        speed = length / float(driven @ passed[part])
        error_of_turn = math.sqrt(float(np.sum((driven * turn_error[part]) ** 2))) / length
        error_of_way = curvature * float(driven @ way_error[part]) / length
        error = math.hypot(error_of_turn, error_of_way)

        if _is_sure(curvature, error, height_m):
            yield CameraPath(curvature, error, speed)
        else:
            yield f"its error is above {_WINDOW.greatest_error}"


def _is_sure(curvature: float, error: float, height_m: float | None) -> bool:
    """Return whether the error of a curvature is small enough.

    curvature, error: in 1 / camera height
    """
    steering = abs(_steering(curvature, height_m))
    most = max(_WINDOW.greatest_error, _WINDOW.greatest_share * steering)
    return _steering(error, height_m) <= most
