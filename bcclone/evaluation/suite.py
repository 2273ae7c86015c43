"""Models, scenarios and recordings -> the results of a suite, driven side by side, here or on a
cluster; the best model of each row, the figures as JSON values and the tables in text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bcclone.evaluation.evaluate import Evaluation, drive_policy
from bcclone.evaluation.evaluate_settings import SuiteSettings
from bcclone.evaluation.replay_result import ReplayFigures
from bcclone.evaluation.scenarios import Scenario, select_scenarios
from bcclone.evaluation.worker_model import InputFile, load_on_one_core, one_at_a_time, result_key
from bcclone.model.model_path import check_model_path
from bcclone.recording.files import find_local_logs
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import FAILURE_LIMITS_M, Score
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.table import Table, TableColumn
from bcclone.system.task_pool import FinishedSteps, Shown, TaskPool, report_progress, run_kept

_BEST = "*"
_DEPARTURES = (
    f"departures beyond {', '.join(f'{limit:g}' for limit in FAILURE_LIMITS_M)} m, off the road"
)
_TOTALS = "rows without an intervention, all interventions"


Result = TypeVar("Result", Evaluation, ReplayFigures)


def best_of(results: Mapping[str, Result]) -> set[str]:
    """Return the models with the best result; several if they are equal, none of a recording
    without speeds.
    """
    ranks = {model: result.rank for model, result in results.items() if result.rank is not None}
    return {model for model, rank in ranks.items() if rank == min(ranks.values())}


@dataclass(frozen=True)
class SuiteResult:
    """The results of a suite.

    models: name -> file; drives: name of the scenario -> model -> its drive; recordings: name ->
    log; replays: name of the recording -> model -> the figures of its replay.
    """

    models: Mapping[str, Path]
    scenarios: tuple[Scenario, ...]
    drives: Mapping[str, Mapping[str, Evaluation]]
    recordings: Mapping[str, Path] = field(default_factory=dict)
    replays: Mapping[str, Mapping[str, ReplayFigures]] = field(default_factory=dict)

    def scores(self, model: str) -> list[Score]:
        return [drives[model].score for drives in self.drives.values()]

    def clean_rows(self, model: str) -> int:
        """Return how many scenarios a model drove without an intervention."""
        return sum(not score.interventions for score in self.scores(model))

    def interventions(self, model: str) -> int:
        return sum(score.interventions for score in self.scores(model))

    def figures(self) -> dict[str, Any]:
        models = {
            name: {
                "path": str(path),
                "clean_rows": self.clean_rows(name),
                "interventions": self.interventions(name),
            }
            for name, path in self.models.items()
        }
        rows = [
            {"row": one.name, "description": one.description, **_compared(self.drives[one.name])}
            for one in self.scenarios
        ]
        recordings = [
            {"recording": name, "path": str(log), **_compared(self.replays[name])}
            for name, log in self.recordings.items()
        ]
        return {"models": models, "rows": rows, "recordings": recordings}

    def table(self) -> Table:
        """Return a row for each scenario and recording; with several models, the best of each row
        are marked.
        """
        columns = [
            TableColumn("row", heading=""),
            TableColumn("description", heading=""),
            *map(TableColumn, self.models),
        ]
        rows = [["", "", *["autonomy  off  mean   most"] * len(self.models)]]
        rows += [
            [one.name, one.description, *_cells(self.drives[one.name])] for one in self.scenarios
        ]
        totals, beyond = [], []
        for name in self.models:
            scores, off = self.scores(name), self.interventions(name)
            totals.append(f"{self.clean_rows(name)} of {len(scores)} rows, {off}")
            departures = [
                sum(one.departures.get(f"{limit:g}", 0) for one in scores)
                for limit in FAILURE_LIMITS_M
            ]
            beyond.append(", ".join(map(str, [*departures, off])))
        rows += [["", _TOTALS, *totals], ["", _DEPARTURES, *beyond]]
        if self.recordings:
            rows += [[""] * len(columns), ["", "", *["autonomy  off   rms"] * len(self.models)]]
            for name, of in self.replays.items():
                figures, *_ = of.values()
                unsteered = figures.controls["zero"].autonomy_percent
                words = f"a recording, {figures.driven}; without steering {unsteered or 0:.1f} %"
                if unsteered is None:
                    words = f"a recording without speeds, {figures.rows} rows: no score"
                rows.append([name, words, *_cells(of)])
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
        for name in self.models:
            if noted := [row for row, drives in self.drives.items() if drives[name].notes]:
                lines.append(
                    f"{name} in {', '.join(noted)}: {self.drives[noted[0]][name].notes[0]}"
                )
        if len(self.models) > 1:
            lines.append(
                f"{_BEST} best of its row: complete, then more autonomy, then nearer to the line"
            )
        return lines

    def as_text(self) -> str:
        return "\n".join([str(self.table()), "", *self.explanations()])


def _compared(results: Mapping[str, Result]) -> dict[str, Any]:
    return {
        "best": sorted(best_of(results)),
        "models": {name: result.figures() for name, result in results.items()},
    }


def _cells(results: Mapping[str, Result]) -> list[str]:
    best = best_of(results) if len(results) > 1 else ()
    return [result.cell + (_BEST if model in best else "") for model, result in results.items()]


@dataclass(frozen=True)
class RecordedRow:
    """A recording to replay. Recordings run first, because their length is unknown."""

    name: str
    log: InputFile
    length_m = 0.0
    seconds = math.inf


Row: TypeAlias = Scenario | RecordedRow


@dataclass(frozen=True)
class SuiteTask:
    """A model and its scenario or recording. preprocess: for a model that does not store its own."""

    model: InputFile
    preprocess: str | None
    row: Row

    def __str__(self) -> str:
        return f"{self.row.name} with {self.model.path}"

    @property
    def size(self) -> float:
        return self.row.length_m

    @property
    def key(self) -> str:
        """Return the name of the kept result; "" for a recording, whose result is not kept."""
        if isinstance(self.row, RecordedRow):
            return ""
        return result_key(
            self.row.name, self.row.settings.track, self.model.sha256, self.preprocess, self.row
        )


def suite(
    models: Sequence[Path | str],
    settings: SuiteSettings | None = None,
    notify: Notify = lambda line: None,
    pool: TaskPool | None = None,
) -> SuiteResult:
    """Score models on the scenarios of the suite, and on the recordings; raises UserError.

    Drives that are in settings.kept are not driven again, and finished ones are written there at
    once. notify: called with a line on them; pool: the workers that drive, None to start some.
    """
    settings = settings or SuiteSettings()
    if not models:
        raise UserError("no model to score; name one, such as: bcclone suite model.h5")
    scenarios, named = select_scenarios(settings), name_models(list(map(Path, models)))
    logs = find_local_logs(settings.recordings) if settings.recordings else []
    recordings = by_short_names(logs, [log.absolute().parent.name for log in logs])
    rows: list[Row] = [
        *scenarios,
        *(RecordedRow(name, InputFile.of(log)) for name, log in recordings.items()),
    ]
    # the longest first, so that no worker drives on alone at the end
    places = list(product(sorted(rows, key=lambda row: -row.seconds), named))
    files = {name: InputFile.of(path) for name, path in named.items()}
    tasks = [SuiteTask(files[model], settings.preprocess, row) for row, model in places]
    kept, shown = FinishedSteps(settings.kept, Evaluation), Shown("driving", "m", "drives", notify)
    done = run_kept(settings.jobs if pool is None else pool, run_task, tasks, kept, shown)
    drives: dict[str, dict[str, Evaluation]] = {row.name: {} for row in scenarios}
    replays: dict[str, dict[str, ReplayFigures]] = {name: {} for name in recordings}
    for (row, model), result in zip(places, done, strict=True):
        if isinstance(result, Evaluation):
            drives[row.name][model] = result
        else:
            replays[row.name][model] = result
    return SuiteResult(named, scenarios, drives, recordings, replays)


def run_task(task: SuiteTask) -> Evaluation | ReplayFigures:
    """Drive or replay; raises UserError, and WorkerFault for a file that this worker does not find.

    Nothing is kept between two tasks: to load a model takes 0.2 s, and a drive half a minute.
    """
    task.model.check()
    if isinstance(task.row, RecordedRow):
        task.row.log.check()
    with one_at_a_time:
        policy = load_on_one_core(task.model, task.preprocess)
        if isinstance(task.row, Scenario):
            settings = task.row.settings
            track, renderer = (
                load_track(settings.track, settings.reverse),
                Renderer(settings.track, settings.conditions),
            )
            world = SimulatedWorld(renderer, track, settings.world, report_progress)
            driven = drive_policy(policy, world, settings.speed, str(task.model.path))
            return replace(driven, latency=None, views=())
        from bcclone.evaluation.replay import replay_policies

        # its progress bar would disturb the bar of the suite
        results = replay_policies({task.row.name: policy}, task.row.log.path, shows_progress=False)
        return results[task.row.name].figures()


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return the models by the shortest distinct names: without folders where that is enough.

    Raises UserError for a model that does not exist or is given twice.
    """
    for path in models:
        check_model_path(path)
    for number, path in enumerate(models):
        if path.resolve() in [other.resolve() for other in models[:number]]:
            raise UserError(f"{path} is given twice; name each model once")
    return by_short_names(models, [path.stem for path in models], [path.name for path in models])


def by_short_names(paths: Sequence[Path], *choices: Sequence[str]) -> dict[str, Path]:
    """Map each path to a short name; use the full path if short names collide."""
    for names in choices:
        if len(set(names)) == len(paths):
            return dict(zip(names, paths, strict=True))
    return {str(path): path for path in paths}
