"""Do a task of a suite in a worker process: drive one scenario, or replay one recording.

A worker uses one thread of TensorFlow on the CPU, so that the results do not depend on the number of workers. It keeps
nothing between two tasks: to load a model takes 0.2 s, and a drive half a minute.
"""

import contextlib
import hashlib
import io
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from bcclone.drive.driver import SteeringPolicy
from bcclone.evaluate.evaluation import Evaluation, drive_policy
from bcclone.evaluate.replay_result import ReplayFigures
from bcclone.evaluate.scenarios import Scenario
from bcclone.evaluate.watched import OpenWatch, WatchFile
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.system.atomic import sha256_of
from bcclone.system.opencv import cv2
from bcclone.system.reading import MOST_JSON, read_limited
from bcclone.system.task_pool import WorkerFault, report_progress, source_digest

if TYPE_CHECKING:
    from bcclone.model.policy import Policy  # loads TensorFlow

# a worker of a cluster may have several threads, but the settings of TensorFlow and OpenCV belong to its process
one_at_a_time = threading.Lock()


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
        """Raise WorkerFault if this worker does not find the file, or finds other content."""
        try:
            sha256 = sha256_of(self.path)
        except OSError as error:
            raise WorkerFault(f"{self.path}: cannot be read there ({error.strerror}); share or copy it") from None
        if sha256 != self.sha256:
            raise WorkerFault(f"{self.path}: has other content there; share it, or copy it again")


@dataclass(frozen=True)
class Recording:
    """A recording to replay. Only reading it tells its length, so a suite begins with it, in case it is the longest."""

    name: str
    log: Path
    length_m = 0.0
    seconds = math.inf


Work: TypeAlias = Scenario | Recording


@dataclass(frozen=True)
class SuiteTask:
    """A model and its scenario or recording.

    preprocess: for a model that does not store its own; inputs: the other files that the worker needs;
    watch: monitor of the drive, only for a scenario.
    """

    model: InputFile
    preprocess: str | None
    work: Work
    inputs: tuple[InputFile, ...] = ()
    watch: WatchFile | None = None

    def __str__(self) -> str:
        return f"{self.work.name} with {self.model.path}"

    @property
    def size(self) -> float:
        """Return the length of the drive in metres."""
        return self.work.length_m

    @property
    def key(self) -> str:
        """Return the name of a scenario with a hash of everything that its result depends on; "" for a recording."""
        if isinstance(self.work, Recording):
            return ""
        track = Path(self.work.settings.track)
        sha256 = (self.model.sha256, *(file.sha256 for file in self.inputs))
        content = read_limited(track, MOST_JSON) if track.suffix == ".json" else b""
        parts = source_digest(), sha256, self.preprocess, self.work, content
        return f"{self.work.name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


def run_task(task: SuiteTask) -> Evaluation | ReplayFigures:
    """Drive or replay; raises UserError, and WorkerFault for a file that this worker does not find."""
    for file in (task.model, *task.inputs):
        file.check()
    with one_at_a_time:
        policy = load_on_one_core(task.model, task.preprocess)
        if isinstance(task.work, Recording):
            return replay_recording(policy, task.work)
        watch = task.watch.opener([task.model.path]) if task.watch else None
        return drive_scenario(policy, task.work, report_progress, watch, str(task.model.path))


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


def replay_recording(policy: "Policy", recording: Recording) -> ReplayFigures:
    """Let a policy drive through a recording."""
    from bcclone.evaluate.replay import replay_policies

    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar would disturb the bar of the suite
        results = replay_policies({recording.name: policy}, recording.log)
    return results[recording.name].figures()


def load_on_one_core(model: InputFile, preprocess: str | None) -> "Policy":
    """Load a model's policy, and let this process compute with one thread and without GPUs, whose results may differ.

    preprocess: for a model that does not store its own.
    """
    cv2.setNumThreads(1)
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1, use_gpus=False)
    from bcclone.model.model_file import ModelFile, named_preprocessing, open_model
    from bcclone.model.model_path import is_onnx
    from bcclone.model.policy import Policy, load_policy

    if is_onnx(model.path):
        return load_policy(model.path)
    loaded = open_model(model.path)
    return Policy(loaded if isinstance(loaded, ModelFile) else loaded.declared(named_preprocessing(preprocess)))
