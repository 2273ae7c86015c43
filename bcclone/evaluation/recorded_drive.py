"""A recording -> a drive along which other cars can drive, and the drive of such a car.

The recording's own car, the reference car, drives the recorded path. The steering law says how far
a steering turns a car and how late. Of the simulator's car, speed and law are known;
estimated_drive.py estimates those of another car.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np

from bcclone.camera.vehicle import MPH, SteeringLaw
from bcclone.model.policy import Memory
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import MOTION
from bcclone.simulator.score import autonomy_percent
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.errors import UserError


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


def read_reference(log: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a drive with the recorded speeds and the law of the simulator's car.

    Raises UserError if it is not a log, or has no centre images.

    fraction: start and end of the rows to read, in order of time, 0 to 1
    """
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
