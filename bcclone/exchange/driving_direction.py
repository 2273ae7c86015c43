"""Find out whether a car drives forwards with a positive or with a negative throttle."""

from collections.abc import Iterable
from contextlib import suppress

from bcclone.camera.framing import Framing
from bcclone.camera.images import Image, decode_jpeg
from bcclone.diagnosis.heading import share_that_grows
from bcclone.diagnosis.motion import follow_points
from bcclone.exchange.exchanged_row import ExchangedRow
from bcclone.exchange.framed_rows import frame_of
from bcclone.exchange.left_out import Findings
from bcclone.recording.row import CAMERAS, RowError

_LEAST_THROTTLE = 0.01  # a row with less throttle, forwards or backwards, is not counted
_CLEAR_SHARE = 0.75  # share of the pairs that must grow (or shrink) to show the direction
_PAIRS = 60  # pairs of pictures that are compared; for a long drive 60 to 120
_FOLLOWING_MS = 300  # longest time between the two pictures of a pair


def find_direction(
    findings: Findings, rows: Iterable[ExchangedRow], framing: Framing | None
) -> None:
    """Set the sign of the throttle with which the car drives forwards, findings.forwards.

    If more rows have a negative throttle than a positive one, pictures of successive rows with a
    negative throttle are compared: what they show grows if the car drives forwards.
    """
    least = max(findings.min_throttle or 0.0, _LEAST_THROTTLE)
    counted = _RowsByThrottle(least)
    for row in rows:
        counted.add(row)
    if counted.negative <= counted.positive:
        return
    pairs = []
    for before, after in counted.pairs:
        with suppress(RowError, KeyError):
            pairs.append((_center(before, framing), _center(after, framing)))
    share = share_that_grows([follow_points(before, after) for before, after in pairs])
    drives = "forwards or backwards: the pictures do not show it"
    if share is not None and abs(share - 0.5) >= _CLEAR_SHARE - 0.5:
        is_forwards = share > 0.5
        findings.forwards = -1 if is_forwards else 1
        side = "forwards" if is_forwards else "backwards"
        drives = f"{side}, as {len(pairs)} pairs of pictures show"
    findings.direction = (
        f"throttle: {counted.negative} rows have {-least:g} or less, {counted.positive} have "
        f"{least:g} or more; a negative one drives {drives}"
    )


class _RowsByThrottle:
    """Counts rows with a clear throttle, and gathers pairs with a negative one, evenly spread."""

    def __init__(self, least: float) -> None:
        self.positive = 0
        self.negative = 0
        self.pairs: list[tuple[ExchangedRow, ExchangedRow]] = []
        self._least = least
        self._every = 1  # after how many rows with a negative throttle another pair is gathered
        self._last: ExchangedRow | None = None

    def add(self, row: ExchangedRow) -> None:
        before = self._last
        self._last = row
        self.positive += row.throttle >= self._least
        self.negative += row.throttle <= -self._least
        if before is None or before.recording != row.recording:
            return
        if not 0 < row.time_ms - before.time_ms < _FOLLOWING_MS:
            return
        if max(before.throttle, row.throttle) > -self._least or self.negative % self._every:
            return
        self.pairs.append((before, row))
        # too many: keep every second pair, and gather half as many from now on
        if len(self.pairs) > 2 * _PAIRS:
            self.pairs = self.pairs[::2]
            self._every *= 2


def _center(row: ExchangedRow, framing: Framing | None) -> Image:
    """Return a row's frame of the centre camera; raises RowError, and KeyError if it has none."""
    return decode_jpeg(frame_of(row.images[CAMERAS[0]], framing).jpeg)
