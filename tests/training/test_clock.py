"""The time of a training, which several workers take from the first one."""

import threading
import time

import numpy as np

from bcclone.feed.order import BatchPart
from bcclone.training.clock import Clock
from bcclone.training.training_state import TrainingState
from bcclone.training.worker_group import WorkerGroup


def test_the_first_call_compiles_and_the_end_of_an_epoch_is_measured():
    clock = Clock(time.monotonic() - 100.0, threading.Event())
    begun = TrainingState(elapsed=90.0, compiling=3.0)  # of a resumed training
    first = clock.after_call(begun)
    assert 100 <= first.elapsed < 200
    assert first.compiling == 3.0 + first.elapsed - 90.0
    assert clock.compiled is first
    second = clock.after_call(first)
    assert second.elapsed >= first.elapsed
    assert second.compiling == first.compiling
    assert clock.ending_seconds == 0.0
    ended = clock.after_ending(second)
    assert clock.ending_seconds == ended.elapsed - second.elapsed


def test_workers_have_the_time_of_the_first_and_stop_if_one_is_asked_to():
    interrupted = threading.Event()
    of_others = np.array([50.0, 0.0])
    clock = Clock(0.0, interrupted, WorkerGroup(BatchPart(1, 2), lambda sums: sums + of_others))
    assert clock.now(TrainingState()).elapsed == 50.0
    assert not clock.must_stop
    interrupted.set()
    assert clock.now(TrainingState()).elapsed == 50.0
    assert clock.must_stop
