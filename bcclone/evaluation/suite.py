"""Score models by the drives of a suite -> JSON values and a table.

The drives run side by side, in processes here or on a cluster. A worker uses one thread of
TensorFlow on the CPU, so that the results do not depend on the number of workers.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

from bcclone.camera.images import cv2
from bcclone.evaluation.evaluate import Evaluation, drive_policy
from bcclone.evaluation.evaluate_settings import SuiteSettings
from bcclone.evaluation.scenarios import Scenario, select_scenarios
from bcclone.model.model_path import check_model_path
from bcclone.model.policy import Policy, load_policy
from bcclone.simulator.render import Renderer
from bcclone.simulator.roads import read_road_file
from bcclone.simulator.score import FAILURE_LIMITS_M, Score
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.system.errors import Table, TableColumn, UserError
from bcclone.system.files import sha256_of
from bcclone.system.pool import run_kept, source_digest
from bcclone.system.process import Notify, is_own_process
from bcclone.system.tensorflow_quietly import load_tensorflow

# ---- the result

_BEST = "*"  # mark behind the figures of the best model in a row


@dataclass(frozen=True)
class SuiteResult:
    """The results of a suite."""

    models: Mapping[str, Path]  # name -> file
    scenarios: tuple[Scenario, ...]
    drives: Mapping[str, Mapping[str, Evaluation]]  # name of the scenario -> model -> its drive

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
        rows = []
        for scenario in self.scenarios:
            drives = self.drives[scenario.name]
            row = {
                "row": scenario.name,
                "description": scenario.description,
                "best": sorted(best_of(drives)),
                "models": {model: drive.figures() for model, drive in drives.items()},
            }
            rows.append(row)
        return {"models": models, "rows": rows}

    def table(self) -> Table:
        """Return a table with a row for each scenario, two of totals, and a column for each model.

        Of several models, the best of each row is marked.
        """
        columns = [TableColumn("row", heading=""), TableColumn("description", heading="")]
        columns += map(TableColumn, self.models)
        rows = [["", "", *["autonomy  off  mean   most"] * len(self.models)]]
        for scenario in self.scenarios:
            drives = self.drives[scenario.name]
            best = best_of(drives) if len(drives) > 1 else set()
            cells = [
                _cell(drive.score) + _BEST * (model in best) for model, drive in drives.items()
            ]
            rows.append([scenario.name, scenario.description, *cells])

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
        rows.append(["", "rows without an intervention, all interventions", *totals])
        rows.append(["", f"departures beyond {limits} m, off the road", *departures])
        return Table(columns, rows)

    def explanations(self) -> list[str]:
        lines = [
            "off: interventions (wheels off the asphalt, or an incomplete drive); "
            "mean, most: distance from the centre line, m"
        ]
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


def best_of(drives: Mapping[str, Evaluation]) -> set[str]:
    """Return the models with the best drive of a scenario: several if equal.

    A complete drive is better than an incomplete one; then the drive with more autonomy is better;
    then the drive nearer to the centre line on average.
    """
    ranks = {}
    for model, drive in drives.items():
        score = drive.score
        ranks[model] = (
            not score.complete,
            -score.autonomy_percent,
            score.mean_abs_cross_track_m,
        )
    return {model for model, rank in ranks.items() if rank == min(ranks.values())}


def _cell(score: Score) -> str:
    """Return a score as a cell of the table, in columns of fixed widths."""
    distances = f"{score.mean_abs_cross_track_m:6.2f}{score.max_abs_cross_track_m:7.2f}"
    return f"{score.autonomy_percent:6.1f} %{score.interventions:5d}{distances}"


# ---- the drives


def suite(
    models: Sequence[Path | str],
    settings: SuiteSettings | None = None,
    notify: Notify = lambda line: None,
    pool: Executor | None = None,
) -> SuiteResult:
    """Score models on the scenarios of the suite; raises UserError.

    Each finished drive is written into the folder settings.kept at once. A drive whose result is
    there already is not driven again.

    notify: called with a line on the drives that were found there
    pool: the workers that drive, None to start worker processes
    """
    settings = settings or SuiteSettings()
    if not models:
        raise UserError("no model to score; name one, such as: bcclone suite model.h5")
    scenarios = select_scenarios(settings)
    paths = name_models(list(map(Path, models)))

    # the longest drives first, so that at the end no worker drives on while the others wait
    pairs = list(product(sorted(scenarios, key=lambda one: -one.seconds), paths))
    files = {name: InputFile.of(path) for name, path in paths.items()}
    tasks = [SuiteTask(files[model], settings.preprocess, scenario) for scenario, model in pairs]
    workers = settings.jobs if pool is None else pool
    results = run_kept(
        workers, run_task, tasks, settings.kept, Evaluation, "driving", "m", "drives", notify
    )

    # the results come in the order of the tasks; a table shows them in the order of its rows
    drives: dict[str, dict[str, Evaluation]] = {scenario.name: {} for scenario in scenarios}
    for (scenario, model), result in zip(pairs, results, strict=True):
        drives[scenario.name][model] = result
    return SuiteResult(paths, scenarios, drives)


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return short name -> path: the file's name, without its ending if all names stay distinct.

    If two files have one name, all names are whole paths.

    Raises UserError for a model that does not exist or is given twice.
    """
    for number, path in enumerate(models):
        check_model_path(path)
        if path.resolve() in [other.resolve() for other in models[:number]]:
            raise UserError(f"{path} is given twice; name each model once")
    for names in ([path.stem for path in models], [path.name for path in models]):
        if len(set(names)) == len(models):
            return dict(zip(names, models, strict=True))
    return {str(path): path for path in models}


# ---- in a worker


@dataclass(frozen=True)
class InputFile:
    """A file that each worker must find at the same path, with the same content."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the absolute path and the hash of a file on this machine."""
        return cls(path.absolute(), sha256_of(path))

    def check(self) -> None:
        """Raise UserError if this worker does not find the file, or finds other content."""
        try:
            sha256 = sha256_of(self.path)
        except OSError as error:
            raise UserError(
                f"{self.path}: a worker cannot read it ({error.strerror}); share or copy it"
            ) from None
        if sha256 != self.sha256:
            raise UserError(f"{self.path}: has other content on a worker; copy it again")


def result_key(name: str, track: str, *parts: object) -> str:
    """Return the name under which a result is kept for a later run.

    It is `name`, and a hash of all that the result depends on: the parts, bcclone's sources, and
    the content of a road's JSON file.

    track: name of a track, or path of a road's JSON file
    parts: settings and hashes of files, whose repr() is hashed
    """
    content = read_road_file(Path(track)) if track.endswith(".json") else b""
    hashed = repr((source_digest(), parts, content)).encode()
    return f"{name}-{hashlib.sha256(hashed).hexdigest()[:24]}"


# held while a task computes: a worker of a cluster may run tasks in several threads, but TensorFlow
# and OpenCV have one setting for the whole process
one_at_a_time = threading.Lock()


def load_on_one_core(model: InputFile, preprocess: str | None) -> Policy:
    """Load a model's policy in a worker process, which then computes with one thread.

    The process uses no GPU, since results of GPUs may differ. This lasts until the worker ends,
    because TensorFlow cannot take it back. Raises UserError if the worker does not find the file.

    preprocess: the preprocessing for a model file that does not state its own
    """
    model.check()
    if is_own_process():  # as each worker is
        cv2.setNumThreads(1)
    load_tensorflow(threads=1, use_gpus=False)
    # the pictures of simulated roads are frames already, so even a model with a framing, for
    # another camera's pictures, must not frame them again
    return load_policy(model.path, preprocess, must_agree=False).without_framing()


@dataclass(frozen=True)
class SuiteTask:
    """A scenario for a model to drive."""

    model: InputFile
    preprocess: str | None  # for a model that does not store its own
    scenario: Scenario

    @property
    def size(self) -> float:
        return self.scenario.length_m

    @property
    def key(self) -> str:
        scenario = self.scenario
        return result_key(
            scenario.name, scenario.settings.track, self.model.sha256, self.preprocess, scenario
        )


def run_task(task: SuiteTask) -> Evaluation:
    """Drive a scenario; raises UserError, also for a model that this worker does not find.

    The model is loaded anew for each task: that takes 0.2 s, and a drive takes half a minute. The
    result has no latency, so that it is the same on each machine.
    """
    with one_at_a_time:
        policy = load_on_one_core(task.model, task.preprocess)
        settings = task.scenario.settings
        track = load_track(settings.track, settings.reverse)
        world = SimulatedWorld(Renderer(settings.track, settings), track, settings)
        driven = drive_policy(policy, world, settings, str(task.model.path))
    return replace(driven, latency_ms=None, views=())
