"""Loader processes that take long to start: a training does not wait for them longer than --time and Ctrl-C allow."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import time

import psutil
import pytest

from bcclone.dataset.store import Store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.selection import select
from tests.conftest import command

# what Python runs at its start: a loader process writes down its number, and comes no further
HANGING = """
import os, sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    with open(os.path.join(os.path.dirname(__file__), "loaders"), "a") as file:
        file.write(f"{os.getpid()}\\n")
    while True:
        time.sleep(60)
"""
FEEDS = ("sequence", "workers")


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """Let loader processes hang at their start; return the file with their numbers."""
    (folder := tmp_path / "hanging").mkdir()
    (folder / "sitecustomize.py").write_text(HANGING)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder / "loaders"


def line(feed, store, *options):
    how = ("--feed", feed, "--feed-workers", 2, *(("--set", "multiprocessing=true") if feed == "sequence" else ()))
    return command("model.py", store, "--epochs", 1, "--no-augment", *how, *options)


def check_gone(loaders):
    pids = [int(pid) for pid in loaders.read_text().split()]
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("feed", FEEDS)
def test_leaving_the_block_ends_loaders_that_have_not_started(simulated_store, hanging, feed):
    settings = FeedSettings(feed, feed_workers=2, multiprocessing=feed == "sequence")
    with Store(simulated_store) as store:
        feed = open_feed(select(store), settings, SamplingSettings(16))
        with contextlib.suppress(KeyboardInterrupt), feed as opened:
            while not hanging.exists() or len(hanging.read_text().split()) < 2:
                time.sleep(0.01)
            assert not opened.has_started
            raise KeyboardInterrupt
        check_gone(hanging)
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["workers"])
def test_the_time_is_over_before_the_loaders_have_started(simulated_store, tmp_path, hanging, feed):
    done = subprocess.run(
        line(feed, simulated_store, "-o", tmp_path / "model.h5", "--time", "2s"), capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"error: --time 2s was over before the processes of --feed {feed} had started; ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "model.h5").exists()
    check_gone(hanging)


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["workers"])
def test_ctrl_c_ends_a_training_whose_loaders_start(simulated_store, tmp_path, hanging, feed):
    with subprocess.Popen(
        line(feed, simulated_store, "-o", tmp_path / "model.h5"), stderr=subprocess.PIPE, text=True
    ) as run:
        while not hanging.exists() or len(hanging.read_text().split()) < 2:
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate()
    assert run.returncode == 130, err
    assert "Traceback" not in err
    check_gone(hanging)
