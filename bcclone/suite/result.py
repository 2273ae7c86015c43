"""What the drives of a suite came to: row by row, model by model; and the rides through recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bcclone.simulator.score import DrivenPoint, Intervention
from bcclone.simulator.world import ALL_DRIVEN
from bcclone.suite.rows import Recording, Row


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
