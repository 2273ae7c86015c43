"""Ctrl-C and SIGTERM: raised, noted, delayed, or kept from child processes.

They raise KeyboardInterrupt, as Ctrl-C does in Python by itself; a loop that has to end a step
first looks at the event of noting_interrupts().
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C and SIGTERM within the block, in the main thread."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def noting_interrupts() -> Iterator[threading.Event]:
    """Yield an event; the first Ctrl-C or SIGTERM within the block only sets it.

    The second one raises KeyboardInterrupt. In a thread other than the main one, signals do what
    they did before, and never set the event.
    """
    requested = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    with _handled_by(request):
        yield requested


@contextmanager
def interrupts_delayed() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM raise KeyboardInterrupt only when the block has ended.

    It is for imports of packages that drop the exception, or take it for a fault of what they try.
    """
    with noting_interrupts() as requested:
        yield
    if requested.is_set():
        raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle SIGINT and SIGTERM with a function within the block; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def interrupts_kept_from_children() -> Iterator[None]:
    """Keep Ctrl-C from child processes that start in the block; this process has to end them.

    A child inherits that SIGINT is blocked; become_worker() then makes it ignore the signal.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
