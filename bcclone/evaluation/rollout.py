"""Drive a simulated car along a recorded drive -> its deviation and its interventions.

The reference car drives the recorded path. A rollout is the drive of another car, which starts at
the same place and is steered by a model; its pose is measured relative to the reference car.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from bcclone.camera.vehicle import MPH, SteeringLaw
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import MOTION
from bcclone.simulator.score import autonomy_percent
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

_SMOOTHED_ROWS = 9  # rows of a running mean, 0.6 s: smooths the steps of steering by keyboard


@dataclass(frozen=True)
class RecordedDrive:
    """A recorded drive, or a fraction of one."""

    # a value for each row of the log
    steering: tuple[float, ...]  # as recorded
    speed: tuple[float, ...]  # m/s
    seconds: tuple[float, ...]  # time to the next row; 0 at the end of an episode
    ends: tuple[bool, ...]  # whether it is the last row of an episode
    curvature: tuple[float, ...]  # of the recorded path, 1/m, positive to the right
    images: tuple[Mapping[str, str], ...]  # camera -> path of an image; missing images are left out
    # a value for the whole drive
    law: SteeringLaw = SteeringLaw()  # how the car turns for a steering
    # the unit of all lengths: camera heights if speed and law are estimated (estimated_drive.py)
    unit: Literal["m", "camera heights"] = "m"
    # by how much the frames have to be turned down, so that their horizon is where it belongs
    pitch_rad: float = 0.0
    notes: tuple[str, ...] = ()  # sentences: what is assumed, and how well it holds
    estimates: Mapping[str, float] = field(default_factory=dict)  # figures of the estimates

    def __len__(self) -> int:
        return len(self.steering)

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds)

    @property
    def distance_m(self) -> float:
        """Return how far the car drove; 0 without speeds, and then no rollout is possible."""
        return sum(speed * seconds for speed, seconds in zip(self.speed, self.seconds, strict=True))

    @property
    def in_heights(self) -> bool:
        return self.unit != "m"

    @property
    def smoothed_steering(self) -> FloatArray:
        """Return the mean of each steering and its four neighbours on either side, (rows,).

        At the ends, the mean is over the neighbours that exist.
        """
        ones = np.ones(_SMOOTHED_ROWS)
        sums = np.convolve(self.steering, ones)
        counts = np.convolve(np.ones(len(self)), ones)
        return np.asarray(sums / counts)[_SMOOTHED_ROWS // 2 :][: len(self)]


def read_reference(log_path: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive; raises UserError if it is no log, or has no centre images.

    fraction: start and end of the rows to read, in order of time, 0 to 1.
    """
    index = ImageIndex(log_path)
    table = read_log(log_path).rows
    first = round(fraction[0] * len(table))
    last = round(fraction[1] * len(table))
    rows = table.iloc[first:last]

    # an image that is named in the log, but whose file is gone, is left out
    images = tuple(_image_paths(index, row) for row in rows[list(CAMERAS)].to_dict("records"))
    if not images:
        raise UserError(f"{log_path}: the chosen fraction has no rows; choose another --fraction")
    if not any("center" in paths for paths in images):
        raise UserError(
            f"{log_path}: none of its centre images is in {index.folders[0]} or next to the log; "
            "put them there"
        )

    # nobody drove in the time between two episodes
    is_last = np.append(np.diff(rows["episode"]) != 0, True)
    steps = np.append(np.diff(rows["time_ms"]) / 1000, 0.0)
    ends = tuple(is_last.tolist())
    seconds = tuple(np.where(is_last, 0.0, steps).tolist())
    steering = tuple(rows["steering"].tolist())
    notes = []
    if MOTION.is_in(log_path.parent):
        notes.append(
            "The steering is estimated from these frames: "
            "what is called the human, or recorded, is this estimate."
        )
    return RecordedDrive(
        steering=steering,
        speed=tuple((rows["speed_mph"] * MPH).tolist()),
        seconds=seconds,
        ends=ends,
        curvature=SteeringLaw().curvatures(steering, seconds, ends),
        images=images,
        notes=tuple(notes),
    )


def _image_paths(index: ImageIndex, row: Mapping[Any, str]) -> dict[str, str]:
    """Return camera -> path for the images of a row whose files exist."""
    paths = {}
    for camera in CAMERAS:
        path = index.find(row[camera]) if row[camera] else None
        if path is not None:
            paths[camera] = path
    return paths


@dataclass(frozen=True)
class RelativePose:
    """A car's pose relative to the reference car: metres to the right, and yaw to the right."""

    lateral_offset_m: float = 0.0
    yaw_rad: float = 0.0


_LOST_RADIANS = math.pi / 3  # at a larger yaw no view can be made, so the car is set back


class Rollout:
    """The drive of a car that another driver steers along the reference drive."""

    def __init__(self, reference: RecordedDrive, limit_m: float) -> None:
        """Begin a rollout at the first row.

        limit_m: deviation at which a person takes over and sets the car back
        """
        self.reference = reference
        self.limit_m = limit_m
        self.row = 0  # where the car is: the present row of the reference drive
        self.pose = RelativePose()  # of the car at the present row
        # whether it was just set back, so that earlier frames are of another drive
        self.fresh = True
        self.seconds = 0.0
        self.distance_m = 0.0
        self.intervention_rows: list[int] = []  # the rows at whose end a person took over
        # the car's deviation at the end of each row: to the right of the reference car
        self.deviations_m: list[float] = []
        self._lagged = 0.0  # steering that the wheels have reached: they follow with a lag

    @property
    def ended(self) -> bool:
        return self.row == len(self.reference)

    def advance(self, steering: float) -> None:
        """Drive from this row to the next one with a steering, -1 to 1.

        The pose changes by the difference between the two cars' curvatures, along the reference
        path: path coordinates as in A. De Luca and others, "Feedback control of a nonholonomic
        car-like robot", 1998, section 2.2.
        """
        # the wheels follow the steering with a lag
        reference = self.reference
        row = self.row
        seconds = reference.seconds[row]
        metres = reference.speed[row] * seconds
        steering = min(max(steering, -1.0), 1.0)
        begins = row == 0 or reference.ends[row - 1]
        lagged = reference.steering[row] if begins else self._lagged
        self._lagged = reference.law.follow(lagged, steering, seconds)

        # on the inside of a bend, the car's own way is shorter than the reference car's
        before = self.pose
        bend = reference.curvature[row]
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
        self.fresh = False
        if abs(lateral_offset_m) > self.limit_m or abs(yaw_rad) > _LOST_RADIANS:
            self.intervention_rows.append(row)
            self._set_back(steering)
        elif reference.ends[row]:  # an episode ends: the way to the next row was not recorded
            self._set_back(steering)

    def advance_by(self, steerings: Iterable[float]) -> Self:
        """Drive a row for each value of the steering; return this rollout."""
        for steering in steerings:
            self.advance(steering)
        return self

    @property
    def score(self) -> dict[str, float]:
        """Return the figures, rounded; rms_cross_track_m is the root mean square deviation."""
        count = len(self.intervention_rows)
        square_sum = sum(deviation_m**2 for deviation_m in self.deviations_m)
        rms = math.sqrt(square_sum / max(len(self.deviations_m), 1))
        return {
            "autonomy_percent": round(autonomy_percent(count, self.seconds), 2),
            "interventions": count,
            "interventions_per_km": round(1000 * count / max(self.distance_m, 1e-9), 3),
            "rms_cross_track_m": round(rms, 3),
        }

    def _set_back(self, steering: float) -> None:
        """Put the car where the reference car is, with its wheels turned to the steering."""
        self.pose = RelativePose()
        self.fresh = True
        self._lagged = steering


def rollouts_of(reference: RecordedDrive, limits_m: Iterable[float]) -> dict[float, Rollout]:
    """Return limit -> a rollout that has not begun; none along a drive of no distance."""
    if not reference.distance_m:
        return {}
    return {limit_m: Rollout(reference, limit_m) for limit_m in limits_m}
