"""drive.py as a command and bcclone.drive as a library: options, recording, start and end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.recording.log import read_log
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.system.errors import UserError
from tests.drive.drive_server import (
    FRAME,
    MODES,
    Constant,
    Still,
    drive,
    events_until,
    next_event,
    port_in,
    raw,
    serving,
    serving_in_a_thread,
    telemetry_text,
)
from tests.processes import said
from tests.running import command


class Slow(Constant):
    """A policy whose answer takes until all frames have been sent. seen: number of frames."""

    seen = 0

    def __init__(self):
        super().__init__()
        self.sent = threading.Event()
        self.sent.set()

    def answer(self, frame):
        assert self.sent.wait(60)
        time.sleep(0.1)  # they arrive
        self.seen += 1
        return super().answer(frame)


@pytest.mark.parametrize("mode", MODES)
def test_on_a_slow_machine_the_model_sees_no_frame_that_waited_for_another(mode):
    policy = Slow()
    with serving_in_a_thread(policy, async_mode=mode) as server, raw(server.port) as connection:

        def answered(count):
            """Return how many of these frames the model saw."""
            before = policy.seen
            policy.sent.clear()
            for number in range(count):
                connection.send_text(telemetry_text())
                if number == 2:
                    connection.send_text("2")
            policy.sent.set()
            assert [next_event(connection)[0] for _ in range(count)] == ["steer"] * count
            return policy.seen - before

        assert [answered(1) for _ in range(3)] == [1, 1, 1]
        assert answered(6) == 1  # the others had arrived when it was done
        assert answered(1) == 1


@pytest.mark.long
@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_an_idle_simulator_keeps_its_connection_for_110_seconds(mode):
    """Fact 9: it pings every 25 s and expects no other pings."""
    with serving_in_a_thread(Constant(), async_mode=mode) as server, raw(server.port) as connection:
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        for _ in range(4):
            until = time.monotonic() + 27.5
            while time.monotonic() < until:
                if connection.receive(0.1) == "2":
                    connection.send_text("3")
            connection.send_text("2")
        connection.send_text(telemetry_text())
        assert "steer" in events_until(connection, "steer")


@pytest.mark.slow
def test_threads_print_nothing_after_the_drive_has_ended():
    program = """
import threading, time
from bcclone.web.access import Access
from bcclone.web.server import WebServer
def repeat(server):
    while True:
        server.notify("the car has left")
def show(text):
    print(text, flush=True)
with WebServer(("127.0.0.1", 0), Access(), show) as server:
    for _ in range(4):
        threading.Thread(target=repeat, args=(server,), daemon=True).start()
    time.sleep(0.2)
print("ended", flush=True)
time.sleep(0.2)
"""
    done = said(sys.executable, "-c", program, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("the car has left\nended\n")


@pytest.mark.slow
def test_a_killed_server_leaves_a_valid_recording_and_a_free_port(untrained_model, tmp_path):
    with serving(untrained_model, tmp_path / "run1") as server, raw(server.port) as connection:
        for _ in range(30):
            connection.send_text(telemetry_text())
            next_event(connection)
        server.end(signal.SIGKILL)
    with pytest.raises(UserError, match="bcclone drive"):
        drive(server.port, Still(10))
    with (
        serving_in_a_thread(Constant(), port=server.port),
        connected("127.0.0.1", server.port, 10) as connection,
    ):
        assert UnityClient(connection, Still(10)).drive().steers == 9
    log = read_log(tmp_path / "run1" / "driving_log.csv")
    assert log.bad_rows == ()
    assert 25 <= len(log.rows) <= 30
    for name in log.rows["center"]:
        assert (tmp_path / "run1" / name).read_bytes() == FRAME


@pytest.mark.slow
def test_json_is_the_only_standard_output(untrained_model, tmp_path):
    line = command("drive.py", untrained_model, tmp_path / "run1", "--port", 0, "--json")
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        drive(next(filter(None, map(port_in, process.stderr))), Still(5))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    printed = json.loads(out)
    assert (
        printed.items()
        >= {"faults": 0, "folder": str(tmp_path / "run1"), "dropped": 0, "failure": ""}.items()
    )
    assert printed["answered"] >= printed["recorded"] >= 4


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="reads Linux's list of listening sockets"
)
def test_the_server_listens_on_the_loopback_address_alone(untrained_model):
    with serving(untrained_model) as server:
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        assert re.findall(rf" (\S+):{server.port:04X} \S+ 0A ", listening) == ["0100007F"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_at_full_speed_loses_no_answered_frame(untrained_model, tmp_path, mode):
    with serving(untrained_model, tmp_path / "run1", "--async-mode", mode) as server:
        world = Still(100_000)
        with ThreadPoolExecutor() as pool:
            driving = pool.submit(drive, server.port, world)
            while len(world.controls) < 100:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGINT)
            code = server.process.wait(120)
            output = server.process.communicate()[0]
            assert code == 0, output
            with pytest.raises(UserError, match="ended the connection"):
                driving.result()
        assert "Traceback" not in output
    rows = len(read_log(tmp_path / "run1" / "driving_log.csv").rows)
    assert len(world.controls) <= rows <= len(world.controls) + 2
