"""Models, scenarios and recordings -> the results of a suite, driven side by side, here or on a cluster; the best model
of each row, the figures as JSON values and the tables in text.
"""

import contextlib
import hashlib
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.evaluation import Evaluation, WatchFile, drive_policy
from bcclone.evaluate.replay_result import ReplayFigures
from bcclone.evaluate.scenarios import Scenario, select_scenarios
from bcclone.evaluate.worker_model import InputFile, load_on_one_core, one_at_a_time
from bcclone.model.model_path import check_model_path
from bcclone.recording.files import find_local_logs
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import FAILURE_LIMITS_M, Score
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.table import Table, TableColumn
from bcclone.system.task_pool import FinishedSteps, Shown, TaskPool, report_progress, run_kept, source_digest

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

    def scores(self, model: str) -> list[Score]:
        return [drives[model].score for drives in self.drives.values()]

    def clean_rows(self, model: str) -> int:
        """Return how many scenarios a model drove without an intervention."""
        return sum(not score.interventions for score in self.scores(model))

    def interventions(self, model: str) -> int:
        return sum(score.interventions for score in self.scores(model))

    def figures(self) -> dict[str, Any]:
        models = {
            name: {"path": str(path), "clean_rows": self.clean_rows(name), "interventions": self.interventions(name)}
            for name, path in self.models.items()
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
        rows = [["", "", *["autonomy  off  mean   most"] * len(self.models)]]
        rows += [[one.name, one.description, *_cells(self.drives[one.name], _drive_cell)] for one in self.scenarios]
        totals, beyond = [], []
        for name in self.models:
            scores, off = self.scores(name), self.interventions(name)
            totals.append(f"{self.clean_rows(name)} of {len(scores)} rows, {off}")
            departures = [sum(one.departures.get(f"{limit:g}", 0) for one in scores) for limit in FAILURE_LIMITS_M]
            beyond.append(", ".join(map(str, [*departures, off])))
        rows += [["", _TOTALS, *totals], ["", _DEPARTURES, *beyond]]
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


@dataclass(frozen=True)
class RecordedRow:
    """A recording to replay. Only reading it tells its length, so a suite begins with it, in case it is the longest."""

    name: str
    log: Path
    length_m = 0.0
    seconds = math.inf


Row: TypeAlias = Scenario | RecordedRow


@dataclass(frozen=True)
class SuiteTask:
    """A model and its scenario or recording.

    preprocess: for a model that does not store its own; inputs: the other files that the worker needs;
    watch: monitor of the drive, only for a scenario.
    """

    model: InputFile
    preprocess: str | None
    row: Row
    inputs: tuple[InputFile, ...] = ()
    watch: WatchFile | None = None

    def __str__(self) -> str:
        return f"{self.row.name} with {self.model.path}"

    @property
    def size(self) -> float:
        return self.row.length_m

    @property
    def key(self) -> str:
        """Return the name of a scenario with a hash of everything that its result depends on; "" for a recording."""
        if isinstance(self.row, RecordedRow):
            return ""
        track = Path(self.row.settings.track)
        content = read_bytes(track, "json") if track.suffix == ".json" else b""
        inputs = [file.sha256 for file in (self.model, *self.inputs)]
        parts = source_digest(), inputs, self.preprocess, self.row, content
        return f"{self.row.name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


def evaluate_suite(
    models: Sequence[Path | str],
    settings: SuiteSettings | None = None,
    notify: Callable[[str], None] = lambda line: None,
    pool: TaskPool | None = None,
    watch: WatchFile | None = None,
) -> SuiteResult:
    """Score models on the scenarios of the suite, and on the recordings; raises UserError.

    Drives that are in settings.kept are not driven again, and finished ones are written there at once. notify: called
    with a line on them; pool: the workers that drive, None to start some; watch: of each drive of the only model.
    """
    settings = settings or SuiteSettings()
    if not models:
        raise UserError("no model to score; name one, such as: bcclone suite model.h5")
    if watch:
        open_watch = watch.opener(models)
        from bcclone.system.tensorflow_quietly import load_tensorflow

        load_tensorflow()
        open_watch(time.monotonic)  # raises UserError for a monitor of another model
    scenarios, named = select_scenarios(settings), name_models(list(map(Path, models)))
    logs = find_local_logs(settings.recordings) if settings.recordings else []
    recordings = by_short_names(logs, [log.absolute().parent.name for log in logs])
    rows: list[Row] = [*scenarios, *(RecordedRow(name, log.absolute()) for name, log in recordings.items())]
    input_of = cache(InputFile.of)
    # the longest first, so that no worker drives on alone at the end
    places = list(product(sorted(rows, key=lambda row: -row.seconds), named))
    tasks = [_task(row, input_of(named[model]), settings.preprocess, watch) for row, model in places]
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


def _task(row: Row, model: InputFile, preprocess: str | None, watch: WatchFile | None) -> SuiteTask:
    if isinstance(row, RecordedRow):
        return SuiteTask(model, preprocess, row, (InputFile.of(row.log),))
    inputs = (InputFile.of(watch.file),) if watch else ()
    return SuiteTask(model, preprocess, row, inputs, watch and replace(watch, file=watch.file.absolute()))


def run_task(task: SuiteTask) -> Evaluation | ReplayFigures:
    """Drive or replay; raises UserError, and WorkerFault for a file that this worker does not find.

    Nothing is kept between two tasks: to load a model takes 0.2 s, and a drive half a minute.
    """
    for file in (task.model, *task.inputs):
        file.check()
    with one_at_a_time:
        policy = load_on_one_core(task.model, task.preprocess)
        if isinstance(task.row, Scenario):
            watch = task.watch.opener([task.model.path]) if task.watch else None
            settings = task.row.settings
            track, renderer = (
                load_track(settings.track, settings.reverse),
                Renderer(settings.track, settings.conditions),
            )
            world = SimulatedWorld(renderer, track, settings.world, report_progress)
            driven = drive_policy(policy, world, settings.speed, watch, str(task.model.path))
            return replace(driven, latency=None, views=())
        from bcclone.evaluate.replay import replay_policies

        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar would disturb the bar of the suite
            return replay_policies({task.row.name: policy}, task.row.log)[task.row.name].figures()


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
