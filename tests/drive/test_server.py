"""The server serves the Unity simulator and current clients, over real sockets, in both async
modes.

bcclone.simulator.unity_client, which follows docs/reference/protocol.md, stands in for the
simulator; its UnitySocket sends literal texts.
"""

import base64
import json
import re
import socket
import time
from contextlib import suppress

import numpy as np
import pytest
import requests
import socketio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from bcclone.camera.images import encode_jpeg
from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.simulator.unity_client import ServerGone, connected
from bcclone.system.errors import UserError
from bcclone.web.server import listen
from tests.drive.drive_server import (
    FRAME,
    Constant,
    Still,
    drive,
    errors_logged,
    events_until,
    next_event,
    raw,
    serving_in_a_thread,
    state_of,
    telemetry_text,
    wait_for_state,
)
from tests.processes import wait_for


@pytest.fixture(scope="module", params=ASYNC_MODES)
def port(request):
    """The port of a server that the tests of this module share; it must log no error."""
    with (
        errors_logged() as errors,
        serving_in_a_thread(Constant(), async_mode=request.param) as server,
    ):
        yield server.port
    assert errors == []


def test_the_simulator_drives_with_two_loops_and_without_a_connect(port):
    before = state_of(port)["answered"]
    world = Still(60)
    report = drive(port, world)
    assert report.telemetries == 60
    assert report.steers == 59  # the simulator quits with one on its way
    assert report.lost_loops == report.manuals == 0
    assert len(base64.b64encode(FRAME)) > 10 * 1016  # so each has more than ten fragments
    assert set(world.controls) == {(0.25, 1.0)}  # 12.5 of 25 mph
    wait_for_state(port, clients=0, connection="none", dialect="")
    assert state_of(port)["answered"] - before >= 59


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (telemetry_text(), '42["steer",{"steering_angle":"0.250000","throttle":"1.000000"}]'),
        (
            telemetry_text(speed="12,5000", number="0,0000"),
            '42["steer",{"steering_angle":"0,250000","throttle":"1,000000"}]',
        ),
        ('42["telemetry",null]', '42["manual",{}]'),
    ],
)
def test_the_handshake_and_the_answers_have_these_bytes(port, text, answer):
    with connected("127.0.0.1", port) as connection:
        opened = connection.receive(60)
        assert re.fullmatch(
            r'0\{"sid":"[\w-]{20}","upgrades":\[\],"pingTimeout":60000,"pingInterval":25000,"maxPayload":1000000\}',
            opened,
        )
        connection.send_text("2")
        assert connection.receive(60) == "3"
        connection.send_text(text)
        assert re.fullmatch(r'40\{"sid":"[\w-]{20}"\}', connection.receive(60))
        assert connection.receive(60) == answer


def test_no_loop_is_lost_between_autonomous_and_manual_driving(port):
    report = drive(port, Still(60, manual=range(20, 40)))
    assert (report.manuals, report.steers, report.lost_loops) == (20, 39, 0)


def test_bad_messages_get_a_safe_answer_and_the_car_drives_on(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        for jpeg in (b"no picture", FRAME[:3000], encode_jpeg(np.zeros((80, 160, 3), np.uint8))):
            connection.send_text(telemetry_text(jpeg))
            name, fields = next_event(connection)
            assert (name, float(fields["throttle"])) == ("steer", 0.0)
        bad = ('{"speed":"1"}', "[1,2]", '{"speed":}', "[" * 200, '"text",1,2')
        for text in (telemetry_text(speed="NaN"), *(f'42["telemetry",{data}]' for data in bad)):
            connection.send_text(text)
            assert next_event(connection) == ["manual", {}]
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        state = state_of(port)
        assert state["connection"] == "driving"
        assert any("speed is not finite" in warning["text"] for warning in state["warnings"])


def test_a_text_that_is_not_a_packet_ends_only_its_connection(port):
    with raw(port) as bystander:
        with raw(port) as connection, suppress(ServerGone):
            connection.send_text("hello")
            while connection.receive(0.5) is not None:
                pass
        bystander.send_text(telemetry_text())
        assert next_event(bystander)[0] == "steer"


def test_the_simulator_reconnects_after_its_connection_drops_within_a_message(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"  # it drives until the other one connects
        frames = Connection(ConnectionType.CLIENT)
        connection.send_frames([frames.send(TextMessage("42[", message_finished=False))])
    assert drive(port, Still(10)).steers == 9


def test_a_current_python_socketio_client_drives(port):
    client = socketio.Client()
    answers = []
    client.on("steer", answers.append)
    client.connect(f"http://127.0.0.1:{port}", transports=["websocket"], wait_timeout=60)
    payload = json.loads(telemetry_text()[2:])[1]
    for count in range(1, 11):
        client.emit("telemetry", payload)
        wait_for(lambda count=count: len(answers) == count, 5, 0.001)
    client.disconnect()
    assert {tuple(answer) for answer in answers} == {("steering_angle", "throttle")}


def test_a_client_that_polls_is_told_to_use_a_websocket(port):
    answer = requests.get(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling", timeout=60)
    assert (answer.status_code, "transports: ['websocket']" in answer.text) == (400, True)


def test_the_user_is_told_once_of_a_client_that_polls():
    with serving_in_a_thread(Constant()) as server:
        for _ in range(3):
            address = f"http://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=polling"
            assert requests.get(address, timeout=60).status_code == 400
        (line,) = [line for line in server.lines if "websocket" in line]
        assert line.startswith("warning: ")


def test_an_engine_io_3_client_is_served(port):
    """Socket.IO 2 clients request EIO=3, wait for a 40 without an object, and expect no ping from
    the server.
    """
    with socket.create_connection(("127.0.0.1", port), 60) as plain:
        plain.sendall(
            b"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\n"
            b"Host: localhost\r\n"
            b"Upgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        received = b""
        while not received.endswith(b"\x81\x0240"):
            data = plain.recv(4096)
            assert data, received
            received += data
    assert b" 101 " in received


def test_the_newer_connection_drives_and_the_older_gets_the_car_back(port):
    with raw(port) as older:
        older.send_text(telemetry_text())
        assert next_event(older)[0] == "steer"
        with raw(port) as newer:
            newer.send_text('42["telemetry",null]')  # a held key does not make it drive
            assert events_until(newer, "manual") == ["manual"]
            older.send_text(telemetry_text())
            assert next_event(older)[0] == "steer"
            assert state_of(port)["dialect"] == "Unity simulator"
            newer.send_text(telemetry_text())
            assert events_until(newer, "steer") == ["steer"]
            older.send_text(telemetry_text())
            assert next_event(older) == ["manual", {}]
            assert next_event(older, 0.5) is None  # a second one would start another loop
            wait_for_state(port, waiting_cars=1)
        wait_for_state(port, waiting_cars=0)
        older.send_text(telemetry_text())
        assert next_event(older)[0] == "steer"


@pytest.mark.slow
def test_a_silent_car_is_woken(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        since = time.monotonic()  # no telemetry follows
        assert events_until(connection, "manual") == ["manual"]
        assert time.monotonic() - since > 2.5
        warnings = state_of(port)["warnings"]
        assert any("wake" in warning["text"] for warning in warnings)


def test_the_user_is_told_of_clients_that_are_other_programs(caplog):
    bridge = json.dumps(["Bridge", {"V1 Position": "0 0 0", "V1 Front Camera Image": "/9j/"}])
    with serving_in_a_thread(Constant()) as server:
        with raw(server.port) as car:
            for _ in range(3):
                car.send_text(f"42{bridge}")
            wait_for(lambda: state_of(server.port)["warnings"])
        warned = [line for line in server.lines if "'Bridge' with 'V1 Position'" in line]
        assert len(warned) == 1
        with socket.create_connection(("127.0.0.1", server.port), 10) as other:
            other.sendall(b'{"msg_type": "get_protocol_version"}\n')
            other.recv(1000)
        wait_for(lambda: "get_protocol_version" in caplog.text)
        with pytest.raises(UserError, match="in use, by a program that answers 'bcclone drive'"):
            listen("127.0.0.1", server.port)
