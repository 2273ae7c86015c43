"""What drive.py sends to the simulator, to the letter: both protocols, both ways to write numbers.

Numbers of steer messages and the identities of connections are written as # here.
"""

import base64
import re
import subprocess
from contextlib import contextmanager

import pytest
import websocket

from tests.golden.expected import check
from tests.running import ROOT, command

pytestmark = pytest.mark.slow  # a process that loads TensorFlow

TELEMETRY = '42["telemetry",{"steering_angle":"%s","throttle":"%s","speed":"%s","image":"%s"}]'
NUMBERS = {"points": ("0.5000", "0.2500", "9.4150"), "commas": ("0,5000", "0,2500", "9,4150")}


@pytest.fixture(scope="module")
def port():
    line = command("drive.py", ROOT / "models" / "lake.h5", "--port", 0)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        for text in run.stdout:
            if found := re.search(r"listening on \S+?:(\d+)", text):
                break
        else:
            raise AssertionError("drive.py does not listen")
        yield int(found[1])
        run.terminate()


@contextmanager
def connected(port, version):
    address = f"ws://127.0.0.1:{port}/socket.io/?EIO={version}&transport=websocket"
    client = websocket.create_connection(address, timeout=60)
    try:
        yield client
    finally:
        client.close()


def shown(text):
    text = re.sub(r'"sid":\s*"[^"]+"', '"sid":"#"', text)
    return re.sub(r"-?\d+([.,])\d+", r"#\1#", text)


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("version", [3, 4])
def test_conversation_with_the_simulator(version, numbers, port, drives):
    picture = base64.b64encode(sorted((drives / "lake" / "IMG").glob("center*"))[0].read_bytes())
    lines = []
    with connected(port, version) as client:

        def receive():
            lines.append("server: " + shown(client.recv()))

        def send(text):
            lines.append("client: " + text[:60])
            client.send(text)
            receive()

        receive()
        if version == 4:
            send("40")
        else:
            receive()
            send("2")  # a ping of the client's
            send("2probe")
        client.settimeout(1)
        try:
            receive()
        except websocket.WebSocketTimeoutException:
            lines.append("server: nothing more")
        client.settimeout(60)
        for _ in range(3):
            send(TELEMETRY % (*NUMBERS[numbers], picture.decode()))
        send('42["telemetry",{}]')  # driven by hand
    check("wire", f"EIO {version}, {numbers}", lines)


def test_what_a_request_without_a_websocket_is_answered(port):
    import requests

    answers = {}
    for path in ("/socket.io/?EIO=4&transport=polling", "/socket.io/", "/nowhere"):
        answer = requests.get(f"http://127.0.0.1:{port}{path}", timeout=60)
        answers[path] = answer.status_code
    check("wire", "requests", answers)
