"""The suite's scenarios, and the results of driving them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

from bcclone.dataset.vehicle import MPH
from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.evaluate.replay_result import ReplayFigures
from bcclone.lab.monitor.points import DoubtPoint, doubt_figures
from bcclone.simulator.score import DriveEvent, Intervention, LinePoint, Score
from bcclone.simulator.track import LAKE, MOUNTAIN, load_track
from bcclone.simulator.world import LAPS_DRIVEN
from bcclone.simulator.world_settings import Conditions, WorldSettings
from bcclone.system.errors import UserError, did_you_mean

_LAKE_MPH, _MOUNTAIN_MPH = 20.0, 15.0
_WEATHERS = ("fog", "rain", "snow")
_RANDOM_ROADS, _RANDOM_MPH = 30, (15.0, 25.0)  # seeds from 0; those of `simulate roads` begin far above
_DENSEST_FOG, _SINGLE_STRENGTH, _NIGHT_CYCLE_SECONDS = 20.0, 0.5, 60.0
_LOW_SUN = Conditions(sun_elevation=12.0, sun_azimuth=0.0)  # the azimuth with the most shadows on the road


@dataclass(frozen=True)
class Scenario:
    """A scenario of the suite, which is a row of its tables: name, description and settings."""

    name: str
    description: str
    settings: EvaluateSettings

    @property
    def length_m(self) -> float:
        """Return the length of the drive."""
        return load_track(self.settings.track).goal_m(self.settings.world.laps)

    @property
    def seconds(self) -> float:
        """Return the approximate duration in simulated time."""
        return self.length_m / (self.settings.speed_mph * MPH)

    def ended_at(self, most_interventions: int) -> Self:
        """Return the scenario whose drive ends at this intervention, 0 for never."""
        world = replace(self.settings.world, most_interventions=most_interventions)
        return replace(self, settings=replace(self.settings, world=world))


@dataclass(frozen=True)
class ScenarioChanges:
    """What is changed in all scenarios of a suite. road: drive the lake's scenarios there instead, "" for none."""

    suite: str = "standard"
    road: str = ""
    laps: float = 1.0
    texture_seed: int = 0

    def apply(self, scenario: Scenario) -> Scenario:
        """Return a scenario with the changes."""
        settings = scenario.settings
        world = replace(settings.world, laps=self.laps)
        conditions = replace(settings.conditions, texture_seed=self.texture_seed)
        changed = replace(settings, track=self.road or settings.track, world=world, conditions=conditions)
        description = scenario.description.replace(settings.track, changed.track, 1)
        return replace(scenario, description=description, settings=changed)


@dataclass(frozen=True)
class SuiteRecording:
    """A recording to replay: its name and its log. Its length is not known before it is read, so it begins first."""

    name: str
    log: Path
    length_m = 0.0
    seconds = math.inf


def _lake(
    name: str, changes: str, world: WorldSettings | None = None, conditions: Conditions | None = None
) -> Scenario:
    settings = EvaluateSettings("lake", False, _LAKE_MPH, world or WorldSettings(), conditions or Conditions())
    return Scenario(name, f"lake, {_LAKE_MPH:g} mph, {changes}", settings)


def _plain(track: str, speed_mph: float, reverse: bool = False) -> Scenario:
    ending = f"-{speed_mph:g}" if track == "lake" else ""
    description = f"{track}{' in reverse' if reverse else ''}, {speed_mph:g} mph"
    settings = EvaluateSettings(track, reverse, speed_mph)
    return Scenario(f"{track}{'-reverse' if reverse else ''}{ending}", description, settings)


SCENARIOS = (
    _plain("lake", 15.0),
    _plain("lake", 30.0),
    _plain("lake", 15.0, reverse=True),
    _plain("lake", 30.0, reverse=True),
    _plain("lake", _LAKE_MPH),
    *(_lake(f"latency-{ms}", f"{ms} ms latency", world=WorldSettings(latency_ms=ms)) for ms in (100, 200, 300)),
    _lake("light-0.5", "half the light", conditions=Conditions(light=0.5)),
    _lake("light-1.5", "half as much light again", conditions=Conditions(light=1.5)),
    _lake("shadows", "long shadows: the sun 12 degrees high", conditions=_LOW_SUN),
    _lake("fog", "fog 5 times as thick", conditions=Conditions(fog=5.0)),
    _lake("camera-shift", "camera 0.2 m to the right", conditions=Conditions(camera_shift_m=0.2)),
    _lake("camera-pitch", "camera 1 degree up", conditions=Conditions(camera_pitch=1.0)),
    _lake("start-off", "start 1.5 m to the right", world=WorldSettings(start_offset_m=1.5)),
    _lake("start-turned", "start turned 10 degrees to the right", world=WorldSettings(start_turn=10.0)),
    _lake(
        "perturbations",
        "pushed 1 m sideways every 100 m",
        world=WorldSettings(perturbation_m=1.0, perturbation_every_m=100.0),
    ),
    _lake("no-lines", "no lines", conditions=Conditions(line_visibility=0.0)),
    _plain("mountain", _MOUNTAIN_MPH),
    _plain("mountain", _MOUNTAIN_MPH, reverse=True),
)


def _testing() -> Iterator[Scenario]:
    """Yield the conditions under which studies predict failures of driving models, on the lake.

    The single ones are those of SelfOracle (Stocco, Weiss, Calzana and Tonella, "Misbehaviour prediction for autonomous
    driving systems", ICSE 2020), the graded ones those of ThirdEye (Stocco, Nunes, d'Amorim and Tonella, ASE 2022).
    """
    half, cycle = _SINGLE_STRENGTH, _NIGHT_CYCLE_SECONDS
    for kind in _WEATHERS:
        yield _lake(kind, f"{kind}, {100 * half:g} %", conditions=_weather(kind, half))
    yield _lake("day-night", f"day and night within {cycle:g} s", conditions=Conditions(night_cycle=cycle))
    for kind in _WEATHERS:
        yield _lake(
            f"day-night-{kind}",
            f"day and night within {cycle:g} s, {kind}, {100 * half:g} %",
            conditions=_weather(kind, half, cycle),
        )
    for kind in _WEATHERS:
        for percent in range(10, 101, 10):
            yield _lake(f"{kind}-{percent}", f"{kind}, {percent} %", conditions=_weather(kind, percent / 100))


def _weather(kind: str, strength: float, night_cycle: float = 0.0) -> Conditions:
    """Return the conditions of fog, rain or snow of a strength, 0 to 1."""
    return Conditions(
        fog=_DENSEST_FOG * strength if kind == "fog" else 1.0,
        rain=strength if kind == "rain" else 0.0,
        snow=strength if kind == "snow" else 0.0,
        night_cycle=night_cycle,
    )


def _roads() -> Iterator[Scenario]:
    """Yield drives of many roads: those of the first seeds, then lake and mountain in both directions."""
    for speed_mph in _RANDOM_MPH:
        for seed in range(_RANDOM_ROADS):
            road = f"random:{seed}"
            settings = EvaluateSettings(road, False, speed_mph)
            yield Scenario(f"random-{seed}-{speed_mph:g}", f"{road}, {speed_mph:g} mph", settings)
    for track, speeds in ((LAKE.name, (20.0, 30.0)), (MOUNTAIN.name, (15.0, 20.0))):
        for speed_mph in speeds:
            for reverse in (False, True):
                name = f"{track}{'-reverse' if reverse else ''}-{speed_mph:g}"
                yield replace(_plain(track, speed_mph, reverse), name=name)


SUITES = {"standard": SCENARIOS, "testing": tuple(_testing()), "roads": tuple(_roads())}


def select_scenarios(names: Sequence[str] = (), changes: ScenarioChanges | None = None) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, or all of a suite, changed.

    Raises UserError for an unknown name.
    """
    changes = changes or ScenarioChanges()
    if changes.road and changes.suite == "roads":
        raise UserError(f"the suite roads drives roads of its own; leave {changes.road} out, or name another suite")
    suite = [one for one in SUITES[changes.suite] if not changes.road or one.settings.track == LAKE.name]
    known = [scenario.name for scenario in suite]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, 3) or f"choose from {', '.join(known)}"
            raise UserError(f"the suite has no row {name}; {hint}")
    return tuple(changes.apply(one) for one in suite if not names or one.name in names)


class Ranked(Protocol):
    """A result that can be compared with those of other models."""

    @property
    def rank(self) -> tuple[float, ...]:
        """Return the sort key among results of the same scenario, the best first."""


@dataclass(frozen=True)
class ScenarioDrive:
    """A model's drive of a scenario: its figures, the driven line, the interventions and the events.

    doubts: what a monitor said of each frame, () without one.
    """

    score: Score
    laps: float
    ended: str
    trace: Sequence[LinePoint]
    interventions: Sequence[Intervention]
    events: Sequence[DriveEvent] = ()
    doubts: Sequence[DoubtPoint] = ()

    @property
    def rank(self) -> tuple[float, ...]:
        """Return the sort key, the best first: complete drives, more autonomy, nearer to the centre line."""
        return self.ended != LAPS_DRIVEN, -self.score.autonomy_percent, self.score.mean_abs_cross_track_m

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        figures = self.score.as_json() | {"laps": self.laps, "ended": self.ended}
        return figures | ({"doubt": doubt_figures(self.doubts)} if self.doubts else {})


@dataclass(frozen=True)
class RecordingReplay:
    """A model's replay of a recording: its figures."""

    figures: ReplayFigures

    @property
    def rank(self) -> tuple[float, ...]:
        """Return the sort key, the best first: more autonomy, nearer to the reference drive."""
        return -self.figures.score.autonomy_percent, self.figures.score.rms_cross_track_m

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return self.figures.as_json()


def best_of(results: Mapping[str, Ranked]) -> set[str]:
    """Return the models with the best result; several if they are equal."""
    ranks = {model: result.rank for model, result in results.items()}
    return {model for model, rank in ranks.items() if rank == min(ranks.values())}


@dataclass(frozen=True)
class SuiteResult:
    """The results of a suite.

    models: name -> file; drives: name of the scenario -> model -> its drive; replays: name of the recording -> model ->
    its replay.
    """

    models: Mapping[str, Path]
    scenarios: tuple[Scenario, ...]
    drives: Mapping[str, Mapping[str, ScenarioDrive]]
    recordings: tuple[SuiteRecording, ...] = ()
    replays: Mapping[str, Mapping[str, RecordingReplay]] = field(default_factory=dict)

    def clean_rows(self, model: str) -> int:
        """Return how many scenarios a model drove without an intervention."""
        return sum(not drives[model].score.interventions for drives in self.drives.values())

    def interventions(self, model: str) -> int:
        """Return the sum of a model's interventions over all scenarios."""
        return sum(drives[model].score.interventions for drives in self.drives.values())

    def as_json(self) -> dict[str, Any]:
        """Return the results as JSON values."""
        models = {
            model: {
                "path": str(path),
                "clean_rows": self.clean_rows(model),
                "interventions": self.interventions(model),
            }
            for model, path in self.models.items()
        }
        rows = [
            {"row": one.name, "description": one.description} | _compared(self.drives[one.name])
            for one in self.scenarios
        ]
        recordings = [
            {"recording": one.name, "path": str(one.log)} | _compared(self.replays[one.name]) for one in self.recordings
        ]
        return {"models": models, "rows": rows, "recordings": recordings}


def _compared(results: Mapping[str, ScenarioDrive] | Mapping[str, RecordingReplay]) -> dict[str, Any]:
    return {
        "best": sorted(best_of(results)),
        "models": {model: result.as_json() for model, result in results.items()},
    }
