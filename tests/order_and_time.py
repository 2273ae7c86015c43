"""In which order tests run, and how long they may run: hooks of pytest."""

import faulthandler
import os
from collections import Counter

import pytest

_STDERR = pytest.StashKey()
_LONGEST_CLEAN_UP = 120  # seconds, after a test that has run out of time


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Let each worker of pytest-xdist begin with slow tests, so that fast ones fill the end.

    `--dist worksteal` gives each worker a contiguous share of equal length.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if workers == 1:
        return

    # modules with slow tests, those with most of them first; the cases of a test count as one
    slow_items = [item for item in items if item.get_closest_marker("slow")]
    slow_tests = dict.fromkeys((item.path, item.originalname) for item in slow_items)
    counts = Counter(path for path, _ in slow_tests)
    slow_modules = [path for path, _ in counts.most_common()]
    items_of_other_modules = [item for item in items if item.path not in slow_modules]

    share = len(items) // workers
    ordered = []
    for worker in range(workers):
        for module in slow_modules[worker::workers]:
            ordered += [item for item in items if item.path == module]
        # tests of other modules fill the share; the last worker gets all that are left
        room = max((worker + 1) * share - len(ordered), 0)
        if worker == workers - 1:
            room = len(items_of_other_modules)
        ordered += items_of_other_modules[:room]
        del items_of_other_modules[:room]
    items[:] = ordered


def _guarded(item):
    """End a process that is stuck where pytest-timeout cannot end it.

    That is in compiled code, or in what cleans up after it. The stacks of all threads are printed.
    pytest-xdist reports the test as failed and goes on in a new worker.
    """
    seconds = _time_limit(item) + _LONGEST_CLEAN_UP
    stderr = item.config.stash[_STDERR]
    faulthandler.dump_traceback_later(seconds, exit=True, file=stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _time_limit(item):
    """Return after how many seconds pytest-timeout ends a test."""
    marker = item.get_closest_marker("timeout")
    if marker:
        return marker.args[0]
    return float(item.config.getoption("timeout") or item.config.getini("timeout"))


pytest_runtest_setup = pytest.hookimpl(wrapper=True)(_guarded)
pytest_runtest_call = pytest.hookimpl(wrapper=True)(_guarded)
pytest_runtest_teardown = pytest.hookimpl(wrapper=True)(_guarded)


def pytest_configure(config):
    """Keep the standard error as it is before tests are captured."""
    config.stash[_STDERR] = os.dup(2)
