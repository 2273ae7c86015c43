"""A drive server that is hostile ends the simulator's drive with an error, and costs it little memory."""

import base64
import hashlib
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from bcclone.simulator.unity_client import CarState, UnityClient, connected
from bcclone.system.errors import UserError

ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Still:
    """A world of 100 frames."""

    def __init__(self):
        self.left = 100

    def observe(self):
        self.left -= 1
        return CarState(0.0, 0.0, 1.0, b"jpeg") if self.left else None

    def steer(self, steering, throttle):
        assert -1 <= steering <= 1


def frame(payload, first=0x81, length=None):
    length = len(payload) if length is None else length
    if length < 126:
        return bytes([first, length]) + payload
    if length < 1 << 16:
        return bytes([first, 126]) + length.to_bytes(2, "big") + payload
    return bytes([first, 127]) + length.to_bytes(8, "big") + payload


def text(message):
    return frame(message.encode())


@contextmanager
def hostile(*parts, answer=None, endless=True):
    """A server that sends the last part again and again, or closes after it; yields port, bytes sent and thread."""
    sent = [0]

    def serve(listener):
        with suppress(OSError):
            client, _ = listener.accept()
            with client:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += client.recv(65536)
                key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
                accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
                client.settimeout(0.5)
                client.sendall(ACCEPT % accept if answer is None else answer)
                for part in parts:
                    client.sendall(part)
                while endless and sent[0] < 100_000_000:
                    client.sendall(parts[-1])
                    sent[0] += len(parts[-1])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], sent, thread
        thread.join(10)
        assert not thread.is_alive()


DEEP = "[" * 400 + "]" * 400
HOSTILE = {
    "endless pongs": text("3"),
    "endless pings": frame(b"", first=0x89),
    "endless texts of nobody": text("9" * 1000),
    "endless empty fragments": frame(b"", first=0x01) + frame(b"", first=0x00) * 1000,
    "endless fragments": frame(b"x", first=0x01) + frame(b"x" * 1000, first=0x00) * 1100,
    "a frame of 2**62 bytes": frame(b"x" * 60_000, length=1 << 62),
    "deep JSON": text('42["steer",' + DEEP + "]"),
    "deeper JSON": text("42" + "[" * 100_000),
    "a deep session": text('0{"sid":' + DEEP + "}"),
    "NaN": text('42["steer",{"steering_angle":NaN,"throttle":0}]'),
    "NaN as a text": text('42["steer",{"steering_angle":"NaN","throttle":"0"}]'),
    "infinity as a text": text('42["steer",{"steering_angle":"-Infinity","throttle":"1e999"}]'),
    "5,000 digits": text('42["steer",{"steering_angle":' + "9" * 5000 + ',"throttle":"0"}]'),
    "900,000 digits as a text": text('42["steer",{"steering_angle":"' + "9" * 900_000 + '","throttle":"0"}]'),
    "numbers that are no texts": text('42["steer",{"steering_angle":0,"throttle":0}]'),
    "wrong types": text('42["steer",{"steering_angle":[],"throttle":{}}]'),
    "no controls": text('42["steer"]'),
    "an event without a name": text("42[]"),
    "an event with a list": text('42["steer",[1]]'),
    "a huge name": text('42["' + "x" * 900_000 + '",1,2,3]'),
    "control characters": text("42\x1b[2J\x07"),
    "bytes that are no UTF-8": frame(b"42\xff\xfe"),
    "a masked frame": b"\x81\x81\0\0\0\0x",
    "reserved bits": frame(b"2", first=0xF1),
    "a close frame": frame(b"\x03\xe8bye", first=0x88),
    "nothing": b"",
}


@pytest.mark.parametrize("part", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server_ends_the_drive_with_a_short_error(part):
    with (
        hostile(part, endless=bool(part)) as (port, *_),
        connected("127.0.0.1", port) as connection,
        pytest.raises(UserError) as refused,
    ):
        UnityClient(connection, Still(), patience_seconds=0.3).drive()
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


ANSWERS = {
    "another status": b"HTTP/1.1 200 \x1b[2J\x07" + b"x" * 5000 + b"\r\n\r\n",
    "an endless head": b"HTTP/1.1 101 x\r\n" + b"X: y\r\n" * 100_000,
    "no key": b"HTTP/1.1 101 x\r\n\r\n",
    "an extension": ACCEPT.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    "nonsense": bytes(range(256)) * 100 + b"\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_hostile_handshake_is_refused(answer):
    with (
        hostile(answer=answer, endless=False) as (port, *_),
        pytest.raises(UserError) as refused,
        connected("127.0.0.1", port),
    ):
        pass
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


def test_messages_that_nobody_requested_do_not_fill_the_memory():
    """The simulator reads no more than a few while its world is busy; the server must wait."""
    with hostile(text("4" + "x" * 100_000)) as (port, sent, thread):

        class Busy(Still):
            def observe(self):
                thread.join(10)  # until the server has sent 100 MB, or has waited for half a second
                return super().observe()

        with connected("127.0.0.1", port) as connection, suppress(UserError):
            UnityClient(connection, Busy(), patience_seconds=0.3).drive()
    assert sent[0] < 50_000_000
