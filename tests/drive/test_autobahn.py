"""The server's websocket against Autobahn's fuzzing client, about 300 cases of RFC 6455.

Autobahn's `wstest` needs Python 2.7: `python2.7 -m virtualenv v; v/bin/pip install autobahntestsuite==0.8.2`, and its
bin/ on the PATH. Cases 12 and 13 are about compression, which this server does not offer.
"""

import json
import shutil
import socket
import subprocess
import threading

import pytest

from bcclone.drive.wire.websocket import BadHandshake, Websocket

pytestmark = pytest.mark.long

LARGEST = 64_000_000  # case 9 sends 16 MB


def echo(sock):
    """Echo each message until the connection ends."""
    with sock:
        request = b""
        while b"\r\n\r\n" not in request:
            request += sock.recv(4096)
        lines = request.decode("latin-1").split("\r\n")[1:]
        try:
            websocket = Websocket(
                sock, [tuple(line.split(": ", 1)) for line in lines if line], threading.Lock(), max_bytes=LARGEST
            )
            while (message := websocket.wait()) is not None:
                websocket.send(message)
        except (BadHandshake, OSError):
            return
        websocket.close()


def accept(listener):
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(sock,), daemon=True).start()


def test_every_case_of_autobahn_passes(tmp_path):
    wstest = shutil.which("wstest")
    if wstest is None:
        pytest.skip("needs Autobahn's wstest on the PATH; see the head of this file")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        spec = {
            "outdir": str(tmp_path),
            "servers": [{"agent": "bcclone", "url": f"ws://127.0.0.1:{listener.getsockname()[1]}"}],
            "cases": [f"{chapter}.*" for chapter in (1, 2, 3, 4, 5, 6, 7, 9, 10)],
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        subprocess.run(
            [wstest, "-m", "fuzzingclient", "-s", tmp_path / "spec.json"], check=True, capture_output=True, timeout=600
        )
    cases = json.loads((tmp_path / "index.json").read_text())["bcclone"]
    assert len(cases) > 290
    passed = ("OK", "INFORMATIONAL")
    failed = [name for name, case in cases.items() if {case["behavior"], case["behaviorClose"]} - set(passed)]
    assert failed == []
