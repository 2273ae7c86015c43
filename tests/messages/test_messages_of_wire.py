"""simulator, drive: no server, one that babbles, is silent or gone, and what cannot be listened on or recorded."""

import base64
import hashlib
import re
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from bcclone.drive.protocol import ProtocolError, parse_telemetry
from bcclone.drive.run_folder import run_recorder
from bcclone.drive.server import server_process
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.simulator.unity_websocket import ServerGone, UnitySocket
from tests.drive.drive_server import Still
from tests.messages.refusals import checked, refusal, run_command
from tests.simulator.test_simulate import server, steer

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
TELEMETRY = {"steering_angle": "0.0", "throttle": "0.0", "speed": "0.0", "image": ""}


def drive(*answers, patience_seconds=10.0):
    with server(*answers) as port, connected("127.0.0.1", port) as connection:
        return UnityClient(connection, Still(20), patience_seconds=patience_seconds).drive()


@contextmanager
def answering(*chunks):
    """A port whose first guest is sent these bytes, and then nothing more; the Sec-WebSocket-Accept is filled in."""

    def answer():
        guest, _ = listener.accept()
        with guest, suppress(OSError):  # who is refused may be gone
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", guest.recv(4096))[1]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            for chunk in chunks:
                guest.sendall(chunk.replace(b"ACCEPT", accept))
                over.wait(0.2)
            over.wait(0 if chunks else 5)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(5)


UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
HEAD = b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE + b"Sec-WebSocket-Accept: ACCEPT\r\n"


def connect(*chunks, timeout=5.0):
    with answering(*chunks) as port:
        UnitySocket("127.0.0.1", port, timeout).receive(5)


def parse(**values):
    return parse_telemetry(TELEMETRY | values)


def start(code, seconds=120.0):
    with server_process([], ("-c", code), seconds):
        pass


def record(name="run", append=False):
    with run_recorder(Path(name), append):
        Path(name, "2026_11_25_12_00_00_000.jpg").touch()


REFUSALS = [
    refusal(
        lambda: run_command("simulate drive", "--port", 1),
        "127.0.0.1:1",
        "Connection refused",
        "bcclone drive model.h5",
    ),
    refusal(lambda: drive(b"\x81\x03" + b"42\xff"), "no websocket message", "output"),
    refusal(lambda: drive(steer("0.0"), None, patience_seconds=0.5), "0.5 s", "running"),
    refusal(lambda: drive(steer("left")), '"steering_angle": "left"', "steering_angle and throttle"),
    refusal(lambda: connect(HEAD + b"\r\n" + b"\x88\x00"), "server", by=(ServerGone,)),
    refusal(lambda: connect(HEAD + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), "ext", by=(ServerGone,)),
    refusal(lambda: connect(b"HTTP/1.1 404 Not Found\r\n\r\n"), "no websocket", "404", by=(ServerGone,)),
    refusal(lambda: parse(speed="fast"), "speed", "fast", "number", by=(ProtocolError,)),
    refusal(lambda: start("import sys; sys.stdin.read()", seconds=0.3), "0.3 s", "close other programs"),
    refusal(lambda: (record(), record()), "run", "run-2", "--append"),
]


test_a_mistake_is_refused_with_what_the_user_needs = checked(REFUSALS)
