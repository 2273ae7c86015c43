"""What engineio and socketio have to say about clients -> one printable line, ever more seldom."""

import logging

_LONGEST_LINE = 250


def wire_logger() -> logging.Logger:
    """Return a logger that tells in one line, and without a traceback, what a client sent that cannot be read."""
    logger = logging.getLogger(f"{__name__}.wire")
    if not logger.filters:
        logger.setLevel(logging.ERROR)
        logger.addFilter(_Brief())
    return logger


class _Brief(logging.Filter):
    """Makes one printable line of what engineio says, and lets the first of a kind through, then ever fewer."""

    def __init__(self) -> None:
        super().__init__()
        self._times = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be shown, and make it short."""
        text = record.getMessage()
        if record.exc_info:
            self._times += 1
            error = record.exc_info[1]
            text = f"a message that cannot be read ({self._times} so far): {type(error).__name__}: {error}"
        # a client could otherwise write lines of its own, or steer the terminal
        record.msg, record.args = "%s", (text[:_LONGEST_LINE].encode("unicode_escape").decode(),)
        shown = not record.exc_info or self._times in (1, 10, 100) or self._times % 1000 == 0
        record.exc_info = None
        return shown
