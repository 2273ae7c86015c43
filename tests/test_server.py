"""drive.py serves the old simulator and modern clients, over real sockets.

The simulator is played by bcclone.simulator.client, written from docs/protocol.md; raw texts are sent through
its UnitySocket where a test needs them literally.
"""

import base64
import json
import os
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

from bcclone.drive.settings import ASYNC_MODES
from bcclone.errors import UserError
from bcclone.images import decode_jpeg, encode_jpeg
from bcclone.recording import read_log
from bcclone.simulator.client import CarState, ServerGone, UnityClient, UnitySocket, connected
from bcclone.simulator.replay import Replay
from tests.conftest import command, run_script

FRAME = encode_jpeg(np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8))


class Server:
    """drive.py as a process of its own; `said` is what it printed, once it has ended."""

    def __init__(self, model, *arguments, port=0, **options):
        line = command("drive.py", model, *arguments, "--port", port)
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        self.said = ""
        for text in self.process.stdout:
            self.said += text
            if found := re.search(r"listening on \S+:(\d+);", text):
                self.port = int(found[1])
                return
        raise AssertionError(self.said)

    def end(self, how=signal.SIGINT):
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(how)
        self.said += self.process.communicate(timeout=20)[0]
        return self.process.returncode


@contextmanager
def serving(model, *arguments, port=0, **options):
    server = Server(model, *arguments, port=port, **options)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            server.end(signal.SIGKILL)


@pytest.fixture(scope="module", params=ASYNC_MODES)
def port(untrained_model, request):
    """The port of a server that the tests of this module share; it must end without a traceback."""
    with serving(untrained_model, "--async-mode", request.param) as server:
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


def state_of(port):
    return requests.get(f"http://127.0.0.1:{port}/state", timeout=5).json()


def wait_for(port, **values):
    """Wait until the server's state has these values."""
    until = time.monotonic() + 5
    while {name: (state := state_of(port))[name] for name in values} != values:
        assert time.monotonic() < until, state
        time.sleep(0.05)


def events_until(connection, name, seconds=5):
    """Return the names of the events up to and with one of that name."""
    names = []
    until = time.monotonic() + seconds
    while not names or names[-1] != name:
        assert time.monotonic() < until, names
        if (event := next_event(connection, 0.5)) is not None:
            names.append(event[0])
    return names


def test_the_newer_connection_drives_and_the_older_gets_the_car_back(port):
    with raw(port) as older:
        older.send_text(telemetry_text())
        assert next_event(older)[0] == "steer"
        with raw(port) as newer:
            newer.send_text('42["telemetry",null]')  # a held key is no claim
            assert events_until(newer, "manual") == ["manual"]
            older.send_text(telemetry_text())
            assert next_event(older)[0] == "steer"
            newer.send_text(telemetry_text())
            assert events_until(newer, "steer") == ["steer"]
            older.send_text(telemetry_text())
            assert next_event(older) == ["manual", {}]
            assert next_event(older, 1.5) is None  # a second one would make the simulator go on with one loop more
            newer.send_text(telemetry_text())
            assert next_event(newer)[0] == "steer"
            wait_for(port, waiting_cars=1)
        wait_for(port, waiting_cars=0)
        older.send_text(telemetry_text())
        assert next_event(older)[0] == "steer"


def test_an_older_connection_that_says_nothing_is_told_that_it_has_lost_the_car(port):
    with raw(port) as older, raw(port) as newer:
        for connection in (older, newer):
            connection.send_text(telemetry_text())
            assert next_event(connection)[0] == "steer"
        assert next_event(older) == ["manual", {}]


def test_two_cars_at_a_time_lose_no_loop_between_them(port):
    with connected("127.0.0.1", port) as first, raw(port) as second:
        second.send_text(telemetry_text())
        report = UnityClient(first, Still(40)).drive()
    assert report.lost_loops == 0
    assert report.steers + report.manuals == 39
    assert report.steers >= 30


def test_a_car_that_lost_its_answers_is_woken(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        begun = time.monotonic()  # and no telemetry follows
        assert events_until(connection, "manual", seconds=8) == ["manual"]
        assert time.monotonic() - begun > 2.5
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        state = state_of(port)
        assert state["woken"] >= 1
        assert any("wake" in warned["text"] for warned in state["warnings"])


def test_telemetry_that_is_no_json_is_answered_too(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        for text in ('42["telemetry",{"speed":}]', '42["telemetry",' + "[" * 200, '42["telemetry",'):
            connection.send_text(text)
            assert next_event(connection) == ["manual", {}]
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"


def test_a_client_that_has_left_is_forgotten(port):
    drive(port, Still(5))
    wait_for(port, clients=0, connection="none", dialect="")


def test_the_state_says_what_the_client_speaks(port):
    with raw(port) as connection:
        connection.send_text(telemetry_text())
        next_event(connection)
        assert state_of(port)["dialect"] == "Unity simulator"


def test_slow_answers_are_counted_against_the_limit(untrained_model):
    with serving(untrained_model, "--max-latency-ms", "0.01") as server:
        drive(server.port, Still(10))
        latency = state_of(server.port)["latency_ms"]
        assert (latency["limit"], latency["slow"]) == (0.01, 9)


def test_it_slows_in_corners_if_asked_to(untrained_model, tmp_path):
    from bcclone.policy import load_policy

    throttles = {}
    for options in ((), ("--slow-in-corners", "--min-speed", "5")):
        with serving(untrained_model, "--speed", "13.5", *options) as server:
            world = Still(6)
            drive(server.port, world)
            throttles[options] = world.controls[0][1]
    steering = abs(load_policy(untrained_model).act(decode_jpeg(FRAME)))
    slower = min(max((steering - 0.1) / 0.4, 0), 1) * 8.5
    straight, corner = throttles.values()
    assert straight - corner == pytest.approx(slower * 0.102, abs=1e-5)


def test_other_machines_are_let_in_only_with_a_token(untrained_model):
    refused = run_script("drive.py", untrained_model, "--host", "0.0.0.0", "--port", 0, code=1)
    assert "--token" in refused.stderr
    with serving(untrained_model, "--host", "0.0.0.0", "--token", "let me in") as server:
        assert "unencrypted" in server.said
        assert drive(server.port, Still(5)).steers == 4  # the simulator of this machine
        assert requests.get(f"http://127.0.0.1:{server.port}/state", timeout=5).status_code == 401
        assert server.end() == 0


def test_the_first_answer_is_shown(untrained_model):
    with serving(untrained_model) as server:
        assert server.process.stdout.readline() == f"watch it drive: http://127.0.0.1:{server.port}/\n"
        drive(server.port, Still(5))
        server.end()
        assert re.search(r"first frame answered in \d+\.\d ms, \d+\.\d s after the start", server.said)


@pytest.mark.slow
def test_an_idle_simulator_keeps_its_connection_for_110_seconds(untrained_model):
    """Fact 9: it pings every 25 s, and expects no more; in both modes at a time."""
    with (
        serving(untrained_model, "--async-mode", ASYNC_MODES[0]) as first,
        serving(untrained_model, "--async-mode", ASYNC_MODES[1]) as second,
        raw(first.port) as one,
        raw(second.port) as other,
    ):
        for connection in (one, other):
            connection.send_text(telemetry_text())
            assert next_event(connection)[0] == "steer"
        begun = pinged = time.monotonic()
        while time.monotonic() - begun < 110:
            for connection in (one, other):
                if connection.receive(0.1) == "2":
                    connection.send_text("3")
                if time.monotonic() - pinged > 25:
                    connection.send_text("2")
            if time.monotonic() - pinged > 25:
                pinged = time.monotonic()
        for connection in (one, other):
            connection.send_text(telemetry_text())
            assert "steer" in events_until(connection, "steer")


@pytest.mark.slow
def test_two_minutes_of_driving_leave_memory_and_times_as_they_were(tmp_path):
    """The bench's hour, shortened; a machine that is busy may miss the bar of the times, never that of the memory."""
    done = subprocess.run(
        command("bench", "soak", "--minutes", 2, "--json"), capture_output=True, text=True, check=False
    )
    measures = {measure["name"]: measure for measure in json.loads(done.stdout)["measures"]}
    assert measures["frames answered"]["value"] == 3600
    assert measures["memory at the end to after warming up"]["reached"], done.stdout


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


@pytest.mark.skipif(os.name != "posix", reason="limits a process's files as a full disk would")
def test_a_disk_that_fills_ends_the_recording_and_not_the_drive(untrained_model, tmp_path):
    import resource

    small = encode_jpeg(np.zeros((160, 320, 3), np.uint8))
    limit = 4000  # bytes a file: the frames fit, and some 40 rows of the log

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with serving(untrained_model, tmp_path / "run1", preexec_fn=fill) as server:
        assert drive(server.port, Still(100, jpeg=small)).steers == 99
        state = state_of(server.port)
        assert state["recording"]["failure"] in ("File too large", "No space left on device")
        assert not state["recording"]["on"]
        assert any("the recording has ended" in warned["text"] for warned in state["warnings"])
        assert server.end() == 0
        assert "driving goes on" in server.said
    assert len(small) < limit
    log = read_log(tmp_path / "run1" / "driving_log.csv")
    assert log.bad_rows == ()
    assert 20 < len(log.rows) < 60
    assert sorted(log.rows["center"]) == sorted(path.name for path in (tmp_path / "run1").glob("*.jpg"))


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
