"""What the libraries have to say about clients -> one printable line, ever more seldom; our own failures in full."""

import io
import logging
from types import TracebackType

_LONGEST_LINE = 250


class Refused(ValueError):
    """What a client sent is not read; the text says why."""


def wire_logger() -> logging.Logger:
    """Return a logger that tells in one line, and without a traceback, what a client sent that cannot be read."""
    logger = logging.getLogger(__name__)
    if not logger.filters:
        logger.setLevel(logging.ERROR)
        logger.addFilter(_Brief())
    return logger


class Quiet(io.StringIO):
    """Takes what a WSGI server has to say about clients that went away."""

    def write(self, text: str) -> int:
        """Drop the text."""
        return len(text)


class _Brief(logging.Filter):
    """Makes one printable line of what engineio says, and lets the first of a kind through, then ever fewer.

    What was raised in our own code, and refuses nothing, keeps its traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self._times = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be shown, and make it short."""
        text = record.getMessage()
        if record.exc_info:
            _, error, trace = record.exc_info
            if not isinstance(error, Refused) and _module(trace).startswith("bcclone."):
                return True
            self._times += 1
            text = f"a message that cannot be read ({self._times} so far): {type(error).__name__}: {error}"
        # a client could otherwise write lines of its own, or steer the terminal
        record.msg, record.args = "%s", (text[:_LONGEST_LINE].encode("unicode_escape").decode(),)
        shown = not record.exc_info or self._times in (1, 10, 100) or self._times % 1000 == 0
        record.exc_info = None
        return shown


def _module(trace: TracebackType | None) -> str:
    """Return the name of the module where it was raised."""
    name = ""
    while trace is not None:
        name, trace = str(trace.tb_frame.f_globals.get("__name__", "")), trace.tb_next
    return name
