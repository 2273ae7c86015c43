"""The frames of a drive -> the path of the camera at each row that shows one.

odometry.py measures how the camera moved. The path at a row is the piece of the camera's path
around the time at which the car answers the steering of this row. Its curvature is its turn divided
by its length.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bcclone.camera.framing import Framing
from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M
from bcclone.camera.images import FRAME_WIDTH, Image, resized, try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, STEERING_LAG_SECONDS, steering_of
from bcclone.diagnosis.fixed_pixels import covered
from bcclone.diagnosis.heading import PARTS, Heading, measure_heading, points_and_movements
from bcclone.diagnosis.motion import ReadFrame
from bcclone.diagnosis.odometry import CameraMotion, is_consistent, measure_motion, shown_pixels
from bcclone.exchange.exchanged_rows import CameraPath
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray, evenly
from bcclone.system.prefetch import read_ahead

# smallest share of rows with a new picture in an ordinary film; with fewer, pictures were repeated
# to give a slower film more frames a second
_MOSTLY_NEW = 0.95
_NOTHING_FOLLOWED = "nothing can be followed"
NO_SPEED = "the ground does not show the speed: say it with --speed MPH"


def steering_of_path(curvature: float, height_m: float | None) -> float:
    """Return the steering, -1 to 1, of a curvature in 1 / camera height.

    height_m: height of the camera in metres; None for that of the simulator's camera
    """
    return float(steering_of(curvature / (height_m or HEIGHT_M)))


def measure_paths(
    times_ms: Sequence[int],
    pictures: Sequence[str],
    framing: Framing | None,
    height_m: float | None,
    stated_mps: float | None,
    says_masked: bool,
) -> tuple[list[CameraPath | str], list[str]]:
    """Return the path at each row, or the reason why it shows none, and remarks on the paths.

    A reason is worded to follow "where", as in "3 where the car stands".

    times_ms: time of each row, rising
    pictures: path of each row's frame
    framing: framing that made the frames; None for frames of the simulator
    height_m: height of the camera in metres; None if it is unknown
    stated_mps: speed of the driving car in m/s, if the user states it; it is not measured then
    says_masked: whether to remark on what is masked in the frames
    """
    if len(pictures) < 2:
        return [_NOTHING_FOLLOWED for _ in pictures], []

    # a picture that is repeated shows no motion
    new = _new_pictures(pictures)
    seconds = np.asarray(times_ms, np.int64)[new] / 1000
    has_repeats = len(new) < _MOSTLY_NEW * len(pictures)
    passed, ends = _seconds_passed(seconds, has_repeats)

    def read(row: int) -> Image | None:
        return try_frame(pictures[new[row]])[0]

    motion = measure_motion(read, passed.tolist(), ends.tolist(), framing)
    if stated_mps:
        speed = np.where(motion.speed > 0, stated_mps / (height_m or HEIGHT_M), 0.0)
        known = np.ones_like(motion.speed_shown)
        motion = replace(motion, speed=speed, speed_error=0 * speed, speed_shown=known)
    measured = _paths(motion, seconds, passed, height_m)
    shown: list[CameraPath | str] = ["the picture repeats the one before"] * len(pictures)
    for row, path in zip(new.tolist(), measured, strict=True):
        shown[row] = path

    remarks: list[str] = []
    if says_masked:
        remarks += masked_words(motion.fixed_pixels & shown_pixels(framing))
    errors = [path.error for path in shown if isinstance(path, CameraPath)]
    if errors:
        error = steering_of_path(float(np.median(errors)), height_m)
        remarks.append(
            f"median standard error of the steering: {error:.3f}; an error of the focal length "
            "changes its scale, too"
        )
        remarks += _near_and_far(motion.near_to_far)
        remarks += _turning_picture(
            motion, passed, lambda row: covered(read(row), motion.fixed_pixels)
        )
    return shown, remarks


def masked_words(fixed_pixels: BoolArray) -> Iterator[str]:
    """Yield in words how much of the picture is masked, and where; nothing if nothing is."""
    if not fixed_pixels.any():
        return
    places = []
    for row, part in zip(("top", "middle", "bottom"), np.array_split(fixed_pixels, 3), strict=True):
        thirds = np.array_split(part, 3, axis=1)
        columns = [
            column
            for column, third in zip(("left", "middle", "right"), thirds, strict=True)
            if third.any()
        ]
        if columns:
            places.append(f"{row} ({', '.join(columns)})")
    yield (
        f"masked: {fixed_pixels.mean():.0%} of the picture, at the {' and '.join(places)}; it "
        "stands still or changes by itself while the rest moves, such as writing, a logo or the "
        "bonnet"
    )


def _near_and_far(near_to_far: float | None) -> Iterator[str]:
    """Yield what near and far ground show of each other: whether the horizon and the lens fit."""
    if near_to_far is None:
        yield "near and far ground are not compared: they do not both show a speed"
        return
    yield f"the near ground shows {near_to_far:.2f} times the speed of the far, expected 1"
    if not is_consistent(near_to_far):
        yield (
            "careful: near and far ground show different speeds: the angle of view or the horizon "
            "is wrong, or the ground shows too little; say --fov DEGREES, or correct it"
        )


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
    """Return the seconds until the next row (0 before a gap), and whether a gap follows, (rows,)
    each.

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


# ---- the path at a row

# the times around a row that its path is measured from
_SPREAD_SECONDS = 0.1  # standard deviation of the times
_REACH_SECONDS = 0.3  # largest distance of a time
_LEAST_SHOWN = 0.5  # share of these times in which the frames show the motion
# how large the standard error of a steering may be: absolute, or in a bend as a share of it
_GREATEST_ERROR = 0.1
_GREATEST_SHARE = 0.5


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
        # all weights, `seen` those of steps that the frames show, `known` those with a speed,
        # `driven` those of a moving car
        part = slice(*np.searchsorted(middles, (at - _REACH_SECONDS, at + _REACH_SECONDS)))
        near = np.exp(-(((middles[part] - at) / _SPREAD_SECONDS) ** 2) / 2)
        seen = near * motion.usable[part]
        known = seen * motion.speed_shown[part]
        driven = known * (way[part] > 0)
        if not readable[row] or seen.sum() <= _LEAST_SHOWN * near.sum():
            yield _NOTHING_FOLLOWED
            continue
        if known.sum() <= _LEAST_SHOWN * seen.sum():
            yield NO_SPEED
            continue
        if driven.sum() <= _LEAST_SHOWN * known.sum():
            yield "the car stands"
            continue

        # the curvature is the turn divided by the length; its error comes of the errors of both
        length = float(driven @ way[part])
        curvature = float(driven @ turn[part]) / length
        speed = length / float(driven @ passed[part])
        error_of_turn = math.sqrt(float(np.sum((driven * turn_error[part]) ** 2))) / length
        error_of_way = curvature * float(driven @ way_error[part]) / length
        error = math.hypot(error_of_turn, error_of_way)

        steering = abs(steering_of_path(curvature, height_m))
        if steering_of_path(error, height_m) <= max(_GREATEST_ERROR, _GREATEST_SHARE * steering):
            yield CameraPath(curvature, error, speed)
        else:
            yield f"its error is above {_GREATEST_ERROR}"


# ---- how it was filmed

_PAIRS = 60  # most pairs of neighbouring frames by which a heading is measured
_STRAIGHT_RAD = 0.007  # the road is straight where the turn from row to row is smaller
_SHARP_QUANTILE = 0.7  # the road is a bend where the yaw rate is above this quantile of all
_GREATEST_SPREAD_DEGREES = 6.0  # largest spread, on straight road, of where the car drives to
_GREATEST_LATE_SECONDS = 0.15  # how far the picture's turn may be behind the car's, in bends


def _turning_picture(motion: CameraMotion, passed: FloatArray, read: ReadFrame) -> Iterator[str]:
    """Yield a warning if the picture does not turn with the car, as in a stabilised film."""
    # where the car drives to, on straight road and in bends to either side
    rates = np.where(motion.usable & (motion.speed > 0), motion.yaw_rate, np.nan)
    straight = _heading(np.abs(rates) * passed < _STRAIGHT_RAD, read)
    if straight is None or straight.column_error >= FRAME_WIDTH:  # it is unknown
        return
    sharp = np.nanquantile(np.abs(rates), _SHARP_QUANTILE)
    late: list[float] = []  # seconds that the picture is behind, in left and in right bends
    for bend in (rates < -sharp, rates > sharp):
        heading = _heading(bend, read)
        if heading:
            shift_px = heading.column - straight.column
            late.append(shift_px / FOCAL_PX / float(rates[bend].mean()))

    # a fixed camera ahead of the rear axle moves to the inner side of a bend, so its picture seems
    # late, too, by the time that the car needs from the axle to the camera; half of it is allowed
    # for. Lengths and speeds are in camera heights
    usual_seconds = CAMERA_AHEAD_M / HEIGHT_M / max(float(np.median(motion.speed)), 1.0)
    # the error of the column is the spread of the PARTS / sqrt(PARTS)
    spread = math.degrees(straight.column_error * math.sqrt(PARTS) / FOCAL_PX)
    is_late = bool(late) and min(late) > usual_seconds / 2 + _GREATEST_LATE_SECONDS
    if spread > _GREATEST_SPREAD_DEGREES or is_late:
        yield (
            f"careful: the picture does not turn as the car does: it looks {spread:.0f} degrees to "
            f"and fro, and in bends {min(late, default=0.0):.1f} s behind, as of a stabilised "
            "film, a gimbal or a loose camera: film again with a fixed one; the steering is late "
            "or wrong"
        )


def _heading(rows: BoolArray, read: ReadFrame) -> Heading | None:
    """Return where the car drives to in some rows, (rows,) of bool; None if too little can be
    followed.
    """
    chosen = np.flatnonzero(rows)
    followed = []
    for row in chosen[evenly(len(chosen), _PAIRS)].tolist():
        before = read(row)
        after = read(row + 1)
        if before is not None and after is not None:
            followed.append(points_and_movements(before, after))
    return measure_heading(followed)
