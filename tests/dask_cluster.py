"""A Dask scheduler and workers on loopback, in processes of their own that end with the test."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

from tests.processes import wait_for
from tests.running import ROOT

# a program that runs a module, and ends with its parent, however that ends
_BOUND = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
"""


class DaskCluster:
    """A scheduler and its workers, which are processes.

    folder: for the files that these write
    """

    def __init__(self, folder):
        self.address = None  # of the scheduler, once it is started
        self.scheduler = None
        self.workers = []
        self._folder = folder
        self._processes = []  # all that were started

    def start_scheduler(self, *options, packages=ROOT):
        """Start the scheduler, and wait for its address.

        packages: folder from which it imports bcclone
        """
        file = self._folder / "scheduler.json"
        line = ("--host", "127.0.0.1", "--port", 0, "--dashboard-address", "127.0.0.1:0")
        line += ("--scheduler-file", file, *options)
        self.scheduler = self._start("distributed.cli.dask_scheduler", *line, packages=packages)
        wait_for(file.exists)
        self.address = wait_for(lambda: _address(file))

    def start_worker(self, *options, packages=ROOT):
        """Start a worker of one thread; return its process.

        packages: folder from which it imports bcclone
        """
        line = ("--host", "127.0.0.1", "--no-nanny", "--nthreads", 1, "--death-timeout", 30)
        line = (self.address, *line, *options)
        worker = self._start("distributed.cli.dask_worker", *line, packages=packages)
        self.workers.append(worker)
        return worker

    def _start(self, module, *line, packages):
        paths = {
            "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}",
            "DASK_TEMPORARY_DIRECTORY": str(self._folder),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", _BOUND, module, *map(str, line)],
            cwd=self._folder,
            env=os.environ | paths,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def close(self):
        for process in self._processes:
            kill(process)


def _address(file):
    with suppress(ValueError):  # half written
        return json.loads(file.read_text())["address"]


def kill(process):
    """Kill a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


@contextmanager
def dask_cluster(folder, workers=2):
    """Yield a running cluster whose workers have one thread each."""
    cluster = DaskCluster(folder)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()
