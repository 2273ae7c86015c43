"""A process that drives for the suite: one thread of TensorFlow, on the CPU, so that each drive is the same."""

import contextlib
import io
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from bcclone.child_process import become_worker
from bcclone.drive.driver import SteeringPolicy
from bcclone.errors import UserError
from bcclone.evaluate import drive_policy
from bcclone.replay import replay
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.suite.scenarios import Drive, Recording, Replayed, Row

if TYPE_CHECKING:
    from bcclone.policy import Policy

_TOLD_EVERY_M = 20.0


@dataclass(frozen=True)
class Task:
    """A row or a recording to drive. preprocess: how frames are prepared for a model that does not say it itself."""

    model: Path
    preprocess: str | None
    row: Row | Recording


@dataclass(frozen=True)
class Failure:
    """Why a task could not be done. trace: of what is no user's mistake."""

    reason: str
    trace: str = ""


def serve(connection: Connection) -> None:
    """Drive what is asked for until None is, or nobody is there; answer with metres, then with what it came to."""
    become_worker()
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU may add up in another order each time
    cv2.setNumThreads(1)
    try:
        while (task := connection.recv()) is not None:
            connection.send(_outcome(task, connection.send))
    except (EOFError, OSError):
        return


def _outcome(task: Task, tell: Callable[[float], None]) -> Drive | Replayed | Failure:
    try:
        policy = _policy(task.model, task.preprocess)
        if isinstance(task.row, Row):
            return drive_row(policy, task.row, tell)
        return drive_recording(policy, task.row)
    except UserError as error:
        return Failure(str(error))
    except Exception as error:  # whatever it is, who asked must hear of it
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def drive_row(policy: SteeringPolicy, row: Row, tell: Callable[[float], None] = lambda metres: None) -> Drive:
    """Let a policy drive a row in this process; tell hears, now and then, how many metres farther it has come."""
    settings, untold = row.settings, [0.0]

    def on_progress(metres: float) -> None:
        untold[0] += metres
        if untold[0] >= _TOLD_EVERY_M:
            tell(untold[0])
            untold[0] = 0.0

    track = load_track(settings.track, settings.reverse)
    world = SimulatedWorld(_renderer(settings.track, settings.conditions), track, settings.world, on_progress)
    figures = drive_policy(policy, world, settings.speed_mph).figures()
    del figures["request_to_steer_ms"]  # of a process among others, and never twice the same
    return Drive(figures, tuple(world.score.trace), tuple(world.score.interventions))


def drive_recording(policy: "Policy", recording: Recording) -> Replayed:
    """Let a policy drive through a recording."""
    with contextlib.redirect_stderr(io.StringIO()):  # its bar; there are others at work, and who asked has one for all
        done = replay({recording.name: policy}, recording.log)
    return Replayed(done[recording.name].figures())


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
