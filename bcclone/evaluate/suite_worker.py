"""Drive one scenario of the suite, or replay one recording, in a worker process.

A worker uses one thread of TensorFlow on the CPU, so that the results do not depend on the number of workers.
"""

import contextlib
import io
import os
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from bcclone.drive.driver import SteeringPolicy
from bcclone.evaluate.scenarios import RecordingReplay, Scenario, ScenarioDrive, SuiteRecording
from bcclone.evaluate.single import drive_policy
from bcclone.simulator.render import Renderer
from bcclone.simulator.settings import Conditions
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld

if TYPE_CHECKING:
    from bcclone.policy import Policy

_REPORT_EVERY_M = 20.0
# set once by initialize_worker(): a queue between processes is inherited, and cannot be sent with a task
_advance: "ContextVar[SimpleQueue[float]]" = ContextVar("advance")


@dataclass(frozen=True)
class SuiteTask:
    """A model and its scenario or recording. preprocess: preprocessing for a model that does not store its own."""

    model: Path
    preprocess: str | None
    work: Scenario | SuiteRecording


def initialize_worker(advance: "SimpleQueue[float]") -> None:
    """Prepare this process. advance: receives the metres that its drives advance, as they do."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU may add in another order each time
    cv2.setNumThreads(1)
    _advance.set(advance)


def run_task(task: SuiteTask) -> ScenarioDrive | RecordingReplay:
    """Drive or replay; raises UserError."""
    policy = _policy(task.model, task.preprocess)
    if isinstance(task.work, SuiteRecording):
        return replay_recording(policy, task.work)
    return drive_scenario(policy, task.work, _advance.get().put)


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
