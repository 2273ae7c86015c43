"""Roll out a driver's steering along the reference drive: the deviation from its path, and the interventions."""

import math
from dataclasses import dataclass, field

from bcclone.evaluate.reference import RecordedDrive, curvature, follow
from bcclone.simulator.score import autonomy_percent

_LOST_RADIANS = math.pi / 3  # at a larger yaw no view can be made


@dataclass(frozen=True)
class RelativePose:
    """The car's pose relative to the reference car: metres to the right, and yaw to the right."""

    lateral_offset_m: float = 0.0
    yaw_rad: float = 0.0


@dataclass(frozen=True)
class RolloutScore:
    """Figures of a rollout, rounded. rms_cross_track_m: root mean square of the deviation."""

    autonomy_percent: float
    interventions: int
    interventions_per_km: float
    rms_cross_track_m: float


@dataclass(frozen=True)
class RolloutResult:
    """A rollout that has ended.

    path: deviation from the recorded path at the end of each row, in metres to the right; interventions: the rows at
    whose end they happened.
    """

    score: RolloutScore
    distance_m: float
    path: tuple[float, ...]
    interventions: tuple[int, ...]


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

    def __post_init__(self) -> None:
        if not 0 < self.limit_m < math.inf:
            raise ValueError(f"limit {self.limit_m:g} m, expected more than 0")

    @property
    def ended(self) -> bool:
        """Return whether the recording is at its end."""
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
        self._lagged = follow(reference.steering[row] if begins else self._lagged, steering, seconds)
        before, bend = self.pose, curvature(reference.lagged[row])
        own_metres = metres * (1 - bend * before.lateral_offset_m) / math.cos(before.yaw_rad)
        yaw_rad = before.yaw_rad + own_metres * curvature(self._lagged) - metres * bend
        lateral_offset_m = before.lateral_offset_m + own_metres * math.sin((before.yaw_rad + yaw_rad) / 2)
        self.seconds, self.distance_m, self.row = self.seconds + seconds, self.distance_m + metres, row + 1
        self.path.append(lateral_offset_m)
        self.pose, self.fresh = RelativePose(lateral_offset_m, yaw_rad), False
        if abs(lateral_offset_m) > self.limit_m or abs(yaw_rad) > _LOST_RADIANS:
            self.interventions.append(row)
            self._set_back(steering)
        elif reference.ends[row]:  # the drive to the next row was not recorded
            self._set_back(steering)

    def result(self) -> RolloutResult:
        """Return the rollout so far, with its score."""
        rms = math.sqrt(sum(deviation**2 for deviation in self.path) / max(len(self.path), 1))
        score = RolloutScore(
            autonomy_percent=round(autonomy_percent(len(self.interventions), self.seconds), 2),
            interventions=len(self.interventions),
            interventions_per_km=round(1000 * len(self.interventions) / max(self.distance_m, 1e-9), 3),
            rms_cross_track_m=round(rms, 3),
        )
        return RolloutResult(score, self.distance_m, tuple(self.path), tuple(self.interventions))

    def _set_back(self, steering: float) -> None:
        """Put the car where the reference car is; its yaw follows its own wheels at once."""
        self.pose, self.fresh, self._lagged = RelativePose(), True, steering
