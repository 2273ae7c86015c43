"""Telemetry, steer events and the other packets of each dialect, as literal texts."""

import base64
import json
import re

import pytest

from bcclone.drive.protocol import (
    Control,
    ProtocolError,
    Reaction,
    RefusedPacket,
    SocketIOConnection,
    Telemetry,
    TelemetryEvent,
    event_text,
    format_steer,
    parse_telemetry,
    read_telemetry,
)

JPEG = b"\xff\xd8 picture \xff\xd9"
IMAGE = base64.b64encode(JPEG).decode()
TELEMETRY = Telemetry(-3.75, 0.3, 12.5, JPEG, decimal_comma=False)


def telemetry(**changes):
    """The object in `42["telemetry",{...}]` as the simulator writes it."""
    text = '{"steering_angle":"-3.7500","throttle":"0.3000","speed":"12.5000","image":"IMAGE"}'
    return json.loads(text.replace("IMAGE", IMAGE)) | changes


@pytest.mark.parametrize("name", ["steering_angle", "throttle", "speed"])
def test_telemetry_with_a_decimal_comma_is_read(name):
    parsed = parse_telemetry(telemetry(**{name: telemetry()[name].replace(".", ",")}))
    assert parsed == Telemetry(-3.75, 0.3, 12.5, JPEG, decimal_comma=True)


@pytest.mark.parametrize(
    ("written", "speed", "comma"),
    [
        ("1,234.5000", 1234.5, False),
        ("1.234,5000", 1234.5, True),
        ("1 234,5000", 1234.5, True),
        ("1\u202f234,5000", 1234.5, True),
        ("1'234.5000", 1234.5, False),
        ("12,345,678.5000", 12345678.5, False),
        ("+0,5000", 0.5, True),
        ("12", 12.0, False),
        ("\u22120,5000", -0.5, True),
        ("1e-05", 1e-05, False),
        ("0" * 36 + "12.5", 12.5, False),
        (12.5, 12.5, False),
        (10**30 - 1, 1e30, False),
    ],
)
def test_numbers_with_decimal_points_and_commas_are_read(written, speed, comma):
    parsed = parse_telemetry(telemetry(speed=written))
    assert (parsed.speed_mph, parsed.decimal_comma) == (speed, comma)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([1], "a list, expected an object"),
        ({k: v for k, v in telemetry().items() if k != "speed"}, "without speed, .*expected a"),
        (telemetry(speed=True), "speed is 'True', expected a number"),
        (telemetry(throttle=[0] * 1000), "throttle .{,60}, expected a number"),
        (telemetry(speed="fast"), "speed is 'fast', expected a number"),
        (telemetry(speed="1234,567.5"), "speed is '1234,567.5', expected a number"),
        (telemetry(speed="NaN"), "speed is not finite, expected a number"),
        (telemetry(steering_angle="Infinity"), "steering_angle is not finite, expected a number"),
        (telemetry(speed="9" * 99_999), "speed has 99999 characters, expected .* at most 40"),
        ({"cte": "0.4", "speed": "0.2"}, "without an image, .*start the simulator of term 1"),
        (telemetry(image=None), "without an image, expected base64"),
    ],
)
def test_invalid_telemetry_is_refused_with_a_reason(payload, reason):
    with pytest.raises(ProtocolError, match=reason):
        parse_telemetry(payload)


# what other programs send on this port: the event, its fields, and what is said about it
ROVER = telemetry(position="99.6,85.6", pitch="0.1", yaw="0.3", near_sample="0")
OTHERS = {
    "AutoDRIVE": ("Bridge", {"V1 Position": "0 0 0", "V1 Throttle": "0"}, "'Bridge' with 'V1 Pos"),
    "a rover": ("telemetry", ROVER, "'position', 'pitch', 'yaw', 'near_sample'"),
    "a chat": ("message", {}, "'message'"),
}


@pytest.mark.parametrize("program", OTHERS)
def test_another_program_is_told_by_what_it_sends(program):
    name, fields, words = OTHERS[program]
    connection = SocketIOConnection()
    connection.receive("40")
    assert connection.notice == ""
    connection.receive(f"42{json.dumps([name, fields])}")
    assert words in connection.notice
    assert "simulator" in connection.notice


def test_the_simulator_is_no_other_program():
    connection = SocketIOConnection()
    for packet in (f"42{json.dumps(['telemetry', telemetry()])}", '42["telemetry",null]', "2"):
        connection.receive(packet)
        assert connection.notice == ""
    for broken in ('42["x', '42{"a":1}', "42[]", "42[[1]]", "42/a,[]"):
        connection.receive(broken)


@pytest.mark.parametrize("image", ["@@@", "/9j@/4A==", "/9j/4", "/9j\xe9", ""])
def test_an_image_with_invalid_base64_is_an_unreadable_frame(image):
    parsed = parse_telemetry(telemetry(image=image))
    assert (parsed.jpeg, parsed.speed_mph) == (b"", 12.5)


@pytest.mark.parametrize(
    ("control", "comma", "text"),
    [
        (Control(0.125, -0.3), False, '{"steering_angle": "0.125000", "throttle": "-0.300000"}'),
        (Control(0.125, -0.3), True, '{"steering_angle": "0,125000", "throttle": "-0,300000"}'),
        (Control(1e-9, -1.0), False, '{"steering_angle": "0.000000", "throttle": "-1.000000"}'),
    ],
)
def test_a_steer_event_is_two_texts_in_the_machines_culture(control, comma, text):
    assert json.dumps(format_steer(control, comma)) == text


@pytest.mark.parametrize("value", [1.5, -1.0001, float("nan"), float("inf")])
def test_a_control_out_of_range_cannot_be_made(value):
    for numbers in ((value, 0.0), (0.0, value)):
        with pytest.raises(ValueError, match="expected -1 to 1"):
            Control(*numbers)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (f'2["telemetry",{json.dumps(telemetry())}]', TelemetryEvent(TELEMETRY)),
        (f'2 [ "telemetry" , {json.dumps(telemetry())}, 2]', TelemetryEvent(TELEMETRY)),
        ('2["telemetry",null]', TelemetryEvent(None)),
        *((text, TelemetryEvent(None)) for text in ('2["telemetry"]', '2["telemetry",{}]')),
        ('27["telemetry",{}]', TelemetryEvent(None, "437[]")),
        *((text, None) for text in ('2["connect",{}]', '2["telemetry2",{}]', "2[]", "2{}", "2")),
        *((text, None) for text in ('2/other,["telemetry",{}]', '21-["telemetry",{}]')),
        ('2[["telemetry"]]', None),
    ],
)
def test_telemetry_events_are_read_and_others_are_ignored(text, event):
    assert read_telemetry(text) == event


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('2["telemetry",', "^unreadable JSON: "),
        ('2["telemetry",{"speed":}]', "^unreadable JSON: "),
        ('2["telemetry",' + '{"a":' * 100_000, "^unreadable JSON: "),
        ('2["telemetry",' + "9" * 5000 + "]", "^unreadable JSON: "),
        (
            '2["telemetry",{"speed":"1","image":""}]',
            "^telemetry without steering_angle, but with 'speed', 'image'",
        ),
    ],
)
def test_unreadable_telemetry_is_an_event_with_the_reason(text, reason):
    event = read_telemetry(text)
    assert isinstance(event.telemetry, ProtocolError)
    assert re.search(reason, str(event.telemetry))
    assert (event.ack, read_telemetry(f"25{text[1:]}").ack) == ("", "435[]")


OPEN = '0{"sid":"abc","upgrades":[],"pingTimeout":60000,"pingInterval":25000,"maxPayload":1000000}'
JOINED = r'40\{"sid":"[\w-]{20}"\}'


def test_the_simulator_joins_with_its_first_event():
    connection = SocketIOConnection()
    assert connection.open("abc") == (OPEN,)
    assert connection.receive("2") == Reaction(("3",))
    reaction = connection.receive(f'42["telemetry",{json.dumps(telemetry())}]')
    assert re.fullmatch(JOINED, *reaction.send)
    assert reaction.event == TelemetryEvent(TELEMETRY)
    assert connection.dialect == "Unity simulator"
    assert connection.receive('42["telemetry",null]') == Reaction(event=TelemetryEvent(None))
    assert connection.receive("41") == Reaction(left=True)
    assert connection.receive('42["telemetry",null]') == Reaction()
    assert connection.receive("1") == Reaction(close=True)


def test_a_client_of_today_joins_with_connect_and_is_pinged():
    now = [0.0]
    connection = SocketIOConnection(clock=lambda: now[0])
    assert connection.open("abc") == (OPEN,)
    assert re.fullmatch(JOINED, *connection.receive('40{"token":"x"}').send)
    assert connection.receive('427["telemetry",null]').event == TelemetryEvent(None, "437[]")
    assert connection.dialect == "Socket.IO 3 to 5"
    assert connection.ping() is None
    now[0] = 25.0
    assert connection.ping() == "2"
    assert connection.receive("3") == Reaction()
    assert connection.ping() is None


def test_a_client_of_engine_io_3_is_joined_at_once_and_not_pinged():
    now = [0.0]
    connection = SocketIOConnection(eio3=True, clock=lambda: now[0])
    assert connection.dialect == "Socket.IO 2 (Engine.IO 3)"
    assert connection.open("abc") == (OPEN, "40")
    now[0] = 100.0
    assert connection.ping() is None
    assert connection.receive('42["telemetry"]') == Reaction(event=TelemetryEvent(None))


def test_there_is_no_other_namespace():
    connection = SocketIOConnection()
    assert connection.receive("40/a,{}") == Reaction(('44/a,"Unable to connect"',))
    assert connection.receive('42/a,["telemetry"]') == connection.receive("41/a") == Reaction()


@pytest.mark.parametrize("namespace", ["", "/", "/,"])
def test_the_main_namespace_may_be_named_to_join_and_to_leave(namespace):
    connection = SocketIOConnection()
    assert re.fullmatch(JOINED, *connection.receive(f"40{namespace}").send)
    assert connection.receive(f"41{namespace}") == Reaction(left=True)
    assert connection.receive('42["telemetry",null]') == Reaction()


@pytest.mark.parametrize("data", ["{", "[" * 100_000])
def test_a_client_whose_connect_cannot_be_read_joins_by_its_first_event(data):
    connection = SocketIOConnection()
    assert connection.receive(f"40{data}") == Reaction()
    reaction = connection.receive('42["telemetry",null]')
    assert re.fullmatch(JOINED, *reaction.send)
    assert reaction.event == TelemetryEvent(None)


NO_PACKET = "no packet.*expected"
NOT_SUPPORTED = "binary.*base64"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, NO_PACKET) for text in ("", "hello", "9", "X", "4", "4x", "4X", "4[")),
        *((text, NOT_SUPPORTED) for text in ("45", '451-["telemetry"]', "44")),
    ],
)
def test_a_text_that_is_no_packet_is_refused(text, reason):
    with pytest.raises(RefusedPacket, match=reason):
        SocketIOConnection().receive(text)


def test_a_ping_is_answered_with_its_own_text_and_an_event_is_compact_json():
    assert SocketIOConnection().receive("2probe") == Reaction(("3probe",))
    assert event_text("steer", {"steering_angle": "0.1"}) == '42["steer",{"steering_angle":"0.1"}]'
