"""Which Socket.IO packets of clients are read, and what is answered, as literal texts."""

import re

import pytest

from bcclone.drive.protocol import ProtocolError
from bcclone.drive.wire import limits
from bcclone.drive.wire.limits import RefusedPacket
from bcclone.drive.wire.polling import TelemetryPacket
from bcclone.drive.wire.socketio_dialects import Reaction, SocketIOConnection, TelemetryEvent, event_text


def decoded(text):
    packet = TelemetryPacket(encoded_packet=text)
    return packet.packet_type, packet.namespace, packet.id, packet.data


@pytest.mark.parametrize(
    ("text", "identity", "data"),
    [
        ('2["telemetry",{"speed":"1"}]', None, ["telemetry", {"speed": "1"}]),
        ('2["telemetry",null]', None, ["telemetry", None]),
        ('2["telemetry"]', None, ["telemetry", None]),
        ('27["telemetry",{}]', 7, ["telemetry", {}]),
        ('2 [ "telemetry" , {"a": 1}, 2]', None, ["telemetry", {"a": 1}]),
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


OPEN = '0{"sid":"abc","upgrades":[],"pingTimeout":60000,"pingInterval":25000,"maxPayload":1000000}'
JOINED = r'40\{"sid":"[\w-]{20}"\}'


def test_a_sent_event_has_compact_json_in_the_default_namespace():
    assert event_text("steer", {"steering_angle": "0.1"}) == '42["steer",{"steering_angle":"0.1"}]'


def test_the_simulator_joins_with_its_first_event():
    connection = SocketIOConnection()
    assert connection.open("abc") == (OPEN,)
    assert connection.receive("2") == Reaction(("3",))
    reaction = connection.receive('42["telemetry",{"speed":"1"}]')
    assert re.fullmatch(JOINED, *reaction.send)
    assert reaction.telemetry == TelemetryEvent({"speed": "1"})
    assert connection.dialect == "Unity simulator"
    assert connection.receive('42["telemetry",null]') == Reaction(telemetry=TelemetryEvent(None))
    assert connection.receive("41") == Reaction(left=True)
    assert connection.receive('42["telemetry",null]') == Reaction()
    assert connection.receive("1") == Reaction(close=True)


def test_a_client_of_today_joins_with_connect_and_is_pinged():
    now = [0.0]
    connection = SocketIOConnection(clock=lambda: now[0])
    assert connection.open("abc") == (OPEN,)
    assert re.fullmatch(JOINED, *connection.receive('40{"token":"x"}').send)
    assert connection.receive('427["telemetry",null]').telemetry == TelemetryEvent(None, "437[]")
    assert connection.dialect == "Socket.IO 3 to 5"
    assert connection.ping() is None
    now[0] = 25.0
    assert connection.ping() == "2"
    assert connection.receive("3") == Reaction()
    assert connection.ping() is None


def test_a_client_of_engine_io_3_is_joined_at_once_and_not_pinged():
    now = [0.0]
    connection = SocketIOConnection(eio3=True, clock=lambda: now[0])
    assert connection.open("abc") == (OPEN, "40")
    now[0] = 100.0
    assert connection.ping() is None
    assert connection.receive('42["telemetry"]') == Reaction(telemetry=TelemetryEvent(None))


def test_there_is_no_other_namespace():
    connection = SocketIOConnection()
    assert connection.receive("40/a,{}") == Reaction(('44/a,"Unable to connect"',))
    assert connection.receive('42/a,["telemetry"]') == connection.receive("41/a") == Reaction()


@pytest.mark.parametrize("text", ["", "hello", "9", "4", "4x", "4[", "45", '451-["telemetry"]', "44", "3" + "x" * 200])
def test_a_text_that_is_no_packet_is_refused(text):
    with pytest.raises(RefusedPacket):
        SocketIOConnection().receive(text)


def test_too_many_packets_in_a_second_are_refused():
    now = [0.0]
    connection = SocketIOConnection(clock=lambda: now[0])
    for _ in range(10):
        for _ in range(300):
            connection.receive("2")
        now[0] += 1.1
    for _ in range(300):
        connection.receive("2")
    with pytest.raises(RefusedPacket, match="a second"):
        connection.receive("2")
