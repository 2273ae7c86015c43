"""A recording of another car -> a drive whose speed and steering law are estimated from its frames, in camera heights.

A camera over a flat road sees its own height everywhere: from each frame, the views are made of a camera that has moved
ahead at each of many speeds (warp_to()), and the speed is the one whose view of the ground is the next frame: a plane
sweep (R. T. Collins, "A Space-Sweep Approach to True Multi-Image Matching", 1996). Speeds change gradually, so the
sequence of speeds with the best matches and the fewest changes is taken (Viterbi's algorithm). How the camera turns is
known from what is far away (TurnMeter). A wrong focal length changes distances ahead and speeds, but hardly the lateral
offset; a wrong horizon changes all, and shows in different speeds of near and far ground.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.dataset.framing import Framing, framing_of, sampling_of
from bcclone.dataset.geometry import FOCAL_PX, HEIGHT_M, CameraMove, warp_to
from bcclone.dataset.images import Image, try_frame
from bcclone.dataset.motion import TurnMeter, Turns
from bcclone.dataset.statistics import block_jackknife, correlation, top_of
from bcclone.dataset.vehicle import CAMERA_AHEAD_M, SteeringLaw
from bcclone.evaluate.rollout import RecordedDrive, Rollout, read_reference
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray, IndexArray
from bcclone.system.opencv import cv2
from bcclone.system.prefetch import read_ahead

_TOP, _MIDDLE, _BOTTOM = 80, 102, 134  # rows of the ground, far and near; below them may be a bonnet
_LEFT, _COLUMN_STEP, _COLUMNS = 20, 2, 140
_DETAIL_PX = 5.0  # coarser shades are not compared: they hardly move
_NOISE = 2.0  # grey levels of a pixel
_SLOWEST, _STEP, _COUNT = 0.6, 1.08, 52  # camera heights a second; each speed is 8 % more than the one before
_SPEEDS = np.concatenate([[0.0], _SLOWEST * _STEP ** np.arange(_COUNT)])
_CHANGE_COST = 0.15  # of the matches, for a change of the speed by one step from row to row
_AROUND = 6  # steps to either side, where near and far ground are compared
_LAGS = np.arange(0.0, 0.61, 0.025).tolist()
_FEWEST_ROWS = 100
_MAX_APART, _LEAST_CORRELATION, _MAX_ERROR = 1.2, 0.55, 0.25  # of near and far speeds; of yaw rates; of the gain
_CHECK_LIMIT = 2.0  # camera heights
_CHECK = "see whether they belong together: bcclone preprocess RECORDING --check"


def read_drive(log: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive as read_reference(); without speeds, or of another camera, with estimates from its frames.

    Where they give none, the distance is 0, and the notes say why.
    """
    recorded, framing = read_reference(log, fraction), framing_of(log)
    if framing is None or framing.lens is None:
        if recorded.distance_m:
            return recorded
        if framing is None:
            lost = "a log of the simulator has it in its last column, in mph, which is 0 here; restore that column"
            return _refused(recorded, f"{lost}, or for a real car import its source again with --framing FILE")
        return _refused(
            recorded,
            "the lens of its camera is unknown; find it in what the recording was imported from: bcclone calibrate "
            "models/any-camera.h5 SOURCE -o car.h5, and import SOURCE again as that says",
        )
    if len(recorded) < _FEWEST_ROWS:
        return _refused(recorded, f"there are {len(recorded)} rows, expected {_FEWEST_ROWS} or more; name more of it")
    motion = _measure_motion(recorded, framing)
    moving = motion.usable & (motion.speed > _SLOWEST)
    if moving.sum() < _FEWEST_ROWS:
        few = f"{moving.sum()} of {len(recorded)} rows show one, expected {_FEWEST_ROWS}"
        return _refused(recorded, f"{few}; name a recording in which the car drives over a ground with some detail")

    def fit_of(lag: float) -> _Fit:
        """Return the fit of the yaw rates of a gain of 1 and of a bias of 1, (rows, 2)."""
        curvatures = SteeringLaw(1.0, 0.0, lag).curvatures(recorded.steering, recorded.seconds, recorded.ends)
        columns = np.stack([motion.speed * np.array(curvatures), motion.speed], 1)
        return _Fit.of(columns[moving], motion.yaw_rate[moving])

    lag, fit = min(((lag, fit_of(lag)) for lag in _LAGS), key=lambda item: item[1].residual)
    law = SteeringLaw(fit.gain, fit.bias, lag)
    drive = replace(
        recorded,
        speed=tuple(motion.speed.tolist()),
        curvature=law.curvatures(recorded.steering, recorded.seconds, recorded.ends),
        law=law,
        unit="camera heights",
    )
    estimates = Estimates.of(drive, motion, fit)
    measured, figures = estimates.describe(motion.speed), {key: round(it, 4) for key, it in asdict(estimates).items()}
    if fault := estimates.fault:
        return replace(_refused(recorded, fault, *measured), estimates=figures)
    assumed = (
        f"{_why_estimated(recorded)}: speed and steering are estimated from its frames, in heights of its camera.",
        f"Assumed: flat ground; a camera that is fixed, {CAMERA_AHEAD_M / HEIGHT_M:.1f} of its heights ahead of the "
        f"rear axle, and framed as it is: {framing.describe()}.",
    )
    return replace(drive, notes=(*assumed, *measured), estimates=figures)


def _refused(recorded: RecordedDrive, reason: str, *more: str) -> RecordedDrive:
    notes = (
        f"{_why_estimated(recorded)}, so no model can drive through it, and there is no autonomy and no intervention.",
        "The steering is compared on the recording's own frames.",
        f"The speed was not estimated from the frames: {reason}.",
    )
    return replace(recorded, speed=(0.0,) * len(recorded), notes=notes + more)


def _why_estimated(recorded: RecordedDrive) -> str:
    if recorded.distance_m:
        return "The recorded speeds are those of another car, whose steering and camera height are unknown"
    return "The recording has no speeds"


@dataclass(frozen=True)
class _Motion:
    """How the camera moved, until the next row; all (rows,) but near_to_far.

    speed: camera heights a second; yaw_rate: rad/s to the right; usable: whether the yaw rate is known; near_to_far:
    the speed of the near ground for that of the far ground.
    """

    speed: FloatArray
    yaw_rate: FloatArray
    usable: BoolArray
    near_to_far: float


def _measure_motion(recorded: RecordedDrive, framing: Framing) -> _Motion:
    meter, sweep = TurnMeter(), _GroundSweep(framing)
    paths = [row.get("center") for row in recorded.images]
    with read_ahead("estimating the speed", "rows", lambda path: try_frame(path)[0], paths) as frames:
        for row, frame in enumerate(frames):
            meter.add(frame)
            right = -meter.shifts[-1].right
            follows = row > 0 and not recorded.ends[row - 1] and math.isfinite(right)
            sweep.add(frame, recorded.seconds[row - 1] if follows else None, math.atan(right / FOCAL_PX))
    turns = Turns.of(meter.shifts[1:], ~np.array(recorded.ends[:-1]))
    yaw_rate = np.append(np.arctan(turns.right / FOCAL_PX), 0.0) / np.maximum(recorded.seconds, 1e-3)
    speed, near_to_far = sweep.result()
    return _Motion(speed, yaw_rate, np.append(turns.usable, False), near_to_far)


@dataclass(frozen=True)
class Estimates:
    """The estimates of a drive in camera heights, and how well they hold.

    near_to_far_speed: 1 if the horizon is right; curvature_of_steering: of the steering 1; curvature_error: its
    standard error; yaw_rate_correlation: of the law's yaw rates and the camera's; check_*: of the recorded steering
    along the path that the frames show, with interventions beyond check_limit.
    """

    median_speed: float
    near_to_far_speed: float
    curvature_of_steering: float
    curvature_error: float
    lag_seconds: float
    yaw_rate_correlation: float
    check_limit: float
    check_rms: float
    check_interventions: int
    check_interventions_without_steering: int

    @classmethod
    def of(cls, drive: RecordedDrive, motion: _Motion, fit: "_Fit") -> Self:
        speed = motion.speed
        seen = np.where(motion.usable & (speed > _SLOWEST), motion.yaw_rate / np.maximum(speed, 1e-3), 0.0)
        along_seen = replace(drive, curvature=tuple(seen.tolist()))
        human, zero = (
            Rollout(along_seen, _CHECK_LIMIT).advance_by(steering).score
            for steering in (drive.steering, [0.0] * len(drive))
        )
        return cls(
            float(np.median(speed)),
            motion.near_to_far,
            fit.gain,
            fit.error,
            drive.law.lag_seconds,
            fit.correlation,
            _CHECK_LIMIT,
            human.rms_cross_track_m,
            human.interventions,
            zero.interventions,
        )

    @property
    def fault(self) -> str:
        """Why the estimates are not good enough; "" if they are."""
        if not 1 / _MAX_APART < self.near_to_far_speed < _MAX_APART:
            return (
                "near and far ground move at different speeds: the ground shows too little, or the horizon is wrong; "
                "if you know its row, calibrate again with --set horizon-row=ROW"
            )
        gain, error = self.curvature_of_steering, self.curvature_error
        if not (self.yaw_rate_correlation > _LEAST_CORRELATION and error < _MAX_ERROR * gain):
            return f"the camera's turns do not follow from the recorded steering well enough; {_CHECK}"
        if 2 * self.check_interventions > self.check_interventions_without_steering:
            return f"the recorded steering, with the estimates, does not follow the path that the frames show; {_CHECK}"
        return ""

    def describe(self, speed: FloatArray) -> tuple[str, str, str]:
        """Return sentences on the estimates. speed: of each row, (rows,)."""
        low, high = np.percentile(speed, [5, 95])
        return (
            f"Estimated speed: {self.median_speed:.2f} camera heights a second in the median, {low:.2f} to {high:.2f} "
            f"in 90 % of the rows; the near ground shows {self.near_to_far_speed:.2f} times the speed of the far, "
            "which is 1 if the horizon is right.",
            f"Estimated steering: 1 is a curvature of {self.curvature_of_steering:.3f} per camera height (standard "
            f"error {self.curvature_error:.3f}), with a lag of {self.lag_seconds:.2f} s; the yaw rates correlate with "
            f"the camera's by {self.yaw_rate_correlation:.2f}.",
            "Check: along the path that the frames show, the recorded steering with these estimates deviates by "
            f"{self.check_rms:.2f} camera heights (rms), {self.check_interventions} times beyond {self.check_limit:g}; "
            f"no steering {self.check_interventions_without_steering} times.",
        )


@dataclass(frozen=True)
class _Fit:
    """A linear fit of yaw rates; error: standard error of the gain, by a jackknife over blocks."""

    gain: float
    bias: float
    error: float
    correlation: float
    residual: float

    @classmethod
    def of(cls, columns: FloatArray, rates: FloatArray) -> "_Fit":
        gain, bias = np.linalg.lstsq(columns, rates, rcond=None)[0].tolist()

        def gain_of(rows: IndexArray) -> float:
            return float(np.linalg.lstsq(columns[rows], rates[rows], rcond=None)[0][0])

        error = block_jackknife(len(rates), gain_of)
        fitted = columns @ np.array([gain, bias])
        return cls(gain, bias, error, correlation(fitted, rates) or 0.0, float(np.sum((rates - fitted) ** 2)))


class _GroundSweep:
    """Matches each frame with views of the one before, of a camera that moved ahead at each speed."""

    def __init__(self, framing: Framing) -> None:
        sampling = sampling_of(framing)
        limits = np.array([sampling.width, sampling.height]) - 2
        self._seen = ((sampling.corner > 0) & (sampling.corner < limits)).all(axis=2).astype(np.float32)
        self._view = np.array([[1 / _COLUMN_STEP, 0, -_LEFT / _COLUMN_STEP], [0, 1, -_TOP], [0, 0, 1.0]])
        self._last: Float32Array | None = None
        self._matches: list[FloatArray] = []  # of each frame with the one before: far and near ground, (2, speeds)

    def add(self, frame: Image | None, seconds: float | None, yaw_rad: float) -> None:
        """Match the next frame; seconds, yaw_rad: since the one before, None where they do not belong together."""
        before, self._last = self._last, None
        if frame is not None:
            gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
            self._last = np.asarray((gray - cv2.GaussianBlur(gray, (0, 0), _DETAIL_PX)) * self._seen, np.float32)
        matches = np.zeros((2, len(_SPEEDS)))
        if before is not None and self._last is not None and seconds is not None:
            ahead_m = _SPEEDS * seconds * HEIGHT_M
            move = CameraMove(ahead_m * math.sin(yaw_rad / 2), np.full_like(ahead_m, yaw_rad), ahead_m=ahead_m)
            warps = warp_to(move).through(self._view, np.eye(3)).ground
            after = _warped(self._last, np.linalg.inv(self._view))
            matches = np.stack([_matches(_warped(before, warp), after) for warp in warps], 1)
        self._matches.append(matches)

    def result(self) -> tuple[FloatArray, float]:
        """Return the speed until the next row, (rows,), and that of the near ground for that of the far ground."""
        far, near = np.swapaxes(self._matches[1:], 0, 1)
        path = _best_path(far + near)
        moving = (path > _AROUND) & (path < len(_SPEEDS) - _AROUND)
        around = path[moving, None] + np.arange(-_AROUND, _AROUND + 1)
        rows = np.flatnonzero(moving)[:, None]
        steps = [top_of(matches[rows, around].sum(axis=0)) - _AROUND for matches in (near, far, near + far)]
        fine = np.where(path > 0, _SPEEDS[path] * _STEP ** steps[2], 0.0)
        return np.append(fine, 0.0), float(_STEP ** (steps[0] - steps[1]))


def _warped(frame: Float32Array, pixels: FloatArray) -> Float32Array:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(frame, pixels, (_COLUMNS, _BOTTOM - _TOP), flags=flags), np.float32)


def _matches(made: Float32Array, real: Float32Array) -> tuple[float, float]:
    """Return the correlations of a made view and the real frame, of the far and of the near ground."""
    both, one, other = (np.einsum("ij,ij->i", *pair) for pair in ((made, real), (made, made), (real, real)))
    noise, parts = _NOISE**2 * made.shape[1], (slice(0, _MIDDLE - _TOP), slice(_MIDDLE - _TOP, None))
    far, near = (
        float(both[part].sum() / math.sqrt((one[part] + noise).sum() * (other[part] + noise).sum())) for part in parts
    )
    return far, near


def _best_path(matches: FloatArray) -> IndexArray:
    """Return the index of a speed for each row, (rows,), with the greatest sum of matches and the fewest changes."""
    indices = np.arange(matches.shape[1])
    cost = _CHANGE_COST * np.abs(indices[:, None] - indices)
    total, back = matches[0], []
    for row in matches[1:]:
        reached = total - cost  # to each speed (rows) from each (columns)
        back.append(np.argmax(reached, axis=1))
        total = reached.max(axis=1) + row
    path = [int(np.argmax(total))]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])
