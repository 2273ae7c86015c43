"""Threads and processes of feeds end with an error, an epoch or the training, and leave nothing
behind.
"""

import gc
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from bcclone.dataset.frames import FramesInMemory
from bcclone.dataset.store import Store
from bcclone.feed.feed import MAKERS, open_validation_feed
from bcclone.feed.feed_settings import DEVICE, STRATEGIES, FeedSettings
from bcclone.feed.loader_processes import LoaderError, ProcessFeed
from bcclone.feed.order import EpochOrder
from bcclone.feed.selection import select
from bcclone.feed.source import Buffers, FrameSource, SampleArrays
from bcclone.feed.strategies import Delivery
from bcclone.system.errors import UserError
from tests.processes import started
from tests.running import ROOT, command

SHAPE = (8, 8, 3)
SECONDS_TO_END = 60  # much more than it takes, also while other programs use all cores


class Faulty(FrameSource):
    """A source that fails to read frame 150, or whose process dies when it reads it."""

    def __init__(self, fault):
        size = 200
        arrays = SampleArrays(
            np.arange(size, dtype=np.uint32), np.zeros(size, bool), np.zeros((size, 1), np.float32)
        )
        super().__init__(arrays, FramesInMemory(np.zeros((size, *SHAPE), np.uint8)))
        self.fault = fault

    def fill(self, positions, images):
        if 150 in positions:
            if self.fault == "death":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "stuck":
                time.sleep(60)
            raise ValueError("frame 150 is spoilt")
        super().fill(positions, images)


def order_of(source):
    return EpochOrder(len(source.arrays.frame), batch_size=10)


class Selected:
    """A selection whose samples any strategy reads from one source."""

    def __init__(self, source):
        self._source = source
        self.store = source  # the feed "shards" asks it for its frames
        self.shard = np.arange(len(source.arrays.frame), dtype=np.uint32) // 40

    def mapped_source(self):
        return self._source

    memory_source = mapped_source
    file_source = mapped_source


PLAIN = FeedSettings(chunk_size=40, max_queue_size=8)
# the feed "device" reads all frames when it is entered, and none for a batch
FORMS = {name: replace(PLAIN, feed=name) for name in STRATEGIES if name != DEVICE}
FORMS["files, one thread"] = replace(PLAIN, feed="files", feed_workers=1)
FORMS["sequence, processes"] = replace(PLAIN, feed="sequence", feed_workers=2, multiprocessing=True)


def feed_of(source, form="workers", threads=None):
    """Return the feed of a source. threads: that take its batches, where the feed has none of its
    own.
    """
    settings = FORMS[form]
    make = MAKERS[settings.feed]
    return make(Selected(source), order_of(source), settings, Delivery(threads=threads))


OF_PROCESSES = [form for form in FORMS if isinstance(feed_of(Faulty("none"), form), ProcessFeed)]


def count_epoch(feed, seconds=SECONDS_TO_END):
    """Read an epoch to its end; return the number of samples, and the error that ended it within
    the seconds.
    """
    count = 0
    begun = time.monotonic()
    try:
        with feed.epoch(1) as batches:
            for batch in batches:
                count = count + len(batch)
                begun = time.monotonic()
    except Exception as error:
        assert time.monotonic() - begun < seconds
        return count, error
    return count, None


def loaders():
    """Return the loader processes of this process."""
    own = psutil.Process().children(recursive=True)
    return [process for process in own if "resource_tracker" not in " ".join(process.cmdline())]


def running_after(processes, seconds):
    """Wait up to this time until the processes have ended; return those that still run. A zombie
    has ended.
    """
    until = time.monotonic() + seconds
    while alive := [process for process in processes if runs(process)]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return alive


def runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def shared_memory():
    """Return the named pieces of shared memory that Python's modules make, of any process."""
    return {path for prefix in ("pym-", "psm_") for path in Path("/dev/shm").glob(f"{prefix}*")}


def feed_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("bcclone-")]


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = shared_memory()
    yield
    assert not loaders()
    assert not feed_threads()
    assert shared_memory() <= before


@pytest.mark.parametrize(
    ("form", "threads"), [*((form, None) for form in FORMS), ("hdf5-chunks", 2), ("workers", 2)]
)
def test_an_error_in_a_worker_is_raised_in_the_trainer_and_does_not_end_the_feed(form, threads):
    with feed_of(Faulty("error"), form, threads) as feed:
        for _ in range(2):
            count, error = count_epoch(feed)
            assert (count, type(error), str(error)) == (150, ValueError, "frame 150 is spoilt")


class FaultyFrames(FramesInMemory):
    """Frames of which number 150 cannot be brought near, as a far file that is gone."""

    loaded = 0

    def load(self, indices, stop=None):
        if 150 in indices:
            raise UserError("frame 150 is gone")
        self.loaded += 1
        return indices

    def unload(self, loaded):
        self.loaded -= 1


def test_an_error_while_reading_ahead_is_raised_at_its_window_and_no_window_stays_near():
    source = Faulty("none")
    source.frames = FaultyFrames(np.zeros((200, *SHAPE), np.uint8))
    with feed_of(source, "hdf5-chunks") as feed:
        for _ in range(2):
            count, error = count_epoch(feed)
            assert (count, str(error)) == (120, "frame 150 is gone")
            with feed.epoch(1) as batches:
                next(batches)
            assert source.frames.loaded == 0


@pytest.mark.parametrize(
    ("form", "threads"), [*((form, None) for form in OF_PROCESSES), ("workers", 2)]
)
def test_a_worker_that_dies_ends_the_feed_with_a_message(form, threads):
    with feed_of(Faulty("death"), form, threads) as feed:
        count, error = count_epoch(feed)
    assert (count, type(error)) == (150, LoaderError)
    words = ("killed by signal 9", "memory", "--feed-workers", "--feed", "--resume")
    assert all(word in str(error) for word in words), error


def test_a_worker_that_dies_is_noticed_while_another_is_waited_for():
    source = Faulty("stuck")  # the second process has batch 15 to load, and sleeps
    with ProcessFeed(source, order_of(source), 2, 32) as feed:
        idle = min(loaders(), key=lambda process: process.pid)  # the first that was started

        def train():
            with feed.epoch(1) as batches:
                for number, _ in enumerate(batches, 1):
                    if number == 15:
                        threading.Timer(0.2, idle.kill).start()

        with pytest.raises(LoaderError, match="killed by signal 9"):
            train()


def test_a_buffer_is_reused_only_when_no_reference_to_it_is_left():
    buffers = Buffers(2, SHAPE, kept=4)
    first = buffers.take(2)
    address = first.__array_interface__["data"][0]
    view = first[1]
    del first
    gc.collect()
    assert buffers.take(2).__array_interface__["data"][0] != address
    del view
    assert any(buffers.take(1).__array_interface__["data"][0] == address for _ in range(3))


def test_keeping_all_batches_of_shared_memory_gives_copies_and_no_deadlock():
    source = Faulty("error")
    np.asarray(source.frames)[:] = np.arange(200, dtype=np.uint8)[:, None, None, None]
    with feed_of(source) as feed, feed.epoch(1) as batches:
        kept = [next(batches) for _ in range(15)]
        assert [batch.images[0, 0, 0, 0] for batch in kept] == list(range(0, 150, 10))


def test_any_number_of_slots_may_wait_without_filling_a_pipe():
    """An answer takes a small message, of which a socket holds some hundred."""
    size = 20_000
    arrays = SampleArrays(
        np.zeros(size, np.uint32), np.zeros(size, bool), np.zeros((size, 1), np.float32)
    )
    source = FrameSource(arrays, FramesInMemory(np.zeros((1, *SHAPE), np.uint8)))
    with ProcessFeed(source, order_of(source), 1, 1500) as feed:
        assert count_epoch(feed) == (size, None)


KILLED = """
import sys, time
from pathlib import Path
from bcclone.feed.feed import open_feed
from bcclone.feed.selection import select
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.dataset.store import Store
if __name__ == "__main__":
    settings = FeedSettings(sys.argv[2], feed_workers=2, multiprocessing=True)
    with (
        Store(Path(sys.argv[1])) as store,
        open_feed(select(store), settings, SamplingSettings(16)) as feed,
        feed.epoch(1) as batches,
    ):
        next(batches)
        print("ready", file=sys.stderr, flush=True)
        time.sleep(60)
"""


@pytest.mark.slow
def test_no_process_outlives_a_killed_trainer(simulated_store, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with started(
        [sys.executable, script, simulated_store, "workers"], "ready", env=environment
    ) as trainer:
        children = psutil.Process(trainer.pid).children(recursive=True)
        assert len(children) >= 2
    assert not running_after(children, SECONDS_TO_END)


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_ends_training_and_all_its_processes(simulated_store, tmp_path):
    """A terminal sends it to every process of the group."""
    places = ("-o", tmp_path / "model.h5", "--runs", tmp_path / "runs")
    line = command("model.py", simulated_store, *places, "--epochs", 500, "--feed", "workers")
    with started(line, "epoch 1: loss", start_new_session=True) as run:
        processes = psutil.Process(run.pid).children(recursive=True)
        os.killpg(run.pid, signal.SIGINT)
        output = run.communicate(timeout=60)[1]
    assert run.returncode == 130
    assert "--resume" in output
    assert "Traceback" not in output
    assert not running_after(processes, 60)


def test_a_feed_without_samples_is_empty(simulated_store):
    with Store(simulated_store) as store:
        empty = Store(store.path, replace(store.content, samples=store.samples[:0]))
        with open_validation_feed(select(empty, "validation"), 8) as feed, feed.epoch(1) as batches:
            assert list(batches) == []
