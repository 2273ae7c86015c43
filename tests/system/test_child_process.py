"""A worker process ignores Ctrl-C and ends with its parent, however that ends."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ROOT

PARENT = """
import multiprocessing, time
from bcclone.system.child_process import become_worker, interrupts_kept_from_children

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


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_worker_ignores_ctrl_c_and_ends_when_its_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        worker.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert worker.is_running()
        assert worker.status() != psutil.STATUS_ZOMBIE
        parent.kill()
    worker.wait(timeout=30)
