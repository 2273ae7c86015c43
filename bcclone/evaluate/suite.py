"""Let several models drive the suite's scenarios and replay recordings, side by side, here or on a cluster."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.kept_drives import KeptDrives
from bcclone.evaluate.scenarios import (
    RecordingReplay,
    Scenario,
    ScenarioChanges,
    ScenarioDrive,
    SuiteRecording,
    SuiteResult,
    select_scenarios,
)
from bcclone.evaluate.suite_worker import InputFile, SuiteTask, run_task
from bcclone.recording.files import find_local_logs
from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import ProgressBar
from bcclone.system.task_pool import TaskPool, open_pool


def evaluate_suite(
    models: Sequence[Path | str],
    settings: SuiteSettings | None = None,
    notify: Callable[[str], None] = lambda line: None,
    pool: TaskPool | None = None,
) -> SuiteResult:
    """Score models on the scenarios of the suite, and on the recordings; raises UserError.

    A monitor watches the scenarios of one model, and not the recordings. Drives that are in settings.kept are not
    driven again, and finished ones are written there at once.

    notify: receives the address of the dashboard of a cluster; pool: the workers that drive, None to start some.
    """
    settings = settings or SuiteSettings()
    logs = find_local_logs(settings.recordings) if settings.recordings else []
    changes = ScenarioChanges(settings.suite, settings.track, settings.laps, settings.texture_seed)
    chosen = select_scenarios(settings.rows, changes)
    scenarios = tuple(one.ended_at(settings.most_interventions) for one in chosen)
    names, recordings = name_models(list(map(Path, models))), name_recordings(logs)
    # the longest first, so that no worker drives on alone at the end
    ordered: list[Scenario | SuiteRecording] = sorted([*scenarios, *recordings], key=lambda one: -one.seconds)
    pairs = [(work, model) for work in ordered for model in names]
    inputs = {path: InputFile.of(path) for path in [*names.values(), *logs]}
    monitor = _monitor_file(settings, names)
    tasks = [
        SuiteTask(inputs[names[model]], settings.preprocess, *_work(work, inputs), monitor, settings.on_doubt)
        for work, model in pairs
    ]
    kept = KeptDrives(settings.kept)
    found = {index: drive for index, task in enumerate(tasks) if (drive := kept.find(task))}
    if found:
        notify(f"{len(found)} of {len(tasks)} drives are finished already, in {settings.kept}")
    results: dict[int, ScenarioDrive | RecordingReplay] = {**found}
    if left := {index: task for index, task in enumerate(tasks) if index not in found}:
        jobs = min(settings.jobs or usable_cores(), len(left))
        with nullcontext(pool) if pool else open_pool(jobs) as workers:
            results |= _run_tasks(left, workers, kept)
    drives: dict[str, dict[str, ScenarioDrive]] = {one.name: {} for one in scenarios}
    replays: dict[str, dict[str, RecordingReplay]] = {one.name: {} for one in recordings}
    for index, (work, model) in enumerate(pairs):
        result = results[index]
        if isinstance(result, ScenarioDrive):
            drives[work.name][model] = result
        else:
            replays[work.name][model] = result
    return SuiteResult(names, scenarios, drives, recordings, replays)


def _monitor_file(settings: SuiteSettings, models: Mapping[str, Path]) -> InputFile | None:
    """Return the monitor; raises UserError if it does not fit, before anything is driven."""
    if settings.monitor is None:
        return None
    if len(models) > 1:
        raise UserError(f"{settings.monitor} belongs to one model, and {len(models)} are given; name that one only")
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.lab.monitor.monitor import load_monitor

    load_monitor(settings.monitor, *models.values())
    return InputFile.of(settings.monitor)


def _run_tasks(
    tasks: Mapping[int, SuiteTask], pool: TaskPool, kept: KeptDrives
) -> dict[int, ScenarioDrive | RecordingReplay]:
    """Run tasks with a progress bar, and keep each drive as soon as it is finished; return the results by number."""
    results: dict[int, ScenarioDrive | RecordingReplay] = {}
    numbers = list(tasks)
    metres = round(sum(task.work.length_m for task in tasks.values()))

    def advance(amount: float) -> None:
        progress.advance(amount, f"{len(results)} of {len(tasks)} drives done")

    with ProgressBar("driving", metres, "m") as progress:
        for index, result in pool.run(run_task, list(tasks.values()), advance):
            results[numbers[index]] = result
            if isinstance(result, ScenarioDrive):
                kept.keep(tasks[numbers[index]], result)
        advance(max(metres - progress.done, 0.0))
    return results


def _work(
    work: Scenario | SuiteRecording, inputs: Mapping[Path, InputFile]
) -> tuple[Scenario | SuiteRecording, tuple[InputFile, ...]]:
    """Return what a worker does, by absolute paths, and the files that it needs for that."""
    if isinstance(work, Scenario):
        return work, ()
    log = inputs[work.log]
    return replace(work, log=log.path), (log,)


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
