"""The scenarios of each suite, which are the rows of its table."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from bcclone.camera.vehicle import MPH
from bcclone.drive.controller import SpeedSettings
from bcclone.evaluation.evaluate_settings import EvaluateSettings, SuiteSettings
from bcclone.simulator.track import LAKE, MOUNTAIN, load_track
from bcclone.simulator.world_settings import Conditions, WorldSettings
from bcclone.system.errors import UserError, did_you_mean

_LAKE_MPH, _MOUNTAIN_MPH = 20.0, 15.0
_WEATHERS: dict[str, Any] = {"fog": 20.0, "rain": 1.0, "snow": 1.0}  # as strong as they can be
_RANDOM_ROADS = 30  # seeds from 0; those of `simulate roads` begin far above
_PUSHED = WorldSettings(perturbation_m=1.0, perturbation_every_m=100.0)


@dataclass(frozen=True)
class Scenario:
    """A scenario of the suite, which is a row of its tables: name, description and settings."""

    name: str
    description: str
    settings: EvaluateSettings

    @property
    def length_m(self) -> float:
        return load_track(self.settings.track).goal_m(self.settings.world.laps)

    @property
    def seconds(self) -> float:
        """Return the approximate duration in simulated time."""
        return self.length_m / (self.settings.speed.speed_mph * MPH)


def _lake(
    name: str, changes: str, world: WorldSettings | None = None, **conditions: Any
) -> Scenario:
    """Return a drive of the lake, in which the world or some of its conditions are other than
    usual.
    """
    speed = SpeedSettings(_LAKE_MPH)
    world = world or WorldSettings()
    settings = EvaluateSettings(
        "lake", speed=speed, world=world, conditions=Conditions(**conditions)
    )
    return Scenario(name, f"lake, {_LAKE_MPH:g} mph, {changes}", settings)


def _plain(track: str, speed_mph: float, reverse: bool = False, named: bool = True) -> Scenario:
    """Return a drive of a track. named: by its speed, too."""
    description = f"{track}{' in reverse' if reverse else ''}, {speed_mph:g} mph"
    name = f"{track}{'-reverse' if reverse else ''}{f'-{speed_mph:g}' if named else ''}"
    return Scenario(name, description, EvaluateSettings(track, reverse, SpeedSettings(speed_mph)))


SCENARIOS = (
    _plain("lake", 15.0),
    _plain("lake", 30.0),
    _plain("lake", 15.0, reverse=True),
    _plain("lake", 30.0, reverse=True),
    _plain("lake", _LAKE_MPH),
    *(
        _lake(f"latency-{ms}", f"{ms} ms latency", WorldSettings(latency_ms=ms))
        for ms in (100, 200, 300)
    ),
    _lake("light-0.5", "half the light", light=0.5),
    _lake("light-1.5", "half as much light again", light=1.5),
    # from this azimuth, the most shadows are on the road
    _lake("shadows", "long shadows: the sun 12 degrees high", sun_elevation=12.0, sun_azimuth=0.0),
    _lake("fog", "fog 5 times as thick", fog=5.0),
    _lake("camera-shift", "camera 0.2 m to the right", camera_shift_m=0.2),
    _lake("camera-pitch", "camera 1 degree up", camera_pitch=1.0),
    _lake("start-off", "start 1.5 m to the right", WorldSettings(start_offset_m=1.5)),
    _lake("start-turned", "start turned 10 degrees to the right", WorldSettings(start_turn=10.0)),
    _lake("perturbations", "pushed 1 m sideways every 100 m", _PUSHED),
    _lake("no-lines", "no lines", line_visibility=0.0),
    _plain("mountain", _MOUNTAIN_MPH, named=False),
    _plain("mountain", _MOUNTAIN_MPH, reverse=True, named=False),
)


def _testing() -> Iterator[Scenario]:
    """Yield the conditions under which studies predict failures of driving models, on the lake.

    The single ones are from SelfOracle (Stocco, Weiss, Calzana and Tonella, "Misbehaviour
    prediction for autonomous driving systems", ICSE 2020), the graded ones from ThirdEye (Stocco,
    Nunes, d'Amorim and Tonella, ASE 2022).
    """
    half, cycle = 0.5, 60.0
    night: dict[str, Any] = {"night_cycle": cycle}
    words = f"day and night within {cycle:g} s"
    for kind, most in _WEATHERS.items():
        yield _lake(kind, f"{kind}, {100 * half:g} %", None, **{kind: most * half})
    yield _lake("day-night", words, None, **night)
    for kind, most in _WEATHERS.items():
        yield _lake(
            f"day-night-{kind}",
            f"{words}, {kind}, {100 * half:g} %",
            None,
            **{kind: most * half},
            **night,
        )
    for kind, most in _WEATHERS.items():
        for percent in range(10, 101, 10):
            yield _lake(
                f"{kind}-{percent}", f"{kind}, {percent} %", None, **{kind: most * (percent / 100)}
            )


_ROADS = (
    *(
        replace(_plain(f"random:{seed}", speed_mph), name=f"random-{seed}-{speed_mph:g}")
        for speed_mph, seed in product((15.0, 25.0), range(_RANDOM_ROADS))
    ),
    *(
        _plain(LAKE.name, speed_mph, reverse)
        for speed_mph, reverse in product((20.0, 30.0), (False, True))
    ),
    *(
        _plain(MOUNTAIN.name, speed_mph, reverse)
        for speed_mph, reverse in product((15.0, 20.0), (False, True))
    ),
)
SUITES = {"standard": SCENARIOS, "testing": tuple(_testing()), "roads": _ROADS}


def select_scenarios(settings: SuiteSettings) -> tuple[Scenario, ...]:
    """Return the chosen rows of a suite with what the settings change in all of them; raises
    UserError for others.
    """
    road = settings.track
    if road and settings.suite == "roads":
        raise UserError(
            f"the suite roads drives roads of its own; leave {road} out, or name another suite"
        )
    suite = [one for one in SUITES[settings.suite] if not road or one.settings.track == LAKE.name]
    names = [scenario.name for scenario in suite]
    for name in settings.rows:
        if name not in names:
            hint = did_you_mean(name, names, 3) or f"choose from {', '.join(names)}"
            raise UserError(f"the suite has no row {name}; {hint}")
    chosen = []
    for one in suite:
        if not settings.rows or one.name in settings.rows:
            of_row = one.settings
            changed = replace(
                of_row,
                track=road or of_row.track,
                world=replace(
                    of_row.world, laps=settings.laps, most_interventions=settings.most_interventions
                ),
                conditions=replace(of_row.conditions, texture_seed=settings.texture_seed),
            )
            description = one.description.replace(of_row.track, changed.track, 1)
            chosen.append(Scenario(one.name, description, changed))
    return tuple(chosen)
