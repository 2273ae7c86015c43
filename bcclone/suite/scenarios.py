"""What the drives of a suite came to: row by row, model by model; and the rides through recordings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bcclone.errors import UserError
from bcclone.evaluate import EvaluateSettings
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.score import DrivenPoint, Intervention
from bcclone.simulator.track import load_track
from bcclone.simulator.world import ALL_DRIVEN, WorldSettings
from bcclone.vehicle import MPH

_LAKE_MPH, _MOUNTAIN_MPH = 20.0, 15.0
_LOW_SUN = Conditions(sun_elevation=12.0, sun_azimuth=0.0)  # of all azimuths the one with most shadows on the road


@dataclass(frozen=True)
class Row:
    """A drive: its name, what it is in words, and its settings."""

    name: str
    says: str
    settings: EvaluateSettings

    @property
    def length_m(self) -> float:
        """Return how far it is to be driven."""
        return self.settings.world.laps * load_track(self.settings.track).length_m

    @property
    def seconds(self) -> float:
        """Return about how long it takes in simulated time."""
        return self.length_m / (self.settings.speed_mph * MPH)


@dataclass(frozen=True)
class Recording:
    """A recording to drive through: its name, and its log."""

    name: str
    log: Path
    length_m = 0.0  # how far that is is known only to who has read it, and
    seconds = math.inf  # how long; it is begun first

    @property
    def says(self) -> str:
        """Return what it is, in words."""
        return "a recording"


def _lake(name: str, changes: str, world: WorldSettings | None = None, conditions: Conditions | None = None) -> Row:
    settings = EvaluateSettings("lake", False, _LAKE_MPH, world or WorldSettings(), conditions or Conditions())
    return Row(name, f"lake, {_LAKE_MPH:g} mph, {changes}", settings)


def _plain(track: str, speed_mph: float, reverse: bool = False) -> Row:
    ending = f"-{speed_mph:g}" if track == "lake" else ""
    says = f"{track}{' in reverse' if reverse else ''}, {speed_mph:g} mph"
    return Row(f"{track}{'-reverse' if reverse else ''}{ending}", says, EvaluateSettings(track, reverse, speed_mph))


ROWS = (
    _plain("lake", 15.0),
    _plain("lake", 30.0),
    _plain("lake", 15.0, reverse=True),
    _plain("lake", 30.0, reverse=True),
    _plain("lake", _LAKE_MPH),
    *(
        _lake(f"latency-{ms}", f"{ms} ms latency", world=WorldSettings(latency_seconds=ms / 1000))
        for ms in (100, 200, 300)
    ),
    _lake("light-0.5", "half the light", conditions=Conditions(light=0.5)),
    _lake("light-1.5", "half as much light again", conditions=Conditions(light=1.5)),
    _lake("shadows", "long shadows: the sun 12 degrees high", conditions=_LOW_SUN),
    _lake("fog", "fog 5 times as thick", conditions=Conditions(fog=5.0)),
    _lake("camera-shift", "camera 0.2 m to the right", conditions=Conditions(camera_shift_m=0.2)),
    _lake("camera-pitch", "camera 1 degree up", conditions=Conditions(camera_pitch=1.0)),
    _lake("start-off", "start 1.5 m to the right", world=WorldSettings(start_offset_m=1.5)),
    _lake("start-turned", "start turned 10 degrees to the right", world=WorldSettings(start_turn=10.0)),
    _lake("shove", "shoved 1 m aside every 100 m", world=WorldSettings(shove_m=1.0, shove_every_m=100.0)),
    _lake("no-lines", "no lines", conditions=Conditions(line_visibility=0.0)),
    _plain("mountain", _MOUNTAIN_MPH),
    _plain("mountain", _MOUNTAIN_MPH, reverse=True),
)


def chosen_rows(names: Sequence[str] = (), laps: float = 1.0, texture_seed: int = 0) -> tuple[Row, ...]:
    """Return the rows of these names, or all, each so many laps long and with the textures of a seed.

    Raises UserError for a name that no row has, ValueError for laps or a seed that nobody can drive.
    """
    known = [row.name for row in ROWS]
    for name in names:
        if name not in known:
            raise UserError(f"no row of the suite is called {name}; there are {', '.join(known)}")
    return tuple(_as_asked(row, laps, texture_seed) for row in ROWS if not names or row.name in names)


def _as_asked(row: Row, laps: float, texture_seed: int) -> Row:
    world = replace(row.settings.world, laps=laps)
    conditions = replace(row.settings.conditions, texture_seed=texture_seed)
    return replace(row, settings=replace(row.settings, world=world, conditions=conditions))


class Ranked(Protocol):
    """What a model's drive came to, to be compared with those of others."""

    @property
    def rank(self) -> tuple[float, ...]:
        """Return what orders drives of the same, the best first."""


@dataclass(frozen=True)
class Drive:
    """A model's drive of a row: its figures, the driven line, and where a person would have had to take over."""

    figures: Mapping[str, Any]
    trace: Sequence[DrivenPoint]
    interventions: Sequence[Intervention]

    @property
    def rank(self) -> tuple[float, ...]:
        """Return what orders drives of one row, the best first: come around, more autonomy, nearer to the line."""
        figures = self.figures
        return figures["ended"] != ALL_DRIVEN, -figures["autonomy_percent"], figures["mean_abs_cross_track_m"]

    @property
    def clean(self) -> bool:
        """Return whether it came to its end without an intervention."""
        return not self.figures["interventions"]


@dataclass(frozen=True)
class Replayed:
    """A model's ride through a recording: its figures."""

    figures: Mapping[str, Any]

    @property
    def rank(self) -> tuple[float, ...]:
        """Return what orders rides through one recording, the best first: more autonomy, nearer to the human's path."""
        return -self.figures["autonomy_percent"], self.figures["rms_cross_track_m"]


def best_of(outcomes: Mapping[str, Ranked]) -> set[str]:
    """Return the models that did best, of what they came to; several when nothing tells them apart."""
    ranks = {model: outcome.rank for model, outcome in outcomes.items()}
    return {model for model, rank in ranks.items() if rank == min(ranks.values())}


@dataclass(frozen=True)
class SuiteResult:
    """models: files by the names that they are told by; drives: of each row, by its name, one of each model; replays:
    of each recording, likewise."""

    models: Mapping[str, Path]
    rows: tuple[Row, ...]
    drives: Mapping[str, Mapping[str, Drive]]
    recordings: tuple[Recording, ...] = ()
    replays: Mapping[str, Mapping[str, Replayed]] = field(default_factory=dict)

    def clean_rows(self, model: str) -> int:
        """Return how many rows a model drove without an intervention."""
        return sum(of_row[model].clean for of_row in self.drives.values())

    def interventions(self, model: str) -> int:
        """Return a model's interventions on all rows together."""
        return sum(of_row[model].figures["interventions"] for of_row in self.drives.values())

    def figures(self) -> dict[str, Any]:
        """Return everything by name, ready for JSON."""
        models = {
            model: {
                "path": str(path),
                "clean_rows": self.clean_rows(model),
                "interventions": self.interventions(model),
            }
            for model, path in self.models.items()
        }
        rows = [{"row": row.name, "says": row.says} | _compared(self.drives[row.name]) for row in self.rows]
        recordings = [
            {"recording": one.name, "path": str(one.log)} | _compared(self.replays[one.name]) for one in self.recordings
        ]
        return {"models": models, "rows": rows, "recordings": recordings}


def _compared(outcomes: Mapping[str, Drive | Replayed]) -> dict[str, Any]:
    return {
        "best": sorted(best_of(outcomes)),
        "models": {model: dict(outcome.figures) for model, outcome in outcomes.items()},
    }
