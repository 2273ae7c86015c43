"""A recording of another car -> a drive whose speed and steering law are estimated from its frames,
in camera heights.

How the camera moved is measured by diagnosis/odometry.py; the law is the one by which the recorded
steering turns it.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.camera.framing import framing_of
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, SteeringLaw
from bcclone.diagnosis.odometry import CameraMotion, is_consistent, measure_motion
from bcclone.evaluation.rollout import RecordedDrive, Rollout, read_reference
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.statistics import block_jackknife, correlation

_LAGS = np.arange(0.0, 0.61, 0.025).tolist()
_FEWEST_ROWS = 100
_LEAST_CORRELATION, _MAX_ERROR = 0.55, 0.25  # of yaw rates; of the gain
_CHECK_LIMIT = 2.0  # camera heights
_CHECK = "see whether they belong together: bcclone preprocess RECORDING --check"


def read_drive(log: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive as read_reference(); without speeds, or of another camera, with
    estimates from its frames.

    Where they give none, the distance is 0, and the notes say why.
    """
    recorded, framing = read_reference(log, fraction), framing_of(log)
    if framing is None or framing.lens is None:
        if recorded.distance_m:
            return recorded
        if framing is None:
            lost = "a log of the simulator has it in its last column, in mph, which is 0 here; restore that column"
            return _refused(
                recorded, f"{lost}, or for a real car import its source again with --framing FILE"
            )
        return _refused(
            recorded,
            "the lens of its camera is unknown; find it in what the recording was imported from: bcclone calibrate "
            "models/any-camera.h5 SOURCE -o car.h5, and import SOURCE again as that says",
        )
    if len(recorded) < _FEWEST_ROWS:
        return _refused(
            recorded,
            f"there are {len(recorded)} rows, expected {_FEWEST_ROWS} or more; name more of it",
        )
    paths = [row.get("center") for row in recorded.images]
    motion = measure_motion(
        lambda row: try_frame(paths[row])[0], recorded.seconds, recorded.ends, framing
    )
    moving = motion.usable & (motion.speed > 0)
    if moving.sum() < _FEWEST_ROWS:
        few = f"{moving.sum()} of {len(recorded)} rows show one, expected {_FEWEST_ROWS}"
        return _refused(
            recorded,
            f"{few}; name a recording in which the car drives over a ground with some detail",
        )

    def fit_of(lag: float) -> _Fit:
        """Return the fit of the yaw rates of a gain of 1 and of a bias of 1, (rows, 2)."""
        curvatures = SteeringLaw(1.0, 0.0, lag).curvatures(
            recorded.steering, recorded.seconds, recorded.ends
        )
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
    measured, figures = (
        estimates.describe(motion.speed),
        {key: round(it, 4) for key, it in asdict(estimates).items()},
    )
    if fault := estimates.fault:
        return replace(_refused(recorded, fault, *measured), estimates=figures)
    assumed = (
        f"{_why_estimated(recorded)}: speed and steering are estimated from its frames, in heights of its camera.",
        f"Assumed: flat ground; a camera that is fixed, {CAMERA_AHEAD_M / HEIGHT_M:.1f} of its heights ahead of the "
        f"rear axle, and framed as it is: {framing.describe()}.",
    )
    return replace(drive, notes=(*recorded.notes, *assumed, *measured), estimates=figures)


def _refused(recorded: RecordedDrive, reason: str, *more: str) -> RecordedDrive:
    notes = (
        *recorded.notes,
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
class Estimates:
    """The estimates of a drive in camera heights, and how well they hold.

    near_to_far_speed: 1 if the horizon is right; curvature_of_steering: of the steering 1;
    curvature_error: its standard error; yaw_rate_correlation: of the law's yaw rates and the
    camera's; check_*: of the recorded steering along the path that the frames show, with
    interventions beyond check_limit.
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
    def of(cls, drive: RecordedDrive, motion: CameraMotion, fit: "_Fit") -> Self:
        speed = motion.speed
        seen = np.where(motion.usable & (speed > 0), motion.yaw_rate / np.maximum(speed, 1e-3), 0.0)
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
        if not is_consistent(self.near_to_far_speed):
            return (
                "near and far ground move at different speeds: the ground shows too little, or the horizon is wrong; "
                "if you know its row, calibrate again with --set horizon-row=ROW"
            )
        gain, error = self.curvature_of_steering, self.curvature_error
        if not (self.yaw_rate_correlation > _LEAST_CORRELATION and error < _MAX_ERROR * gain):
            return (
                f"the camera's turns do not follow from the recorded steering well enough; {_CHECK}"
            )
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
        return cls(
            gain,
            bias,
            error,
            correlation(fitted, rates) or 0.0,
            float(np.sum((rates - fitted) ** 2)),
        )
