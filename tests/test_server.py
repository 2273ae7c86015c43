"""drive.py serves the old simulator and modern clients, over real sockets.

The simulator is played by bcclone.simulator.client, written from docs/protocol.md; raw texts are sent through
its UnitySocket where a test needs them literally.
"""

import base64
import json
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest
import requests
import socketio

from bcclone.errors import UserError
from bcclone.images import decode_jpeg, encode_jpeg
from bcclone.recording import read_log
from bcclone.simulator.client import CarState, ServerGone, UnityClient, UnitySocket, connected
from bcclone.simulator.replay import Replay
from tests.conftest import command, run_script

FRAME = encode_jpeg(np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8))


class Server:
    """drive.py as a process of its own; `said` is what it printed, once it has ended."""

    def __init__(self, model, *arguments, port=0, cwd=None):
        line = command("drive.py", model, *arguments, "--port", port)
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
        self.said = ""
        for text in self.process.stdout:
            self.said += text
            if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", text):
                self.port = int(found[1])
                return
        raise AssertionError(self.said)

    def end(self, how=signal.SIGINT):
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(how)
        self.said += self.process.communicate(timeout=20)[0]
        return self.process.returncode


@contextmanager
def serving(model, *arguments, port=0, cwd=None):
    server = Server(model, *arguments, port=port, cwd=cwd)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            server.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def port(untrained_model):
    """The port of a server that the tests of this module share; it must end without a traceback."""
    with serving(untrained_model) as server:
        yield server.port
        assert server.end() == 0
        assert "Traceback" not in server.said, server.said


class Still:
    """A world that shows one frame a given number of times, by hand where `manual` says so."""

    def __init__(self, frames, manual=(), jpeg=FRAME):
        self.left, self.manual, self.jpeg, self.shown, self.controls = frames, manual, jpeg, 0, []

    def look(self):
        if self.shown == self.left:
            return None
        self.shown += 1
        return CarState(-3.75, 0.3, 12.5, self.jpeg, manual=self.shown in self.manual)

    def steer(self, steering, throttle):
        self.controls.append((steering, throttle))


def drive(port, world, **options):
    with connected("127.0.0.1", port) as connection:
        return UnityClient(connection, world, **options).drive()


@contextmanager
def raw(port):
    """A simulator's socket behind its handshake and the server's OPEN packet."""
    with connected("127.0.0.1", port) as connection:
        assert json.loads(connection.receive(5)[1:])["sid"]
        yield connection


def telemetry_text(jpeg=FRAME, speed="12.5000", number="0.3000"):
    image = base64.b64encode(jpeg).decode()
    return f'42["telemetry",{{"steering_angle":"{number}","throttle":"{number}","speed":"{speed}","image":"{image}"}}]'


def next_event(connection, seconds=5):
    """Return the next event's name and object; other packets are passed over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        message = connection.receive(seconds)
        if message and message.startswith("42"):
            return json.loads(message[2:])
    return None


def test_the_simulator_drives_with_two_loops_and_without_ever_sending_connect(port):
    world = Still(60)
    report = drive(port, world)
    assert report.telemetries == 60
    assert report.steers == 59  # the simulator quits with one on its way
    assert report.lost_loops == report.manuals == 0
    assert report.pongs == 1
    assert len(base64.b64encode(FRAME)) > 10 * 1016  # so each came in more than ten fragments


def test_the_answer_is_the_models_and_the_controllers(port, untrained_model):
    from bcclone.policy import load_policy

    world = Still(6)
    drive(port, world)
    steering = load_policy(untrained_model).act(decode_jpeg(FRAME))
    assert 0.001 < abs(steering) < 1
    assert [control[0] for control in world.controls] == pytest.approx([steering] * 5, abs=2e-6)
    assert {control[1] for control in world.controls} == {1.0}  # 12.5 of 25 mph


def test_steer_is_literally_two_texts(port):
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


def test_from_autonomous_to_manual_and_back_no_loop_is_lost(port):
    world = Still(60, manual=range(20, 40))
    report = drive(port, world)
    assert report.manuals == 20
    assert report.steers == 39
    assert report.lost_loops == 0


@pytest.mark.parametrize("nothing", ['42["telemetry",null]', '42["telemetry",{}]', '42["telemetry"]'])
def test_manual_mode_in_every_form_is_answered_with_manual(port, nothing):
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


NOT_OURS = ['42["connect",{}]', '42["disconnect",{}]', '42["other",{}]', "40", "41 nonsense", "6"]


@pytest.mark.parametrize("text", NOT_OURS)
def test_events_that_are_none_of_ours_are_not_answered_and_harm_nothing(port, text):
    with raw(port) as connection:
        connection.send_text(text)
        assert next_event(connection, 0.3) is None
    assert drive(port, Still(10)).steers == 9


@pytest.mark.parametrize("text", ["hello", "", "9", "42{", "42[", "4" + "2" * 50])
def test_text_that_is_no_packet_ends_that_connection_and_no_other(port, text):
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


def test_a_message_in_endless_fragments_ends_its_connection_and_no_other(port):
    with raw(port) as connection:
        connection.send_frame(1, b"42[", final=False)

        def send_on():
            for _ in range(200):
                connection.send_frame(0, b"x" * 60_000, final=False)
                connection.receive(0.001)

        with pytest.raises((ServerGone, OSError)):
            send_on()
    assert drive(port, Still(10)).steers == 9


def test_the_simulator_reconnects_after_its_connection_drops(port):
    with connected("127.0.0.1", port) as connection:
        connection.send_text(telemetry_text())
        connection.send_frame(1, b"42[", final=False)  # in the middle of a message
    assert drive(port, Still(10)).steers == 9


def test_the_simulator_reconnects_after_the_server_was_killed(untrained_model):
    with serving(untrained_model) as server:
        place = server.port
        assert drive(place, Still(10)).steers == 9
        server.end(signal.SIGKILL)
        with pytest.raises(UserError, match="start one with: python drive.py"):
            drive(place, Still(10))
        with serving(untrained_model, port=place), connected("127.0.0.1", place, 10) as connection:
            assert UnityClient(connection, Still(10)).drive().steers == 9


def test_a_silent_or_closing_server_is_told(port):
    class Gone(Still):
        def look(self):
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


def test_a_current_client_drives_by_polling_and_upgrade(port):
    client, answers = socketio.Client(), []
    client.on("steer", answers.append)
    client.connect(f"http://127.0.0.1:{port}", wait_timeout=5)
    assert client.transport() == "websocket"
    client.emit("telemetry", json.loads(telemetry_text()[2:])[1])
    until = time.monotonic() + 5
    while not answers and time.monotonic() < until:
        time.sleep(0.01)
    client.disconnect()
    assert len(answers) == 1


def test_an_engine_io_3_client_is_served(port):
    """Socket.IO 2 clients say EIO=3, wait for a bare 40, and know no ping from the server."""
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


def test_the_state_counts(port):
    before = requests.get(f"http://127.0.0.1:{port}/state", timeout=5).json()
    drive(port, Still(10))
    after = requests.get(f"http://127.0.0.1:{port}/state", timeout=5).json()
    assert after["answered"] - before["answered"] >= 9


def test_a_run_is_recorded_as_received_and_answered(untrained_model, simulated_recording, tmp_path):
    run = tmp_path / "run1"
    with serving(untrained_model, run) as server:
        world = Replay(simulated_recording / "driving_log.csv")
        drive(server.port, world)
        assert server.end() == 0
        assert "120 frames recorded" in server.said
        assert f"python video.py {run}" in server.said
    log = read_log(run / "driving_log.csv")
    assert (len(log.rows), log.bad_rows) == (120, ())
    sent = sorted((simulated_recording / "IMG").glob("center_*"))
    frames = sorted(run.glob("*.jpg"))
    assert [frame.read_bytes() for frame in frames] == [image.read_bytes() for image in sent]
    assert log.rows["steering"].tolist()[:119] == pytest.approx([steering for steering, _ in world.controls], abs=1e-6)
    refused = run_script("drive.py", untrained_model, run, "--port", 0, code=1)
    assert "--append" in refused.stderr


def test_ctrl_c_during_driving_keeps_the_last_frames(untrained_model, tmp_path):
    with serving(untrained_model, tmp_path / "run1") as server:
        with raw(server.port) as connection:
            for count in range(1, 31):
                connection.send_text(telemetry_text())
                assert next_event(connection)[0] == "steer", count
            assert server.end(signal.SIGINT) == 0
        assert "Traceback" not in server.said
    assert len(read_log(tmp_path / "run1" / "driving_log.csv").rows) == 30


def test_a_kill_during_driving_leaves_a_valid_recording(untrained_model, tmp_path):
    with serving(untrained_model, tmp_path / "run1") as server, raw(server.port) as connection:
        for _ in range(30):
            connection.send_text(telemetry_text())
            next_event(connection)
        server.end(signal.SIGKILL)
    log = read_log(tmp_path / "run1" / "driving_log.csv")
    assert log.bad_rows == ()
    assert 25 <= len(log.rows) <= 30
    for name in log.rows["center"]:
        assert (tmp_path / "run1" / name).read_bytes() == FRAME


def test_without_a_run_folder_nothing_is_recorded(untrained_model, tmp_path):
    line = command("drive.py", untrained_model, "--port", 0)
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path)
    place = int(re.search(r":(\d+);", process.stdout.readline())[1])
    drive(place, Still(5))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_printout_that_nobody_reads_costs_no_answer(untrained_model):
    with serving(untrained_model) as server:
        server.process.stdout.close()
        assert drive(server.port, Still(10)).steers == 9
        server.process.send_signal(signal.SIGINT)
        server.process.wait(20)


def test_appending_without_a_folder_is_a_mistake(untrained_model):
    assert "name its folder" in run_script("drive.py", untrained_model, "--append", code=1).stderr


def test_a_port_in_use_gets_one_clear_line_and_leaves_no_run_folder(untrained_model, tmp_path, port):
    refused = run_script("drive.py", untrained_model, tmp_path / "run1", "--port", port, code=1)
    assert f"port {port} of 127.0.0.1 is in use" in refused.stderr
    assert not (tmp_path / "run1").exists()


def test_it_listens_on_this_machine_only(port):
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        if address.startswith("127."):
            continue
        with pytest.raises(OSError, match="refused|timed out"):
            UnitySocket(address, port, timeout=2)


def test_a_model_of_unknown_preprocessing_is_refused(untrained_model, tmp_path):
    import h5py

    path = tmp_path / "model.h5"
    path.write_bytes(untrained_model.read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["bcclone_preprocessing"] = file.attrs["bcclone_preprocessing"].replace("RGB", "HSV")
    refused = run_script("drive.py", path, "--port", 0, code=1)
    assert "HSV" in refused.stderr
    assert "RGB" in refused.stderr
