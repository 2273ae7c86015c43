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

from bcclone.cli import INTERNAL_ERROR
from bcclone.system.interrupts import interrupts_delayed, noting_interrupts, raising_interrupts
from tests.processes import said, started
from tests.running import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_sets_the_flag_and_the_second_interrupts(number):
    before = signal.getsignal(number)
    with noting_interrupts() as requested:
        assert not requested()
        signal.raise_signal(number)
        assert requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_an_import_is_interrupted_when_it_has_ended_even_if_it_drops_exceptions():
    with (
        pytest.raises(KeyboardInterrupt),
        interrupts_delayed(is_own=False),
        contextlib.suppress(BaseException),
    ):
        signal.raise_signal(signal.SIGINT)


def test_an_import_that_fails_is_interrupted_too():
    def failing():
        signal.raise_signal(signal.SIGINT)
        raise ImportError

    with pytest.raises(KeyboardInterrupt), interrupts_delayed(is_own=False):
        failing()


@contextlib.contextmanager
def answered_by(number, handler):
    """Let a signal do something else, as in a program that imports bcclone."""
    before = signal.signal(number, handler)
    try:
        yield
        assert signal.getsignal(number) == handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_answers_what_interrupts_an_import_itself(number):
    received = []
    with answered_by(number, lambda *each: received.append(each[0])):
        with interrupts_delayed(is_own=False):
            signal.raise_signal(number)
            assert received == []
        assert received == [number]
        with interrupts_delayed(is_own=False):
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert received == [number] * 2  # the second one is not delayed
        assert received == [number] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_program_ignores_stays_ignored(number):
    with answered_by(number, signal.SIG_IGN):
        for is_own in (True, False):
            with interrupts_delayed(is_own):
                signal.raise_signal(number)
                signal.raise_signal(number)
        with noting_interrupts() as requested, raising_interrupts():
            signal.raise_signal(number)
        assert not requested()


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


DROPPING = """
import sys, threading, time, weakref
from bcclone import cli
from bcclone.commands.command import Command

class Thing:
    def __init__(self, act=lambda: None):
        self.act = act

    def __del__(self):
        self.act()

def interrupted():
    print("interrupt me", file=sys.stderr, flush=True)
    time.sleep(60)

def dropping_package():
    try:
        interrupted()
    except BaseException:
        pass

def collector():
    Thing(interrupted)

def callback():
    thing = Thing()
    reference = weakref.ref(thing, lambda _: interrupted())
    del thing

def going_on():
    {how}()
    # as long as nothing else ends it
    {waiting}

sys.exit(cli.run(Command(going_on), ["going on"], []))
"""


@pytest.mark.parametrize("how", ["dropping_package", "collector", "callback"])
@pytest.mark.parametrize("waiting", ["threading.Event().wait()", "while True: sum(range(1000))"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_python_or_a_package_drops_ends_the_command(how, waiting, number):
    code = DROPPING.format(how=how, waiting=waiting)
    with started([sys.executable, "-c", code], "interrupt me", cwd=ROOT) as process:
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number, error
    assert "interrupted: " in error
    assert "Traceback" not in error


ENDING = """
import sys, time
from bcclone import cli
from bcclone.commands.command import Command
from bcclone.system import interrupts

def ending():
    try:
        print("interrupt me", file=sys.stderr, flush=True)
        time.sleep(60)
    finally:
        try:
            raise OSError
        except OSError:
            time.sleep(5 * interrupts._AGAIN_SECONDS)
        print("ended", file=sys.stderr, flush=True)

def accepting():
    try:
        ending()
    except KeyboardInterrupt:
        interrupts.accept_interrupt()
    time.sleep(5 * interrupts._AGAIN_SECONDS)
    return 1 / 0

sys.exit(cli.run(Command({function}), ["ending"], []))
"""


@pytest.mark.parametrize(("function", "code"), [("ending", 130), ("accepting", INTERNAL_ERROR)])
def test_what_an_interrupt_ends_is_not_interrupted_again(function, code):
    line = [sys.executable, "-c", ENDING.format(function=function)]
    with started(line, "interrupt me", cwd=ROOT) as process:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert "ended" in error


DROPPING_EACH = """
import sys, time
import psutil
from bcclone import cli
from bcclone.commands.command import Command

def dropping_each():
    for number in range(6):
        try:
            if not number:
                print("interrupt me", file=sys.stderr, flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            # as long as it is handled, it is not raised again
            print(psutil.Process().num_threads(), flush=True)
    time.sleep(60)

sys.exit(cli.run(Command(dropping_each), ["dropping"], []))
"""


def test_however_often_an_interrupt_is_dropped_one_thread_raises_it_again():
    line = [sys.executable, "-c", DROPPING_EACH]
    with started(line, "interrupt me", cwd=ROOT, stdout=subprocess.PIPE) as process:
        before = psutil.Process(process.pid).num_threads()
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert [int(line) for line in output.splitlines()] == [before + 1] * 6


MERGING = """
import os, signal, sys, time
from bcclone import cli
from bcclone.commands.command import Command
from bcclone.system import interrupts

def merging():
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        # as in a long call of C code, which Python's handlers wait for
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(3 * interrupts._AGAIN_SECONDS)
        try:
            os.kill(os.getpid(), signal.SIGINT)  # another thread may get it, and at once
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            time.sleep(5 * interrupts._AGAIN_SECONDS)
        except KeyboardInterrupt:
            print("second", file=sys.stderr)

sys.exit(cli.run(Command(merging), ["merging"], []))
"""


def test_a_second_interrupt_is_not_taken_for_the_first_one_raised_again():
    done = said(sys.executable, "-c", MERGING, cwd=ROOT)
    assert done.returncode == 130, done.stderr
    assert "second" in done.stderr


IN_BACKGROUND = """
import sys, time
from bcclone import cli
from bcclone.commands.command import Command
from bcclone.system.interrupts import end_on_interrupts

def waiting():
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)

end_on_interrupts()
sys.exit(cli.run(Command(waiting), ["waiting"], []))
"""


def test_what_a_script_starts_in_the_background_ignores_ctrl_c():
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    line = [*ignoring, sys.executable, "-c", IN_BACKGROUND]
    with started(line, "ready", cwd=ROOT) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 143, error
    assert "interrupted: " in error
