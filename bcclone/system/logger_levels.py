"""Keep the levels of other packages' loggers, or silence these loggers, for the time of a block."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


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
