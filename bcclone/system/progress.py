"""Show progress on standard error: a bar on a terminal, otherwise a line every 30 seconds.

The caller gives the total and adds to the count; rate and time left follow from them. A loop that
shows its progress ends, too, after a Ctrl-C whose exception was dropped (interrupts.py). In the
process of a program that imports bcclone, standard error is the program's. There the lines are
logged, at level INFO.
"""

import logging
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Self

from tqdm import tqdm

from bcclone.system.errors import printable
from bcclone.system.interrupts import raise_if_interrupted
from bcclone.system.own_process import is_own_process
from bcclone.system.parent_process import NOTE, tell_parent

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
        self._bar: tqdm[Any] | None = None
        if is_own_process() and sys.stderr.isatty():
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
