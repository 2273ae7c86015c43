"""drive.py serves the JavaScript clients of Socket.IO 2, 3 and 4."""

import base64
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import requests

from bcclone.dataset.images import encode_jpeg
from bcclone.drive.drive_settings import ASYNC_MODES
from tests.drive.drive_server import serving

CLIENTS = Path(__file__).parent / "socket_io_clients"
FRAME = encode_jpeg(np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8))
ROUNDS = 40
UNREACHABLE = r"ENOTFOUND|EAI_AGAIN|ECONN(REFUSED|RESET|ABORTED)|E(NET|HOST)UNREACH|TIMEDOUT|TIMEOUT|ENOTCACHED"


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """A copy of the clients' folder, with the packages that npm installs."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"needs the JavaScript clients of Socket.IO: {program} is not installed")
    folder = tmp_path_factory.mktemp("npm") / "clients"
    shutil.copytree(CLIENTS, folder, ignore=shutil.ignore_patterns("node_modules"))
    line = ["npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    line += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and re.search(UNREACHABLE, done.stderr):
        pytest.skip("needs the JavaScript clients of Socket.IO: npm cannot reach its registry")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module", params=ASYNC_MODES)
def port(clients, untrained_model, request):
    """The port of a server that the clients share."""
    with serving(untrained_model, "--async-mode", request.param) as server:
        yield server.port
        assert server.end() == 0


def clients_of(port):
    """Return the number of clients in the server's state."""
    return requests.get(f"http://127.0.0.1:{port}/state", timeout=5).json()["clients"]


def drive(clients, *arguments):
    line = ["node", clients / "drive.js", *map(str, arguments)]
    image = base64.b64encode(FRAME).decode()
    return subprocess.run(line, input=image, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("version", "polling"),
    [(2, []), (3, []), (4, []), (3, ["polling"]), (4, ["polling"])],
    ids=["2 websocket", "3 websocket", "4 websocket", "3 polling and upgrade", "4 polling and upgrade"],
)
def test_every_telemetry_is_answered_and_the_client_is_removed(clients, port, version, polling):
    done = drive(clients, version, f"http://127.0.0.1:{port}", ROUNDS, *polling)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"steers": ROUNDS, "manuals": 1}
    until = time.monotonic() + 5
    while clients_of(port):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_lock_file_contains_no_registry_address():
    assert "://" not in (CLIENTS / "package-lock.json").read_text()
