"""`bcclone simulate drive` against servers: ours, none, silent ones, and ones that talk nonsense."""

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from bcclone.recording.run_tables import read_trace
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.system.errors import UserError
from tests.conftest import run_script
from tests.drive.drive_server import serving
from tests.frame_replay import FrameReplay

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@contextmanager
def server(*answers):
    """A server that answers each telemetry with the next of `answers`, the last one for ever; None: no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, list(answers)), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(10)


def serve(listener, answers):
    try:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += stream.readline()
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            send(connection, '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":60000}')
            while True:
                if receive(stream).startswith(b'42["telemetry"'):
                    answer = answers.pop(0) if len(answers) > 1 else answers[0]
                    if answer is not None:
                        send(connection, answer)
    except (OSError, struct.error):
        return


def send(connection, text):
    data = text if isinstance(text, bytes) else text.encode()
    head = bytes([0x81, len(data)]) if len(data) < 126 else b"\x81\x7e" + struct.pack("!H", len(data))
    connection.sendall(head + data)


def receive(stream):
    """Read a whole message, fragments and all."""
    message, final = b"", False
    while not final:
        first, second = struct.unpack("!BB", stream.read(2))
        length = struct.unpack("!H", stream.read(2))[0] if second & 0x7F == 126 else second & 0x7F
        mask, payload = stream.read(4), stream.read(length)
        message += bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        final = bool(first & 0x80)
    return message


def steer(steering, throttle="0.1"):
    return "42" + json.dumps(["steer", {"steering_angle": steering, "throttle": throttle}])


def drive(recording, *answers):
    with server(*answers) as port, connected("127.0.0.1", port) as connection:
        return UnityClient(connection, FrameReplay(recording / "driving_log.csv", frames=20)).drive()


def test_a_server_that_steers_is_driven_by(simulated_recording):
    report = drive(simulated_recording, steer("0.25"))
    assert (report.telemetries, report.steers >= 18, report.lost_loops) == (20, True, 0)
    assert len(report.latencies_ms) == report.steers


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((steer("NaN"),), "steering_angle nan and throttle 0.1, expected -1 to 1"),
        ((steer("0.1"), steer("0.1", "Infinity")), "throttle inf, expected -1 to 1"),
        ((steer("left"),), 'answered {"steering_angle": "left", "throttle": "0.1"}, expected'),
        ((steer(0.25),), "as texts with a number each"),
        (('42["steer",{}]',), "expected steering_angle and throttle as texts"),
        (('42["steer","0.1"]',), "an event that the simulator cannot read"),
        (("42nonsense",), "a packet that the simulator cannot read: '42nonsense'"),
        (('42{"a":1}',), "a packet that the simulator cannot read"),
        (("42[]",), "an event that the simulator cannot read"),
        ((b"42\xff\xfe",), "no websocket message"),
    ],
)
def test_an_invalid_answer_ends_the_drive_with_the_reason(simulated_recording, answers, words):
    with pytest.raises(UserError, match=re.escape(words)):
        drive(simulated_recording, *answers)


def test_an_unreadable_answer_ends_one_of_the_two_loops(simulated_recording):
    report = drive(simulated_recording, steer("left"), steer("0.25"))
    assert (report.lost_loops, report.telemetries) == (1, 20)


def test_a_missing_server_is_reported_at_once():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    done = run_script("simulate", "drive", "--port", port, code=1)
    assert re.search(rf"error: no drive server at 127.0.0.1:{port}: .*refused; start one with", done.stderr)


@pytest.mark.slow
def test_a_drive_reports_what_was_driven(untrained_model):
    with serving(untrained_model) as server:
        done = run_script("simulate", "drive", "--port", server.port, "--laps", 0.02, "--road", "mountain", "--json")
    words = json.loads(done.stdout)
    assert words["steers"] > 10
    assert words["lost_loops"] == words["manuals"] == 0
    assert words["distance_m"] > 10
    assert words["ended"] in ("laps driven", "the car is more than 15 m from the road")
    assert words["request_to_steer_ms"]["p50"] > 0


@pytest.mark.slow
def test_a_drive_leaves_where_the_car_was_in_the_run_folder_of_the_server(untrained_model, tmp_path):
    with serving(untrained_model, tmp_path / "run") as server:
        line = ("simulate", "drive", "--port", server.port, "--laps", 0.02, "--json")
        refused = run_script(*line, "--run", tmp_path / "other", code=1)
        words = json.loads(run_script(*line, "--run", tmp_path / "run").stdout)
    assert "no such folder; name the one that drive.py records into" in refused.stderr
    trace = read_trace(tmp_path / "run")
    assert len(trace) == words["traced"]
    assert words["steers"] - 1 <= len(trace) <= words["telemetries"]
    points = np.array([(point.x_m, point.z_m) for _, point in sorted(trace.items())])
    assert 10 < np.hypot(*np.diff(points, axis=0).T).sum() < 40  # metres driven
