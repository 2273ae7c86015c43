"""Turn signals into a stop flag that a loop checks, or into a socket that wakes a waiting server.

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
_IMPORT_CHECK_SECONDS = 0.002  # how often is checked whether an import has ended
# how soon the thread that waits for a stop event notices that the server has ended
_CHECK_SECONDS = 0.5


@contextmanager
def noting_interrupts() -> Iterator[threading.Event]:
    """Yield an event; the first Ctrl-C or SIGTERM in the block only sets it.

    The second signal raises KeyboardInterrupt. Does nothing in a thread other than the main one.
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
    """Raise KeyboardInterrupt on a signal, even if code in the block catches and drops it.

    If code in the block caught or replaced it, KeyboardInterrupt is raised again after the block.
    While a package is imported, it would be lost in callbacks and in attempts that catch any error;
    so the first signal takes effect when the import has ended.
    """
    requested = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        waits = not requested and _imports(frame)
        requested = True
        if not waits:
            raise KeyboardInterrupt
        # not threading.Thread: the interrupted code may hold locks of the module threading
        _thread.start_new_thread(repeat, (number,))

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
    """A context manager whose `socket` becomes readable when somebody wants the server to stop.

    Somebody wants that by request(), by setting `event`, or by Ctrl-C or SIGTERM. The signals have
    this effect between take_signals() and the end of wait(), and only in the main thread. They
    raise no KeyboardInterrupt, which could interrupt the server at any line: when a signal arrives,
    Python writes to the wake-up socket, which wakes the waiting thread on every system.
    """

    def __init__(self, event: threading.Event | None = None) -> None:
        self._event = event
        self._closed = threading.Event()
        self._signals = ExitStack()

    def __enter__(self) -> Self:
        self.socket, self._sender = socket.socketpair()
        self.socket.setblocking(False)
        self._sender.setblocking(False)
        if self._event is not None:
            waiter = threading.Thread(
                target=self._await, args=(self._event,), name="bcclone-stop", daemon=True
            )
            waiter.start()
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
        """Wait until the socket is readable; then a second Ctrl-C ends the process at once."""
        select.select([self.socket], [], [])
        self._signals.close()

    def _await(self, event: threading.Event) -> None:
        while not self._closed.is_set():
            if event.wait(_CHECK_SECONDS):
                self.request()
                return


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Handle SIGINT and SIGTERM with a function within the block; only in the main thread."""
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
    """Keep Ctrl-C from child processes that are started in the block; their parent ends them."""
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
    """Let a program choose its start method later; otherwise the first spawned process does."""
    before = multiprocessing.get_start_method(allow_none=True)
    try:
        yield
    finally:
        if before is None:
            multiprocessing.set_start_method(None, force=True)


def become_worker() -> None:
    """Make this process, bcclone's own, a worker: it ignores Ctrl-C, and ends with its parent."""
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
