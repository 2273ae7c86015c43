"""Interrupts: Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends.

They raise KeyboardInterrupt, as Ctrl-C does in Python by itself; a loop that has to end a step
first looks at the event of noting_interrupts(). A SIGHUP that is ignored when the process starts,
as with nohup, stays ignored.

This file loads little, since a command begins with it: until then, Python answers Ctrl-C with a
traceback.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module would take longer to load than all others here
    from typing import NoReturn

INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
# those that a terminal sends to all of its processes
OF_TERMINALS = tuple(number for number in INTERRUPTS if number != signal.SIGTERM)
# a process has one state of its signals: what was received, and what of it raised KeyboardInterrupt
_received: list[int] = []
_raised: list[int] = []


def end_on_interrupts() -> None:
    """Let an interrupt end this process at once, from now on; call it in the main thread.

    It is for the time before a command has begun and after it has ended.
    """
    for number in INTERRUPTS:
        if not _stays_ignored(number):
            signal.signal(number, lambda number, frame: _end(number))


def _end(number: int, errors: int = 2) -> "NoReturn":
    with suppress(OSError):
        os.write(errors, b"\ninterrupted\n")
    os._exit(128 + number)


def received_interrupt() -> int | None:
    """Return the number of the last interrupt since the last raising_interrupts()."""
    return _received[-1] if _received else None


def has_raised_interrupt() -> bool:
    """Return whether an interrupt has raised KeyboardInterrupt since the last raising_interrupts().

    One that a loop has only noted has not.
    """
    return bool(_raised)


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on an interrupt within the block, in the main thread."""
    _received.clear()
    _raised.clear()
    with _handled_by(_raise):
        yield


def _raise(number: int, frame: FrameType | None = None) -> None:
    _raised.append(number)
    raise KeyboardInterrupt


@contextmanager
def noting_interrupts() -> Iterator[threading.Event]:
    """Yield an event; the first interrupt within the block only sets it.

    The second one raises KeyboardInterrupt. In a thread other than the main one, signals do what
    they did before, and never set the event.
    """
    requested = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            _raise(number)
        requested.set()

    with _handled_by(request):
        yield requested


@contextmanager
def interrupts_delayed(is_own: bool) -> Iterator[None]:
    """Let the first interrupt raise KeyboardInterrupt only when the block has ended.

    It is for imports of packages that drop the exception, or take it for a fault of what they try.

    is_own: whether the process is bcclone's own; there, the second interrupt ends it at once, and
        elsewhere it raises KeyboardInterrupt
    """
    requested = threading.Event()
    errors = os.dup(2) if is_own else -1  # what the block may redirect

    def request(number: int, frame: FrameType | None) -> None:
        if requested.is_set() and is_own:
            _end(number, errors)
        if requested.is_set():
            _raise(number)
        requested.set()

    try:
        with _handled_by(request):
            yield
    finally:
        if is_own:
            os.close(errors)
    if requested.is_set():
        _raise(_received[-1])


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle interrupts with a function within the block; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        _received.append(number)
        handler(number, frame)

    before = {
        number: signal.signal(number, handle) for number in INTERRUPTS if not _stays_ignored(number)
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _stays_ignored(number: int) -> bool:
    """Return whether this is a SIGHUP that is ignored, as with nohup."""
    is_hangup = sys.platform != "win32" and number == signal.SIGHUP
    return is_hangup and signal.getsignal(number) == signal.SIG_IGN


@contextmanager
def interrupts_kept_from_children() -> Iterator[None]:
    """Keep the interrupts of a terminal from child processes that start in the block.

    This process has to end them. A child inherits that Ctrl-C and SIGHUP are blocked;
    become_worker() then makes it ignore them.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
