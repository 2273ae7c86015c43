"""What the drives of a suite came to: row by row, model by model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.simulator.score import Intervention, TracePoint
from bcclone.simulator.world import ALL_DRIVEN
from bcclone.suite.rows import Row


@dataclass(frozen=True)
class Drive:
    """A model's drive of a row: its figures, the driven line, and where a person would have had to take over."""

    figures: Mapping[str, Any]
    trace: Sequence[TracePoint]
    interventions: Sequence[Intervention]

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Return what orders drives of one row, the best first: come around, more autonomy, nearer to the line."""
        figures = self.figures
        return figures["ended"] != ALL_DRIVEN, -figures["autonomy_percent"], figures["mean_abs_cross_track_m"]

    @property
    def clean(self) -> bool:
        """Return whether it came to its end without an intervention."""
        return not self.figures["interventions"]


@dataclass(frozen=True)
class SuiteResult:
    """models: files by the names that they are told by; drives: of each row, by its name, one of each model."""

    models: Mapping[str, Path]
    rows: tuple[Row, ...]
    drives: Mapping[str, Mapping[str, Drive]]

    def best(self, row: str) -> set[str]:
        """Return the models that drove a row best; several when nothing tells them apart."""
        ranks = {model: drive.rank for model, drive in self.drives[row].items()}
        return {model for model, rank in ranks.items() if rank == min(ranks.values())}

    def clean_rows(self, model: str) -> int:
        """Return how many rows a model drove without an intervention."""
        return sum(of_row[model].clean for of_row in self.drives.values())

    def interventions(self, model: str) -> int:
        """Return a model's interventions on all rows together."""
        return sum(of_row[model].figures["interventions"] for of_row in self.drives.values())

    def figures(self) -> dict[str, Any]:
        """Return everything by name, ready for JSON."""
        return {
            "models": {
                model: {
                    "path": str(path),
                    "clean_rows": self.clean_rows(model),
                    "interventions": self.interventions(model),
                }
                for model, path in self.models.items()
            },
            "rows": [
                {
                    "row": row.name,
                    "says": row.says,
                    "best": sorted(self.best(row.name)),
                    "models": {model: dict(drive.figures) for model, drive in self.drives[row.name].items()},
                }
                for row in self.rows
            ],
        }
