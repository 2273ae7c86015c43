"""Turn signals into a stop flag that is checked between steps, or into a socket that wakes a
waiting server.

Worker processes ignore Ctrl-C, and end with their parent. Nothing large is imported.
"""

import _thread
import contextlib
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Self

from bcclone.system.own_process import claim_process

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPORT_CHECK_SECONDS = 0.002
_CHECK_SECONDS = (
    0.5  # how soon the thread that waits for a stop event notices that the server has ended
)


@contextmanager
def noting_interrupts() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C or SIGTERM in the block only sets; the second raises
    KeyboardInterrupt.

    Does nothing in a thread other than the main one.
    """
    requested = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    with _handled_by(request):
        yield requested


@contextmanager
def keeping_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on the first signal, and after the block if code in it swallowed or
    replaced that.

    While a package is imported, which runs callbacks and attempts in which it would be lost, the
    first signal waits for the end of the import.
    """
    requested = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        waits, requested = not requested and _imports(frame), True
        if not waits:
            raise KeyboardInterrupt
        _thread.start_new_thread(
            repeat, (number,)
        )  # threading has locks, which this thread may hold

    def repeat(number: int) -> None:
        while _imports(sys._current_frames().get(threading.main_thread().ident or 0)):
            time.sleep(_IMPORT_CHECK_SECONDS)
        _thread.interrupt_main(signal.Signals(number))

    try:
        with _handled_by(interrupt):
            yield
    except Exception:
        if not requested:
            raise
    if requested:
        raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Return whether code at this frame runs because a module is imported."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


class StopSocket:
    """A context manager whose `socket` becomes readable on request(), when `event` is set, and on
    signals.

    Ctrl-C and SIGTERM count between take_signals() and the end of wait(), and only in the main
    thread. They raise no KeyboardInterrupt, which could interrupt the server at any line: when a
    signal arrives, Python writes to the wake-up socket, which wakes the waiting thread on every
    system.
    """

    def __init__(self, event: threading.Event | None = None) -> None:
        self._event, self._closed = event, threading.Event()
        self._signals = ExitStack()

    def __enter__(self) -> Self:
        self.socket, self._sender = socket.socketpair()
        self.socket.setblocking(False)
        self._sender.setblocking(False)
        if self._event is not None:
            threading.Thread(
                target=self._await, args=(self._event,), name="bcclone-stop", daemon=True
            ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._signals.close()
        self.socket.close()
        self._sender.close()

    def request(self) -> None:
        """Make the socket readable; may be called from any thread."""
        with contextlib.suppress(OSError):  # closed already, or full of earlier requests
            self._sender.send(b"0")

    def take_signals(self) -> None:
        """Make the socket readable on Ctrl-C and SIGTERM, too, from now on."""
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
            self._signals.callback(signal.set_wakeup_fd, before)
            self._signals.enter_context(_handled_by(lambda *_: None))

    def wait(self) -> None:
        """Wait until the socket is readable; after that, a second Ctrl-C ends the process at once."""
        select.select([self.socket], [], [])
        self._signals.close()

    def _await(self, event: threading.Event) -> None:
        while not self._closed.is_set():
            if event.wait(_CHECK_SECONDS):
                self.request()
                return


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Handle SIGINT and SIGTERM with a function within the block; do nothing outside the main
    thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def interrupts_kept_from_children() -> Iterator[None]:
    """Start child processes within the block, so that Ctrl-C does not reach them; their parent ends
    them.
    """
    with _start_method_kept():
        if sys.platform == "win32":
            yield
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _start_method_kept() -> Iterator[None]:
    """Let a program choose its start method later: the first process that is spawned chooses one
    for all others.
    """
    before = multiprocessing.get_start_method(allow_none=True)
    try:
        yield
    finally:
        if before is None:
            multiprocessing.set_start_method(None, force=True)


def become_worker() -> None:
    """Make this process, which is bcclone's own, a worker that ignores Ctrl-C and ends when its
    parent dies.
    """
    claim_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process with its parent; a killed parent cannot do it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
