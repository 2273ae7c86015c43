"""What a process does beside its work: whose it is, Ctrl-C, progress, hidden packages.

A process is bcclone's own if it runs a command or is a worker; the process of a program that
imports bcclone is not. Some settings hold for a whole process: how much TensorFlow and OpenCV
print, on how many threads they compute, where standard error goes, the style of matplotlib. bcclone
sets them in its own processes only. The few things that change in a program's process, and why, are
on the page docs/how-to/as-a-library.md.

noting_interrupts() yields an event, which the first Ctrl-C or SIGTERM sets; a `StopSocket` has a
socket, which becomes readable. Afterwards the signals do what they did before. A command has one
event, from its begin in keeping_interrupts() to its end: a signal whose exception was dropped on
the way is met again where the next loop or server begins. Worker processes ignore Ctrl-C, and end
when their parent process ends.

Progress is a bar on a terminal, otherwise a line every 30 seconds. In the process of a program that
imports bcclone, standard error is the program's. There the lines are logged, at level INFO.
"""

import _thread
import contextlib
import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from types import FrameType
from typing import Any, Self

from bcclone.system.errors import printable
from bcclone.system.parent_process import NOTE, tell_parent

_claimed = threading.Event()


def claim_process() -> None:
    """Make this process bcclone's own, from now on, before large packages are loaded.

    __main__.py calls it for commands, become_worker() for workers, and so do the programs in
    benchmarks/.
    """
    _claimed.set()


def is_own_process() -> bool:
    return _claimed.is_set()


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let an import in the block find that these packages are missing.

    No other thread may import them meanwhile. What was imported before is there again afterwards.
    """
    before = {package: sys.modules[package] for package in packages if package in sys.modules}
    for package in packages:
        sys.modules[package] = None  # type: ignore[assignment] # Python's mark: not to be found
    try:
        yield
    finally:
        for package in packages:
            del sys.modules[package]
        sys.modules.update(before)


@contextmanager
def levels_kept(*names: str) -> Iterator[Sequence[logging.Logger]]:
    """Yield loggers; after the block they have their levels again."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        yield loggers
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def loggers_silent(*names: str) -> Iterator[None]:
    """Let loggers log nothing within the block.

    It is for packages that log an error before they raise it.
    """
    with levels_kept(*names) as loggers:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPORT_CHECK_SECONDS = 0.002  # time between two checks whether an import has ended
# time between two checks whether a StopSocket was closed, by its thread that waits for the event
_CLOSED_CHECK_SECONDS = 0.1


# the event of the present command, which its first Ctrl-C or SIGTERM sets; None outside of
# keeping_interrupts(), within noting_interrupts(), and in threads other than the main one
_interrupted: ContextVar[threading.Event | None] = ContextVar("interrupted", default=None)


@contextmanager
def noting_interrupts() -> Iterator[threading.Event]:
    """Yield an event; the first Ctrl-C or SIGTERM within the block only sets it.

    In a block of keeping_interrupts(), it is the event of that block, so an earlier signal may have
    set it already. The second signal raises KeyboardInterrupt. In a thread other than the main one,
    signals do what they did before, and never set the event.
    """
    requested = _interrupted.get() or threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    # None: the caller looks at the event, so raise_if_interrupted() does nothing in the block
    with _handled_by(request), _event_of_block(None):
        yield requested


@contextmanager
def keeping_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C or SIGTERM, even if code in the block catches and drops it.

    In that case it is raised again by the next raise_if_interrupted(), and at the latest after the
    block; also if the code raises another exception instead. A package that is being imported may
    drop it in a callback, or take it for a failure of what it tries; so the first signal takes
    effect only when the import has ended. A block within another one has the same event.
    """
    requested = _interrupted.get() or threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        # a second signal interrupts even an import
        waits = not requested.is_set() and _imports(frame)
        requested.set()
        if not waits:
            raise KeyboardInterrupt
        # not threading.Thread: the interrupted code may hold locks of the module threading
        _thread.start_new_thread(repeat, (number,))

    def repeat(number: int) -> None:
        while _imports(sys._current_frames().get(threading.main_thread().ident or 0)):
            time.sleep(_IMPORT_CHECK_SECONDS)
        _thread.interrupt_main(signal.Signals(number))

    try:
        with _handled_by(interrupt), _event_of_block(requested):
            yield
    except Exception:
        if not requested.is_set():
            raise
    if requested.is_set():
        raise KeyboardInterrupt


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C or SIGTERM has come, and its exception was dropped.

    Call it where a loop begins. A destructor or another callback may have dropped the exception:
    Python ignores what those raise. Within noting_interrupts(), this does nothing.
    """
    requested = _interrupted.get()
    if requested is not None and requested.is_set():
        raise KeyboardInterrupt


@contextmanager
def _event_of_block(event: threading.Event | None) -> Iterator[None]:
    """Make an event that of the present command within the block."""
    before = _interrupted.set(event)
    try:
        yield
    finally:
        _interrupted.reset(before)


def _imports(frame: FrameType | None) -> bool:
    """Return whether this frame, or one that called it, is an import of a module."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


class StopSocket:
    """A context manager whose `socket` becomes readable when a server should stop.

    request() makes it readable, and so do a set `event`, Ctrl-C and SIGTERM. The signals have this
    effect between take_signals() and the end of wait(), and only in the main thread. Then they
    raise no KeyboardInterrupt, which could interrupt the server at any line: when a signal arrives,
    Python itself writes to the socket (signal.set_wakeup_fd), which wakes the waiting thread on
    every system.

    event: another way to stop the server, for example from a program's thread
    """

    def __init__(self, event: threading.Event | None = None) -> None:
        self._event = event
        self._closed = threading.Event()
        self._waiter: threading.Thread | None = None
        self._signals = ExitStack()

    def __enter__(self) -> Self:
        self.socket, self._sender = socket.socketpair()
        self.socket.setblocking(False)
        self._sender.setblocking(False)
        if self._event is not None:
            self._waiter = threading.Thread(
                target=self._await, args=(self._event,), name="bcclone-stop", daemon=True
            )
            self._waiter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._signals.close()
        if self._waiter is not None:
            self._waiter.join()
        self.socket.close()
        self._sender.close()

    def request(self) -> None:
        """Make the socket readable; may be called from any thread."""
        with contextlib.suppress(OSError):  # closed already, or full of earlier requests
            self._sender.send(b"0")

    def take_signals(self) -> None:
        """From now on, make the socket readable on Ctrl-C and SIGTERM, too.

        It is readable at once if the command was interrupted before, and the exception dropped.
        """
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
            self._signals.callback(signal.set_wakeup_fd, before)
            # without a handler in Python, the signal would still raise KeyboardInterrupt
            self._signals.enter_context(_handled_by(lambda *_: None))
            interrupted = _interrupted.get()
            if interrupted is not None and interrupted.is_set():
                self.request()

    def wait(self) -> None:
        """Wait until the socket is readable; after that, signals do what they did before.

        So a second Ctrl-C ends a process that takes long to stop.
        """
        select.select([self.socket], [], [])
        self._signals.close()

    def _await(self, event: threading.Event) -> None:
        while not self._closed.is_set():
            if event.wait(_CLOSED_CHECK_SECONDS):
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
    """Keep Ctrl-C from child processes that start in the block; this process has to end them.

    A child inherits that SIGINT is blocked; become_worker() then makes it ignore the signal.
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
    """Let a program that imports bcclone still choose the start method of its own processes.

    The choice is possible once; without this, a process that is started in the block would make it.
    """
    before = multiprocessing.get_start_method(allow_none=True)
    try:
        yield
    finally:
        if before is None:
            multiprocessing.set_start_method(None, force=True)


def become_worker() -> None:
    """Make this process a worker of bcclone: it ignores Ctrl-C, and ends when its parent ends."""
    claim_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the parent ends, and end this process; a killed parent cannot end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


Notify = Callable[[str], None]  # takes a line of text for the user
logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 30.0
_LEAST_FRACTION = 0.001  # share of the total that must be done before the time left is shown


@cache
def note(text: str) -> None:
    """Log a text as a warning; @cache lets the same text through only once in a process."""
    logger.warning("note: %s", text)
    tell_parent(NOTE, f"note: {text}")


class ProgressBar:
    """Counts to `total` and shows count, rate and time left, followed by figures of the caller.

    Rate and time left are measured from the first call of advance() on, so that preparations do not
    count. Only the last line shows the rate of the whole time.

    label: what is done, in front of the count
    total: count at the end
    unit: what is counted, such as "rows"
    clock: returns a time in seconds
    """

    def __init__(
        self, label: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.label = printable(label)
        self.total = total
        self.unit = unit
        self.done = 0.0
        self._clock = clock
        self._start = (clock(), 0.0)  # time and count when the bar was made
        # time and count from which the rate is measured: those after the first advance()
        self._begin = self._start
        # time of the last line; until there is one, the time of _begin
        self._line_at = self._start[0]
        self._bar: Any = None
        if is_own_process() and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, desc=self.label, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True
            )

    def __enter__(self) -> Self:
        raise_if_interrupted()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:  # the block ended without an error
            # a short task may have called advance() only once, and no rate follows from one call
            self._begin = self._start
            self._print_line("")

    def advance(self, count: float, figures: str = "") -> None:
        """Add to the count, and perhaps show it; raises KeyboardInterrupt after a dropped Ctrl-C.

        figures: text that is shown after the rate, such as the loss of a training
        """
        raise_if_interrupted()
        self.done += count
        if self._begin is self._start:  # the first call
            self._begin = (self._clock(), self.done)
            self._line_at = self._begin[0]
            if self._bar is not None:
                self._bar.unpause()  # tqdm, too, then measures from here
        if self._bar is not None:
            self._bar.set_postfix_str(printable(figures), refresh=False)
            self._bar.update(round(self.done) - self._bar.n)
        elif self.done < self.total and self._clock() - self._line_at >= _SECONDS_BETWEEN_LINES:
            self._line_at = self._clock()
            self._print_line(figures)

    def _print_line(self, figures: str) -> None:
        since, before = self._begin
        rate = (self.done - before) / max(self._clock() - since, 1e-9)
        line = f"{self.label}: {self.done:.0f}/{self.total} {self.unit}, {rate:.0f}/s"
        is_measured = self.done - before >= _LEAST_FRACTION * self.total
        if is_measured and round(self.done) < self.total:
            line += f", {(self.total - self.done) / rate:.0f} s left"
        if figures:
            line += f", {figures}"
        if is_own_process():
            print(printable(line), file=sys.stderr, flush=True)
        else:
            logger.info("%s", printable(line))
