"""Loader processes that take long to start: a training does not wait for them longer than --time
and Ctrl-C allow.
"""

import contextlib
import multiprocessing
import os
import signal

import psutil
import pytest

from bcclone.dataset.store import Store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.selection import select
from tests.processes import started, wait_for
from tests.running import command, run_process

# what Python runs at its start: a loader process writes down its number, and comes no further
HANGING = """
import os, sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    with open(os.path.join(os.path.dirname(__file__), "loaders"), "a") as file:
        file.write(f"{os.getpid()}\\n")
    while True:
        time.sleep(60)
"""
TRAINING = ("model.py", "--epochs", 1, "--no-augment", "--feed", "workers", "--feed-workers", 2)


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """Let loader processes hang at their start; return the file with their numbers."""
    (folder := tmp_path / "hanging").mkdir()
    (folder / "sitecustomize.py").write_text(HANGING)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder / "loaders"


def both_begun(loaders):
    return loaders.exists() and len(loaders.read_text().split()) == 2


def check_gone(loaders):
    pids = [int(pid) for pid in loaders.read_text().split()]
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("feed", ["sequence", "workers"])
def test_leaving_the_block_ends_loaders_that_have_not_started(simulated_store, hanging, feed):
    settings = FeedSettings(feed, feed_workers=2, multiprocessing=feed == "sequence")
    with Store(simulated_store) as store:
        feed = open_feed(select(store), settings, SamplingSettings(16))
        with contextlib.suppress(KeyboardInterrupt), feed as opened:
            wait_for(lambda: both_begun(hanging), every_seconds=0.01)
            assert not opened.has_started
            raise KeyboardInterrupt
        check_gone(hanging)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_the_time_is_over_before_the_loaders_have_started(simulated_store, tmp_path, hanging):
    done = run_process(
        *TRAINING, simulated_store, "-o", tmp_path / "model.h5", "--time", "2s", code=1
    )
    error = done.stderr.splitlines()[-1]
    assert error.startswith(
        "error: --time 2s was over before the processes of --feed workers had started; "
    )
    assert not (tmp_path / "model.h5").exists()
    check_gone(hanging)


@pytest.mark.slow
def test_ctrl_c_ends_a_training_whose_loaders_start(simulated_store, tmp_path, hanging):
    line = command(*TRAINING, simulated_store, "-o", tmp_path / "model.h5")
    with started(line, lambda: both_begun(hanging)) as run:
        run.send_signal(signal.SIGINT)
        _, err = run.communicate()
    assert run.returncode == 130, err
    assert "Traceback" not in err
    check_gone(hanging)
