"""Ctrl-C and termination -> a wish that training hears between two steps, so that its state is whole when it ends."""

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class End:
    """What the main thread waits for: `socket` becomes readable when the end is asked for.

    Not an exception: that would come up in whatever the server is doing, and engineio swallows it there. Python writes
    to a socket when a signal comes, which wakes who waits on every system. After `wait` a second Ctrl-C ends the
    process at once.
    """

    def __enter__(self) -> Self:
        self.socket, self._telling = socket.socketpair()
        self.socket.setblocking(False)
        self._telling.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._telling.fileno(), warn_on_full_buffer=False)
        self._handlers = {which: signal.signal(which, lambda *_: None) for which in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
        self.socket.close()
        self._telling.close()

    def ask(self) -> None:
        """Ask for the end."""
        with contextlib.suppress(OSError):  # it came, and all is closed
            self._telling.send(b"0")

    def restore(self) -> None:
        """Let signals do what they did before."""
        signal.set_wakeup_fd(self._wakeup)
        for which, handler in self._handlers.items():
            signal.signal(which, handler)


_HEARD = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Whether this process has been asked to end. Asked a second time it ends at once, by KeyboardInterrupt."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def heard(self) -> Iterator["Interrupts"]:
        """Listen until the block is left; in another thread than the main one signals stay as they are."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._hear) for number in _HEARD}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
