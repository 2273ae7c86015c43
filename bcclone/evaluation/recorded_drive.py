"""A recording -> a drive along which other cars can drive, and the drive of such a car.

The recording's own car, the reference car, drives the recorded path. The steering law says how far
a steering turns a car and how late. Of the simulator's car, speed and law are known.

Those of another car are estimated from the frames, in camera heights: the unknown height of the
camera above the road. diagnosis/odometry.py finds the true horizon, and how the camera moved. The
law is fitted so that the recorded steering explains the measured turns.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np

from bcclone.camera.framing import Framing, framing_of
from bcclone.camera.geometry import HEIGHT_M
from bcclone.camera.images import try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, MPH, SteeringLaw
from bcclone.diagnosis.odometry import CameraMotion, is_consistent, level_frames, measure_motion
from bcclone.model.policy import Memory
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import MOTION
from bcclone.simulator.score import autonomy_percent
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.errors import UserError
from bcclone.system.statistics import block_jackknife, correlation


@dataclass(frozen=True, eq=False)
class RecordedDrive:
    """A recorded drive, or a fraction of one. Arrays have a value for each row, (rows,)."""

    steering: FloatArray  # as recorded
    speed: FloatArray  # m/s; all 0 if it is not known, and then no car can drive along the path
    seconds: FloatArray  # time to the next row; 0 at the end of an episode
    ends: BoolArray  # whether it is the last row of an episode
    curvature: FloatArray  # of the recorded path, 1/m, positive to the right
    images: Sequence[Mapping[str, str]]  # of a row: camera -> path; missing images are left out
    law: SteeringLaw = SteeringLaw()
    # the unit of all lengths: camera heights if speed and law are estimated
    unit: Literal["m", "camera heights"] = "m"
    # by how much the frames have to be turned down, so that their horizon is where it belongs
    pitch_rad: float = 0.0
    notes: tuple[str, ...] = ()  # sentences: what is assumed, and how well it holds
    estimates: Mapping[str, float] = field(default_factory=dict)  # figures of the estimates

    def __len__(self) -> int:
        return len(self.steering)

    @property
    def distance_m(self) -> float:
        return float(self.speed @ self.seconds)

    @property
    def in_heights(self) -> bool:
        return self.unit != "m"


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
        reason = (
            "the lens of its camera is unknown; find it in what the recording was imported from: "
            "bcclone calibrate models/any-camera.h5 SOURCE -o car.h5, and import SOURCE again as "
            "that says"
        )
    return _refused(recorded, reason)


def read_reference(log: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a drive as read_drive(), with the recorded speeds and the law of the simulator's car."""
    index = ImageIndex(log)
    table = read_log(log).rows
    rows = table.iloc[round(fraction[0] * len(table)) : round(fraction[1] * len(table))]

    # an image that is named in the log, but whose file is gone, is left out
    images = []
    for names in rows[list(CAMERAS)].to_dict("records"):
        found = {camera: index.find(names[camera]) for camera in CAMERAS}
        images.append({camera: path for camera, path in found.items() if path})
    if not images:
        raise UserError(f"{log}: the chosen fraction has no rows; choose another --fraction")
    if not any("center" in paths for paths in images):
        raise UserError(
            f"{log}: none of its centre images is in {index.folders[0]} or next to the log; "
            "put them there"
        )

    # nobody drove in the time between two episodes
    ends = np.append(np.diff(rows["episode"]) != 0, True)
    steps = np.append(np.diff(rows["time_ms"]) / 1000, 0.0)
    seconds = np.where(ends, 0.0, steps)
    steering = rows["steering"].to_numpy(np.float64)
    notes: tuple[str, ...] = ()
    if MOTION.is_in(log.parent):
        notes = (
            "The steering is estimated from these frames: "
            "what is called the human, or recorded, is this estimate.",
        )
    return RecordedDrive(
        steering=steering,
        speed=rows["speed_mph"].to_numpy(np.float64) * MPH,
        seconds=seconds,
        ends=ends,
        curvature=SteeringLaw().curvatures(steering, seconds, ends),
        images=images,
        notes=notes,
    )


# ---- a car that drives along the recorded path


@dataclass(frozen=True)
class RelativePose:
    """A car's pose relative to the reference car: metres to the right, and yaw to the right."""

    lateral_offset_m: float = 0.0
    yaw_rad: float = 0.0


_LOST_RADIANS = math.pi / 3  # at a larger yaw no view can be made, so the car is set back


class Rollout:
    """The drive of a car along a reference drive, from its first row.

    limit_m: deviation at which a person takes over and sets the car back
    """

    def __init__(self, reference: RecordedDrive, limit_m: float) -> None:
        self._reference = reference
        self._limit_m = limit_m
        self.row = 0  # where the car is: the present row of the reference drive
        self.pose = RelativePose()  # of the car at the present row
        self.began = 0  # the row at which it was put where the reference car is
        # what its driver remembers since then, and how it steers
        self.memory: Memory = ()
        self.steering = float(reference.steering[0])
        self.seconds = 0.0
        self.distance_m = 0.0
        self.intervention_rows: list[int] = []  # the rows at whose end a person took over
        # the car's deviation at the end of each row: to the right of the reference car
        self.deviations_m: list[float] = []
        self._lagged = 0.0  # steering that the wheels have reached: they follow with a lag

    def advance(self) -> None:
        """Drive from this row to the next one with the present steering.

        The pose changes by the difference between the two cars' curvatures, along the reference
        path: path coordinates as in A. De Luca and others, "Feedback control of a nonholonomic
        car-like robot", 1998, section 2.2.
        """
        # the wheels follow the steering with a lag
        reference = self._reference
        row = self.row
        seconds = float(reference.seconds[row])
        metres = float(reference.speed[row]) * seconds
        steering = min(max(self.steering, -1.0), 1.0)
        begins = row == 0 or reference.ends[row - 1]
        lagged = float(reference.steering[row]) if begins else self._lagged
        self._lagged = reference.law.follow(lagged, steering, seconds)

        # on the inside of a bend, the car's own way is shorter than the reference car's
        before = self.pose
        bend = float(reference.curvature[row])
        own_metres = metres * (1 - bend * before.lateral_offset_m) / math.cos(before.yaw_rad)
        own_turn = own_metres * reference.law.curvature(self._lagged)
        yaw_rad = before.yaw_rad + own_turn - metres * bend
        mean_yaw_rad = (before.yaw_rad + yaw_rad) / 2
        lateral_offset_m = before.lateral_offset_m + own_metres * math.sin(mean_yaw_rad)

        self.seconds += seconds
        self.distance_m += metres
        self.row = row + 1
        self.deviations_m.append(lateral_offset_m)
        self.pose = RelativePose(lateral_offset_m, yaw_rad)
        is_lost = abs(lateral_offset_m) > self._limit_m or abs(yaw_rad) > _LOST_RADIANS
        if is_lost:
            self.intervention_rows.append(row)
        # after an episode, the way to the next row was not recorded
        if is_lost or reference.ends[row]:
            self.pose = RelativePose()
            self.began = self.row
            self.memory = ()
            self._lagged = steering

    def drive(self, steerings: Iterable[float]) -> Self:
        """Drive a row for each value of the steering; return this rollout."""
        for steering in steerings:
            self.steering = steering
            self.advance()
        return self

    @property
    def score(self) -> dict[str, float]:
        """Return the figures, rounded; rms_cross_track_m is the root mean square deviation."""
        count = len(self.intervention_rows)
        return {
            "autonomy_percent": round(autonomy_percent(count, self.seconds), 2),
            "interventions": count,
            "interventions_per_km": round(1000 * count / max(self.distance_m, 1e-9), 3),
            "rms_cross_track_m": round(float(np.sqrt(np.mean(np.square(self.deviations_m)))), 3),
        }


# ---- estimates for another car than the simulator's

_MIN_ROWS = 100  # fewest rows that an estimate is made from
_CHECK_LIMIT = 2.0  # camera heights: deviation at which the car of the check is set back


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
    moving = motion.usable & (motion.speed > 0)
    if moving.sum() < _MIN_ROWS:
        return _refused(
            recorded,
            f"{moving.sum()} of {len(recorded)} rows show one, expected {_MIN_ROWS}; "
            "name a recording in which the car drives over a ground with some detail",
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
    check = "see whether they belong together: bcclone preprocess RECORDING --check"
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
