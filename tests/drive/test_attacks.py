"""Whatever other clients send, the server answers the driving car, and no page of another site sets
a control.

Each attack is the bytes that one client sends. docs/reference/protocol.md lists the limits.
"""

import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from bcclone.simulator.unity_client import connected
from tests.drive.drive_server import (
    FRAME,
    MODES,
    Constant,
    errors_logged,
    serving_in_a_thread,
    state_of,
    telemetry_text,
)
from tests.processes import wait_for

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
    b"Host: 127.0.0.1\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
PAGE = UPGRADE.replace(b"/socket.io/?EIO=4&transport=websocket", b"/socket")
POST = b"POST /control HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HAND_OVER = b'Content-Length: 20\r\n\r\n{"autonomous":false}'
FOREIGN = b"Origin: http://evil.example\r\n"
FOREIGN_PAGE = PAGE.replace(b"\r\n\r\n", b"\r\n" + FOREIGN + b"\r\n")
HUGE_JPEG = (
    FRAME[:2]
    + b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x01\x03\x11\x01"
    + FRAME[2:]
)


def frame(payload=b"", first=0x81, length=None):
    """Return a websocket frame with a mask of zeros. length: the length to claim instead of the
    true one.
    """
    length = len(payload) if length is None else length
    if length < 126:
        return bytes([first, 0x80 | length]) + bytes(4) + payload
    size = b"\xff" + struct.pack("!Q", length)
    if length < 1 << 16:
        size = b"\xfe" + struct.pack("!H", length)
    return bytes([first]) + size + bytes(4) + payload


def with_image(jpeg):
    return frame(telemetry_text(jpeg).encode())


def event(data):
    return frame(f'42["telemetry",{data}]'.encode())


WEBSOCKET = {  # what follows the handshake of a car
    "a frame of 10 MB": frame(b"42" + bytes(10_000_000)),
    "a frame with the length 2**63": frame(b"42", length=(1 << 63) + 5) + b"x" * 3_000_000,
    "endless fragments": frame(b"42[", 0x01) + frame(b"x" * 60_000, 0x00) * 60,
    "empty fragments": frame(b"42[", 0x01) + frame(first=0x00) * 10_000,
    "pings by the thousand": frame(b"2") * 5000 + frame(first=0x89) * 5000,
    "deep JSON": event("[" * 50_000) + event("[" * 900 + "]" * 900) + frame(b"4" + b"[" * 50_000),
    "numbers without end": event('{"speed":' + "9" * 5000 + "}") + event('{"speed":1e999}'),
    "binary events": frame(b'451-["telemetry",{"_placeholder":true,"num":0}]') + frame(b"x", 0x82),
    "huge acknowledgement numbers": frame(b"42" + b"9" * 5000 + b'["telemetry"]'),
    "a JPEG of 65535x65535 pixels": with_image(HUGE_JPEG),
    "900 kB of zeros as an image": with_image(bytes(670_000)),
}
ATTACKS = {name: UPGRADE + data for name, data in WEBSOCKET.items()} | {
    "no websocket": UPGRADE.replace(b"Sec-WebSocket-Key", b"X"),
    "an endless header": b"GET / HTTP/1.1\r\nX: " + b"x" * 3_000_000,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "bytes": bytes(range(256)) * 40,
    "a length of 10 GB": POST + b"Content-Length: 10000000000\r\n\r\n" + bytes(1_000_000),
    "a length below zero": POST + b"Content-Length: -5\r\n\r\n",
    "a body in chunks": POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + bytes(500_000),
    "a control of NaN": POST + b"Content-Length: 21\r\n\r\n" + b'{"set_speed_mph":NaN}',
    "a control of another site": POST + FOREIGN + HAND_OVER,
    "a form of another site": POST + b"Sec-Fetch-Site: same-site\r\n" + HAND_OVER,
    "a forwarded host": POST + FOREIGN + b"X-Forwarded-Host: evil.example\r\n" + HAND_OVER,
    "a page of another site": FOREIGN_PAGE + frame(b'{"set":{"autonomous":false}}'),
    "a path out of the folder": b"GET /static/%2e%2e/%2e%2e/app.py HTTP/1.0\r\n\r\n",
    "deep JSON of a page": PAGE + frame(b"[" * 400_000),
    "a long message of a page": PAGE + frame(b"x" * 900_000),
}


class Car(threading.Thread):
    """Drives until `over` is set. answers: number received; error: why it ended."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.answers = 0
        self.error = None
        self.over = False
        self.start()

    def run(self):
        text = telemetry_text()
        try:
            with connected("127.0.0.1", self.port) as connection:
                while not self.over:
                    connection.send_text(text)
                    while not connection.receive(60).startswith("42"):
                        pass
                    self.answers += 1
                    time.sleep(0.01)
        except Exception as error:
            self.error = error

    def drives_on(self):
        """Return whether the next frames are answered."""
        before = self.answers
        until = time.monotonic() + 60
        while self.answers < before + 3 and time.monotonic() < until and self.error is None:
            time.sleep(0.01)
        return self.answers >= before + 3


@contextmanager
def attacked(mode):
    with errors_logged() as errors, serving_in_a_thread(Constant(), async_mode=mode) as server:
        car = Car(server.port)
        assert car.drives_on()
        yield server.port, car
        wait_for(lambda: state_of(server.port)["clients"] <= 1)
        state = state_of(server.port)
        assert (state["clients"], state["autonomous"], state["set_speed_mph"]) == (1, True, 25)
        car.over = True
        car.join(60)
    assert (car.error, errors) == (None, [])


@contextmanager
def upgraded(port, request=UPGRADE):
    """Yield a socket behind the handshake: bytes that arrive with the request are not part of the
    websocket.
    """
    with socket.create_connection(("127.0.0.1", port), 60) as plain:
        plain.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received and b"Upgrade" in request:
            data = plain.recv(1000)
            if not data:
                break
            received += data
        yield plain


def attack(port, data):
    """Send bytes while reading what comes back."""
    request, end, rest = data.partition(b"\r\n\r\n")
    with suppress(OSError), upgraded(port, request + end) as plain:
        threading.Thread(target=drain, args=(plain,), daemon=True).start()
        plain.sendall(rest)
        time.sleep(0.1)
        plain.shutdown(socket.SHUT_RDWR)  # closing alone waits for the thread that reads


def drain(plain):
    with suppress(OSError):
        while plain.recv(65536):
            pass


@pytest.mark.parametrize("mode", MODES)
def test_the_car_drives_on_under_attack(mode):
    with attacked(mode) as (port, car):
        for name, data in ATTACKS.items():
            attack(port, data)
            assert car.drives_on(), (name, car.error)


def test_the_attacks_send_valid_frames():
    with serving_in_a_thread(Constant()) as server, upgraded(server.port) as plain:
        plain.sendall(with_image(FRAME) + event("null"))
        received = b""
        while not received.endswith(b'42["manual",{}]'):
            data = plain.recv(1000)
            assert data, received
            received += data
        assert b'42["steer",' in received
