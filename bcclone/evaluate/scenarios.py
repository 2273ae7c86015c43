"""The scenarios of each suite, which are the rows of its table."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bcclone.dataset.vehicle import MPH
from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import EvaluateSettings, SuiteSettings
from bcclone.simulator.track import LAKE, MOUNTAIN, load_track
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
        return self.length_m / (self.settings.speed.speed_mph * MPH)


def _lake(
    name: str, changes: str, world: WorldSettings | None = None, conditions: Conditions | None = None
) -> Scenario:
    speed, world, conditions = SpeedSettings(_LAKE_MPH), world or WorldSettings(), conditions or Conditions()
    settings = EvaluateSettings("lake", speed=speed, world=world, conditions=conditions)
    return Scenario(name, f"lake, {_LAKE_MPH:g} mph, {changes}", settings)


def _plain(track: str, speed_mph: float, reverse: bool = False) -> Scenario:
    ending = f"-{speed_mph:g}" if track == "lake" else ""
    description = f"{track}{' in reverse' if reverse else ''}, {speed_mph:g} mph"
    settings = EvaluateSettings(track, reverse, SpeedSettings(speed_mph))
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

    The single ones are from SelfOracle (Stocco, Weiss, Calzana and Tonella, "Misbehaviour prediction for autonomous
    driving systems", ICSE 2020), the graded ones from ThirdEye (Stocco, Nunes, d'Amorim and Tonella, ASE 2022).
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
    """Yield drives of many roads: random ones of the first seeds, then lake and mountain in both directions."""
    for speed_mph in _RANDOM_MPH:
        for seed in range(_RANDOM_ROADS):
            road = f"random:{seed}"
            settings = EvaluateSettings(road, speed=SpeedSettings(speed_mph))
            yield Scenario(f"random-{seed}-{speed_mph:g}", f"{road}, {speed_mph:g} mph", settings)
    for track, speeds in ((LAKE.name, (20.0, 30.0)), (MOUNTAIN.name, (15.0, 20.0))):
        for speed_mph in speeds:
            for reverse in (False, True):
                name = f"{track}{'-reverse' if reverse else ''}-{speed_mph:g}"
                yield replace(_plain(track, speed_mph, reverse), name=name)


SUITES = {"standard": SCENARIOS, "testing": tuple(_testing()), "roads": tuple(_roads())}


def select_scenarios(settings: SuiteSettings) -> tuple[Scenario, ...]:
    """Return the chosen rows of a suite with what the settings change in all of them; raises UserError for others."""
    road = settings.track
    if road and settings.suite == "roads":
        raise UserError(f"the suite roads drives roads of its own; leave {road} out, or name another suite")
    suite = [one for one in SUITES[settings.suite] if not road or one.settings.track == LAKE.name]
    names = [scenario.name for scenario in suite]
    for name in settings.rows:
        if name not in names:
            hint = did_you_mean(name, names, 3) or f"choose from {', '.join(names)}"
            raise UserError(f"the suite has no row {name}; {hint}")
    return tuple(_changed(one, settings) for one in suite if not settings.rows or one.name in settings.rows)


def _changed(scenario: Scenario, changes: SuiteSettings) -> Scenario:
    settings = scenario.settings
    changed = replace(
        settings,
        track=changes.track or settings.track,
        speed=replace(settings.speed, when_uncertain=changes.when_uncertain),
        world=replace(settings.world, laps=changes.laps, most_interventions=changes.most_interventions),
        conditions=replace(settings.conditions, texture_seed=changes.texture_seed),
    )
    return replace(
        scenario, description=scenario.description.replace(settings.track, changed.track, 1), settings=changed
    )
