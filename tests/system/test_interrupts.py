"""Ctrl-C, SIGTERM, an event or a call requests a stop; after the block, signals have their former
handlers.

A worker process ignores Ctrl-C and ends with its parent, however that ends.
"""

import contextlib
import importlib
import os
import select
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from bcclone.system.process import (
    ProgressBar,
    StopSocket,
    keeping_interrupts,
    noting_interrupts,
    raise_if_interrupted,
)
from tests.processes import wait_for
from tests.running import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")


def is_readable(sock, seconds=60.0):
    return bool(select.select([sock], [], [], seconds)[0])


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_makes_the_stop_socket_readable(number):
    before = signal.getsignal(number)
    with StopSocket() as stop:
        assert signal.getsignal(number) == before
        stop.take_signals()
        assert not is_readable(stop.socket, 0.0)
        signal.raise_signal(number)
        assert is_readable(stop.socket)
        stop.wait()
        assert signal.getsignal(number) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_any_thread_requests_a_stop_by_a_call_or_by_the_event_and_takes_no_signals():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with noting_interrupts():
            stop.take_signals()
            seen.append(signal.getsignal(signal.SIGINT))
            stop.request()

    with StopSocket() as stop:
        threading.Thread(target=work).start()
        assert is_readable(stop.socket)
    assert seen == [before]
    stop.request()  # too late, and harmless
    event = threading.Event()
    with StopSocket(event) as stop:
        assert not is_readable(stop.socket, 0.0)
        event.set()
        assert is_readable(stop.socket)


def _import_interrupted():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("cannot import name") from None


def test_an_interrupt_that_a_package_swallows_or_turns_into_its_own_error_is_not_lost():
    with (
        pytest.raises(KeyboardInterrupt),
        keeping_interrupts(),
        contextlib.suppress(KeyboardInterrupt),
    ):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), keeping_interrupts():
        _import_interrupted()
    with pytest.raises(ImportError), keeping_interrupts():
        raise ImportError("cannot import name")


SWALLOWS = """
import signal
try:
    signal.raise_signal(signal.SIGTERM)
except BaseException:
    pass
"""


def test_a_signal_that_comes_while_a_package_is_imported_interrupts_what_follows(
    tmp_path, monkeypatch
):
    (tmp_path / "swallows.py").write_text(SWALLOWS)
    monkeypatch.syspath_prepend(tmp_path)

    def command():
        importlib.import_module("swallows")
        wait_for(lambda: False)  # its work

    with pytest.raises(KeyboardInterrupt), keeping_interrupts():
        command()


def _drop_an_interrupt():
    """Do what a destructor does with the exception of a Ctrl-C that arrives in it."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def _show_progress():
    """Run a loop of three rows that shows its progress; the first row drops an interrupt."""
    with ProgressBar("rows", 3, "rows") as progress:
        for row in range(3):
            assert row < 2
            progress.advance(1)
            _drop_an_interrupt()


@pytest.mark.parametrize(
    "work", [raise_if_interrupted, lambda: ProgressBar("rows", 3, "rows").__enter__()]
)
def test_what_begins_after_a_dropped_interrupt_ends_at_once(work):
    with contextlib.suppress(KeyboardInterrupt), keeping_interrupts():
        work()
        with contextlib.suppress(KeyboardInterrupt), keeping_interrupts():
            _drop_an_interrupt()
        with pytest.raises(KeyboardInterrupt):
            work()


def test_a_loop_that_shows_its_progress_ends_after_an_interrupt_dropped_within_it():
    with pytest.raises(KeyboardInterrupt), keeping_interrupts():
        _show_progress()


def test_a_loop_and_a_server_that_begin_later_learn_of_a_dropped_interrupt():
    with contextlib.suppress(KeyboardInterrupt), keeping_interrupts():
        _drop_an_interrupt()
        with noting_interrupts() as requested:
            assert requested.is_set()
            raise_if_interrupted()  # the loop itself looks at the event
        with StopSocket() as stop:
            stop.take_signals()
            assert is_readable(stop.socket, 0.0)


def test_an_interrupt_concerns_one_command_only():
    with contextlib.suppress(KeyboardInterrupt), keeping_interrupts():
        _drop_an_interrupt()
    raise_if_interrupted()
    with keeping_interrupts(), noting_interrupts() as requested:
        assert not requested.is_set()


PARENT = """
import multiprocessing, time
from bcclone.system.process import become_worker, interrupts_kept_from_children

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
