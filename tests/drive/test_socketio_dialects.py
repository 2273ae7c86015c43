"""Which Socket.IO packets of clients are read, as literal texts."""

import json

import pytest

from bcclone.drive.protocol import ProtocolError
from bcclone.drive.wire import limits
from bcclone.drive.wire.socketio_dialects import TelemetryPacket


def decoded(text):
    packet = TelemetryPacket(encoded_packet=text)
    return packet.packet_type, packet.namespace, packet.id, packet.data


@pytest.mark.parametrize(
    ("text", "identity", "data"),
    [
        ('2["telemetry",{"speed":"1"}]', None, ["telemetry", {"speed": "1"}]),
        ('2["telemetry",null]', None, ["telemetry", None]),
        ('2["telemetry"]', None, ["telemetry"]),
        ('27["telemetry",{}]', 7, ["telemetry", {}]),
        ('2 [ "telemetry" , {"a": 1}, 2]', None, ["telemetry", {"a": 1}, 2]),
    ],
)
def test_telemetry_is_read(text, identity, data):
    kind, namespace, packet_id, found = decoded(text)
    assert (kind, namespace or "/", packet_id, found) == (2, "/", identity, data)


@pytest.mark.parametrize(
    "text",
    [
        '2["connect",{}]',
        '2["disconnect"]',
        '2["telemetry2",{}]',
        '2["steer",{}]',
        "2[]",
        "2{}",
        "2",
        '2/other,["telemetry",{}]',
        '21-["telemetry",{}]',
        '2["ignored"]',
        '2[["telemetry"]]',
    ],
)
def test_other_events_are_ignored(text):
    assert decoded(text) == (2, "/", None, ["ignored"])


@pytest.mark.parametrize(
    "text",
    [
        '2["telemetry",',
        '2["telemetry",{"speed":}]',
        '2["telemetry",' + "[" * 500,
        '2["telemetry",' + "[" * 500 + "]" * 501,
        '2["telemetry",' + '{"a":' * 100_000,
        '2["telemetry",' + "9" * 5000 + "]",
        '2["telemetry",{}]]',
    ],
)
def test_unreadable_telemetry_has_an_error_as_its_object(text):
    kind, namespace, _, (name, problem) = decoded(text)
    assert (kind, namespace, name) == (2, "/", "telemetry")
    assert isinstance(problem, ProtocolError)


@pytest.mark.parametrize(
    "text",
    ['51-["telemetry",{"_placeholder":true,"num":0}]', "599999999-[]", "61-[]", "9", "x", b"bytes", [1], {"a": 1}],
)
def test_binary_and_unknown_packets_are_refused(text):
    with pytest.raises(ValueError, match="base64 text"):
        TelemetryPacket(encoded_packet=text)


def test_deep_json_is_refused_in_any_packet():
    with pytest.raises(ValueError, match="brackets"):
        TelemetryPacket(encoded_packet="0" + "[" * (limits.OPENING_BRACKETS + 1))


def test_a_sent_event_has_compact_json_in_the_default_namespace():
    packet = TelemetryPacket(2, ["steer", {"steering_angle": "0.1"}], namespace="/")
    assert packet.encode() == '2["steer",' + json.dumps({"steering_angle": "0.1"}, separators=(",", ":")) + "]"
