"""A recording of another car -> a drive in camera heights, estimated from its frames.

How the camera moved is measured by diagnosis/odometry.py. The steering law is the one by which the
recorded steering turns it.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.camera.framing import Framing, framing_of
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, SteeringLaw
from bcclone.diagnosis.odometry import CameraMotion, is_consistent, measure_motion
from bcclone.evaluation.rollout import RecordedDrive, Rollout, read_reference
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray
from bcclone.system.statistics import block_jackknife, correlation

_MIN_ROWS = 100  # for an estimate


def read_drive(log: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive as read_reference(), with estimates if it needs them.

    A drive without speeds, or of another camera, gets them from its frames. Where these give none,
    the distance is 0, and the notes say why.
    """
    recorded = read_reference(log, fraction)
    framing = framing_of(log)
    if framing is None or framing.lens is None:
        if recorded.distance_m:
            return recorded
        return _refused(recorded, _without_lens(framing))
    if len(recorded) < _MIN_ROWS:
        return _refused(
            recorded,
            f"there are {len(recorded)} rows, expected {_MIN_ROWS} or more; name more of it",
        )

    # how the camera moved, in the rows that show it
    paths = [row.get("center") for row in recorded.images]
    motion = measure_motion(
        lambda row: try_frame(paths[row])[0], recorded.seconds, recorded.ends, framing
    )
    moving = motion.usable & (motion.speed > 0)
    if moving.sum() < _MIN_ROWS:
        return _refused(
            recorded,
            f"{moving.sum()} of {len(recorded)} rows show one, expected {_MIN_ROWS}; "
            "name a recording in which the car drives over a ground with some detail",
        )

    # the law by which the steering turns the camera
    law, fit = _fit_law(recorded, motion, moving)
    drive = replace(
        recorded,
        speed=tuple(motion.speed.tolist()),
        curvature=law.curvatures(recorded.steering, recorded.seconds, recorded.ends),
        law=law,
        unit="camera heights",
    )

    # nobody drives along estimates that do not hold
    estimates = Estimates.of(drive, motion, fit)
    measured = estimates.describe(motion.speed)
    figures = {key: round(value, 4) for key, value in asdict(estimates).items()}
    if estimates.fault:
        return replace(_refused(recorded, estimates.fault, *measured), estimates=figures)
    assumed = (
        f"{_why_estimated(recorded)}: speed and steering are estimated from its frames, "
        "in heights of its camera.",
        "Assumed: flat ground; a camera that is fixed, "
        f"{CAMERA_AHEAD_M / HEIGHT_M:.1f} of its heights ahead of the rear axle, "
        f"and framed as it is: {framing.describe()}.",
    )
    return replace(drive, notes=(*recorded.notes, *assumed, *measured), estimates=figures)


def _without_lens(framing: Framing | None) -> str:
    """Return why a recording without speeds gets no estimates, and what to do."""
    if framing is None:
        return (
            "a log of the simulator has it in its last column, in mph, which is 0 here; "
            "restore that column, or for a real car import its source again with --framing FILE"
        )
    return (
        "the lens of its camera is unknown; find it in what the recording was imported from: "
        "bcclone calibrate models/any-camera.h5 SOURCE -o car.h5, "
        "and import SOURCE again as that says"
    )


def _fit_law(
    recorded: RecordedDrive, motion: CameraMotion, moving: BoolArray
) -> tuple[SteeringLaw, "_Fit"]:
    """Return the law that explains the camera's yaw rates best, and its fit.

    moving: the rows to use, (rows,)
    """

    def fit_of(lag_seconds: float) -> _Fit:
        """Fit the yaw rates by those of a gain of 1 and of a bias of 1, with this lag."""
        unit_law = SteeringLaw(1.0, 0.0, lag_seconds)
        curvatures = unit_law.curvatures(recorded.steering, recorded.seconds, recorded.ends)
        columns = np.stack([motion.speed * np.array(curvatures), motion.speed], 1)
        return _Fit.of(columns[moving], motion.yaw_rate[moving])

    lags_seconds = np.arange(0.0, 0.61, 0.025).tolist()
    fits = [(lag_seconds, fit_of(lag_seconds)) for lag_seconds in lags_seconds]
    lag_seconds, fit = min(fits, key=lambda item: item[1].residual)
    return SteeringLaw(fit.gain, fit.bias, lag_seconds), fit


def _refused(recorded: RecordedDrive, reason: str, *more: str) -> RecordedDrive:
    notes = (
        *recorded.notes,
        f"{_why_estimated(recorded)}, so no model can drive through it, "
        "and there is no autonomy and no intervention.",
        "The steering is compared on the recording's own frames.",
        f"The speed was not estimated from the frames: {reason}.",
    )
    return replace(recorded, speed=(0.0,) * len(recorded), notes=notes + more)


def _why_estimated(recorded: RecordedDrive) -> str:
    if recorded.distance_m:
        return (
            "The recorded speeds are those of another car, "
            "whose steering and camera height are unknown"
        )
    return "The recording has no speeds"


_CHECK_LIMIT = 2.0  # camera heights

# an estimate with less than this correlation of yaw rates, or more than this error, is refused
_MIN_CORRELATION = 0.55
_MAX_ERROR = 0.25  # of the gain


@dataclass(frozen=True)
class Estimates:
    """The estimates of a drive in camera heights, and how well they hold.

    They are checked by a drive with the recorded steering along the path that the frames show.
    """

    median_speed: float
    near_to_far_speed: float  # of the ground; 1 if the horizon is right
    curvature_of_steering: float  # of the steering 1
    curvature_error: float  # its standard error
    lag_seconds: float
    yaw_rate_correlation: float  # of the law's yaw rates and the camera's
    check_limit: float  # where a person takes over
    check_rms: float
    check_interventions: int
    check_interventions_without_steering: int

    @classmethod
    def of(cls, drive: RecordedDrive, motion: CameraMotion, fit: "_Fit") -> Self:
        speed = motion.speed
        seen = np.where(motion.usable & (speed > 0), motion.yaw_rate / np.maximum(speed, 1e-3), 0.0)
        along_seen = replace(drive, curvature=tuple(seen.tolist()))
        human = Rollout(along_seen, _CHECK_LIMIT).advance_by(drive.steering).score
        zero = Rollout(along_seen, _CHECK_LIMIT).advance_by([0.0] * len(drive)).score
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
                "near and far ground move at different speeds: "
                "the ground shows too little, or the horizon is wrong; "
                "if you know its row, calibrate again with --set horizon-row=ROW"
            )
        check = "see whether they belong together: bcclone preprocess RECORDING --check"
        is_correlated = self.yaw_rate_correlation > _MIN_CORRELATION
        is_certain = self.curvature_error < _MAX_ERROR * self.curvature_of_steering
        if not (is_correlated and is_certain):
            return (
                f"the camera's turns do not follow from the recorded steering well enough; {check}"
            )
        if 2 * self.check_interventions > self.check_interventions_without_steering:
            return (
                "the recorded steering, with the estimates, does not follow the path that the "
                f"frames show; {check}"
            )
        return ""

    def describe(self, speed: FloatArray) -> tuple[str, str, str]:
        """Return sentences on the estimates. speed: of each row, (rows,)."""
        low, high = np.percentile(speed, [5, 95])
        speeds = (
            f"Estimated speed: {self.median_speed:.2f} camera heights a second in the median, "
            f"{low:.2f} to {high:.2f} in 90 % of the rows; the near ground shows "
            f"{self.near_to_far_speed:.2f} times the speed of the far, "
            "which is 1 if the horizon is right."
        )
        steering = (
            f"Estimated steering: 1 is a curvature of {self.curvature_of_steering:.3f} per camera "
            f"height (standard error {self.curvature_error:.3f}), with a lag of "
            f"{self.lag_seconds:.2f} s; the yaw rates correlate with the camera's by "
            f"{self.yaw_rate_correlation:.2f}."
        )
        check = (
            "Check: along the path that the frames show, the recorded steering with these "
            f"estimates deviates by {self.check_rms:.2f} camera heights (rms), "
            f"{self.check_interventions} times beyond {self.check_limit:g}; "
            f"no steering {self.check_interventions_without_steering} times."
        )
        return speeds, steering, check


@dataclass(frozen=True)
class _Fit:
    """A linear fit of yaw rates."""

    gain: float
    bias: float
    error: float  # standard error of the gain, by a jackknife over blocks
    correlation: float
    residual: float

    @classmethod
    def of(cls, columns: FloatArray, rates: FloatArray) -> "_Fit":
        gain, bias = np.linalg.lstsq(columns, rates, rcond=None)[0].tolist()

        def gain_of(rows: IndexArray) -> float:
            return float(np.linalg.lstsq(columns[rows], rates[rows], rcond=None)[0][0])

        error = block_jackknife(len(rates), gain_of)
        fitted = columns @ np.array([gain, bias])
        residual = float(np.sum((rates - fitted) ** 2))
        return cls(gain, bias, error, correlation(fitted, rates) or 0.0, residual)
