"""A server, its websockets and its end, over real sockets; frames of clients are literal bytes."""

import hashlib
import os
import signal
import socket
import struct
import sys
import threading
import time
import tracemalloc
from base64 import b64encode
from contextlib import ExitStack, contextmanager, suppress

import pytest

from bcclone.system.codec import MESSAGE_BYTES
from bcclone.system.errors import UserError
from bcclone.web.access import Access
from bcclone.web.server import WebServer
from bcclone.web.websocket import BadHandshake
from tests.drive.drive_server import MODES
from tests.processes import wait_for

try:
    import resource
except ImportError:  # Windows
    resource = None

KEY = b64encode(b"0123456789abcdef").decode()
HEADERS = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


@contextmanager
def serving(use=None, mode="threading"):
    """Serve an app that opens a websocket for each request, and calls use(websocket)."""
    begun = set(threading.enumerate())

    def app(environ, start_response):
        try:
            websocket = server.accept_websocket(environ)
        except BadHandshake as error:
            start_response("400 Bad Request", [])
            return [str(error).encode()]
        use(websocket)
        return []

    with WebServer(("127.0.0.1", 0), Access(), print, async_mode=mode) as server:
        if use is not None:
            server.show(app)
        yield server
    wait_for(lambda: set(threading.enumerate()) <= begun)


def echo(websocket):
    while (message := websocket.wait()) is not None:
        websocket.send(message)


@contextmanager
def connected(server, headers=HEADERS):
    """Yield a client's socket behind the handshake, and the response."""
    with socket.create_connection(("127.0.0.1", server.port), 60) as client:
        lines = [f"{name}: {value}" for name, value in headers.items()]
        client.sendall("\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode())
        response = b""
        while not response.endswith(b"\r\n\r\n"):
            response += client.recv(1)
        yield client, response


@pytest.fixture(scope="module", params=MODES)
def echoing(request):
    """The server whose websockets send each message back."""
    with serving(echo, request.param) as server:
        yield server


def frame(opcode, payload, final=True, mask=b"abcd", head=0):
    """Return a frame of a client, or of the server, without a mask. head: reserved bits to set."""
    first = opcode | head
    if final:
        first |= 0x80
    size = len(payload)
    length = b"\xfe" + struct.pack("!H", size)
    if size < 126:
        length = bytes([0x80 | size])
    if mask is None:
        return bytes([first, size]) + payload
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([first]) + length + mask + masked


def received(client):
    """Return all that comes until the connection ends."""
    data = b""
    while more := client.recv(65_536):
        data += more
    return data


def test_the_handshake_is_accepted_and_offers_no_extension(echoing):
    offering = {"Sec-WebSocket-Extensions": "permessage-deflate", "Sec-WebSocket-Protocol": "chat"}
    with connected(echoing, HEADERS | offering) as (_, response):
        accept = b64encode(
            hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        )
        assert response.startswith(b"HTTP/1.1 101 ")
        assert accept in response
        assert b"extensions" not in response.lower()
        assert b"protocol:" not in response.lower()


def test_a_request_that_is_no_handshake_is_refused(echoing):
    rest = {name: value for name, value in HEADERS.items() if name != "Sec-WebSocket-Key"}
    with connected(echoing, rest) as (_, response):
        assert b" 400 " in response


def test_a_message_in_fragments_with_a_ping_between_them_comes_whole(echoing):
    with connected(echoing) as (client, _):
        client.sendall(
            frame(1, "fräg".encode()[:3], final=False)
            + frame(9, b"hi")
            + frame(0, "fräg".encode()[3:])
        )
        assert client.recv(4, socket.MSG_WAITALL) == b"\x8a\x02hi"
        assert client.recv(7, socket.MSG_WAITALL) == b"\x81\x05" + "fräg".encode()
        client.sendall(frame(2, b"\x00\xff"))
        assert client.recv(4, socket.MSG_WAITALL) == b"\x82\x02\x00\xff"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x02hi", 1002),  # without a mask
        (frame(1, b"hi", head=0x40), 1002),  # a reserved bit, which extensions use
        (frame(1, b"\xff\xfe"), 1007),  # no UTF-8
        (frame(8, struct.pack("!H", 1000)), 1000),  # goodbye
    ],
)
def test_a_frame_that_breaks_the_rules_ends_the_connection_with_its_code(echoing, sent, code):
    with connected(echoing) as (client, _):
        client.sendall(sent)
        answer = received(client)
        assert (answer[0], struct.unpack("!H", answer[2:4])[0]) == (0x88, code)


def test_a_message_without_end_is_refused_at_the_limit(echoing):
    with connected(echoing) as (client, _):
        fragment = frame(0, b"x" * 60_000, final=False)
        client.sendall(frame(1, b"", final=False))

        def send():
            with suppress(OSError):
                for _ in range(2 * MESSAGE_BYTES // len(fragment)):
                    client.sendall(fragment)

        sender = threading.Thread(target=send)
        sender.start()
        answer = client.recv(4)
        sender.join()
        assert (answer[0], struct.unpack("!H", answer[2:4])[0]) == (0x88, 1009)


@pytest.mark.parametrize("mode", MODES)
def test_messages_that_nobody_takes_are_not_read_into_the_memory(mode):
    sockets = []
    over = threading.Event()

    def sleep(websocket):
        sockets.append(websocket)
        while not over.is_set():
            server.sleep(0.01)

    message = frame(2, bytes(60_000))
    with serving(sleep, mode) as server, connected(server) as (client, _):
        client.settimeout(1)
        messages = message * 1000
        tracemalloc.start()
        try:
            with pytest.raises(TimeoutError):
                client.sendall(messages)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            over.set()
        assert sockets[0].read_ahead() <= 10
        assert held < 2_000_000


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_does_not_read_is_given_up_after_a_second(mode):
    ended = []

    def send(websocket):
        began = time.monotonic()
        for data in ("x" * 20_000_000, "2"):
            try:
                websocket.send(data)
            except OSError:
                ended.append(time.monotonic() - began)
        ended.append(websocket.wait())

    with serving(send, mode) as server, connected(server):
        wait_for(lambda: len(ended) == 3)
    assert ended[0] < 5
    assert ended[1] < 5
    assert ended[2] is None


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_ends_closes_its_websockets_and_half_open_connections(mode):
    with ExitStack() as clients:
        with serving(echo, mode) as server:
            client, _ = clients.enter_context(connected(server))
            half_open = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            half_open.sendall(b"GET /")
            client.sendall(frame(1, b"hi"))
            assert client.recv(4, socket.MSG_WAITALL) == b"\x81\x02hi"
        for ended in (client, half_open):
            ended.settimeout(5)
            with suppress(ConnectionResetError):
                assert received(ended) in (b"", frame(8, b"\x03\xe8", mask=None))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_afterwards_does_what_it_did_before(number):
    before = signal.getsignal(number)
    with serving() as server:
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
        server.wait()
        assert signal.getsignal(number) == before


def test_the_programs_event_ends_the_wait_from_any_thread():
    event = threading.Event()
    with WebServer(("127.0.0.1", 0), Access(), print, event) as server:
        threading.Timer(0.2, event.set).start()
        server.wait()
        assert event.is_set()


def test_the_url_is_that_of_the_address_for_a_browser_on_this_machine():
    assert WebServer(("0.0.0.0", 4567), Access(), print).url == "http://127.0.0.1:4567/"
    assert WebServer(("::1", 80), Access(), print).url == "http://[::1]:80/"


def test_the_mode_of_a_package_that_is_not_installed_is_refused_with_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "eventlet", None)
    with pytest.raises(UserError, match="pip install eventlet"):
        WebServer(("127.0.0.1", 0), Access(), print, async_mode="eventlet")


def test_a_check_that_runs_at_the_end_of_the_block_is_waited_for():
    begun = threading.Event()
    finished = threading.Event()

    def check():
        begun.set()
        time.sleep(0.5)
        finished.set()

    with serving() as server:
        server.show(lambda environ, start_response: [], check)
        assert begun.wait(60)
    assert finished.is_set()


def idle(seconds=0.5):
    """Return whether this process hardly computes for so many seconds."""
    before = time.process_time()
    time.sleep(seconds)
    return time.process_time() - before < 0.1 * seconds


def answers(server):
    with socket.create_connection(("127.0.0.1", server.port), 60) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        return client.recv(1000).startswith(b"HTTP/1.")


@pytest.mark.skipif(resource is None, reason="Windows sets no such limit")
def test_half_open_connections_that_use_up_all_files_leave_the_server_idle_and_alive():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as server, ExitStack() as clients:
        # made before, since these are files, too
        half_open = [clients.enter_context(socket.socket()) for _ in range(100)]
        assert answers(server)
        with socket.socket() as newest:
            most = newest.fileno() + 10
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
        try:
            for client in half_open:
                client.connect(("127.0.0.1", server.port))
            wait_for(idle, every_seconds=0)
            clients.close()
            assert answers(server)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
