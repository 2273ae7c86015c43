"""The drive server answers before its model is loaded: pages say so, cars wait, and faults end it
as before.
"""

import json
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import requests

from bcclone.drive.drive import serve
from bcclone.drive.drive_settings import DriveSettings
from bcclone.system.errors import UserError
from bcclone.web.access import Access
from bcclone.web.server import WebServer
from tests.drive.drive_server import MODES, Still, drive, held_at
from tests.realcar.exports import exported_once
from tests.running import command, run_process

IMPORTED = """
import sys, threading
from pathlib import Path
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.drive import serve
LARGE = {
    "tensorflow", "keras", "h5py", "flask", "pandas", "matplotlib", "moviepy", "numba", "scipy",
}
stop, imported = threading.Event(), []
def notify(line):
    if line.startswith("loading"):
        imported.append(sorted(LARGE & set(sys.modules)))
stop.set()
serve(DriveSettings(Path(sys.argv[1]), port=0), notify, stop)
imported.append(sorted({"tensorflow", "keras"} & set(sys.modules)))
print(imported)
"""


@contextmanager
def loading(model, mode):
    """A drive server that says that it loads its model, and loads it once `goes_on` is set."""
    settings = DriveSettings(model, port=0, async_mode=mode)
    with suppress(UserError), held_at("loading", serve, settings) as server:
        server.url = re.search(r"http://\S+/", server.lines[-1])[0]
        server.address = "127.0.0.1", int(server.url[:-1].rpartition(":")[2])
        yield server


@pytest.mark.parametrize("mode", MODES)
def test_a_page_says_that_the_model_is_loaded_and_a_car_waits_for_it(untrained_model, mode):
    with loading(untrained_model, mode) as server, ThreadPoolExecutor(2) as cars:
        page = requests.get(server.url, timeout=120)
        assert page.status_code == 503
        assert f"Reading {untrained_model.name}." in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
        for name in ("style.css", "loading.js", "icon.svg"):
            assert f'"static/{name}"' in page.text
            assert requests.get(f"{server.url}static/{name}", timeout=120).status_code == 200
        assert requests.get(f"{server.url}state", timeout=120).headers["Retry-After"] == "1"
        waiting = [cars.submit(drive, server.address[1], Still(10)) for _ in range(2)]
        assert requests.get(f"{server.url}history", timeout=120).status_code == 503
        assert not any(car.done() for car in waiting)
        server.goes_on.set()
        assert max(car.result(60).telemetries for car in waiting) == 10
        assert json.loads(requests.get(f"{server.url}state", timeout=120).text)["frames"] >= 10
        assert requests.get(server.url, timeout=120).status_code == 200


@pytest.mark.parametrize("mode", MODES)
def test_a_fault_of_the_model_closes_the_connection_of_a_car_that_waits(
    untrained_model, tmp_path, mode
):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(untrained_model.read_bytes()[:5000])
    request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with (
        loading(damaged, mode) as server,
        socket.create_connection(server.address, timeout=120) as car,
    ):
        car.sendall(f"{request}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
        assert requests.get(server.url, timeout=120).status_code == 503
        server.goes_on.set()
        with pytest.raises(UserError, match="damaged"):
            server.ended.result(20)
        assert b"101" not in car.recv(100)


@pytest.mark.slow
def test_a_server_imports_only_what_its_model_needs_and_while_it_answers(
    untrained_model, tmp_path, tmp_path_factory
):
    for package in ("onnxruntime", "tf2onnx"):
        pytest.importorskip(package)
    script = tmp_path / "script.py"
    script.write_text(IMPORTED)
    onnx = exported_once(tmp_path_factory, untrained_model, "onnx")
    assert run_process(str(script), onnx).stdout == "[[], []]\n"
    assert run_process(str(script), untrained_model).stdout == "[[], ['keras', 'tensorflow']]\n"


def test_who_asks_what_is_loaded_is_answered_when_something_else_is(tmp_path):
    with (
        WebServer(("127.0.0.1", 0), Access(), print) as server,
        ThreadPoolExecutor(1) as page,
    ):
        server.loading("Reading a.", "It takes 5 seconds.")
        assert "Reading a." in requests.get(server.url, timeout=120).text
        asked = page.submit(requests.get, f"{server.url}state", timeout=120)
        server.loading("Reading b.", "It takes 5 seconds.")
        assert asked.result().text == "Reading b. It takes 5 seconds."
        assert asked.result().status_code == 503


def test_what_can_be_checked_at_once_is_refused_before_it_listens(untrained_model, tmp_path):
    (tmp_path / "run1").mkdir()
    (tmp_path / "run1" / "2026_11_25_12_00_00_000.jpg").touch()
    lines = []
    with pytest.raises(UserError, match="no such model"):
        serve(DriveSettings(tmp_path / "none.h5", port=0), lines.append)
    with pytest.raises(UserError, match="no such model"):
        serve(DriveSettings(tmp_path / "none.onnx", port=0), lines.append)
    with pytest.raises(UserError, match="run1-2"):
        serve(DriveSettings(untrained_model, tmp_path / "run1", port=0), lines.append)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match="is in use.*--port"),
    ):
        serve(
            DriveSettings(untrained_model, tmp_path / "run2", port=taken.getsockname()[1]),
            lines.append,
        )
    assert lines == []


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_ends_it_while_it_loads(untrained_model, mode):
    line = command("drive.py", untrained_model, "--port", 0, "--async-mode", mode)
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert any(text.startswith("loading") for text in process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().startswith("interrupted: ")
    assert "Traceback" not in err
