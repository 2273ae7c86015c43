"""Score a drive: the car's positions and commands, step by step -> autonomy, interventions,
distances and events.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bcclone.camera.vehicle import MPH
from bcclone.simulator.car import STEP_SECONDS
from bcclone.simulator.track import TrackPosition
from bcclone.system.json_values import to_json

INTERVENTION_SECONDS = 6.0  # cost of an intervention, as in the PilotNet paper
# Distances from the centre line at which published studies count a failure, besides leaving the
# road
FAILURE_LIMITS_M = (2.2, 2.5, 3.0)
OFF_ROAD = "off the road"
LAPS_DRIVEN = "laps driven"  # how a successful drive ends
_TRACE_STEPS = 5  # steps of the car between two points of the driven line


@dataclass(frozen=True)
class Score:
    """The figures of a drive, rounded.

    first_off_road_m: distance driven before the first intervention, None if there was none;
    steering_smoothness: mean absolute change of the steering per second; departures: distance from
    the centre line in metres -> how often the car went beyond it; ended: why it ended, LAPS_DRIVEN
    at its goal, "" before the end.
    """

    autonomy_percent: float
    interventions: int
    first_off_road_m: float | None
    distance_m: float
    mean_abs_cross_track_m: float
    max_abs_cross_track_m: float
    mean_speed_mph: float
    steering_smoothness: float
    seconds: float
    departures: Mapping[str, int]
    laps: float
    ended: str

    @property
    def complete(self) -> bool:
        return self.ended == LAPS_DRIVEN

    def describe_departures(self) -> str:
        """Return how often the car went beyond each of the published limits, and off the road."""
        beyond = "".join(f"{count} beyond {limit} m, " for limit, count in self.departures.items())
        return f"{beyond}{self.interventions} off the road"


@dataclass(frozen=True)
class LinePoint:
    """A point of the driven line: x and z in metres, and its distance to the right of the centre
    line.
    """

    x: float
    z: float
    cross_track_m: float


@dataclass(frozen=True)
class DriveEvent:
    """What happened on a drive: after how many seconds, where (metres), how far off the centre
    line, and why.
    """

    seconds: float
    x: float
    z: float
    along_m: float
    cross_track_m: float
    cause: str


def event_lines(events: Iterable[DriveEvent], **more: str) -> str:
    """Return events as JSON lines. more: other entries of each line."""
    return "".join(json.dumps(more | to_json(event)) + "\n" for event in events)


@dataclass(frozen=True)
class Intervention:
    """Where a person would have taken over: x and z in metres, and the distance driven until then."""

    x: float
    z: float
    after_m: float


class Scorer:
    """Collects the steps of a drive and scores them.

    trace: the driven line.
    """

    def __init__(self) -> None:
        self._steps, self._distance_m, self._off_road = 0, 0.0, False
        self._cross_tracks: list[float] = []
        self._steering: list[float] = []
        self._beyond = dict.fromkeys(FAILURE_LIMITS_M, False)
        self._last: tuple[float, float, TrackPosition] | None = None
        self.interventions: list[Intervention] = []
        self.events: list[DriveEvent] = []
        self.trace: list[LinePoint] = []

    @property
    def seconds(self) -> float:
        return self._steps * STEP_SECONDS

    def add_step(self, x: float, z: float, position: TrackPosition, speed: float) -> bool:
        """Add a step of the car at a speed in m/s; return whether the car is off the road."""
        if self._steps % _TRACE_STEPS == 0:
            self.trace.append(LinePoint(x, z, position.cross_track_m))
        self._steps += 1
        self._distance_m += speed * STEP_SECONDS
        self._cross_tracks.append(abs(position.cross_track_m))
        self._last = x, z, position
        for limit_m, was_beyond in self._beyond.items():
            self._beyond[limit_m] = abs(position.cross_track_m) > limit_m
            if self._beyond[limit_m] and not was_beyond:
                self._add_event(f"beyond {limit_m:g} m")
        was_off_road, self._off_road = self._off_road, position.off_road
        if self._off_road and not was_off_road:
            self.interventions.append(Intervention(x, z, self._distance_m))
            self._add_event(OFF_ROAD)
        return self._off_road

    def add_steering(self, steering: float) -> None:
        """Add a steering command, -1 to 1."""
        self._steering.append(steering)

    @property
    def full_steering(self) -> float:
        """Return the fraction of the commands that were full steering."""
        return float(np.mean(np.abs(self._steering) > 0.999)) if self._steering else 0.0

    def add_failure(self, x: float, z: float, cause: str) -> None:
        """Add the intervention that ends a drive before its goal."""
        self.interventions.append(Intervention(x, z, self._distance_m))
        self._add_event(cause)

    def _add_event(self, cause: str) -> None:
        """Add what happened at the last step; it does not count as an intervention."""
        if self._last is not None:
            x, z, position = self._last
            along_m, cross_track_m = round(position.along_m, 3), round(position.cross_track_m, 3)
            event = DriveEvent(
                round(self.seconds, 3), round(x, 3), round(z, 3), along_m, cross_track_m, cause
            )
            self.events.append(event)

    def score(self, laps: float = 0.0, ended: str = "") -> Score:
        """Return the score of the drive so far. laps: driven; ended: why it ended."""
        cross_tracks = np.array(self._cross_tracks or [0.0])
        change = float(np.abs(np.diff(self._steering)).sum()) if len(self._steering) > 1 else 0.0
        seconds = max(self.seconds, STEP_SECONDS)
        return Score(
            autonomy_percent=round(autonomy_percent(len(self.interventions), self.seconds), 2),
            interventions=len(self.interventions),
            first_off_road_m=round(self.interventions[0].after_m, 1)
            if self.interventions
            else None,
            distance_m=round(self._distance_m, 1),
            mean_abs_cross_track_m=round(float(cross_tracks.mean()), 3),
            max_abs_cross_track_m=round(float(cross_tracks.max()), 3),
            mean_speed_mph=round(self._distance_m / seconds / MPH, 2),
            steering_smoothness=round(change / seconds, 4),
            seconds=round(self.seconds, 2),
            departures={
                f"{limit_m:g}": sum(event.cause == f"beyond {limit_m:g} m" for event in self.events)
                for limit_m in FAILURE_LIMITS_M
            },
            laps=round(laps, 3),
            ended=ended,
        )


def autonomy_percent(interventions: int, seconds: float) -> float:
    """Return (1 - interventions x 6 s / elapsed seconds) x 100: Bojarski and others, 2016, section
    7.

    It is negative for more than one intervention every 6 s.
    """
    return (1 - interventions * INTERVENTION_SECONDS / max(seconds, STEP_SECONDS)) * 100
