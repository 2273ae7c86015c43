"""Decide which telemetries of a connection are late: they waited for the answer to an earlier one.

The messages that wait go in, whether a telemetry is late comes out. No sockets.
"""

from collections.abc import Callable, Sequence

from bcclone.drive.arbiter import Reply
from bcclone.drive.protocol import holds_telemetry

# returns the messages that have arrived and were not read, and whether one more has begun to
LookAhead = Callable[[], tuple[Sequence[str | bytes], bool]]


class LateTelemetries:
    """Counts the late telemetries of one connection."""

    def __init__(self) -> None:
        self._left = 0  # of the telemetries that will be read next

    def note_answer(self, reply: Reply, too_slow: bool, look_ahead: LookAhead) -> None:
        """Note what came while a slow model was asked; call this before the reply is sent.

        too_slow: whether the model is too slow for the car
        look_ahead: called only if telemetries may be late
        """
        decision = reply.decision
        was_asked = decision is not None and not decision.repeated
        if not (was_asked and too_slow):
            return
        messages, has_begun = look_ahead()
        self._left = sum(map(holds_telemetry, messages))
        if has_begun:  # one more has arrived in part
            self._left += 1

    def take(self) -> bool:
        """Return whether the telemetry that was read last is late; call this once for each."""
        if not self._left:
            return False
        self._left -= 1
        return True
