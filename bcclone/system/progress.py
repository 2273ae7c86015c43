"""Show progress on standard error: a bar on a terminal, otherwise a line every 30 seconds."""

import logging
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Self

from tqdm import tqdm

from bcclone.system.errors import printable

Notify = Callable[[str], None]  # takes a line of text for the user
logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 30.0
_LEAST_FRACTION = 0.001  # of the total, before the time left is shown


@cache
def note(text: str) -> None:
    """Warn of something once in this process."""
    logger.warning("note: %s", text)


class ProgressBar:
    """Counts to `total` and shows count, rate and time left, followed by other figures.

    Rate and time left are measured from the first advance on, so that preparations do not count.
    clock: returns seconds.
    """

    def __init__(
        self, label: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.label, self.total, self.unit = printable(label), total, unit
        self.done, self._clock = 0.0, clock
        self._start = self._begin = (clock(), 0.0)  # (time, count) where bar and rate start
        self._shown = self._start[0]
        self._bar: tqdm[Any] | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=total, desc=label, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            self._begin = self._start
            self._print_line("")

    def advance(self, count: float, figures: str = "") -> None:
        """Advance by `count`; `figures` is shown after the rate."""
        self.done += count
        if self._begin is self._start:
            self._begin = self._clock(), self.done
            self._shown = self._begin[0]
            if self._bar is not None:
                self._bar.unpause()
        if self._bar is not None:
            self._bar.set_postfix_str(printable(figures), refresh=False)
            self._bar.update(round(self.done) - self._bar.n)
        elif self.done < self.total and self._clock() - self._shown >= _SECONDS_BETWEEN_LINES:
            self._shown = self._clock()
            self._print_line(figures)

    def _print_line(self, figures: str) -> None:
        since, before = self._begin
        rate = (self.done - before) / max(self._clock() - since, 1e-9)
        is_measured = (
            self.done - before >= _LEAST_FRACTION * self.total and round(self.done) < self.total
        )
        left = f", {(self.total - self.done) / rate:.0f} s left" if is_measured else ""
        line = f"{self.label}: {self.done:.0f}/{self.total} {self.unit}, {rate:.0f}/s{left}"
        print(printable(f"{line}, {figures}" if figures else line), file=sys.stderr, flush=True)
