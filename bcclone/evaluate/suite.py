"""Models, scenarios and recordings -> the results of a suite, driven side by side, here or on a cluster."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.evaluation import Evaluation
from bcclone.evaluate.replay_result import ReplayFigures
from bcclone.evaluate.scenarios import select_scenarios
from bcclone.evaluate.suite_result import Result, SuiteResult
from bcclone.evaluate.suite_task import InputFile, Recording, SuiteTask, Work, run_task
from bcclone.evaluate.watched import WatchFile
from bcclone.model.model_path import check_model_path
from bcclone.recording.files import find_local_logs
from bcclone.system.errors import UserError
from bcclone.system.finished_steps import FinishedSteps
from bcclone.system.task_pool import Shown, TaskPool, run_kept

Place = tuple[Work, str]  # the work and the name of the model
Results = dict[Place, Evaluation | ReplayFigures]


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
    _check_models(models, settings)
    if watch:
        _check_watch(watch, models)
    scenarios = select_scenarios(settings)
    named = name_models(list(map(Path, models)))
    recordings = name_recordings(find_local_logs(settings.recordings) if settings.recordings else [])
    tasks = _make_tasks(named, [*scenarios, *recordings], settings.preprocess, watch)
    kept, shown = FinishedSteps(settings.kept, Evaluation), Shown("driving", "m", "drives", notify)
    workers = settings.jobs if pool is None else pool
    results: Results = dict(zip(tasks, run_kept(workers, run_task, list(tasks.values()), kept, shown), strict=True))
    return SuiteResult(
        models=named,
        scenarios=scenarios,
        drives=_table_of(Evaluation, results, scenarios, named),
        recordings={one.name: one.log for one in recordings},
        replays=_table_of(ReplayFigures, results, recordings, named),
    )


def _check_models(models: Sequence[Path | str], settings: SuiteSettings) -> None:
    """Raise UserError without a model; it may be among the rows."""
    if taken := [name for name in settings.rows if not models and Path(name).is_file()]:
        raise UserError(f"no model to score: {', '.join(taken)} came after --rows, as names of rows; name models first")
    if not models:
        raise UserError("no model to score; name one, such as: bcclone evaluate model.h5 --suite")


def _check_watch(watch: WatchFile, models: Sequence[Path | str]) -> None:
    """Raise UserError if a monitor does not fit the only model."""
    open_watch = watch.opener(models)
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    open_watch(time.monotonic)


def _make_tasks(
    models: Mapping[str, Path], works: Sequence[Work], preprocess: str | None, watch: WatchFile | None
) -> dict[Place, SuiteTask]:
    """Return the task of each work and model, the longest first, so that no worker drives on alone at the end."""
    input_of = cache(InputFile.of)
    tasks: dict[Place, SuiteTask] = {}
    for work, (name, model) in product(sorted(works, key=lambda one: -one.seconds), models.items()):
        task = SuiteTask(input_of(model), preprocess, work)
        if isinstance(work, Recording):
            log = input_of(work.log)
            task = replace(task, work=replace(work, log=log.path), inputs=(log,))
        elif watch is not None:
            file = input_of(watch.file)
            task = replace(task, watch=replace(watch, file=file.path), inputs=(file,))
        tasks[work, name] = task
    return tasks


def _table_of(
    kind: type[Result], results: Results, works: Sequence[Work], models: Collection[str]
) -> dict[str, dict[str, Result]]:
    """Return the results of some works: name of the work -> model -> its result."""
    return {
        work.name: {model: result for model in models if isinstance(result := results[work, model], kind)}
        for work in works
    }


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return the models by the shortest distinct names: without folders where that is enough.

    Raises UserError for a model that does not exist or is given twice.
    """
    for path in models:
        check_model_path(path)
    for number, path in enumerate(models):
        if path.resolve() in [other.resolve() for other in models[:number]]:
            raise UserError(f"{path} is given twice; name each model once")
    return _named(models, [[path.stem for path in models], [path.name for path in models]])


def name_recordings(logs: Sequence[Path]) -> tuple[Recording, ...]:
    """Return the recordings of some logs, named after their folders where these are distinct."""
    named = _named(logs, [[log.absolute().parent.name for log in logs]])
    return tuple(Recording(name, log) for name, log in named.items())


def _named(paths: Sequence[Path], choices: Sequence[Sequence[str]]) -> dict[str, Path]:
    """Return the paths by the first choice of distinct names, or by themselves."""
    for names in choices:
        if len(set(names)) == len(paths):
            return dict(zip(names, paths, strict=True))
    return {str(path): path for path in paths}
