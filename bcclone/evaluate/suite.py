"""Let several models drive the scenarios of a suite and replay recordings, side by side, here or on a cluster."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path

from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.evaluation import Evaluation
from bcclone.evaluate.replay_result import ReplayFigures
from bcclone.evaluate.scenarios import Scenario, select_scenarios
from bcclone.evaluate.suite_result import SuiteResult
from bcclone.evaluate.suite_task import InputFile, Recording, SuiteTask, SuiteWatch, Work, run_task
from bcclone.recording.files import find_local_logs
from bcclone.system.errors import UserError
from bcclone.system.finished_steps import FinishedSteps
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import ProgressBar
from bcclone.system.task_pool import TaskPool, open_pool

Place = tuple[Work, str]  # the work and the name of the model
Results = dict[Place, Evaluation | ReplayFigures]


def evaluate_suite(
    models: Sequence[Path | str],
    settings: SuiteSettings | None = None,
    notify: Callable[[str], None] = lambda line: None,
    pool: TaskPool | None = None,
    watch: SuiteWatch | None = None,
) -> SuiteResult:
    """Score models on the scenarios of the suite, and on the recordings; raises UserError.

    Drives that are in settings.kept are not driven again, and finished ones are written there at once.

    notify: receives the address of the dashboard of a cluster; pool: the workers that drive, None to start some; watch:
    of each drive of one model.
    """
    settings = settings or SuiteSettings()
    logs = find_local_logs(settings.recordings) if settings.recordings else []
    scenarios = select_scenarios(settings)
    names, recordings = name_models(list(map(Path, models))), name_recordings(logs)
    watch = replace(watch, file=watch.file.absolute()) if watch else None
    # the longest first, so that no worker drives on alone at the end
    ordered: list[Work] = sorted([*scenarios, *recordings], key=lambda one: -one.seconds)
    files = {path: InputFile.of(path) for path in [*names.values(), *logs, *([watch.file] if watch else [])]}
    tasks: dict[Place, SuiteTask] = {}
    for work, model in product(ordered, names):
        task = SuiteTask(files[names[model]], settings.preprocess, work)
        if isinstance(work, Recording):
            log = files[work.log]
            task = replace(task, work=replace(work, log=log.path), inputs=(log,))
        elif watch is not None:
            task = replace(task, watch=watch, inputs=(files[watch.file],))
        tasks[work, model] = task
    kept = FinishedSteps(settings.kept, Evaluation)
    results: Results = {place: finished for place, task in tasks.items() if (finished := _find(kept, task))}
    if results:
        notify(f"{len(results)} of {len(tasks)} drives are finished already, in {settings.kept}")
    if left := {place: task for place, task in tasks.items() if place not in results}:
        jobs = min(settings.jobs or usable_cores(), len(left))
        with nullcontext(pool) if pool else open_pool(jobs) as workers:
            results |= _run_tasks(left, workers, kept)
    drives = {
        one.name: {model: drive for model in names if isinstance(drive := results[one, model], Evaluation)}
        for one in scenarios
    }
    replays = {
        one.name: {model: replay for model in names if isinstance(replay := results[one, model], ReplayFigures)}
        for one in recordings
    }
    return SuiteResult(names, scenarios, drives, {one.name: one.log for one in recordings}, replays)


def _find(kept: FinishedSteps[Evaluation], task: SuiteTask) -> Evaluation | None:
    """Return a drive that was finished before; replays of recordings are not kept."""
    return kept.find(task.key) if isinstance(task.work, Scenario) else None


def _run_tasks(tasks: Mapping[Place, SuiteTask], pool: TaskPool, kept: FinishedSteps[Evaluation]) -> Results:
    """Run tasks with a progress bar, and keep each drive as soon as it is finished."""
    results: Results = {}
    places = list(tasks)
    metres = round(sum(work.length_m for work, _ in places))

    def advance(amount: float) -> None:
        progress.advance(amount, f"{len(results)} of {len(tasks)} drives done")

    with ProgressBar("driving", metres, "m") as progress:
        for index, result in pool.run(run_task, list(tasks.values()), advance):
            results[places[index]] = result
            if isinstance(result, Evaluation):
                kept.keep(tasks[places[index]].key, result)
        advance(max(metres - progress.done, 0.0))
    return results


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return the models by the shortest distinct names: without folders where that is enough.

    Raises UserError for a model that does not exist or is given twice.
    """
    for path in models:
        if not path.is_file():
            raise UserError(f"{path}: no such model; train one with: python model.py data.h5 -o {path}")
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
