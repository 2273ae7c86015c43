"""A recording of another car -> a drive in camera heights, estimated from its frames.

A camera height is the unknown height of the camera above the road, here the unit of all lengths.
diagnosis/level.py finds the true horizon, and diagnosis/odometry.py how the camera moved. The
steering law, how far a steering turns the car and how late, is fitted so that the recorded steering
explains the measured turns.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.camera.framing_files import framing_of
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, SteeringLaw
from bcclone.diagnosis.level import level_frames
from bcclone.diagnosis.odometry import CameraMotion, is_consistent, measure_motion
from bcclone.evaluation.rollout import RecordedDrive, Rollout, read_reference
from bcclone.system.numbers import BoolArray, FloatArray, IndexArray, block_jackknife, correlation

_MIN_ROWS = 100  # fewest rows that an estimate is made from


def read_drive(log: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive as read_reference(), with estimated speeds if it needs them.

    Speeds are estimated from the frames for a recording whose framing has a lens: one of another
    car's camera. Without a lens, recorded speeds are used. Where no speeds can be had, the distance
    is 0, and the notes say why.
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

    # how the camera moved; only rows whose frames show it are used
    paths = [row.get("center") for row in recorded.images]
    follows = ~np.array(recorded.ends[:-1])
    frames = level_frames(lambda row: try_frame(paths[row])[0], follows, framing)
    motion = measure_motion(frames.read, recorded.seconds, recorded.ends, frames.framing)
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
        pitch_rad=frames.pitch_rad,
    )

    # a drive whose estimates fail their checks gets no speeds
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
        f"and this lens: {frames.framing.describe()}.",
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

    moving: True for the rows to use, (rows,)
    """

    def fit_of(lag_seconds: float) -> _Fit:
        """Fit gain and bias for this lag.

        The yaw rates are a sum of two columns: those of a law with gain 1 and bias 0, times the
        gain; and those of a curvature of 1 (the speeds), times the bias.
        """
        unit_law = SteeringLaw(gain=1.0, bias=0.0, lag_seconds=lag_seconds)
        curvatures = unit_law.curvatures(recorded.steering, recorded.seconds, recorded.ends)
        columns = np.stack([motion.speed * np.array(curvatures), motion.speed], 1)
        return _Fit.of(columns[moving], motion.yaw_rate[moving])

    lags_seconds = np.arange(0.0, 0.61, 0.025).tolist()
    fits = [(lag_seconds, fit_of(lag_seconds)) for lag_seconds in lags_seconds]
    lag_seconds, fit = min(fits, key=lambda item: item[1].residual)
    return SteeringLaw(fit.gain, fit.bias, lag_seconds), fit


def _refused(recorded: RecordedDrive, reason: str, *more: str) -> RecordedDrive:
    """Return the drive without speeds, and with notes on the reason, and more notes."""
    notes = (
        *recorded.notes,
        f"{_why_estimated(recorded)}, so no model can drive through it, "
        "and there is no autonomy and no intervention.",
        "The steering is compared on the recording's own frames.",
        f"The speed was not estimated from the frames: {reason}.",
    )
    return replace(recorded, speed=(0.0,) * len(recorded), notes=notes + more)


def _why_estimated(recorded: RecordedDrive) -> str:
    """Return the beginning of a sentence: why the recorded speeds are of no use."""
    if recorded.distance_m:
        return (
            "The recorded speeds are those of another car, "
            "whose steering and camera height are unknown"
        )
    return "The recording has no speeds"


_CHECK_LIMIT = 2.0  # camera heights: deviation at which the car of the check is set back

# an estimate with less than this correlation of yaw rates, or more than this error, is refused
_MIN_CORRELATION = 0.55
_MAX_ERROR = 0.25  # standard error of the gain / the gain

# camera heights: no car turns in a smaller radius. A donkeycar needs about 4, and a car 3 to 5;
# through a lens that suits a network, but is not the camera's, a donkeycar seemed to need 1.1.
_MIN_RADIUS = 0.75


@dataclass(frozen=True)
class Estimates:
    """The estimates of a drive in camera heights, and how well they hold.

    They are checked by a rollout: with the recorded steering and the estimated law, a car has to
    follow the path that the frames show.
    """

    median_speed: float  # camera heights a second
    near_to_far_speed: float  # speed of near ground / of far ground; 1 if the horizon is right
    curvature_of_steering: float  # curvature of full steering, 1, in 1 / camera heights
    curvature_error: float  # standard error of curvature_of_steering
    lag_seconds: float  # by which the wheels follow the steering
    yaw_rate_correlation: float  # correlation of the law's yaw rates with the camera's
    check_limit: float  # deviation at which the car of the check is set back
    check_rms: float  # root mean square of its deviation
    check_interventions: int  # how often it was set back
    check_interventions_without_steering: int  # the same for a car that does not steer

    @classmethod
    def of(cls, drive: RecordedDrive, motion: CameraMotion, fit: "_Fit") -> Self:
        speed = motion.speed
        # the curvature of the path that the frames show
        seen = np.where(motion.usable & (speed > 0), motion.yaw_rate / np.maximum(speed, 1e-3), 0.0)
        along_seen = replace(drive, curvature=tuple(seen.tolist()))
        # along that path, by the recorded steering and without steering
        human = Rollout(along_seen, _CHECK_LIMIT).advance_by(drive.steering).score
        zero = Rollout(along_seen, _CHECK_LIMIT).advance_by([0.0] * len(drive)).score
        return cls(
            median_speed=float(np.median(speed)),
            near_to_far_speed=motion.near_to_far,
            curvature_of_steering=fit.gain,
            curvature_error=fit.error,
            lag_seconds=drive.law.lag_seconds,
            yaw_rate_correlation=fit.correlation,
            check_limit=_CHECK_LIMIT,
            check_rms=human.rms_cross_track_m,
            check_interventions=human.interventions,
            check_interventions_without_steering=zero.interventions,
        )

    @property
    def fault(self) -> str:
        """Why the estimates are not good enough; "" if they are."""
        if not is_consistent(self.near_to_far_speed):
            return (
                "near and far ground move at different speeds: "
                "the ground shows too little, or the horizon is wrong; "
                "if you know its row, calibrate again with --horizon-row ROW"
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

    def describe(self, speed: FloatArray) -> tuple[str, ...]:
        """Return sentences on speed, steering and check, and on what is implausible, if anything.

        speed: camera heights a second in each row, (rows,)
        """
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
        if self.curvature_of_steering * _MIN_RADIUS <= 1:
            return speeds, steering, check
        careful = (
            f"Careful: a steering of 1 would be a radius of {1 / self.curvature_of_steering:.2f} "
            "camera heights, which no car can drive. Either the recorded steering is in another "
            "unit, or the speed is underestimated because the ground moves too far from one "
            "picture to the next. Then deviations grow too slowly, and do not compare models."
        )
        return speeds, steering, check, careful


@dataclass(frozen=True)
class _Fit:
    """A linear fit of yaw rates, see _fit_law()."""

    gain: float  # curvature of the steering 1
    bias: float  # curvature of the steering 0
    error: float  # standard error of the gain, by a jackknife over blocks
    correlation: float  # of the fitted yaw rates with the measured ones
    residual: float  # sum of squared differences

    @classmethod
    def of(cls, columns: FloatArray, rates: FloatArray) -> "_Fit":
        gain, bias = np.linalg.lstsq(columns, rates, rcond=None)[0].tolist()

        def gain_of(rows: IndexArray) -> float:
            return float(np.linalg.lstsq(columns[rows], rates[rows], rcond=None)[0][0])

        error = block_jackknife(len(rates), gain_of)
        fitted = columns @ np.array([gain, bias])
        residual = float(np.sum((rates - fitted) ** 2))
        return cls(gain, bias, error, correlation(fitted, rates) or 0.0, residual)
