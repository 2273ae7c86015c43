"""Drive one scenario of the suite, or replay one recording, in a worker process.

A worker uses one thread of TensorFlow on the CPU, so that the results do not depend on the number of workers.
"""

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import cv2

from bcclone.drive.driver import SteeringPolicy
from bcclone.evaluate.evaluation import Supervision, drive_policy
from bcclone.evaluate.scenarios import RecordingReplay, Scenario, ScenarioDrive, SuiteRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.simulator.world_settings import Conditions
from bcclone.system.task import WorkerFault, report_progress

if TYPE_CHECKING:
    from bcclone.lab.monitor.monitor import Monitor
    from bcclone.model.policy import Policy

# a worker of a cluster may have several threads, but neither TensorFlow's settings nor the renderer are for several
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class InputFile:
    """A file that each worker must find at the same path, with the same content."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return a file of this machine, by its absolute path."""
        with path.open("rb") as file:
            return cls(path.absolute(), hashlib.file_digest(file, "sha256").hexdigest())

    def check(self) -> None:
        """Raise WorkerFault if this worker does not find the file."""
        try:
            with self.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WorkerFault(f"{self.path}: cannot be read there ({error.strerror}); share or copy it") from None
        if found != self.sha256:
            raise WorkerFault(f"{self.path}: has other content there; share it, or copy it again")


@dataclass(frozen=True)
class SuiteTask:
    """A model and its scenario or recording.

    preprocess: preprocessing for a model that does not store its own; inputs: further files that the worker needs;
    monitor, on_doubt: what watches the drive of a scenario, and what the car does while it doubts.
    """

    model: InputFile
    preprocess: str | None
    work: Scenario | SuiteRecording
    inputs: tuple[InputFile, ...] = ()
    monitor: InputFile | None = None
    on_doubt: str = "ignore"

    def __str__(self) -> str:
        return f"{self.work.name} with {self.model.path}"


def run_task(task: SuiteTask) -> ScenarioDrive | RecordingReplay:
    """Drive or replay; raises UserError, and WorkerFault for a model or recording that this worker does not find."""
    for file in (task.model, *task.inputs, *([task.monitor] if task.monitor else [])):
        file.check()
    with _one_at_a_time:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU may add in another order each time
        cv2.setNumThreads(1)
        policy = cached_policy(task.model, task.preprocess)
        if isinstance(task.work, SuiteRecording):
            return replay_recording(policy, task.work)
        return drive_scenario(policy, task.work, report_progress, _supervision(task))


def drive_scenario(
    policy: SteeringPolicy,
    scenario: Scenario,
    on_progress: Callable[[float], None] | None = None,
    supervision: Supervision | None = None,
) -> ScenarioDrive:
    """Let a policy drive a scenario in this process; on_progress: called often with the metres driven since."""
    result = drive_policy(policy, open_scenario(scenario, on_progress), scenario.settings, supervision)
    return ScenarioDrive(
        result.score, result.laps, result.ended, result.trace, result.interventions, result.events, result.doubts
    )


def open_scenario(scenario: Scenario, on_progress: Callable[[float], None] | None = None) -> SimulatedWorld:
    """Return the world of a scenario, whose renderer this process keeps for the next one."""
    settings = scenario.settings
    track = load_track(settings.track, settings.reverse)
    return SimulatedWorld(_renderer(settings.track, settings.conditions), track, settings.world, on_progress)


def replay_recording(policy: "Policy", recording: SuiteRecording) -> RecordingReplay:
    """Let a policy drive through a recording."""
    from bcclone.evaluate.replay import replay_policies

    with contextlib.redirect_stderr(io.StringIO()):  # no progress bar beside the suite's
        results = replay_policies({recording.name: policy}, recording.log)
    return RecordingReplay(results[recording.name].figures())


def _supervision(task: SuiteTask) -> Supervision | None:
    return Supervision(_cached_monitor(task.monitor, task.model), task.on_doubt) if task.monitor else None


@lru_cache(maxsize=1)
def _cached_monitor(monitor: InputFile, model: InputFile) -> "Monitor":
    from bcclone.lab.monitor.monitor import load_monitor

    return load_monitor(monitor.path, model.path)


@lru_cache(maxsize=4)
def _renderer(track: str, conditions: Conditions) -> Renderer:
    return Renderer(track, conditions)


@lru_cache
def cached_policy(model: InputFile, preprocess: str | None) -> "Policy":
    """Return a model's policy, which this worker loads once. preprocess: for a model that does not store its own."""
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)
    from bcclone.model.model_file import ModelFile, named_preprocessing, open_model
    from bcclone.model.onnx_model import is_onnx
    from bcclone.model.policy import Policy, load_policy

    if is_onnx(model.path):
        return load_policy(model.path)
    loaded = open_model(model.path)
    return Policy(loaded if isinstance(loaded, ModelFile) else loaded.declared(named_preprocessing(preprocess)))
