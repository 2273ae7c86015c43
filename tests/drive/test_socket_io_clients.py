"""drive.py serves the JavaScript clients of Socket.IO 2, 3 and 4."""

import base64
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.drive.drive_server import FRAME, MODES, Constant, serving_in_a_thread, wait_for_state
from tests.processes import said

CLIENTS = Path(__file__).parent / "socket_io_clients"
ROUNDS = 40
UNREACHABLE = (
    r"ENOTFOUND|EAI_AGAIN|ECONN(REFUSED|RESET|ABORTED)|E(NET|HOST)UNREACH"
    r"|TIMEDOUT|TIMEOUT|ENOTCACHED"
)


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
    done = said(*line, cwd=folder)
    if done.returncode and re.search(UNREACHABLE, done.stderr):
        pytest.skip("needs the JavaScript clients of Socket.IO: npm cannot reach its registry")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module", params=MODES)
def port(clients, request):
    """The port of a server that the clients share."""
    with serving_in_a_thread(Constant(), async_mode=request.param) as server:
        yield server.port


@pytest.mark.parametrize("version", [2, 3, 4])
def test_every_telemetry_is_answered_and_the_client_is_removed(clients, port, version):
    line = ("node", clients / "drive.js", version, f"http://127.0.0.1:{port}", ROUNDS)
    done = said(*line, input=base64.b64encode(FRAME).decode(), timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"steers": ROUNDS, "manuals": 1}
    wait_for_state(port, clients=0)


def test_the_lock_file_contains_no_registry_address():
    assert "://" not in (CLIENTS / "package-lock.json").read_text()
