"""The results of a suite: the best model of each row, the figures as JSON values and the tables in text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bcclone.evaluate.evaluation import Evaluation
from bcclone.evaluate.replay_result import ReplayFigures
from bcclone.evaluate.scenarios import Scenario
from bcclone.simulator.score import FAILURE_LIMITS_M, Score
from bcclone.system.table import Table, TableColumn

_BEST = "*"
_DEPARTURES = f"departures beyond {', '.join(f'{limit:g}' for limit in FAILURE_LIMITS_M)} m, off the road"
_TOTALS = "rows without an intervention, all interventions"


Result = TypeVar("Result", Evaluation, ReplayFigures)


def best_of(results: Mapping[str, Result]) -> set[str]:
    """Return the models with the best result; several if they are equal, none of a recording without speeds."""
    ranks = {model: result.rank for model, result in results.items() if result.rank is not None}
    return {model for model, rank in ranks.items() if rank == min(ranks.values())}


@dataclass(frozen=True)
class SuiteResult:
    """The results of a suite.

    models: name -> file; drives: name of the scenario -> model -> its drive; recordings: name -> log; replays: name of
    the recording -> model -> the figures of its replay.
    """

    models: Mapping[str, Path]
    scenarios: tuple[Scenario, ...]
    drives: Mapping[str, Mapping[str, Evaluation]]
    recordings: Mapping[str, Path] = field(default_factory=dict)
    replays: Mapping[str, Mapping[str, ReplayFigures]] = field(default_factory=dict)

    def clean_rows(self, model: str) -> int:
        """Return how many scenarios a model drove without an intervention."""
        return sum(not drives[model].score.interventions for drives in self.drives.values())

    def interventions(self, model: str) -> int:
        return sum(drives[model].score.interventions for drives in self.drives.values())

    def figures(self) -> dict[str, Any]:
        models = {
            model: {
                "path": str(path),
                "clean_rows": self.clean_rows(model),
                "interventions": self.interventions(model),
            }
            for model, path in self.models.items()
        }
        rows = [
            {"row": one.name, "description": one.description} | _compared(self.drives[one.name], Evaluation.figures)
            for one in self.scenarios
        ]
        recordings = [
            {"recording": name, "path": str(log)} | _compared(self.replays[name], ReplayFigures.as_json)
            for name, log in self.recordings.items()
        ]
        return {"models": models, "rows": rows, "recordings": recordings}

    def table(self) -> Table:
        """Return a row for each scenario and recording; with several models, the best of each row are marked."""
        columns = [
            TableColumn("row", heading=""),
            TableColumn("description", heading=""),
            *map(TableColumn, self.models),
        ]
        scores = {model: [drives[model].score for drives in self.drives.values()] for model in self.models}
        rows = [["", "", *["autonomy  off  mean   most"] * len(self.models)]]
        rows += [[one.name, one.description, *_cells(self.drives[one.name], _drive_cell)] for one in self.scenarios]
        totals = (
            f"{self.clean_rows(name)} of {len(of)} rows, {self.interventions(name)}" for name, of in scores.items()
        )
        rows += [["", _TOTALS, *totals], ["", _DEPARTURES, *map(_departures, scores.values())]]
        if self.recordings:
            rows += [[""] * len(columns), ["", "", *["autonomy  off   rms"] * len(self.models)]]
            rows += [[name, _describe(of), *_cells(of, _replay_cell)] for name, of in self.replays.items()]
        return Table(columns, rows)

    def explanations(self) -> list[str]:
        lines = [
            "off: interventions (wheels off the asphalt, or an incomplete drive); mean, most: distance from the centre "
            "line, m"
        ]
        if self.recordings:
            lines.append(
                "recordings: off: interventions at the largest deviation; rms: deviation from the recorded drive, m"
            )
        if len(self.models) > 1:
            lines.append(f"{_BEST} best of its row: complete, then more autonomy, then nearer to the line")
        return lines

    def as_text(self) -> str:
        return "\n".join([str(self.table()), "", *self.explanations()])


def _compared(results: Mapping[str, Result], figures: Callable[[Result], dict[str, Any]]) -> dict[str, Any]:
    return {"best": sorted(best_of(results)), "models": {name: figures(result) for name, result in results.items()}}


def _cells(results: Mapping[str, Result], text: Callable[[Result], str]) -> list[str]:
    best = best_of(results) if len(results) > 1 else ()
    return [text(result) + (_BEST if model in best else "") for model, result in results.items()]


def _drive_cell(drive: Evaluation) -> str:
    score = drive.score
    distances = f"{score.mean_abs_cross_track_m:6.2f}{score.max_abs_cross_track_m:7.2f}"
    return f"{score.autonomy_percent:6.1f} %{score.interventions:5d}{distances}"


def _replay_cell(replay: ReplayFigures) -> str:
    if replay.autonomy_percent is None:
        return f"{'-':>8}{'-':>5}{'-':>6}"
    return f"{replay.autonomy_percent:6.1f} %{replay.interventions:5d}{replay.rms_cross_track_m:6.2f}"


def _describe(replays: Mapping[str, ReplayFigures]) -> str:
    figures = next(iter(replays.values()))
    unsteered = figures.controls["zero"].autonomy_percent
    if unsteered is None:
        return f"a recording without speeds, {figures.rows} rows: no score"
    return f"a recording, {figures.driven}; without steering {unsteered:.1f} %"


def _departures(scores: Sequence[Score]) -> str:
    beyond = [sum(score.departures.get(f"{limit:g}", 0) for score in scores) for limit in FAILURE_LIMITS_M]
    return ", ".join(map(str, [*beyond, sum(score.interventions for score in scores)]))
