"""Define the limits on clients: size, number and rate of their messages; and log their errors briefly.

The simulator needs a small part of each (docs/reference/protocol.md).
"""

import io
import logging
from types import TracebackType

MESSAGE_BYTES = 1_000_000  # of a message or a request's body; a camera frame has 20,000; engineio's default
HEAD_BYTES = 65_536  # of a request, its line and its headers; as eventlet allows
CONTROL_BYTES = 200  # of any packet except an event: a ping, a probe, a CONNECT
OPENING_BRACKETS = 64  # in an event, which bounds its depth; telemetry has 2
POSTS_UNFETCHED = 64  # of a session that polls and does not fetch its answers
MESSAGES_AHEAD = 8  # that are read before their turn on a slow machine; the simulator has 1 waiting
SESSIONS = 64  # of Engine.IO, in websockets and by polling
PAGES = 8
SOCKETS = 160  # open TCP connections
SOCKETS_CLOSING = 400  # connections that were shut down and are not closed yet
FILES = 1024  # open files that the process needs for all of these; the default of macOS is 256
REQUEST_SECONDS = 10.0  # until a request must have arrived whole
SILENT_SECONDS = 85.0  # without data on a websocket; its pings come every 25 s
NEW_SESSIONS_PER_SECOND, NEW_SESSIONS_AT_ONCE = 5.0, 40.0  # a simulator that is refused reconnects after 5 ms
LONGEST_WAIT_SECONDS = 5.0  # of a new session, when more come than that

_LONGEST_LINE = 250


class RefusedPacket(ValueError):
    """A packet of a client that is not read; the text is the reason."""


def client_logger() -> logging.Logger:
    """Return a logger for the Socket.IO libraries: one line for what a client did wrong, and fewer and fewer lines."""
    logger = logging.getLogger(__name__)
    if not logger.filters:
        logger.setLevel(logging.ERROR)
        logger.addFilter(_Brief())
    return logger


class NullStream(io.StringIO):
    """Drops what a WSGI server prints about clients that went away."""

    def write(self, text: str) -> int:
        """Drop the text."""
        return len(text)


class _Brief(logging.Filter):
    """Shortens a client's errors to one printable line, and passes the 1st, 10th, 100th and then every 1000th.

    Errors raised in this package, except RefusedPacket, keep their traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self._errors = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a record; return whether to show it."""
        text = record.getMessage()
        if record.exc_info:
            _, error, trace = record.exc_info
            if not isinstance(error, RefusedPacket) and _module(trace).startswith("bcclone."):
                return True
            self._errors += 1
            text = f"a message that cannot be read ({self._errors} so far): {type(error).__name__}: {error}"
        # escaped: otherwise a client could add lines of its own, or control the terminal
        record.msg, record.args = "%s", (text[:_LONGEST_LINE].encode("unicode_escape").decode(),)
        shown = not record.exc_info or self._errors in (1, 10, 100) or self._errors % 1000 == 0
        record.exc_info = None
        return shown


def _module(trace: TracebackType | None) -> str:
    """Return the name of the module that raised the error."""
    name = ""
    while trace is not None:
        name, trace = str(trace.tb_frame.f_globals.get("__name__", "")), trace.tb_next
    return name
