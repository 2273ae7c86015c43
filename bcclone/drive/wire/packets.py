"""Texts of Socket.IO -> the one event that is ours, or a refusal: what a client sends is read within limits.

It is what python-socketio decodes with, so that it holds for every transport. Nothing else than telemetry gets
through: no event of another name, no attachments (they would be kept until all have come), no deep JSON.
"""

import re
from typing import Any

from socketio.packet import EVENT, Packet

from bcclone.drive.wire import limits
from bcclone.drive.wire.log import Refused
from bcclone.protocol import ProtocolError

TELEMETRY = "telemetry"
_TELEMETRY_EVENT = re.compile(r'2(?P<id>\d{0,10})\s*\[\s*"telemetry"\s*[,\]]')
_IGNORED = ["ignored"]


def is_telemetry(packet: str) -> bool:
    """Return whether the text of a Socket.IO packet gets through, and so is answered."""
    return _TELEMETRY_EVENT.match(packet) is not None


class TelemetryPacket(Packet):  # type: ignore[misc]
    """A Socket.IO packet; an event that is not telemetry is ignored, and unreadable telemetry says so as its object."""

    def decode(self, encoded_packet: Any) -> int:
        """Read a packet; raises ValueError for what ends the connection."""
        if not isinstance(encoded_packet, str) or encoded_packet[:1] not in ("0", "1", "2", "3", "4"):
            raise Refused("binary events are not understood here; send the image as base64 text")
        if encoded_packet[0] != str(EVENT):
            return _within_limits(super().decode, encoded_packet)
        self.packet_type, self.id, self.namespace, self.attachment_count = EVENT, None, "/", 0
        match = _TELEMETRY_EVENT.match(encoded_packet)
        if match is None:
            self.data: Any = _IGNORED
            return 0
        try:
            _within_limits(super().decode, encoded_packet)
            if not isinstance(self.data, list) or self.data[:1] != [TELEMETRY]:
                raise Refused("it is no list")
        except (ValueError, RecursionError) as error:  # the car must be answered all the same
            self.namespace, self.data = "/", [TELEMETRY, ProtocolError(f"no JSON that we read: {error}")]
        return 0


def _within_limits(decode: Any, encoded_packet: str) -> int:
    if encoded_packet[0] != str(EVENT) and len(encoded_packet) > limits.CONTROL_BYTES:
        raise Refused(f"{len(encoded_packet)} characters in what is no event")  # and some would be sent back
    openings = encoded_packet.count("[") + encoded_packet.count("{")
    if openings > limits.OPENING_BRACKETS:
        raise Refused(f"{openings} brackets, expected at most {limits.OPENING_BRACKETS}")
    count: int = decode(encoded_packet)
    return count
