"""`bcclone simulate drive` against servers: ours, none, silent ones, and some that babble."""

import json
import re
import socket
import threading
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from bcclone.recording.run_tables import read_trace
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.system.errors import UserError
from bcclone.web.websocket import Websocket
from tests.drive.drive_server import Constant, Still, serving, serving_in_a_thread
from tests.running import result_of, run_script


@contextmanager
def server(*answers):
    """A server that answers each telemetry with the next of `answers`, the last one for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, list(answers)), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(60)


def serve(listener, answers):
    with suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1)
            environ = {"werkzeug.socket": connection}
            for line in head.decode().split("\r\n")[1:-2]:
                name, value = line.split(": ", 1)
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
            websocket = Websocket(environ, threading)
            websocket.send('0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":60000}')
            while (message := websocket.wait()) is not None:
                answer = answers[0]
                if message.startswith('42["telemetry"') and answer is not None:
                    if isinstance(answer, bytes):
                        connection.sendall(answer)
                    else:
                        websocket.send(answer)
                    del answers[: len(answers) > 1]


def steer(steering, throttle="0.1"):
    return "42" + json.dumps(["steer", {"steering_angle": steering, "throttle": throttle}])


def drive(*answers):
    with server(*answers) as port, connected("127.0.0.1", port) as connection:
        return UnityClient(connection, Still(20)).drive()


def test_a_server_that_steers_is_driven_by():
    report = drive(steer("0.25"))
    assert (report.telemetries, report.steers >= 18, report.lost_loops) == (20, True, 0)
    assert len(report.latencies_ms) == report.steers


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((steer("NaN"),), "steering_angle nan and throttle 0.1, expected -1 to 1"),
        ((steer("left"),), 'answered {"steering_angle": "left", "throttle": "0.1"}, expected'),
        ((steer(0.25),), "as texts with a number each"),
        (('42["steer",{}]',), "expected steering_angle and throttle as texts"),
        (('42["steer","0.1"]',), "an event that the simulator cannot read"),
        (("42nonsense",), "a packet that the simulator cannot read: '42nonsense'"),
        (("42[]",), "an event that the simulator cannot read"),
        ((b"\x81\x0442\xff\xfe",), "not a websocket message"),
    ],
)
def test_an_invalid_answer_ends_the_drive_with_the_reason(answers, words):
    with pytest.raises(UserError, match=re.escape(words)):
        drive(*answers)


def test_an_unreadable_answer_ends_one_of_the_two_loops():
    report = drive(steer("left"), steer("0.25"))
    assert (report.lost_loops, report.telemetries) == (1, 20)


def test_a_missing_server_is_reported_at_once():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    done = run_script("simulate", "drive", "--port", port, code=1)
    assert re.search(
        rf"error: no drive server at 127.0.0.1:{port}: .*refused; start one with", done.stderr
    )


def test_a_server_that_refuses_the_car_is_told_with_its_reason():
    settings = {"token": "x" * 12, "allow_host": ("hub.example.org",)}
    with serving_in_a_thread(Constant(), **settings) as server:
        said = run_script("simulate", "drive", "--port", server.port, code=1).stderr
    assert f"127.0.0.1:{server.port} refuses the car: 401: " in said
    remedy = re.search(r"--allow-from (\S+)$", said)[1]
    with serving_in_a_thread(Constant(), **settings, allow_from=(remedy,)) as server:
        run_script("simulate", "drive", "--port", server.port, "--laps", 0.005)


@pytest.mark.parametrize(
    "body", ["", "Content-Length: 2000\r\n\r\n" + "no " * 900, "\r\n\x1b[31mno\n"]
)
def test_another_program_at_the_port_is_told_in_one_line(body):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse():
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(f"HTTP/1.1 404 Not Found\r\n{body}\r\n\r\n".encode())

        threading.Thread(target=refuse, daemon=True).start()
        port = listener.getsockname()[1]
        said = run_script("simulate", "drive", "--port", port, code=1).stderr
    error = said.splitlines()[-1]
    assert error.startswith("error: ")
    assert "404" in error
    assert len(error) < 1000
    assert error.isprintable()


@pytest.mark.slow
def test_a_drive_leaves_where_the_car_was_in_the_run_folder_of_the_server(
    untrained_model, tmp_path
):
    with serving(untrained_model, tmp_path / "run") as server:
        line = ("simulate", "drive", "--port", server.port, "--laps", 0.02, "--road", "mountain")
        refused = run_script(*line, "--run", tmp_path / "other", code=1)
        words = result_of(*line, "--run", tmp_path / "run")
    assert str(tmp_path / "other") in refused.stderr
    assert words["steers"] > 10
    assert words["lost_loops"] == words["manuals"] == 0
    assert words["ended"] in ("laps driven", "the car is more than 15 m from the road")
    assert words["request_to_steer_ms"]["p50"] > 0
    trace = read_trace(tmp_path / "run")
    assert len(trace) == words["traced"]
    assert words["steers"] - 1 <= len(trace) <= words["telemetries"]
    points = np.array([(point.x_m, point.z_m) for _, point in sorted(trace.items())])
    driven_m = np.hypot(*np.diff(points, axis=0).T).sum()
    assert 10 < driven_m == pytest.approx(words["distance_m"], rel=0.1)
