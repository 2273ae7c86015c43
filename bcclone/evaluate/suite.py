"""Let several models drive the suite's scenarios and replay recordings, in worker processes."""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from bcclone.child_process import process_pool
from bcclone.errors import UserError
from bcclone.evaluate.scenarios import (
    RecordingReplay,
    Scenario,
    ScenarioDrive,
    SuiteRecording,
    SuiteResult,
    select_scenarios,
)
from bcclone.evaluate.settings import SuiteSettings
from bcclone.evaluate.suite_worker import SuiteTask, initialize_worker, run_task
from bcclone.hardware import usable_cores
from bcclone.progress import ProgressBar
from bcclone.recording import find_logs

_POLL_SECONDS = 0.2


def evaluate_suite(models: Sequence[Path | str], settings: SuiteSettings | None = None) -> SuiteResult:
    """Score models on the scenarios of the suite, and on the recordings; raises UserError."""
    settings = settings or SuiteSettings()
    logs = find_logs(settings.recordings) if settings.recordings else []
    scenarios = select_scenarios(settings.rows, settings.laps, settings.texture_seed)
    names, recordings = name_models(list(map(Path, models))), name_recordings(logs)
    # the longest first, so that no worker drives on alone at the end
    ordered: list[Scenario | SuiteRecording] = sorted([*scenarios, *recordings], key=lambda one: -one.seconds)
    tasks = [SuiteTask(path, settings.preprocess, work) for work in ordered for path in names.values()]
    results = _run_tasks(tasks, settings.jobs or usable_cores())
    model_names = {path: name for name, path in names.items()}
    drives: dict[str, dict[str, ScenarioDrive]] = {one.name: {} for one in scenarios}
    replays: dict[str, dict[str, RecordingReplay]] = {one.name: {} for one in recordings}
    for task in tasks:
        name, result = model_names[task.model], results[task]
        if isinstance(result, ScenarioDrive):
            drives[task.work.name][name] = result
        else:
            replays[task.work.name][name] = result
    return SuiteResult(names, scenarios, drives, recordings, replays)


def _run_tasks(tasks: Sequence[SuiteTask], jobs: int) -> Mapping[SuiteTask, ScenarioDrive | RecordingReplay]:
    """Run all tasks with a progress bar; raises UserError for a task that failed or a worker that died."""
    results: dict[SuiteTask, ScenarioDrive | RecordingReplay] = {}
    reports = multiprocessing.get_context("spawn").SimpleQueue()
    metres = round(sum(task.work.length_m for task in tasks))
    with (
        ProgressBar("driving", metres, "m") as progress,
        process_pool(min(jobs, len(tasks)), initialize_worker, (reports,)) as pool,
    ):
        futures = {pool.submit(run_task, task): task for task in tasks}
        pending = set(futures)
        while pending:
            done, pending = wait(pending, _POLL_SECONDS, FIRST_COMPLETED)
            try:
                results.update({futures[future]: future.result() for future in done})
            except BrokenProcessPool:
                raise UserError(
                    "a worker process of the suite ended unexpectedly; if memory ran out, use fewer --jobs"
                ) from None
            while not reports.empty():
                progress.advance(reports.get(), f"{len(results)} of {len(tasks)} drives done")
        progress.advance(max(metres - progress.done, 0.0), f"{len(results)} of {len(tasks)} drives done")
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


def name_recordings(logs: Sequence[Path]) -> tuple[SuiteRecording, ...]:
    """Return the recordings of some logs, named after their folders where these are distinct."""
    named = _named(logs, [[log.absolute().parent.name for log in logs]])
    return tuple(SuiteRecording(name, log) for name, log in named.items())


def _named(paths: Sequence[Path], choices: Sequence[Sequence[str]]) -> dict[str, Path]:
    """Return the paths by the first choice of distinct names, or by themselves."""
    for names in choices:
        if len(set(names)) == len(paths):
            return dict(zip(names, paths, strict=True))
    return {str(path): path for path in paths}
