"""drive.py serves the Unity simulator and current clients, over real sockets, in both async modes.

bcclone.simulator.unity_client, which follows docs/reference/protocol.md, stands in for the simulator; its UnitySocket
sends literal texts.
"""

import base64
import json
import re
import socket
import time

import numpy as np
import pytest
import requests
import socketio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from bcclone.dataset.images import decode_jpeg, encode_jpeg
from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.simulator.unity_client import ServerGone, UnityClient, connected
from bcclone.system.errors import UserError
from tests.drive.drive_server import (
    FRAME,
    Still,
    drive,
    events_until,
    next_event,
    raw,
    serving,
    state_of,
    telemetry_text,
    wait_for_state,
)


@pytest.fixture(scope="module", params=ASYNC_MODES)
def port(untrained_model, request):
    """The port of a server that the tests of this module share; it must print no traceback."""
    with serving(untrained_model, "--async-mode", request.param) as server:
        yield server.port
        assert server.end() == 0
        assert "Traceback" not in server.output, server.output


def test_the_simulator_drives_with_two_loops_and_without_a_connect(port):
    world = Still(60)
    report = drive(port, world)
    assert report.telemetries == 60
    assert report.steers == 59  # the simulator quits with one on its way
    assert report.lost_loops == report.manuals == 0
    assert report.pongs == 1
    assert len(base64.b64encode(FRAME)) > 10 * 1016  # so each has more than ten fragments


def test_the_answer_has_the_models_steering_and_the_controllers_throttle(port, untrained_model):
    from bcclone.model.policy import load_policy

    world = Still(6)
    drive(port, world)
    steering = load_policy(untrained_model).answer(decode_jpeg(FRAME)).steering
    assert 0.001 < abs(steering) < 1
    assert [control[0] for control in world.controls] == pytest.approx([steering] * 5, abs=2e-6)
    assert {control[1] for control in world.controls} == {1.0}  # 12.5 of 25 mph


def test_a_steer_event_has_two_texts(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        until = time.monotonic() + 5
        while not (message := connection.receive(5) or "").startswith("42"):
            assert time.monotonic() < until
    assert re.fullmatch(r'42\["steer",\{"steering_angle":"-?0\.\d{6}","throttle":"-?[01]\.\d{6}"\}\]', message)


def test_decimal_commas_are_answered_with_decimal_commas(port):
    points, commas = Still(8), Still(8)
    drive(port, points)
    report = drive(port, commas, decimal_comma=True)
    assert report.lost_loops == 0
    assert commas.controls == points.controls
    with raw(port) as connection:
        connection.send_text(telemetry_text(speed="12,5000", number="0,0000"))
        name, fields = next_event(connection)
    assert name == "steer"
    assert re.fullmatch(r"-?0,\d{6}", fields["steering_angle"])


def test_no_loop_is_lost_between_autonomous_and_manual_driving(port):
    world = Still(60, manual=range(20, 40))
    report = drive(port, world)
    assert report.manuals == 20
    assert report.steers == 39
    assert report.lost_loops == 0


@pytest.mark.parametrize("nothing", ['42["telemetry",null]', '42["telemetry",{}]', '42["telemetry"]'])
def test_every_form_of_manual_mode_is_answered_with_manual(port, nothing):
    with raw(port) as connection:
        connection.send_text(nothing)
        assert next_event(connection) == ["manual", {}]


def test_pings_are_answered_and_keep_their_text(port):
    with raw(port) as connection:
        for _ in range(3):
            connection.send_text("2")
            assert connection.receive(5) == "3"


@pytest.mark.parametrize(
    "text",
    [
        telemetry_text(b"no picture"),
        telemetry_text(FRAME[:3000]),
        telemetry_text(encode_jpeg(np.zeros((80, 160, 3), np.uint8))),
        telemetry_text(speed="NaN"),
        '42["telemetry",{"speed":"1"}]',
        '42["telemetry",[1,2]]',
        '42["telemetry","text",1,2]',
    ],
    ids=[
        "garbage image",
        "truncated image",
        "other size",
        "NaN speed",
        "fields missing",
        "a list",
        "three arguments",
    ],
)
def test_a_bad_message_gets_a_safe_answer_and_the_car_drives_on(port, text):
    with raw(port) as connection:
        connection.send_text(text)
        name, fields = next_event(connection)
        assert name in ("manual", "steer")
        if name == "steer":
            assert float(fields["throttle"]) == 0.0
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"


OTHER_EVENTS = ['42["connect",{}]', '42["disconnect",{}]', '42["other",{}]', "40", "41 nonsense", "6"]


@pytest.mark.parametrize("text", OTHER_EVENTS)
def test_other_events_are_not_answered(port, text):
    with raw(port) as connection:
        connection.send_text(text)
        assert next_event(connection, 0.3) is None
    assert drive(port, Still(10)).steers == 9


@pytest.mark.parametrize("text", ["hello", "", "9", "42{", "42[", "4" + "2" * 50])
def test_a_text_that_is_not_a_packet_ends_only_its_connection(port, text):
    with raw(port) as bystander:
        with raw(port) as connection:
            connection.send_text(text)
            try:
                while connection.receive(0.5) is not None:
                    pass
            except ServerGone:
                pass
        bystander.send_text(telemetry_text())
        assert next_event(bystander)[0] == "steer"


def test_a_message_of_endless_fragments_ends_only_its_connection(port):
    with raw(port) as connection:
        frames = Connection(ConnectionType.CLIENT)
        connection.send_frames([frames.send(TextMessage("42[", message_finished=False))])

        def send_on():
            for _ in range(200):
                connection.send_frames([frames.send(TextMessage("x" * 60_000, message_finished=False))])
                connection.receive(0.001)

        with pytest.raises((ServerGone, OSError)):
            send_on()
    assert drive(port, Still(10)).steers == 9


def test_the_simulator_reconnects_after_its_connection_drops(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"  # it drives until the other one connects
        frames = Connection(ConnectionType.CLIENT)
        connection.send_frames([frames.send(TextMessage("42[", message_finished=False))])  # the message never ends
    assert drive(port, Still(10)).steers == 9


def test_a_server_that_closes_the_connection_is_reported(port):
    class Gone(Still):
        def observe(self):
            raise ServerGone("gone")

    with pytest.raises(UserError, match="ended the connection"):
        drive(port, Gone(10))


def test_a_current_python_socketio_client_drives(port):
    client, answers = socketio.Client(), []
    client.on("steer", answers.append)
    client.connect(f"http://127.0.0.1:{port}", transports=["websocket"], wait_timeout=5)
    payload = json.loads(telemetry_text()[2:])[1]
    for count in range(1, 11):
        client.emit("telemetry", payload)
        until = time.monotonic() + 5
        while len(answers) < count:
            assert time.monotonic() < until
            time.sleep(0.001)
    client.disconnect()
    assert {tuple(answer) for answer in answers} == {("steering_angle", "throttle")}


def test_a_client_that_polls_is_told_to_use_a_websocket(port):
    answer = requests.get(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling", timeout=5)
    assert (answer.status_code, "transports: ['websocket']" in answer.text) == (400, True)


def test_an_engine_io_3_client_is_served(port):
    """Socket.IO 2 clients request EIO=3, wait for a 40 without an object, and expect no ping from the server."""
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        plain.sendall(
            b"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        received = b""
        while not received.endswith(b"\x81\x0240"):
            data = plain.recv(4096)
            assert data, received
            received += data
    assert b" 101 " in received


def test_the_state_counts_answers(port):
    before = requests.get(f"http://127.0.0.1:{port}/state", timeout=5).json()
    drive(port, Still(10))
    after = requests.get(f"http://127.0.0.1:{port}/state", timeout=5).json()
    assert after["answered"] - before["answered"] >= 9


def test_the_newer_connection_drives_and_the_older_gets_the_car_back(port):
    with raw(port) as older:
        older.send_text(telemetry_text())
        assert next_event(older)[0] == "steer"
        with raw(port) as newer:
            newer.send_text('42["telemetry",null]')  # a held key does not make it drive
            assert events_until(newer, "manual") == ["manual"]
            older.send_text(telemetry_text())
            assert next_event(older)[0] == "steer"
            newer.send_text(telemetry_text())
            assert events_until(newer, "steer") == ["steer"]
            older.send_text(telemetry_text())
            assert next_event(older) == ["manual", {}]
            assert next_event(older, 1.5) is None  # a second one would start another loop
            newer.send_text(telemetry_text())
            assert next_event(newer)[0] == "steer"
            wait_for_state(port, waiting_cars=1)
        wait_for_state(port, waiting_cars=0)
        older.send_text(telemetry_text())
        assert next_event(older)[0] == "steer"


def test_an_older_connection_that_sends_nothing_gets_a_manual(port):
    with raw(port) as older, raw(port) as newer:
        for connection in (older, newer):
            connection.send_text(telemetry_text())
            assert next_event(connection)[0] == "steer"
        assert next_event(older) == ["manual", {}]


def test_other_events_do_not_affect_the_latency(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        connection.send_text('42["hello",{}]')
        time.sleep(1.0)
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        assert state_of(port)["latency_ms"]["last"] < 900


def test_an_invalid_speed_is_a_warning_and_not_a_held_key(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        connection.send_text(telemetry_text(speed="NaN"))
        assert next_event(connection) == ["manual", {}]
        state = state_of(port)
        assert state["connection"] == "driving"
        assert any("speed is not finite" in warning["text"] for warning in state["warnings"])


def test_two_cars_at_a_time_lose_no_loop(port):
    with connected("127.0.0.1", port) as first, raw(port) as second:
        second.send_text(telemetry_text())
        assert next_event(second)[0] == "steer"
        report = UnityClient(first, Still(40)).drive()
    assert report.lost_loops == 0
    assert report.steers + report.manuals == 39
    assert report.steers >= 30


def test_a_silent_car_is_woken(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        since = time.monotonic()  # no telemetry follows
        assert events_until(connection, "manual", seconds=8) == ["manual"]
        assert time.monotonic() - since > 2.5
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        state = state_of(port)
        assert state["wakeups"] >= 1
        assert any("wake" in warning["text"] for warning in state["warnings"])


def test_telemetry_with_invalid_json_is_answered(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        for text in ('42["telemetry",{"speed":}]', '42["telemetry",' + "[" * 200, '42["telemetry",'):
            connection.send_text(text)
            assert next_event(connection) == ["manual", {}]
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"


def test_a_client_that_has_left_is_removed(port):
    drive(port, Still(5))
    wait_for_state(port, clients=0, connection="none", dialect="")
    state = state_of(port)
    assert (state["clients"], state["connection"], state["dialect"]) == (0, "none", "")


def test_the_state_has_the_dialect_of_the_client(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        next_event(connection)
        assert state_of(port)["dialect"] == "Unity simulator"
