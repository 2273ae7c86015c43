"""Where the car was at every step -> how well it drove: autonomy, interventions, distance from the centre line."""

from dataclasses import dataclass, field

import numpy as np

from bcclone.simulator.car import STEP_SECONDS
from bcclone.simulator.track import Place
from bcclone.vehicle import MPH

INTERVENTION_SECONDS = 6.0  # what a person's taking over costs, as the PilotNet paper counts it
_TRACE_STEPS = 5  # of the car, between two points of the driven line


def autonomy_percent(interventions: int, seconds: float) -> float:
    """Return (1 - interventions x 6 s / elapsed seconds) x 100: Bojarski and others, 2016, section 7.

    Below 0 where a person would have had to take over more often than every 6 s.
    """
    return (1 - interventions * INTERVENTION_SECONDS / max(seconds, STEP_SECONDS)) * 100


@dataclass(frozen=True)
class DrivenPoint:
    """A point of the driven line: metres, and how far to the right of the centre line."""

    x: float
    z: float
    cross_track_m: float


@dataclass(frozen=True)
class Intervention:
    """Where a person would have had to take over, and after how many metres."""

    x: float
    z: float
    after_m: float


@dataclass
class Score:
    """What a drive came to so far. limit_m: how far from the centre line is off the road."""

    limit_m: float
    steps: int = 0
    distance_m: float = 0.0
    interventions: list[Intervention] = field(default_factory=list)
    trace: list[DrivenPoint] = field(default_factory=list)
    _off_road: bool = False
    _cross_tracks: list[float] = field(default_factory=list)
    _steering: list[float] = field(default_factory=list)

    def note(self, x: float, z: float, place: Place, speed: float) -> bool:
        """Take one step of the car into account, at this speed, m/s; return whether it is off the road."""
        if self.steps % _TRACE_STEPS == 0:
            self.trace.append(DrivenPoint(x, z, place.cross_track_m))
        self.steps += 1
        self.distance_m += speed * STEP_SECONDS
        self._cross_tracks.append(abs(place.cross_track_m))
        was_off_road, self._off_road = self._off_road, abs(place.cross_track_m) > self.limit_m
        if self._off_road and not was_off_road:
            self.interventions.append(Intervention(x, z, self.distance_m))
        return self._off_road

    def give_up(self, x: float, z: float) -> None:
        """Count the end of a drive that did not come to its goal: a person would have had to take over there."""
        self.interventions.append(Intervention(x, z, self.distance_m))

    def note_steering(self, steering: float) -> None:
        """Take a steering command into account."""
        self._steering.append(steering)

    @property
    def seconds(self) -> float:
        """Return the simulated time driven."""
        return self.steps * STEP_SECONDS

    @property
    def autonomy_percent(self) -> float:
        """Return the share of the time that the car drove by itself: autonomy_percent()."""
        return autonomy_percent(len(self.interventions), self.seconds)

    @property
    def first_off_road_m(self) -> float:
        """Return how far it came before the first intervention, or altogether without one."""
        return self.interventions[0].after_m if self.interventions else self.distance_m

    def figures(self) -> dict[str, float | int | None]:
        """Return the figures by name, rounded; steering_smoothness: mean absolute change of steering a second.

        first_off_road_m: how far it came before it left the road first, None when it did not.
        """
        beside = np.array(self._cross_tracks or [0.0])
        change = float(np.abs(np.diff(self._steering)).sum()) if len(self._steering) > 1 else 0.0
        seconds = max(self.seconds, STEP_SECONDS)
        return {
            "autonomy_percent": round(self.autonomy_percent, 2),
            "interventions": len(self.interventions),
            "first_off_road_m": round(self.first_off_road_m, 1) if self.interventions else None,
            "distance_m": round(self.distance_m, 1),
            "mean_abs_cross_track_m": round(float(beside.mean()), 3),
            "max_abs_cross_track_m": round(float(beside.max()), 3),
            "mean_speed_mph": round(self.distance_m / seconds / MPH, 2),
            "steering_smoothness": round(change / seconds, 4),
            "seconds": round(self.seconds, 2),
        }
