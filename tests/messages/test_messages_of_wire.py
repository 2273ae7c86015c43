"""simulator, drive: no server, one that babbles, is silent or gone, and what cannot be listened on or recorded."""

import base64
import hashlib
import re
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bcclone.bench.rounds import measure_rounds
from bcclone.drive.process import served
from bcclone.drive.recorder import Recorder
from bcclone.protocol import parse_telemetry
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.simulator.unity_websocket import UnitySocket
from tests.drive.drive_server import Still
from tests.messages.told import Message, run_command, tabled
from tests.simulator.test_simulate import GUID, server, steer

TELEMETRY = {"steering_angle": "0.0", "throttle": "0.0", "speed": "0.0", "image": ""}


def drive(*answers, patience_seconds=10.0):
    with server(*answers) as port, connected("127.0.0.1", port) as connection:
        return UnityClient(connection, Still(20), patience_seconds=patience_seconds).drive()


@contextmanager
def answering(*pieces):
    """A port whose first guest is sent these bytes, and then nothing more; the Sec-WebSocket-Accept is filled in."""

    def answer():
        guest, _ = listener.accept()
        with guest, suppress(OSError):  # who is refused may be gone
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", guest.recv(4096))[1]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            for piece in pieces:
                guest.sendall(piece.replace(b"ACCEPT", accept))
                over.wait(0.2)
            over.wait(0 if pieces else 5)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(5)


HEAD = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ACCEPT\r\n"


def connect(*pieces, timeout=5.0):
    with answering(*pieces) as port:
        UnitySocket("127.0.0.1", port, timeout).receive(5)


def rounds(*answers):
    with server(*answers) as port:
        return measure_rounds(port, ['42["telemetry",{}]'], 1)


def rounds_with_one_who_leaves():
    with answering(HEAD + b"\r\n") as port:
        return measure_rounds(port, ['42["telemetry",{}]'], 1)


def parse(**values):
    return parse_telemetry(TELEMETRY | values)


def start(code, seconds=20.0):
    with served([], ("-c", code), seconds):
        pass


def record(name="run", append=False):
    with Recorder(Path(name), append):
        pass


def record_beside(name):
    Path("run").mkdir()
    Path("run", name).write_text("center.jpg,left.jpg,right.jpg,0,0,0,0\n")
    return record(append=True)


MESSAGES = [
    Message("simulator/unity_client.py", "port …, wait … s; expected a port of 1 to 65535, and 0 s or more to wait",
            lambda: run_command("simulate", "drive", "--port", 99999), ("port 99999, wait 0 s",)),
    Message("simulator/unity_client.py", "no drive server at …:…: …; start one with: python drive.py model.h5",
            lambda: run_command("simulate", "drive", "--port", 1), ("127.0.0.1:1: Connection refused",)),
    Message("simulator/unity_client.py", "the drive server ended the connection: …; what it printed may say why",
            lambda: drive(b"42\xff"), ("a text that is no UTF-8",)),
    Message("simulator/unity_client.py", "the drive server has not answered for … s; is it still running?",
            lambda: drive(steer("0.0"), None, patience_seconds=0.5), ("for 0.5 s",)),
    Message("simulator/unity_client.py", "an event that the simulator cannot read: …", lambda: drive("42[]"), ("[]",)),
    Message("simulator/unity_client.py", "a packet that the simulator cannot read: …", lambda: drive("42what"),
            ("'42what'",)),
    Message("simulator/unity_client.py", "the drive server answered …, expected steering_angle and throttle as texts with a "
            "number each; the simulator cannot read that, and the car stands still", lambda: drive(steer("left")),
            ('{"steering_angle": "left",',)),
    Message("simulator/unity_client.py", "the drive server answered steering_angle … and throttle …, expected -1 to 1; is "
            "its model trained, and its input whole?", lambda: drive(steer("NaN")), ("steering_angle nan",)),
    Message("simulator/unity_websocket.py", "a text that is no UTF-8: …", lambda: drive(b"42\xff"), (r"b'42\xff'",)),
    Message("simulator/unity_websocket.py", "the server said that it ends",
            lambda: connect(HEAD + b"\r\n" + b"\x88\x00")),
    Message("simulator/unity_websocket.py", "the server closed the connection", lambda: connect(HEAD)),
    Message("simulator/unity_websocket.py", "its handshake takes more than … s",
            lambda: connect(*[b"x"] * 8, timeout=0.5), ("0.5 s",)),
    Message("simulator/unity_websocket.py", "the handshake's headers are over 8,192 bytes",
            lambda: connect(b"x" * 9000, b"x")),
    Message("simulator/unity_websocket.py", "no websocket there: …", lambda: connect(b"HTTP/1.1 404 Not Found\r\n\r\n"),
            ("HTTP/1.1 404 Not Found",)),
    Message("simulator/unity_websocket.py", "the server answers with …, which nobody asked for",
            lambda: connect(HEAD + b"Sec-WebSocket-Protocol: chat\r\n\r\n"), ("sec-websocket-protocol",)),
    Message("simulator/unity_websocket.py", "a message of … bytes; the simulator expects a few hundred",
            lambda: connect(HEAD + b"\r\n" + b"\x81\x7f\0\0\0\0\0\x98\x96\x80"), ("10000000 bytes",)),
    Message("bench/rounds.py", "the drive server ended the connection: …; measure again", rounds_with_one_who_leaves),
    Message("bench/rounds.py", "the drive server has not answered for … s; measure again on a machine with less to do",
            lambda: rounds(None), ("for 10 s",), slow=True),
    Message("protocol.py", "telemetry is a …, expected an object", lambda: parse_telemetry([1]), ("a list",)),
    Message("protocol.py", "telemetry without an image, expected base64 text", lambda: parse(image=None)),
    Message("protocol.py", "… is not finite", lambda: parse(speed="NaN"), ("speed",)),
    Message("protocol.py", "… has … characters, expected a number", lambda: parse(speed="1" * 999),
            ("speed has 999",)),
    Message("protocol.py", "… is …, expected a number as text", lambda: parse(throttle=[]), ("throttle is '[]'",)),
    Message("protocol.py", "… is …, expected a number", lambda: parse(speed="fast"), ("speed is 'fast'",)),
    Message("drive/process.py", "the drive server does not listen after … s; try again on a machine with less to do",
            lambda: start("import time; time.sleep(1)", 0.1), ("0.1 s",)),
    Message("drive/process.py", "(_port) …", lambda: start("print('error: no such model')"), ("no such model",)),
    Message("drive/process.py", "the drive server ended with exit code …; start it by itself to see why: python "
            "drive.py MODEL", lambda: start("raise SystemExit(3)"), ("exit code 3",)),
    Message("drive/recorder.py", "… holds a run already, and is never emptied; record into …, or add to it with "
            "--append", lambda: (record(), record()), ("run holds", "run-2")),
    Message("drive/recorder.py", "…: … is no frame of a run; record into another folder",
            lambda: record_beside("cat.jpg"), ("run: cat.jpg",)),
    Message("drive/recorder.py", "… is a recording, but no run of drive.py; record into another folder",
            lambda: record_beside("driving_log.csv"), ("run is",)),
    Message("drive/recorder.py", "…: cannot record there: …; choose another folder",
            lambda: record("/dev/null/run"), ("/dev/null/run: ", "Not a directory")),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
