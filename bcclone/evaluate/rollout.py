"""A log -> the recorded drive; the steering of another driver, row by row -> deviation from it and interventions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np

from bcclone.dataset.vehicle import MPH, SteeringLaw
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.simulator.score import autonomy_percent
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

SMOOTHED_ROWS = 9  # 0.6 s, against the steps of a keyboard
_LOST_RADIANS = math.pi / 3  # at a larger yaw no view can be made


@dataclass(frozen=True)
class RecordedDrive:
    """A recorded drive, or a fraction of one, a value per row in each field but the last four.

    steering, throttle: as recorded; speed: m/s; seconds: until the next row; ends: whether a gap follows, whose
    duration does not count; curvature: of its path, 1/m, to the right positive; images: camera -> path, of those that
    exist. law: of the car; unit: of all lengths, not the metre if speed and law are estimated (estimated_drive.py);
    notes: what is assumed and how well it holds, in sentences; estimates: its figures.
    """

    steering: tuple[float, ...]
    throttle: tuple[float, ...]
    speed: tuple[float, ...]
    seconds: tuple[float, ...]
    ends: tuple[bool, ...]
    curvature: tuple[float, ...]
    images: tuple[Mapping[str, str], ...]
    law: SteeringLaw = SteeringLaw()
    unit: Literal["m", "camera heights"] = "m"
    notes: tuple[str, ...] = ()
    estimates: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.steering)

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds)

    @property
    def distance_m(self) -> float:
        """Return how far the car drove, 0 for a recording without speeds: nothing can be driven through it."""
        return sum(speed * seconds for speed, seconds in zip(self.speed, self.seconds, strict=True))

    @property
    def in_heights(self) -> bool:
        return self.unit != "m"

    @property
    def smoothed_steering(self) -> FloatArray:
        return running_mean(self.steering)


def read_reference(log_path: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive; raises UserError if it is no log, or has no centre images.

    fraction: start and end of the rows to read, in order of time, 0 to 1.
    """
    index, table = ImageIndex(log_path), read_log(log_path).rows
    first, last = (round(position * len(table)) for position in fraction)
    rows = table.iloc[first:last]
    images = tuple(
        {camera: path for camera in CAMERAS if row[camera] and (path := index.find(row[camera])) is not None}
        for row in rows[list(CAMERAS)].to_dict("records")
    )
    if not any("center" in paths for paths in images):
        missing = f"none of its centre images is in {index.folders[0]} or next to the log; put them there"
        raise UserError(
            f"{log_path}: {missing if images else 'the chosen fraction has no rows; choose another --fraction'}"
        )
    last_ones = np.append(np.diff(rows["episode"]) != 0, True)
    gaps = np.append(np.diff(rows["time_ms"]) / 1000, 0.0)
    ends, seconds = tuple(last_ones.tolist()), tuple(np.where(last_ones, 0.0, gaps).tolist())
    steering, throttle, speed = (
        tuple(values.tolist()) for values in (rows["steering"], rows["throttle"], rows["speed_mph"] * MPH)
    )
    curvature = SteeringLaw().curvatures(steering, seconds, ends)
    return RecordedDrive(steering, throttle, speed, seconds, ends, curvature, images)


def running_mean(steering: Sequence[float] | FloatArray) -> FloatArray:
    """Return the mean over nine values, four on either side of each, (values,)."""
    ones = np.ones(SMOOTHED_ROWS)
    sums, counts = np.convolve(steering, ones), np.convolve(np.ones(len(steering)), ones)
    return np.asarray(sums / counts)[SMOOTHED_ROWS // 2 :][: len(steering)]


@dataclass(frozen=True)
class RelativePose:
    """A car's pose relative to the reference car: metres to the right, and yaw to the right."""

    lateral_offset_m: float = 0.0
    yaw_rad: float = 0.0


@dataclass(frozen=True)
class RolloutScore:
    """Figures of a rollout, rounded. rms_cross_track_m: root mean square of the deviation."""

    autonomy_percent: float
    interventions: int
    interventions_per_km: float
    rms_cross_track_m: float


@dataclass
class Rollout:
    """A car that another driver steers along the reference drive.

    limit_m: deviation at which a person takes over and sets the car back. row: the present row; pose: the car's pose
    there; fresh: whether the car has just been set back, so that earlier frames do not belong to this pose;
    interventions: rows at whose end they happened; path: deviation at the end of each row, in metres to the right.
    """

    reference: RecordedDrive
    limit_m: float
    row: int = 0
    pose: RelativePose = field(default_factory=RelativePose)
    fresh: bool = True
    seconds: float = 0.0
    distance_m: float = 0.0
    interventions: list[int] = field(default_factory=list)
    path: list[float] = field(default_factory=list)
    _lagged: float = 0.0

    @property
    def ended(self) -> bool:
        return self.row == len(self.reference)

    def advance(self, steering: float) -> None:
        """Drive from this row to the next one with a steering, -1 to 1.

        The pose changes by the difference between the two cars' curvatures, along the reference path: path coordinates
        as in A. De Luca and others, "Feedback control of a nonholonomic car-like robot", 1998, section 2.2.
        """
        reference, row = self.reference, self.row
        seconds, metres = reference.seconds[row], reference.speed[row] * reference.seconds[row]
        steering = min(max(steering, -1.0), 1.0)
        begins = row == 0 or reference.ends[row - 1]
        self._lagged = reference.law.follow(reference.steering[row] if begins else self._lagged, steering, seconds)
        before, bend = self.pose, reference.curvature[row]
        own_metres = metres * (1 - bend * before.lateral_offset_m) / math.cos(before.yaw_rad)
        yaw_rad = before.yaw_rad + own_metres * reference.law.curvature(self._lagged) - metres * bend
        lateral_offset_m = before.lateral_offset_m + own_metres * math.sin((before.yaw_rad + yaw_rad) / 2)
        self.seconds, self.distance_m, self.row = self.seconds + seconds, self.distance_m + metres, row + 1
        self.path.append(lateral_offset_m)
        self.pose, self.fresh = RelativePose(lateral_offset_m, yaw_rad), False
        if abs(lateral_offset_m) > self.limit_m or abs(yaw_rad) > _LOST_RADIANS:
            self.interventions.append(row)
            self._set_back(steering)
        elif reference.ends[row]:  # the drive to the next row was not recorded
            self._set_back(steering)

    def advance_by(self, steerings: Iterable[float]) -> Self:
        """Drive as far as there are values of the steering; return this rollout."""
        for steering in steerings:
            self.advance(steering)
        return self

    @property
    def score(self) -> RolloutScore:
        rms = math.sqrt(sum(deviation**2 for deviation in self.path) / max(len(self.path), 1))
        return RolloutScore(
            autonomy_percent=round(autonomy_percent(len(self.interventions), self.seconds), 2),
            interventions=len(self.interventions),
            interventions_per_km=round(1000 * len(self.interventions) / max(self.distance_m, 1e-9), 3),
            rms_cross_track_m=round(rms, 3),
        )

    def _set_back(self, steering: float) -> None:
        """Put the car where the reference car is; its yaw follows its own wheels at once."""
        self.pose, self.fresh, self._lagged = RelativePose(), True, steering


def rollouts_of(reference: RecordedDrive, limits_m: Iterable[float]) -> dict[float, Rollout]:
    """Return a rollout for each limit, at its beginning; none for a reference drive of no distance."""
    return {limit_m: Rollout(reference, limit_m) for limit_m in limits_m} if reference.distance_m else {}
