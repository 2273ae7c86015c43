"""Ctrl-C and SIGTERM set a flag; after the block, signals have their former handlers.

A worker process ignores Ctrl-C and ends with its parent, however that ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bcclone.system.interrupts import interrupts_delayed, noting_interrupts
from tests.running import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_sets_the_flag_and_the_second_interrupts(number):
    before = signal.getsignal(number)
    with noting_interrupts() as requested:
        assert not requested.is_set()
        signal.raise_signal(number)
        assert requested.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_an_import_is_interrupted_when_it_has_ended_even_if_it_drops_exceptions():
    with (
        pytest.raises(KeyboardInterrupt),
        interrupts_delayed(is_own=False),
        contextlib.suppress(BaseException),
    ):
        signal.raise_signal(signal.SIGTERM)


PARENT = """
import multiprocessing, time
from bcclone.system.interrupts import interrupts_kept_from_children
from bcclone.system.process import become_worker

def work(ready):
    become_worker()
    ready.set()
    time.sleep(60)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=work, args=(ready,))
    with interrupts_kept_from_children():
        worker.start()
    ready.wait()
    print(worker.pid, flush=True)
    time.sleep(60)
"""


def test_a_worker_ignores_ctrl_c_and_ends_when_its_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        worker.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert worker.is_running()
        assert worker.status() != psutil.STATUS_ZOMBIE
        parent.kill()
    worker.wait(timeout=120)
