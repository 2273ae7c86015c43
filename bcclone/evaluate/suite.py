"""Models, scenarios and recordings -> the results of a suite, driven side by side, here or on a cluster."""

import contextlib
import hashlib
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TypeAlias

from bcclone.drive.driver import SteeringPolicy
from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.evaluation import Evaluation, drive_policy
from bcclone.evaluate.replay_result import ReplayFigures
from bcclone.evaluate.scenarios import Scenario, select_scenarios
from bcclone.evaluate.suite_result import SuiteResult
from bcclone.evaluate.watched import OpenWatch, WatchFile
from bcclone.evaluate.worker_model import InputFile, load_on_one_core, one_at_a_time
from bcclone.model.model_path import check_model_path
from bcclone.recording.files import find_local_logs
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.task_pool import FinishedSteps, Shown, TaskPool, report_progress, run_kept, source_digest


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
    if watch:
        watch = replace(watch, file=watch.file.absolute())
    return SuiteTask(model, preprocess, row, (InputFile.of(watch.file),) if watch else (), watch)


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
            return drive_scenario(policy, task.row, report_progress, watch, str(task.model.path))
        from bcclone.evaluate.replay import replay_policies

        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar would disturb the bar of the suite
            return replay_policies({task.row.name: policy}, task.row.log)[task.row.name].figures()


def drive_scenario(
    policy: SteeringPolicy,
    scenario: Scenario,
    on_progress: Callable[[float], None] | None = None,
    open_watch: OpenWatch | None = None,
    name: str = "the policy",
) -> Evaluation:
    """Let a policy drive a scenario in this process; raises UserError as drive_policy() does.

    on_progress: called often with the metres since the last call; name: of the policy, for the error.
    """
    settings = scenario.settings
    track = load_track(settings.track, settings.reverse)
    world = SimulatedWorld(Renderer(settings.track, settings.conditions), track, settings.world, on_progress)
    return replace(drive_policy(policy, world, settings.speed, open_watch, name), latency=None, views=())


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
