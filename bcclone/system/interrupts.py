"""Interrupts: Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends.

They raise KeyboardInterrupt, as Ctrl-C does in Python by itself; a loop that has to end a step
first asks noting_interrupts() instead. A SIGHUP that is ignored when the process starts, as with
nohup, stays ignored.

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
    from typing import NoReturn

INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
# those that a terminal sends to all of its processes
OF_TERMINALS = tuple(number for number in INTERRUPTS if number != signal.SIGTERM)
_AGAIN_SECONDS = 0.2  # time until an interrupt is raised again, if it was dropped
# a process has one state of its signals: what was received, and what of it raised KeyboardInterrupt
_received: list[int] = []
_raised: list[int] = []
_repeated: list[int] = []  # what _repeat() has sent and _handle() has not seen yet
_commands: list[object] = []  # within raising_interrupts() one member, which no other block has
_repeaters: list[object] = []  # the member of _commands for which a thread runs _repeat()
_repeating = _thread.allocate_lock()  # held while _repeat() sends


def end_on_interrupts() -> None:
    """Let an interrupt end this process at once, from now on; call it in the main thread.

    It is for the time before a command has begun and after it has ended.
    """
    global _respond
    _respond = _end
    for number in INTERRUPTS:
        if not _stays_ignored(number):
            signal.signal(number, _handle)


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


def accept_interrupt() -> None:
    """Let a KeyboardInterrupt that was caught be dealt with: it is not raised again."""
    _raised.clear()


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on an interrupt within the block, in the main thread.

    If it is dropped, it is raised again, until the block has ended or accept_interrupt() is called.
    """
    _received.clear()
    _raised.clear()
    with _handled_by(_raise), _silently_dropped():
        _repeaters.clear()
        _commands.append(object())
        try:
            yield
        finally:
            _commands.clear()
            with _repeating:  # what was sent is handled here, and nothing is sent later
                pass


def _raise(number: int) -> None:
    if _commands and not _repeaters:
        _repeaters.extend(_commands)
        with suppress(RuntimeError):  # no further thread may start
            # not threading.Thread: the interrupted code may hold locks of that module
            _thread.start_new_thread(_repeat, (_commands[0],))
    _raised.append(number)
    raise KeyboardInterrupt


def _repeat(command: object) -> None:
    """Send what has raised KeyboardInterrupt to the main thread again, until the command ends."""
    while True:
        time.sleep(_AGAIN_SECONDS)
        with _repeating:
            if command not in _commands:
                return
            raised = _raised[-1:]
            if not raised:
                continue
            number = raised[0]
            _repeated.append(number)
            if sys.platform == "win32":
                _thread.interrupt_main(signal.Signals(number))
            else:  # it also ends the main thread's wait for something else
                signal.pthread_kill(threading.main_thread().ident or 0, number)


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
    """Let the first interrupt raise KeyboardInterrupt only when the block has ended.

    It is for imports of packages that cannot be interrupted without harm.

    is_own: whether the process is bcclone's own; there, the second interrupt ends it at once, and
        elsewhere it raises KeyboardInterrupt
    """
    noted: list[int] = []
    errors = os.dup(2) if is_own else -1  # what the block may redirect

    def note(number: int) -> None:
        if noted and is_own:
            _end(number, errors)
        if noted:
            _raise(number)
        noted.append(number)

    try:
        with _handled_by(note):
            yield
    finally:
        if is_own:
            os.close(errors)
    if noted:
        _respond(noted[-1])


# what an interrupt does now; a change takes one step, so that no interrupt comes between two
_respond: Callable[[int], object] = _raise


def _handle(number: int, frame: FrameType | None) -> None:
    """Handle a signal: do what an interrupt does now."""
    if _repeated:
        _repeated.clear()
        if not _raised or _is_on_its_way():
            return
        _raised.clear()
    _received.append(number)
    _respond(number)


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
def _handled_by(respond: Callable[[int], object]) -> Iterator[None]:
    """Let interrupts call a function within the block; only in the main thread."""
    global _respond
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _respond
    others = {}  # signal -> its handler, in the process of a program that imports bcclone
    _respond = respond
    try:
        for number in INTERRUPTS:
            former = signal.getsignal(number)
            if former not in (_handle, None) and not _stays_ignored(number):
                others[number] = former
                signal.signal(number, _handle)
        yield
    finally:
        try:
            for number, former in others.items():
                signal.signal(number, former)
        finally:
            _respond = before


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
