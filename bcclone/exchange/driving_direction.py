"""Find out whether a car drives forwards with a positive or with a negative throttle.

In: the rows of a source. Out: a `ThrottleRule`, by which an import leaves rows out.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bcclone.camera.framing import Framing
from bcclone.camera.images import Image, decode_jpeg
from bcclone.diagnosis.heading import share_that_grows
from bcclone.diagnosis.motion import follow_points
from bcclone.exchange.exchanged_row import BelowThrottle, ExchangedRow
from bcclone.exchange.framed_rows import frame_of
from bcclone.recording.row import CAMERAS, RowError

_LEAST_THROTTLE = 0.01  # a row with less throttle, forwards or backwards, is not counted
_CLEAR_SHARE = 0.75  # share of the pairs that must grow (or shrink) to show the direction
_PAIRS = 60  # pairs of pictures that are compared; for a long drive 60 to 120
_FOLLOWING_MS = 300  # longest time between the two pictures of a pair


@dataclass(frozen=True)
class ThrottleRule:
    """Which rows --min-throttle leaves out."""

    min_throttle: float | None = None  # None to leave out none
    forwards: int = 1  # -1 if the car drives forwards with a negative throttle
    words: str = ""  # how `forwards` was found; "" if the throttle is hardly ever negative

    def applied_to(self, row: ExchangedRow) -> ExchangedRow | BelowThrottle:
        """Return the row, or that it has too little throttle."""
        throttle = self.forwards * row.throttle
        if self.min_throttle is not None and throttle < self.min_throttle:
            return BelowThrottle(throttle)
        return row


@dataclass(frozen=True)
class SeenThrottles:
    """How many rows of a source have a clear throttle."""

    least: float  # the size from which on a throttle is clear
    positive: int
    negative: int
    # pairs of successive rows with a negative throttle; none if fewer rows have a negative one
    # than a positive one
    pairs: Sequence[tuple[ExchangedRow, ExchangedRow]]


def see_throttles(rows: Iterable[ExchangedRow], min_throttle: float) -> SeenThrottles:
    """Return which throttles the rows have, with pairs of rows that show the direction."""
    counted = _RowsByThrottle(max(min_throttle, _LEAST_THROTTLE))
    for row in rows:
        counted.add(row)
    pairs = counted.pairs if counted.negative > counted.positive else []
    return SeenThrottles(counted.least, counted.positive, counted.negative, pairs)


def throttle_rule(
    min_throttle: float | None, seen: SeenThrottles | None, framing: Framing | None
) -> ThrottleRule:
    """Return the rule by which rows are left out.

    If more rows have a negative throttle than a positive one, the pairs are compared: what they
    show grows if the car drives forwards.

    seen: the throttles of the source; None if the direction does not matter
    framing: how pictures become frames, see framed_rows()
    """
    if seen is None or seen.negative <= seen.positive:
        return ThrottleRule(min_throttle)
    pairs = []
    for before, after in seen.pairs:
        with suppress(RowError, KeyError):
            pairs.append((_center(before, framing), _center(after, framing)))
    share = share_that_grows([follow_points(before, after) for before, after in pairs])
    forwards = 1
    drives = "forwards or backwards: the pictures do not show it"
    if share is not None and abs(share - 0.5) >= _CLEAR_SHARE - 0.5:
        is_forwards = share > 0.5
        forwards = -1 if is_forwards else 1
        side = "forwards" if is_forwards else "backwards"
        drives = f"{side}, as {len(pairs)} pairs of pictures show"
    return ThrottleRule(
        min_throttle,
        forwards,
        f"throttle: {seen.negative} rows have {-seen.least:g} or less, {seen.positive} have "
        f"{seen.least:g} or more; a negative one drives {drives}",
    )


class _RowsByThrottle:
    """Counts rows with a clear throttle, and gathers pairs with a negative one, evenly spread."""

    def __init__(self, least: float) -> None:
        self.least = least
        self.positive = 0
        self.negative = 0
        self.pairs: list[tuple[ExchangedRow, ExchangedRow]] = []
        self._every = 1  # after how many rows with a negative throttle another pair is gathered
        self._last: ExchangedRow | None = None

    def add(self, row: ExchangedRow) -> None:
        before = self._last
        self._last = row
        self.positive += row.throttle >= self.least
        self.negative += row.throttle <= -self.least
        if before is None or before.recording != row.recording:
            return
        if not 0 < row.time_ms - before.time_ms < _FOLLOWING_MS:
            return
        if max(before.throttle, row.throttle) > -self.least or self.negative % self._every:
            return
        self.pairs.append((before, row))
        # too many: keep every second pair, and gather half as many from now on
        if len(self.pairs) > 2 * _PAIRS:
            self.pairs = self.pairs[::2]
            self._every *= 2


def _center(row: ExchangedRow, framing: Framing | None) -> Image:
    """Return a row's frame of the centre camera; raises RowError, and KeyError if it has none."""
    return decode_jpeg(frame_of(row.images[CAMERAS[0]], framing).jpeg)
