"""Score models by the drives of a suite, and along recordings -> JSON values and tables.

The drives run side by side, in processes here or on a cluster.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

from bcclone.evaluation.evaluate import Evaluation, drive_policy
from bcclone.evaluation.evaluate_settings import EvaluateSettings, SuiteSettings
from bcclone.evaluation.replay import ReplayFigures, replay_policies
from bcclone.evaluation.scenarios import Scenario, select_scenarios
from bcclone.evaluation.worker_model import InputFile, load_on_one_core, one_at_a_time, result_key
from bcclone.model.model_path import check_model_path
from bcclone.model.policy import Policy
from bcclone.recording.files import find_local_logs
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import FAILURE_LIMITS_M, Score
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.system.errors import Table, TableColumn, UserError
from bcclone.system.pool import FinishedSteps, run_kept
from bcclone.system.process import Notify

_BEST = "*"  # mark behind the figures of the best model in a row

Result = TypeVar("Result", Evaluation, ReplayFigures)


def best_of(results: Mapping[str, Result]) -> set[str]:
    """Return the models with the best result: several if equal, none if none has a score."""
    ranks = {model: result.rank for model, result in results.items() if result.rank is not None}
    return {model for model, rank in ranks.items() if rank == min(ranks.values())}


@dataclass(frozen=True)
class SuiteResult:
    """The results of a suite."""

    models: Mapping[str, Path]  # name -> file
    scenarios: tuple[Scenario, ...]
    drives: Mapping[str, Mapping[str, Evaluation]]  # name of the scenario -> model -> its drive
    recordings: Mapping[str, Path] = field(default_factory=dict)  # name -> log
    # name of the recording -> model -> the figures of its replay
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
            {
                "row": scenario.name,
                "description": scenario.description,
                **_compared(self.drives[scenario.name]),
            }
            for scenario in self.scenarios
        ]
        recordings = [
            {"recording": name, "path": str(log), **_compared(self.replays[name])}
            for name, log in self.recordings.items()
        ]
        return {"models": models, "rows": rows, "recordings": recordings}

    def table(self) -> Table:
        """Return a table with a row for each scenario and recording, and a column for each model.

        Of several models, the best of each row is marked.
        """
        columns = [TableColumn("row", heading=""), TableColumn("description", heading="")]
        columns += map(TableColumn, self.models)
        rows = [["", "", *["autonomy  off  mean   most"] * len(self.models)]]
        for scenario in self.scenarios:
            cells = _cells(self.drives[scenario.name])
            rows.append([scenario.name, scenario.description, *cells])
        rows += self._total_rows()
        if self.recordings:
            rows.append([""] * len(columns))
            rows.append(["", "", *["autonomy  off   rms"] * len(self.models)])
            for name, replays in self.replays.items():
                rows.append([name, _describe_recording(replays), *_cells(replays)])
        return Table(columns, rows)

    def _total_rows(self) -> list[list[str]]:
        """Return two rows of totals over all scenarios.

        The first row has the drives without an intervention, and all interventions; the second row
        has the departures beyond each limit, and off the road.
        """
        totals = []
        departures = []
        for model in self.models:
            scores = self.scores(model)
            interventions = self.interventions(model)
            totals.append(f"{self.clean_rows(model)} of {len(scores)} rows, {interventions}")
            counts = [
                sum(score.departures.get(f"{limit:g}", 0) for score in scores)
                for limit in FAILURE_LIMITS_M
            ]
            departures.append(", ".join(map(str, [*counts, interventions])))
        limits = ", ".join(f"{limit:g}" for limit in FAILURE_LIMITS_M)
        return [
            ["", "rows without an intervention, all interventions", *totals],
            ["", f"departures beyond {limits} m, off the road", *departures],
        ]

    def explanations(self) -> list[str]:
        lines = [
            "off: interventions (wheels off the asphalt, or an incomplete drive); "
            "mean, most: distance from the centre line, m"
        ]
        if self.recordings:
            lines.append(
                "recordings: off: interventions at the largest deviation; "
                "rms: deviation from the recorded drive, m"
            )
        for model in self.models:
            noted = [row for row, drives in self.drives.items() if drives[model].notes]
            if noted:
                first_note = self.drives[noted[0]][model].notes[0]
                lines.append(f"{model} in {', '.join(noted)}: {first_note}")
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
    marked = best_of(results) if len(results) > 1 else set()
    cells = []
    for model, result in results.items():
        mark = _BEST if model in marked else ""
        cells.append(result.cell + mark)
    return cells


def _describe_recording(replays: Mapping[str, ReplayFigures]) -> str:
    """Describe a recording, by figures that all models have in common."""
    figures = next(iter(replays.values()))
    unsteered = figures.controls["zero"].autonomy_percent
    if unsteered is None:
        return f"a recording without speeds, {figures.rows} rows: no score"
    return f"a recording, {figures.driven}; without steering {unsteered:.1f} %"


@dataclass(frozen=True)
class RecordedRow:
    """A recording to replay.

    Its duration counts as infinite, so that it runs first: its true one is unknown.
    """

    name: str
    log: InputFile
    # adds nothing to the progress, which counts metres of simulated drives
    length_m: ClassVar[float] = 0.0
    seconds: ClassVar[float] = math.inf


Row: TypeAlias = Scenario | RecordedRow


@dataclass(frozen=True)
class SuiteTask:
    """One model in one row: a scenario to drive, or a recording to replay."""

    model: InputFile
    preprocess: str | None  # for a model that does not store its own
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
    pool: Executor | None = None,
) -> SuiteResult:
    """Score models on the scenarios of the suite, and on the recordings; raises UserError.

    Each finished drive is written into the folder settings.kept at once. A drive whose result is
    there already is not driven again.

    notify: called with a line on the drives that were found there
    pool: the workers that drive, None to start worker processes
    """
    # what is driven
    settings = settings or SuiteSettings()
    if not models:
        raise UserError("no model to score; name one, such as: bcclone suite model.h5")
    scenarios = select_scenarios(settings)
    paths = name_models(list(map(Path, models)))
    logs = find_local_logs(settings.recordings) if settings.recordings else []
    recordings = by_short_names(logs, [log.absolute().parent.name for log in logs])
    rows: list[Row] = [*scenarios]
    rows += [RecordedRow(name, InputFile.of(log)) for name, log in recordings.items()]

    # the longest drives first, so that at the end no worker drives on while the others wait
    pairs = list(product(sorted(rows, key=lambda row: -row.seconds), paths))
    files = {name: InputFile.of(path) for name, path in paths.items()}
    tasks = [SuiteTask(files[model], settings.preprocess, row) for row, model in pairs]
    kept = FinishedSteps(settings.kept, Evaluation)
    workers = settings.jobs if pool is None else pool
    results = run_kept(workers, run_task, tasks, kept, "driving", "m", "drives", notify)

    # the results come in the order of the tasks; a table shows them in the order of its rows
    drives: dict[str, dict[str, Evaluation]] = {row.name: {} for row in scenarios}
    replays: dict[str, dict[str, ReplayFigures]] = {name: {} for name in recordings}
    for (row, model), result in zip(pairs, results, strict=True):
        if isinstance(result, Evaluation):
            drives[row.name][model] = result
        else:
            replays[row.name][model] = result
    return SuiteResult(paths, scenarios, drives, recordings, replays)


def run_task(task: SuiteTask) -> Evaluation | ReplayFigures:
    """Drive or replay; raises UserError, also for a file that this worker does not find.

    The model is loaded anew for each task: that takes 0.2 s, and a drive takes half a minute.
    """
    task.model.check()
    if isinstance(task.row, RecordedRow):
        task.row.log.check()
    with one_at_a_time:
        policy = load_on_one_core(task.model, task.preprocess)
        if isinstance(task.row, Scenario):
            return _drive(policy, task.row.settings, str(task.model.path))
        return _replay(policy, task.row)


def _drive(policy: Policy, settings: EvaluateSettings, name: str) -> Evaluation:
    """Drive a scenario; leave out the latency, so that the result is the same on each machine."""
    track = load_track(settings.track, settings.reverse)
    renderer = Renderer(settings.track, settings)
    world = SimulatedWorld(renderer, track, settings)
    driven = drive_policy(policy, world, settings, name)
    return replace(driven, latency_ms=None, views=())


def _replay(policy: Policy, row: RecordedRow) -> ReplayFigures:
    # its progress bar would disturb the bar of the suite
    results = replay_policies({row.name: policy}, row.log.path, shows_progress=False)
    return results[row.name].figures()


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return short name -> path: the file's name, without its ending if all names stay distinct.

    If two files have one name, all names are whole paths.

    Raises UserError for a model that does not exist or is given twice.
    """
    for path in models:
        check_model_path(path)
    for number, path in enumerate(models):
        if path.resolve() in [other.resolve() for other in models[:number]]:
            raise UserError(f"{path} is given twice; name each model once")
    return by_short_names(models, [path.stem for path in models], [path.name for path in models])


def by_short_names(paths: Sequence[Path], *choices: Sequence[str]) -> dict[str, Path]:
    """Return name -> path, with the first of the choices in which all names are distinct.

    choices: each has a name for each path; if none has distinct names, the paths are the names
    """
    for names in choices:
        if len(set(names)) == len(paths):
            return dict(zip(names, paths, strict=True))
    return {str(path): path for path in paths}
