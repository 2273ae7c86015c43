"""A recording of another car -> its drive, with speed and steering law estimated from the frames.

Lengths are in camera heights: the unknown height of the camera above the road. odometry.py of
diagnosis/ finds the true horizon, and how the camera moved. The law is fitted so that the recorded
steering explains the measured turns.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bcclone.camera.framing import Framing, framing_of
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, SteeringLaw
from bcclone.diagnosis.odometry import CameraMotion, is_consistent, level_frames, measure_motion
from bcclone.evaluation.recorded_drive import RecordedDrive, Rollout, read_reference
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.errors import shown_command
from bcclone.system.statistics import block_jackknife, correlation

_MIN_ROWS = 100  # fewest rows that an estimate is made from
_CHECK_LIMIT = 2.0  # camera heights: deviation at which the car of the check is set back


def read_drive(log: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive, with estimated speeds if it needs them.

    Speeds are estimated for a recording whose framing has a lens, which is one of another car's
    camera. Where no speeds can be had, they are 0, and the notes say why. Raises UserError if it is
    no log, or has no centre images.

    fraction: start and end of the rows to read, in order of time, 0 to 1
    """
    recorded = read_reference(log, fraction)
    framing = framing_of(log)
    if framing is not None and framing.lens is not None:
        return _estimated(recorded, framing)
    if recorded.distance_m:
        return recorded
    reason = (
        "a log of the simulator has it in its last column, in mph, which is 0 here; restore that "
        "column, or for a real car import its source again with --framing FILE"
    )
    if framing is not None:
        calibrate = shown_command("calibrate", "models/any-camera.h5", "SOURCE", "-o", "car.h5")
        reason = (
            "the lens of its camera is unknown; find it in what the recording was imported from: "
            f"{calibrate}, and import SOURCE again as that says"
        )
    return _refused(recorded, reason)


def _estimated(recorded: RecordedDrive, framing: Framing) -> RecordedDrive:
    """Return the drive with estimated speeds and law; without speeds if their checks fail.

    framing: how pictures became the recorded frames; it has a lens
    """
    if len(recorded) < _MIN_ROWS:
        return _refused(
            recorded,
            f"there are {len(recorded)} rows, expected {_MIN_ROWS} or more; name more of it",
        )

    # how the camera moved; only rows whose frames show it are used
    paths = [images.get("center") for images in recorded.images]
    follows = ~recorded.ends[:-1]
    read, level, pitch_rad = level_frames(lambda row: try_frame(paths[row])[0], follows, framing)
    motion = measure_motion(read, recorded.seconds.tolist(), recorded.ends.tolist(), level)
    moving = motion.usable & motion.speed_shown & (motion.speed > 0)
    if moving.sum() < _MIN_ROWS:
        return _refused(
            recorded,
            f"{moving.sum()} of {len(recorded)} rows show one, expected {_MIN_ROWS}; "
            "name a recording in which the car drives over a ground with some detail",
        )
    if motion.near_to_far is None:
        return _refused(
            recorded,
            "near and far ground do not both show one, so that the horizon cannot be checked; "
            "name a recording in which both have some detail",
        )

    # the law by which the steering turns the camera
    law, gain_error, yaw_rate_correlation = _fit_law(recorded, motion, moving)
    drive = replace(
        recorded,
        speed=motion.speed,
        curvature=law.curvatures(recorded.steering, recorded.seconds, recorded.ends),
        law=law,
        unit="camera heights",
        pitch_rad=pitch_rad,
    )

    # the estimates are checked by a rollout: with the recorded steering and the estimated law, a
    # car has to follow the path that the frames show
    seen = np.where(moving, motion.yaw_rate / np.maximum(motion.speed, 1e-3), 0.0)
    along_seen = replace(drive, curvature=seen)
    human = Rollout(along_seen, _CHECK_LIMIT).drive(drive.steering.tolist()).score
    zero = Rollout(along_seen, _CHECK_LIMIT).drive([0.0] * len(drive)).score
    estimates = {
        "median_speed": float(np.median(motion.speed)),  # camera heights a second
        # speed of near ground / of far ground; 1 if the horizon is right
        "near_to_far_speed": motion.near_to_far,
        "curvature_of_steering": law.gain,  # of full steering, 1, in 1 / camera heights
        "curvature_error": gain_error,  # its standard error
        "lag_seconds": law.lag_seconds,  # by which the wheels follow the steering
        "yaw_rate_correlation": yaw_rate_correlation,  # of the law's with the camera's
        "check_limit": _CHECK_LIMIT,
        "check_rms": human["rms_cross_track_m"],  # root mean square of the deviation
        "check_interventions": human["interventions"],  # how often the car was set back
        # the same for a car that does not steer
        "check_interventions_without_steering": zero["interventions"],
    }
    figures = {name: round(value, 4) for name, value in estimates.items()}
    measured = _describe(estimates)
    if fault := _fault(estimates):
        return replace(_refused(recorded, fault, *measured), estimates=figures)
    assumed = (
        f"{_why_estimated(recorded)}: speed and steering are estimated from its frames, "
        "in heights of its camera.",
        "Assumed: flat ground; a camera that is fixed, "
        f"{CAMERA_AHEAD_M / HEIGHT_M:.1f} of its heights ahead of the rear axle, "
        f"and this lens: {level.describe()}.",
    )
    return replace(drive, notes=(*recorded.notes, *assumed, *measured), estimates=figures)


def _fit_law(
    recorded: RecordedDrive, motion: CameraMotion, moving: BoolArray
) -> tuple[SteeringLaw, float, float]:
    """Return the law that explains the camera's yaw rates best, and how well it does.

    That is the standard error of its gain, by a jackknife over blocks, and the correlation of its
    yaw rates with the measured ones.

    moving: True for the rows to use, (rows,)
    """
    rates = motion.yaw_rate[moving]

    def solve(columns: FloatArray, wanted: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.lstsq(columns, wanted, rcond=None)[0])

    fits = []
    for lag_seconds in np.arange(0.0, 0.61, 0.025).tolist():
        # The yaw rates are a sum of two columns: those of a law with gain 1 and bias 0, times the
        # gain; and those of a curvature of 1 (the speeds), times the bias.
        unit_law = SteeringLaw(gain=1.0, bias=0.0, lag_seconds=lag_seconds)
        curvatures = unit_law.curvatures(recorded.steering, recorded.seconds, recorded.ends)
        columns = np.stack([motion.speed * curvatures, motion.speed], 1)[moving]
        gain, bias = solve(columns, rates).tolist()
        residual = float(np.sum((columns @ np.array([gain, bias]) - rates) ** 2))
        fits.append((residual, SteeringLaw(gain, bias, lag_seconds), columns))

    _, law, columns = min(fits, key=lambda fit: fit[0])
    error = block_jackknife(len(rates), lambda rows: float(solve(columns[rows], rates[rows])[0]))
    fitted = columns @ np.array([law.gain, law.bias])
    return law, error, correlation(fitted, rates) or 0.0


def _refused(recorded: RecordedDrive, reason: str, *more: str) -> RecordedDrive:
    """Return the drive without speeds, and with notes on the reason, and more notes."""
    notes = (
        *recorded.notes,
        f"{_why_estimated(recorded)}, so no model can drive through it, "
        "and there is no autonomy and no intervention.",
        "The steering is compared on the recording's own frames.",
        f"The speed was not estimated from the frames: {reason}.",
    )
    return replace(recorded, speed=np.zeros(len(recorded)), notes=notes + more)


def _why_estimated(recorded: RecordedDrive) -> str:
    """Return the beginning of a sentence: why the recorded speeds are of no use."""
    if recorded.distance_m:
        return (
            "The recorded speeds are those of another car, "
            "whose steering and camera height are unknown"
        )
    return "The recording has no speeds"


# an estimate with less than this correlation of yaw rates, or more than this error, is refused
_MIN_CORRELATION = 0.55
_MAX_ERROR = 0.25  # standard error of the gain / the gain


def _fault(estimates: Mapping[str, float]) -> str:
    """Return why the estimates are not good enough; "" if they are."""
    if not is_consistent(estimates["near_to_far_speed"]):
        return (
            "near and far ground move at different speeds: "
            "the ground shows too little, or the horizon is wrong; "
            "if you know its row, calibrate again with --horizon-row ROW"
        )
    command = shown_command("preprocess", "RECORDING", "--check")
    check = f"see whether they belong together: {command}"
    is_correlated = estimates["yaw_rate_correlation"] > _MIN_CORRELATION
    is_certain = estimates["curvature_error"] < _MAX_ERROR * estimates["curvature_of_steering"]
    if not (is_correlated and is_certain):
        return f"the camera's turns do not follow from the recorded steering well enough; {check}"
    unsteered = estimates["check_interventions_without_steering"]
    if 2 * estimates["check_interventions"] > unsteered:
        return (
            "the recorded steering, with the estimates, does not follow the path that the "
            f"frames show; {check}"
        )
    return ""


def _describe(estimates: Mapping[str, float]) -> tuple[str, ...]:
    """Return sentences on speed, steering and check."""
    return (
        f"Estimated speed: {estimates['median_speed']:.2f} camera heights a second in the median; "
        f"the near ground shows {estimates['near_to_far_speed']:.2f} times the speed of the far, "
        "which is 1 if the horizon is right.",
        f"Estimated steering: 1 is a curvature of {estimates['curvature_of_steering']:.3f} per "
        f"camera height (standard error {estimates['curvature_error']:.3f}), with a lag of "
        f"{estimates['lag_seconds']:.2f} s; the yaw rates correlate with the camera's by "
        f"{estimates['yaw_rate_correlation']:.2f}.",
        "Check: along the path that the frames show, the recorded steering with these estimates "
        f"deviates by {estimates['check_rms']:.2f} camera heights (rms), "
        f"{estimates['check_interventions']} times beyond {_CHECK_LIMIT:g}; "
        f"no steering {estimates['check_interventions_without_steering']} times.",
    )
