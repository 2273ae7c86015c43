"""Score a drive: positions and commands, step by step -> autonomy, interventions and departures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bcclone.camera.vehicle import MPH
from bcclone.simulator.car import STEP_SECONDS
from bcclone.simulator.track import TrackPosition
from bcclone.simulator.world_settings import LAPS_DRIVEN

# Distances from the centre line beyond which published studies count a failure; an intervention is
# counted only when the car leaves the road
FAILURE_LIMITS_M = (2.2, 2.5, 3.0)


@dataclass(frozen=True)
class Score:
    """The figures of a drive, rounded."""

    autonomy_percent: float  # as autonomy_percent() returns it
    interventions: int  # how often a person would have taken over
    # driven before the first intervention of any kind; None if there was none
    first_off_road_m: float | None
    distance_m: float
    mean_abs_cross_track_m: float
    max_abs_cross_track_m: float
    mean_speed_mph: float
    steering_smoothness: float  # mean absolute change per second: lower is smoother
    seconds: float
    departures: Mapping[str, int]  # limit in metres, such as "2.2" -> how often it was exceeded
    laps: float
    ended: str  # why it ended, LAPS_DRIVEN at its goal, "" before the end

    @property
    def complete(self) -> bool:
        return self.ended == LAPS_DRIVEN

    def describe_departures(self) -> str:
        """A drive that ended before its goal counts as once more off the road, as in a suite."""
        beyond = [f"beyond {limit} m: {count}" for limit, count in self.departures.items()]
        return ", ".join([*beyond, f"off the road: {self.interventions}"])


@dataclass(frozen=True)
class LinePoint:
    """A point of the driven line."""

    x: float  # metres
    z: float
    cross_track_m: float  # to the right of the centre line


@dataclass(frozen=True)
class Intervention:
    """Where a person would have taken over."""

    x: float  # metres
    z: float
    after_m: float  # distance driven before


_TRACE_STEPS = 5  # steps of the car between two points of the driven line
TRACE_SECONDS = _TRACE_STEPS * STEP_SECONDS


class Scorer:
    """Collects the steps of a drive and scores them.

    interventions: those so far, in order of time
    trace: the driven line, a point every 0.1 s
    """

    def __init__(self) -> None:
        self._steps = 0
        self._distance_m = 0.0
        self._off_road = False
        self._cross_tracks_m: list[float] = []  # absolute value at each step
        self._steering: list[float] = []  # each command, -1 to 1
        # limit in metres -> whether the car is beyond it now, and how often it went beyond it
        self._beyond = dict.fromkeys(FAILURE_LIMITS_M, False)
        self._departures = dict.fromkeys(FAILURE_LIMITS_M, 0)
        self.interventions: list[Intervention] = []
        self.trace: list[LinePoint] = []

    @property
    def seconds(self) -> float:
        return self._steps * STEP_SECONDS

    def add_step(self, x: float, z: float, position: TrackPosition, speed: float) -> bool:
        """Add a step of the car at a speed in m/s; return whether the car is off the road."""
        if self._steps % _TRACE_STEPS == 0:
            self.trace.append(LinePoint(x, z, position.cross_track_m))
        away_m = abs(position.cross_track_m)
        self._steps += 1
        self._distance_m += speed * STEP_SECONDS
        self._cross_tracks_m.append(away_m)

        # a departure each time that the car goes beyond a limit
        for limit_m, was_beyond in self._beyond.items():
            self._beyond[limit_m] = away_m > limit_m
            self._departures[limit_m] += self._beyond[limit_m] and not was_beyond

        # an intervention each time that the car leaves the road
        was_off_road = self._off_road
        self._off_road = position.off_road
        if self._off_road and not was_off_road:
            self.add_intervention(x, z)
        return self._off_road

    def add_steering(self, steering: float) -> None:
        """Add a steering command, -1 to 1."""
        self._steering.append(steering)

    @property
    def full_steering(self) -> float:
        """Return the fraction of the commands that were full steering."""
        if not self._steering:
            return 0.0
        return float(np.mean(np.abs(self._steering) > 0.999))

    def add_intervention(self, x: float, z: float) -> None:
        """Add an intervention. x, z: where the car was at the last step"""
        self.interventions.append(Intervention(x, z, self._distance_m))

    def score(self, laps: float = 0.0, ended: str = "") -> Score:
        """Return the score of the drive so far.

        laps: how many laps were driven
        ended: why the drive ended, "" before the end
        """
        cross_tracks_m = np.array(self._cross_tracks_m or [0.0])
        seconds = max(self.seconds, STEP_SECONDS)
        first_off_road_m = None
        if self.interventions:
            first_off_road_m = round(self.interventions[0].after_m, 1)
        change = 0.0
        if len(self._steering) > 1:
            change = float(np.abs(np.diff(self._steering)).sum())
        return Score(
            autonomy_percent=round(autonomy_percent(len(self.interventions), self.seconds), 2),
            interventions=len(self.interventions),
            first_off_road_m=first_off_road_m,
            distance_m=round(self._distance_m, 1),
            mean_abs_cross_track_m=round(float(cross_tracks_m.mean()), 3),
            max_abs_cross_track_m=round(float(cross_tracks_m.max()), 3),
            mean_speed_mph=round(self._distance_m / seconds / MPH, 2),
            steering_smoothness=round(change / seconds, 4),
            seconds=round(self.seconds, 2),
            departures={f"{limit_m:g}": count for limit_m, count in self._departures.items()},
            laps=round(laps, 3),
            ended=ended,
        )


INTERVENTION_SECONDS = 6.0  # time that an intervention costs, as in the PilotNet paper


def autonomy_percent(interventions: int, seconds: float) -> float:
    """Return (1 - interventions x 6 s / elapsed seconds) x 100.

    It is negative for more than one intervention every 6 s. Source: Bojarski and others, 2016,
    section 7.
    """
    return (1 - interventions * INTERVENTION_SECONDS / max(seconds, STEP_SECONDS)) * 100


def autonomy_text(percent: float) -> str:
    """Return an autonomy for a person: a share of the time, which is 0 % at least."""
    return f"{max(percent, 0.0):.1f} %"
