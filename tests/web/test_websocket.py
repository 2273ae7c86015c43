"""The server's side of a websocket, over a pair of real sockets; the client's frames are literal
bytes.
"""

import hashlib
import socket
import struct
import threading
import time
import tracemalloc
from base64 import b64encode
from contextlib import contextmanager

import pytest

from bcclone.web.access import MESSAGE_BYTES
from bcclone.web.websocket import BadHandshake, Websocket

KEY = b64encode(b"0123456789abcdef").decode()
HEADERS = [
    ("HOST", "localhost"),
    ("UPGRADE", "websocket"),
    ("CONNECTION", "Upgrade"),
    ("SEC-WEBSOCKET-VERSION", "13"),
    ("SEC-WEBSOCKET-KEY", KEY),
]


@contextmanager
def connected(headers=HEADERS):
    """Yield the server's websocket and the client's socket, behind the handshake."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(60)
        websocket = Websocket(ours, headers, threading.Lock())
        response = b""
        while not response.endswith(b"\r\n\r\n"):
            response += theirs.recv(1)
        yield websocket, theirs, response


def frame(opcode, payload, final=True, mask=b"abcd", head=0):
    """Return a frame of a client. head: reserved bits to set."""
    first = opcode | head
    if final:
        first |= 0x80
    size = len(payload)
    length = b"\xfe" + struct.pack("!H", size)
    if size < 126:
        length = bytes([0x80 | size])
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([first]) + length + mask + masked


def close_code(answer):
    """Return the code of a close frame."""
    assert answer[0] == 0x88
    return struct.unpack("!H", answer[2:4])[0]


def test_the_handshake_is_accepted_and_offers_no_extension():
    offering = [
        *HEADERS,
        ("SEC-WEBSOCKET-EXTENSIONS", "permessage-deflate"),
        ("SEC-WEBSOCKET-PROTOCOL", "chat"),
    ]
    with connected(offering) as (_, _, response):
        accept = b64encode(
            hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        )
        assert response.startswith(b"HTTP/1.1 101 ")
        assert accept in response
        assert b"extensions" not in response.lower()
        assert b"protocol:" not in response.lower()


@pytest.mark.parametrize(
    "missing", ["UPGRADE", "CONNECTION", "SEC-WEBSOCKET-VERSION", "SEC-WEBSOCKET-KEY"]
)
def test_a_handshake_without_what_it_needs_is_refused(missing):
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(BadHandshake):
        Websocket(ours, [header for header in HEADERS if header[0] != missing], threading.Lock())


def test_a_message_in_fragments_with_a_ping_between_them_comes_whole():
    with connected() as (websocket, client, _):
        client.sendall(
            frame(1, "fräg".encode()[:3], final=False)
            + frame(9, b"hi")
            + frame(0, "fräg".encode()[3:])
        )
        assert websocket.wait() == "fräg"
        assert client.recv(100) == b"\x8a\x02hi"


def test_bytes_come_as_bytes_and_text_is_sent_as_text():
    with connected() as (websocket, client, _):
        client.sendall(frame(2, b"\x00\xff"))
        assert websocket.wait() == b"\x00\xff"
        websocket.send("2")
        assert client.recv(100) == b"\x81\x012"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x02hi", 1002),
        (frame(1, b"hi", head=0x40), 1002),
        (frame(3, b""), 1002),
        (frame(1, b"\xff\xfe"), 1007),
        (frame(0, b"no beginning"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(9, b"", final=False), 1002),
        (frame(8, struct.pack("!H", 1000)), 1000),
        (frame(8, struct.pack("!H", 4321)), 4321),
        (frame(8, b"\x01"), 1002),
    ],
    ids=[
        "unmasked", "reserved bit", "opcode 3", "no UTF-8", "continuation", "long ping",
        "fragmented ping", "goodbye", "goodbye, own code", "goodbye, cut off",
    ],
)  # fmt: skip
def test_a_frame_that_breaks_the_rules_is_answered_with_its_code_and_ends_the_connection(
    sent, code
):
    with connected() as (websocket, client, _):
        client.sendall(sent)
        assert websocket.wait() is None
        assert close_code(client.recv(100)) == code
        assert client.recv(1) == b""


def test_a_message_in_small_fragments_costs_little_more_than_its_bytes():
    count = 6_400
    fragment = frame(0, "€".encode(), final=False, mask=b"\0\0\0\0")
    with connected() as (websocket, client, _):
        client.sendall(frame(1, b"", final=False))
        tracemalloc.start()
        try:
            for _ in range(16):  # what the buffer of the socket takes
                client.sendall(fragment * (count // 16))
                websocket.look_ahead()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        client.sendall(frame(0, b"."))
        assert websocket.wait() == "€" * count + "."
    assert held < 5 * 3 * count


def test_a_message_without_end_is_refused_at_the_limit():
    with connected() as (websocket, client, _):
        fragment = frame(0, b"x" * 60_000, final=False)
        client.sendall(frame(1, b"", final=False))
        client.settimeout(2)
        most = 2 * MESSAGE_BYTES // len(fragment)
        sender = threading.Thread(target=lambda: _send_all(client, fragment, most))
        sender.start()
        assert websocket.wait() is None
        sender.join()
        assert close_code(client.recv(100)) == 1009  # message too big


def _send_all(client, data, times):
    try:
        for _ in range(times):
            client.sendall(data)
    except OSError:
        return


@pytest.mark.parametrize("close", ["client", "server"])
def test_the_end_of_the_connection_is_none_and_sending_then_is_an_os_error(close):
    with connected() as (websocket, client, _):
        if close == "client":
            client.close()
        else:
            websocket.close()
        assert websocket.wait() is None
        with pytest.raises(OSError, match=r"(?i)closed|pipe|reset"):
            _send_thrice(websocket)


def _send_thrice(websocket):
    """Send until an error is raised; the system accepts data until it notices that the connection
    is closed.
    """
    for _ in range(3):
        websocket.send("x" * 1000)


def test_the_messages_that_wait_are_known_before_it_is_their_turn():
    with connected() as (websocket, client, _):
        assert websocket.look_ahead() == ([], False)
        client.sendall(frame(1, b"one"))
        assert websocket.look_ahead() == (["one"], False)
        client.sendall(frame(1, b"two") + frame(1, b"thr", final=False))
        assert (websocket.wait(), websocket.look_ahead()) == ("one", (["two"], True))
        assert (websocket.wait(), websocket.look_ahead()) == ("two", ([], True))
        client.sendall(frame(0, b"ee") + frame(9, b"ping") + frame(1, b"four"))
        assert (websocket.wait(), websocket.look_ahead()) == ("three", (["four"], False))
        assert client.recv(100) == b"\x8a\x04ping"
        assert (websocket.wait(), websocket.look_ahead()) == ("four", ([], False))


def test_a_message_has_arrived_when_it_was_read_and_not_when_its_turn_came():
    with connected() as (websocket, client, _):
        client.sendall(frame(1, b"one"))
        websocket.look_ahead()
        read = time.perf_counter()
        websocket.wait()
        assert websocket.arrived <= read


def test_a_close_frame_waits_until_the_messages_before_it_have_been_returned():
    with connected() as (websocket, client, _):
        client.sendall(frame(1, b"one") + frame(1, b"two") + frame(8, struct.pack("!H", 1000)))
        assert websocket.look_ahead() == (["one", "two"], False)
        assert [websocket.wait(), websocket.wait(), websocket.wait()] == ["one", "two", None]
        assert close_code(client.recv(100)) == 1000
        assert websocket.look_ahead() == ([], False)


def test_a_client_that_does_not_read_is_given_up_after_a_second_and_a_silent_one_is_not():
    with connected() as (websocket, client, _):
        websocket.send("2")
        threading.Timer(1.5, client.sendall, [frame(1, b"3")]).start()
        assert websocket.wait() == "3"
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            websocket.send("x" * 10_000_000)
        assert time.monotonic() - began < 5
        with pytest.raises(OSError, match=r"(?i)closed|pipe|reset"):  # at once, from now on
            websocket.send("2")
        assert websocket.wait() is None
        assert time.monotonic() - began < 5
