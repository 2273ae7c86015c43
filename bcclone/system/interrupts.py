"""Interrupts: Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends.

They raise KeyboardInterrupt, as Ctrl-C does in Python by itself; a loop that has to end a step
first asks noting_interrupts() instead. What is ignored when the process starts stays ignored:
SIGHUP with nohup, and Ctrl-C in what a script starts in the background.

Python drops a KeyboardInterrupt that is raised within a callback of the collector or of an import,
and a package may take it for a failure of what it tries. So a command raises it again until it
ends: while the exception is on its way, it is being handled, which the handler of signals can see.

This file loads little, since a command begins with it: until then, Python answers Ctrl-C with a
traceback.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module would take longer to load than all others here
    from typing import Any, NoReturn

if sys.platform == "win32":
    INTERRUPTS: tuple[signal.Signals, ...] = (signal.SIGINT,)
    _AGAIN = signal.SIGTERM  # no process is sent it there
else:
    INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    _AGAIN = signal.SIGURG  # nobody sends it, and by default it does nothing
# those that a terminal sends to all of its processes
OF_TERMINALS = tuple(number for number in INTERRUPTS if number != signal.SIGTERM)
# handlers of what stays as it is; None is one that is not Python's
_KEPT = (signal.SIG_IGN, None)
_AGAIN_SECONDS = 0.2  # time until an interrupt is raised again, if it was dropped


class _Interrupts:
    """What a process has received, and what it does with it; each change takes one step, so that no
    interrupt comes between two.
    """

    def __init__(self) -> None:
        self.respond: Callable[[int], object] = _raise  # what an interrupt does now
        self.received: int | None = None  # the last one
        # the last one that raised KeyboardInterrupt, which may have been dropped
        self.raised: int | None = None
        self.command: object = None  # an object for each block of raising_interrupts()
        self.repeated_command: object = None  # the one for which a thread runs _repeat()
        self.repeating = _thread.allocate_lock()  # held while _repeat() sends


def end_on_interrupts() -> None:
    """Let an interrupt end this process at once, from now on; call it in the main thread.

    It is for the time before a command has begun and after it has ended.
    """
    _process.respond = _end
    for number in INTERRUPTS:
        if signal.getsignal(number) not in _KEPT:
            signal.signal(number, _handle)


def _end(number: int, errors: int = 2) -> "NoReturn":
    with suppress(OSError):
        os.write(errors, b"\ninterrupted\n")
    os._exit(128 + number)


def received_interrupt() -> int | None:
    """Return the number of the last interrupt since the last raising_interrupts()."""
    return _process.received


def has_raised_interrupt() -> bool:
    """Return whether an interrupt has raised KeyboardInterrupt since the last raising_interrupts().

    One that a loop has only noted has not.
    """
    return _process.raised is not None


def accept_interrupt() -> None:
    """Let a KeyboardInterrupt that was caught be dealt with: it is not raised again."""
    _process.raised = None


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on an interrupt within the block, in the main thread.

    If it is dropped, it is raised again, until the block has ended or accept_interrupt() is called.
    """
    _process.received = _process.raised = None
    around = _process.command
    with _handled_by(_raise), _raising_again(), _silently_dropped():
        _process.command = object()
        try:
            yield
        finally:
            _process.command = around
            with _process.repeating:  # what was sent is handled here, and nothing is sent later
                pass


def _raise(number: int) -> None:
    command = _process.command
    if command is not None and _process.repeated_command is not command:
        _process.repeated_command = command
        with suppress(RuntimeError):  # no further thread may start
            # not threading.Thread: the interrupted code may hold locks of that module
            _thread.start_new_thread(_repeat, (command,))
    _process.raised = number
    raise KeyboardInterrupt


def _repeat(command: object) -> None:
    """Send _AGAIN to the main thread, where something was raised, until the command ends."""
    while True:
        time.sleep(_AGAIN_SECONDS)
        with _process.repeating:
            if _process.command is not command:
                return
            if _process.raised is None:
                continue
            if sys.platform == "win32":
                _thread.interrupt_main(_AGAIN)
            else:  # it also ends the main thread's wait for something else
                signal.pthread_kill(threading.main_thread().ident or 0, _AGAIN)


@contextmanager
def _raising_again() -> Iterator[None]:
    """Let _AGAIN raise again what was dropped; no interrupt, which would then do as much."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_AGAIN, _handle_again)
    try:
        yield
    finally:
        signal.signal(_AGAIN, signal.SIG_DFL if before is None else before)


def _handle_again(number: int, frame: FrameType | None) -> None:
    """Handle _AGAIN: do what the dropped interrupt would do now."""
    dropped = _process.raised
    if dropped is not None and not _is_on_its_way():
        _process.raised = None
        _process.respond(dropped)


@contextmanager
def _silently_dropped() -> Iterator[None]:
    """Let Python print nothing of a KeyboardInterrupt that it drops, since it is raised again."""
    print_dropped = sys.unraisablehook

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            print_dropped(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = print_dropped


@contextmanager
def noting_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether an interrupt has come; the first one does no more.

    The second one raises KeyboardInterrupt. In a thread other than the main one, signals do what
    they did before, and are not noted.
    """
    # no threading.Event: a signal would wait for ever if it came while another one sets it
    noted: list[int] = []

    def note(number: int) -> None:
        if noted:
            _raise(number)
        noted.append(number)

    with _handled_by(note):
        yield lambda: bool(noted)


@contextmanager
def interrupts_delayed(is_own: bool) -> Iterator[None]:
    """Let the first interrupt do what it does only when the block has ended.

    It is for imports of packages that cannot be interrupted without harm.

    is_own: whether the process is bcclone's own; there, the second interrupt ends it at once, and
        elsewhere it does what the program has chosen
    """
    noted: list[int] = []
    errors = -1
    with suppress(OSError):  # of a closed one
        errors = os.dup(2)  # what the block may redirect
    respond_as_before = _process.respond

    def note(number: int) -> None:
        if not noted:
            noted.append(number)
        elif is_own:
            _end(number, errors)
        else:
            respond_as_before(number)

    try:
        with _handled_by(note) as respond_as_before:
            yield
    finally:
        if errors >= 0:
            os.close(errors)
        if noted:
            signal.raise_signal(noted[0])


def _handle(number: int, frame: FrameType | None) -> None:
    """Handle a signal: do what an interrupt does now."""
    _process.received = number
    _process.respond(number)


def _is_on_its_way() -> bool:
    """Return whether a KeyboardInterrupt is being handled, as in a block's end that it has caused.

    A generator may also be ended by one that has passed already.
    """
    error = sys.exception()
    while error is not None:
        if isinstance(error, (KeyboardInterrupt, GeneratorExit)):
            return True
        error = error.__context__
    return False


@contextmanager
def _handled_by(respond: Callable[[int], object]) -> Iterator[Callable[[int], object]]:
    """Let interrupts call a function within the block; only in the main thread.

    Yields a function that does what an interrupt did before.
    """
    before = _process.respond
    if threading.current_thread() is not threading.main_thread():
        yield before
        return
    # signal -> its handler, in the process of a program that imports bcclone
    others: dict[int, Any] = {}

    def respond_as_before(number: int) -> None:
        if number in others:
            signal.signal(number, others[number])
            signal.raise_signal(number)
        else:
            before(number)

    _process.respond = respond
    try:
        for number in INTERRUPTS:
            former = signal.getsignal(number)
            if former not in (_handle, *_KEPT):
                others[number] = former
                signal.signal(number, _handle)
        yield respond_as_before
    finally:
        try:
            for replaced, former in others.items():
                signal.signal(replaced, former)
        finally:
            _process.respond = before


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


_process = _Interrupts()
