"""What a process does beside its work: whose it is, Ctrl-C, progress, hidden packages.

A process is bcclone's own if it runs a command or is a worker. Only there bcclone sets what holds
for a whole process, such as TensorFlow's threads; docs/how-to/as-a-library.md has the exceptions.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any, Self

from bcclone.system.errors import printable

logger = logging.getLogger(__name__)

MOST_PIXELS = 1 << 24  # of an image that is decoded: its width times its height

_claimed = threading.Event()


def claim_process() -> None:
    """Make this process bcclone's own, from now on, before large packages are loaded.

    __main__.py calls it for commands, become_worker() for workers, and so do the programs in
    benchmarks/.
    """
    _claimed.set()
    # OpenCV reads these when it is loaded: it prints nothing about images that cannot be decoded
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")


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
def loggers_kept(*names: str, silent: bool = False) -> Iterator[None]:
    """Give loggers of packages their levels again after the block.

    silent: they log nothing within the block; for packages that log an error before they raise it
    """
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    try:
        for logger in levels if silent else ():
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


# ---- Ctrl-C
#
# It raises KeyboardInterrupt, as Python does by itself; a loop that has to end a step first looks
# at the event of noting_interrupts().


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


def become_worker() -> None:
    """Make this process a worker of bcclone: it ignores Ctrl-C, and ends when its parent ends."""
    claim_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the parent ends, and end this process; a killed parent cannot end it."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


# ---- progress

Notify = Callable[[str], None]  # takes a line of text for the user

_SECONDS_BETWEEN_LINES = 30.0


@cache
def note(text: str) -> None:
    """Log a text as a warning; @cache lets the same text through only once in a process."""
    logger.warning("note: %s", text)


class ProgressBar:
    """Counts to `total` and shows count, rate, time left, and figures of the caller.

    It is a bar on standard error if that is a terminal, otherwise a line every 30 seconds and one
    at the end. In the process of a program that imports bcclone, standard error is the program's:
    there the lines are logged, at level INFO.

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
        self._begin = clock()
        self._line_at = self._begin  # time of the last line
        self._bar: Any = None
        if is_own_process() and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, desc=self.label, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:  # the block ended without an error
            self._write_line("")

    def advance(self, count: float, figures: str = "") -> None:
        """Add to the count, and perhaps show it.

        figures: text that is shown after the rate, such as the loss of a training
        """
        self.done += count
        if self._bar is not None:
            self._bar.set_postfix_str(printable(figures), refresh=False)
            self._bar.update(round(self.done) - self._bar.n)
        elif self.done < self.total and self._clock() - self._line_at >= _SECONDS_BETWEEN_LINES:
            self._write_line(figures)

    def _write_line(self, figures: str) -> None:
        self._line_at = self._clock()
        rate = self.done / max(self._line_at - self._begin, 1e-9)
        line = f"{self.label}: {self.done:.0f}/{self.total} {self.unit}, {rate:.0f}/s"
        if rate and self.done < self.total:
            line += f", {(self.total - self.done) / rate:.0f} s left"
        if figures:
            line += f", {printable(figures)}"
        if is_own_process():
            print(line, file=sys.stderr, flush=True)
        else:
            logger.info("%s", line)
