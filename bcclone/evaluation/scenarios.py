"""The scenarios of the suites: names and settings of drives -> those that a user chooses."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bcclone.camera.vehicle import MPH
from bcclone.evaluation.settings import EvaluateSettings, SuiteSettings
from bcclone.simulator.track import LAKE, MOUNTAIN, load_track
from bcclone.system.errors import UserError, did_you_mean

# usual speeds on the two tracks
_LAKE_MPH = 20.0
_MOUNTAIN_MPH = 15.0


@dataclass(frozen=True)
class Scenario:
    """A drive of a suite, which is a row of its table."""

    name: str
    description: str
    settings: EvaluateSettings

    @property
    def length_m(self) -> float:
        return load_track(self.settings.track).goal_m(self.settings.laps)

    @property
    def seconds(self) -> float:
        """Return the approximate duration in simulated time."""
        return self.length_m / (self.settings.speed_mph * MPH)


def _lake(name: str, changes: str, **values: Any) -> Scenario:
    """Return a drive of the lake in which something is changed: in words, and by its settings."""
    settings = EvaluateSettings("lake", speed_mph=_LAKE_MPH, **values)
    return Scenario(name, f"lake, {_LAKE_MPH:g} mph, {changes}", settings)


def _plain(track: str, speed_mph: float, reverse: bool = False, name: str = "") -> Scenario:
    """Return a drive of a track in which nothing is changed; its name has the speed if none is
    given.
    """
    way = f"{track} in reverse" if reverse else track
    name = name or f"{track}{'-reverse' if reverse else ''}-{speed_mph:g}"
    settings = EvaluateSettings(track, reverse, speed_mph=speed_mph)
    return Scenario(name, f"{way}, {speed_mph:g} mph", settings)


SCENARIOS = (
    _plain("lake", 15.0),
    _plain("lake", 30.0),
    _plain("lake", 15.0, reverse=True),
    _plain("lake", 30.0, reverse=True),
    _plain("lake", _LAKE_MPH),
    _lake("latency-100", "100 ms latency", latency_ms=100),
    _lake("latency-200", "200 ms latency", latency_ms=200),
    _lake("latency-300", "300 ms latency", latency_ms=300),
    _lake("light-0.5", "half the light", light=0.5),
    _lake("light-1.5", "half as much light again", light=1.5),
    # from this azimuth, the most shadows are on the road
    _lake("shadows", "long shadows: the sun 12 degrees high", sun_elevation=12.0, sun_azimuth=0.0),
    _lake("fog", "fog 5 times as thick", fog=5.0),
    _lake("camera-shift", "camera 0.2 m to the right", camera_shift_m=0.2),
    _lake("camera-pitch", "camera 1 degree up", camera_pitch=1.0),
    _lake("start-off", "start 1.5 m to the right", start_offset_m=1.5),
    _lake("start-turned", "start turned 10 degrees to the right", start_turn=10.0),
    _lake(
        "perturbations",
        "pushed 1 m sideways every 100 m",
        perturbation_m=1.0,
        perturbation_every_m=100.0,
    ),
    _lake("no-lines", "no lines", line_visibility=0.0),
    _plain("mountain", _MOUNTAIN_MPH, name="mountain"),
    _plain("mountain", _MOUNTAIN_MPH, reverse=True, name="mountain-reverse"),
)

# the strongest value of each condition
_WEATHERS: dict[str, Any] = {"fog": 20.0, "rain": 1.0, "snow": 1.0}


def _testing() -> Iterator[Scenario]:
    """Yield the conditions under which studies predict failures of driving models, on the lake.

    The conditions of one strength are from SelfOracle (Stocco, Weiss, Calzana and Tonella,
    "Misbehaviour prediction for autonomous driving systems", ICSE 2020), those in ten steps are
    from ThirdEye (Stocco, Nunes, d'Amorim and Tonella, ASE 2022).
    """
    # at half strength, by day, and while day and night change
    night: dict[str, Any] = {"night_cycle": 60.0}
    night_words = "day and night within 60 s"
    for kind, strongest in _WEATHERS.items():
        weather = {kind: strongest * 0.5}
        yield _lake(kind, f"{kind}, 50 %", **weather)
    yield _lake("day-night", night_words, **night)
    for kind, strongest in _WEATHERS.items():
        conditions = {kind: strongest * 0.5, **night}
        yield _lake(f"day-night-{kind}", f"{night_words}, {kind}, 50 %", **conditions)

    # in ten steps of strength
    for kind, strongest in _WEATHERS.items():
        for percent in range(10, 101, 10):
            weather = {kind: strongest * (percent / 100)}
            yield _lake(f"{kind}-{percent}", f"{kind}, {percent} %", **weather)


# Roads of the seeds 0 to 29. Training samples use far larger seeds (models/making), so these roads
# are new to a model.
_RANDOM_ROADS = 30


def _roads() -> Iterator[Scenario]:
    """Yield random roads, and the two tracks in both directions, each at two speeds."""
    for speed_mph in (15.0, 25.0):
        for seed in range(_RANDOM_ROADS):
            yield _plain(f"random:{seed}", speed_mph, name=f"random-{seed}-{speed_mph:g}")
    for track, speeds_mph in ((LAKE.name, (20.0, 30.0)), (MOUNTAIN.name, (15.0, 20.0))):
        for speed_mph in speeds_mph:
            yield _plain(track, speed_mph)
            yield _plain(track, speed_mph, reverse=True)


SUITES = {"standard": SCENARIOS, "testing": tuple(_testing()), "roads": tuple(_roads())}


def select_scenarios(settings: SuiteSettings) -> tuple[Scenario, ...]:
    """Return the scenarios that the settings choose, with what the settings change in each.

    Raises UserError for a row that the suite does not have.
    """
    road = settings.track
    if road and settings.suite == "roads":
        raise UserError(
            f"the suite roads drives roads of its own; leave {road} out, or name another suite"
        )
    suite = [
        scenario
        for scenario in SUITES[settings.suite]
        if not road or scenario.settings.track == LAKE.name  # another road takes the lake's place
    ]
    names = [scenario.name for scenario in suite]
    for name in settings.rows:
        if name not in names:
            hint = did_you_mean(name, names) or f"choose from {', '.join(names)}"
            raise UserError(f"the suite has no row {name}; {hint}")
    chosen = []
    for scenario in suite:
        if settings.rows and scenario.name not in settings.rows:
            continue
        before = scenario.settings
        after = replace(
            before,
            track=road or before.track,
            laps=settings.laps,
            most_interventions=settings.most_interventions,
            texture_seed=settings.texture_seed,
        )
        description = scenario.description.replace(before.track, after.track, 1)
        chosen.append(Scenario(scenario.name, description, after))
    return tuple(chosen)
