"""Tell the user how far the work is: lines, notes, and a bar that counts."""

import logging
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Self

from bcclone.system.errors import printable
from bcclone.system.process import is_own_process

logger = logging.getLogger(__name__)

Notify = Callable[[str], None]  # takes a line of text for the user

_SECONDS_BETWEEN_LINES = 30.0


@cache
def note(text: str) -> None:
    """Log a text as a warning; @cache lets the same text through only once in a process."""
    logger.warning("note: %s", text)


class ProgressBar:
    """Counts to `total` and shows count, rate, time left, and figures of the caller.

    It is a bar on standard error if that is a terminal with rows and columns, otherwise a line
    every 30 seconds and one at the end. In the process of a program that imports bcclone, standard
    error is the program's: there the lines are logged, at level INFO.

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
        if is_own_process() and _has_room_for_a_bar():
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
        # the first thousandth tells nothing: what is computed once is computed in it
        if self.done > 0.001 * self.total and self.done < self.total:
            line += f", {(self.total - self.done) / rate:.0f} s left"
        if figures:
            line += f", {printable(figures)}"
        if is_own_process():
            print(line, file=sys.stderr, flush=True)
        else:
            logger.info("%s", line)


def _has_room_for_a_bar() -> bool:
    """Return whether standard error is a terminal that has a size.

    Those of `docker exec` and `script` may have none, and a bar would not be seen there.
    """
    if not sys.stderr.isatty():
        return False
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return size.columns > 0 and size.lines > 1
