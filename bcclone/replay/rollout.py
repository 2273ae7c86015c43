"""Steering, row by row -> how far from the human's path the car is, and where a person would have taken over."""

import math
from dataclasses import dataclass, field

from bcclone.replay.human import Human, curvature, follow
from bcclone.simulator.score import autonomy_percent

_LOST_RADIANS = math.pi / 3  # turned so far from the human's path no view can be made


@dataclass(frozen=True)
class Pose:
    """Where the car is beside the human's, metres to the right, and how far it is turned, radians to the right."""

    beside_m: float = 0.0
    turned: float = 0.0


@dataclass
class Ride:
    """A car that another than the human steers through a recording.

    limit_m: how far beside the human's path a person takes over and sets it back. row: the one that it is at; pose:
    its place there; fresh: what it has seen so far is of another place. interventions: the rows at whose end they came;
    path: metres beside the human's path at the end of each row.
    """

    human: Human
    limit_m: float
    row: int = 0
    pose: Pose = field(default_factory=Pose)
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
    def over(self) -> bool:
        """Return whether the recording is at its end."""
        return self.row == len(self.human)

    def advance(self, steering: float) -> None:
        """Drive from this row to the next one with a steering, -1 to 1.

        The errors grow by the difference between the two cars' curvatures, along the human's path: k and h of the two
        in the usual path coordinates (A. De Luca and others, "Feedback control of a nonholonomic car-like robot",
        1998, section 2.2).
        """
        human, row = self.human, self.row
        seconds, metres = human.seconds[row], human.speed[row] * human.seconds[row]
        steering = min(max(steering, -1.0), 1.0)
        begins = row == 0 or human.ends[row - 1]
        self._lagged = follow(human.steering[row] if begins else self._lagged, steering, seconds)
        before, bend = self.pose, curvature(human.lagged[row])
        own_metres = metres * (1 - bend * before.beside_m) / math.cos(before.turned)
        turned = before.turned + own_metres * curvature(self._lagged) - metres * bend
        beside_m = before.beside_m + own_metres * math.sin((before.turned + turned) / 2)
        self.seconds, self.distance_m, self.row = self.seconds + seconds, self.distance_m + metres, row + 1
        self.path.append(beside_m)
        self.pose, self.fresh = Pose(beside_m, turned), False
        if abs(beside_m) > self.limit_m or abs(turned) > _LOST_RADIANS:
            self.interventions.append(row)
            self._set_back(steering)
        elif human.ends[row]:  # what lies between was not recorded
            self._set_back(steering)

    def figures(self) -> dict[str, float | int]:
        """Return what the ride came to, by name, rounded."""
        rms = math.sqrt(sum(beside**2 for beside in self.path) / max(len(self.path), 1))
        return {
            "autonomy_percent": round(autonomy_percent(len(self.interventions), self.seconds), 2),
            "interventions": len(self.interventions),
            "interventions_per_km": round(1000 * len(self.interventions) / max(self.distance_m, 1e-9), 3),
            "rms_cross_track_m": round(rms, 3),
        }

    def _set_back(self, steering: float) -> None:
        """Put the car where the human's is; its yaw follows its own wheels at once."""
        self.pose, self.fresh, self._lagged = Pose(), True, steering
