"""The ways of a datum: the modules that it passes on four trips through the package, each of them
listed.

A module is on the way if its functions are given the datum, or return it, once for each while the
trip is traced. The ground (`system/`) and the inside of a step of the way (an augmentation, a
network, a simulated world) do not count.
"""

import sys
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import bcclone
from bcclone.dataset.answer import Answer
from bcclone.drive.protocol import Telemetry
from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.scenarios import Scenario
from bcclone.evaluation.suite import SuiteTask
from bcclone.feed.source import Batch
from bcclone.system.task_pool import TaskPool, run_task
from tests.drive.drive_server import Still, drive, serving_in_a_thread
from tests.recordings import images_of

INSIDE = (
    "bcclone.system.",
    "bcclone.feed.augment.",
    "bcclone.simulator.",
    "bcclone.model.recurrent",
)


@contextmanager
def passing(is_datum, times):
    """Collect the modules whose functions are given the datum so many times, alone or among values
    by name.
    """
    met, passed = Counter(), set()

    def trace(frame, event, returned):
        name = frame.f_globals.get("__name__", "")
        if (
            event not in ("call", "return")
            or not name.startswith("bcclone.")
            or name.startswith(INSIDE)
        ):
            return
        code = frame.f_code
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        values = (
            [returned]
            if event == "return"
            else [frame.f_locals.get(argument) for argument in arguments]
        )
        values += [value for one in values if isinstance(one, Mapping) for value in one.values()]
        if any(map(is_datum, values)):
            met[name.removeprefix("bcclone.")] += 1

    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield passed
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        passed |= {module for module, count in met.items() if count >= times}


class Threads(TaskPool):
    """Threads of this process, so that a task can be traced."""

    def submit(self, function, task, faulty):
        return self._executor.submit(run_task, function, task, "a thread", lambda amount: None)


def is_image(value):
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (3, 4)


def test_a_jpeg_path_into_the_store(simulated_recording, tmp_path):
    def is_datum(value):
        return is_image(value) or (isinstance(value, str) and value.endswith(".jpg"))

    with passing(is_datum, 10) as passed:
        bcclone.convert(bcclone.PreprocessSettings((simulated_recording,), tmp_path / "data.h5"))
    assert passed == {
        "recording.row",
        "recording.files",
        "dataset.conversion_plan",
        "dataset.images",
        "dataset.preprocessing",
        "dataset.store_writer",
    }


@pytest.mark.slow
def test_the_index_of_a_sample_into_the_training_step(simulated_store, tmp_path):
    def is_datum(value):
        return isinstance(value, Batch) or (
            isinstance(value, np.ndarray) and value.dtype == np.uint32
        )

    with passing(is_datum, 20) as passed:
        files = bcclone.RunFiles(
            data=(str(simulated_store),), output=tmp_path / "model.h5", runs=tmp_path
        )
        bcclone.train(bcclone.TrainSettings(**vars(files), epochs=1, batch_size=32, augment=False))
    # with augmentation on the processor also feed.feed
    assert passed == {
        "feed.order",
        "feed.strategies",
        "feed.source",
        "dataset.frames",
        "train.loop",
        "train.trainer",
    }


def test_an_image_on_the_socket_to_the_steering(simulated_recording, untrained_model):
    def is_datum(value):
        is_bytes = isinstance(value, bytes | bytearray | memoryview | str) and len(value) > 2000
        return is_bytes or is_image(value) or isinstance(value, Telemetry | Answer)

    frames = Still(20, jpegs=[path.read_bytes() for path in images_of(simulated_recording)])
    with serving_in_a_thread(untrained_model) as server, passing(is_datum, 20) as passed:
        drive(server.port, frames)
    assert passed == {
        "drive.wire.websocket",
        "drive.protocol",
        "drive.arbiter",
        "drive.driver",
        "dataset.images",
        "dataset.preprocessing",
        "model.policy",
        "dataset.answer",
        "drive.controller",
    }


def test_a_row_of_the_suite(untrained_model):
    def is_datum(value):
        return isinstance(value, SuiteTask | Scenario | Evaluation)

    settings = bcclone.SuiteSettings(rows=("lake-30",), laps=0.01)
    with ThreadPoolExecutor(1) as executor, passing(is_datum, 1) as passed:
        bcclone.suite([untrained_model], settings, pool=Threads(executor, 1, lambda: 0.0))
    assert passed == {"evaluate.suite", "evaluate.scenarios", "evaluate.evaluation"}
