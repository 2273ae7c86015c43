"""Let several models drive the suite's scenarios and replay recordings, in worker processes.

A worker uses one thread of TensorFlow on the CPU, so that the results do not depend on the number of workers.
"""

import contextlib
import io
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from bcclone.child_process import process_pool
from bcclone.doctor.machine import usable_cores
from bcclone.drive.driver import SteeringPolicy
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
from bcclone.evaluate.single import drive_policy
from bcclone.progress import ProgressBar
from bcclone.simulator.render import Renderer
from bcclone.simulator.settings import Conditions
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld

if TYPE_CHECKING:
    from bcclone.policy import Policy


_REPORT_EVERY_M = 20.0
_progress: "list[SimpleQueue[float]]" = []  # of this worker process: where its drives report their progress


@dataclass(frozen=True)
class SuiteTask:
    """A model and what it drives. preprocess: preprocessing for a model that does not store its own."""

    model: Path
    preprocess: str | None
    work: Scenario | SuiteRecording


def initialize_worker(progress: "SimpleQueue[float]") -> None:
    """Prepare this process; progress: receives the metres that its drives advance."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU may add in another order each time
    cv2.setNumThreads(1)
    _progress.append(progress)


def run_task(task: SuiteTask) -> ScenarioDrive | RecordingReplay:
    """Drive or replay; raises UserError."""
    policy = _policy(task.model, task.preprocess)
    if isinstance(task.work, SuiteRecording):
        return replay_recording(policy, task.work)
    return drive_scenario(policy, task.work, _progress[0].put)


def drive_scenario(
    policy: SteeringPolicy, scenario: Scenario, notify: Callable[[float], None] = lambda metres: None
) -> ScenarioDrive:
    """Let a policy drive a scenario in this process; notify: called now and then with the metres driven since."""
    settings, unreported = scenario.settings, [0.0]

    def on_progress(metres: float) -> None:
        unreported[0] += metres
        if unreported[0] >= _REPORT_EVERY_M:
            notify(unreported[0])
            unreported[0] = 0.0

    track = load_track(settings.track, settings.reverse)
    world = SimulatedWorld(_renderer(settings.track, settings.conditions), track, settings.world, on_progress)
    result = drive_policy(policy, world, settings.speed_mph)
    return ScenarioDrive(result.score, result.laps, result.ended, result.trace, result.interventions)


def replay_recording(policy: "Policy", recording: SuiteRecording) -> RecordingReplay:
    """Let a policy drive through a recording."""
    from bcclone.replay import replay_policies

    with contextlib.redirect_stderr(io.StringIO()):  # no progress bar beside the suite's
        results = replay_policies({recording.name: policy}, recording.log)
    return RecordingReplay(results[recording.name].figures())


@lru_cache(maxsize=4)
def _renderer(track: str, conditions: Conditions) -> Renderer:
    return Renderer(track, conditions)


@lru_cache
def _policy(path: Path, preprocess: str | None) -> "Policy":
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)
    from bcclone.model_file import ModelFile, named_preprocessing, open_model
    from bcclone.policy import Policy

    loaded = open_model(path)
    return Policy(loaded if isinstance(loaded, ModelFile) else loaded.declared(named_preprocessing(preprocess)))


_POLL_SECONDS = 0.2


def evaluate_suite(
    models: Sequence[Path], settings: SuiteSettings | None = None, logs: Sequence[Path] = ()
) -> SuiteResult:
    """Let every model drive every scenario, and through the recordings of these logs; raises UserError."""
    settings = settings or SuiteSettings()
    scenarios = select_scenarios(settings.rows, settings.laps, settings.texture_seed)
    names, recordings = name_models(models), name_recordings(logs)
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
                    "a worker process of the suite was killed or broke off; if memory ran out, use fewer --jobs"
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
            raise UserError(f"{path}: there is no such model; train one with: python model.py data.h5 -o {path}")
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
