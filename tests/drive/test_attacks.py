"""Under attack, the server answers the driving car, and leaks no memory, threads or files.

One server for each async mode gets all attacks while a car drives without a pause. Most attacks are one line: the bytes
to send. The car is a UnitySocket, which sends its next frame only when the last one was answered.
"""

import base64
import io
import json
import socket
import struct
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from PIL import Image

from bcclone.drive.drive_settings import ASYNC_MODES
from bcclone.simulator.unity_client import connected
from tests.drive.drive_server import FRAME, serving, telemetry_text

pytestmark = pytest.mark.slow

LONGEST_GAP_SECONDS = 2.0
MOST_GROWTH_MB = 60
MOST_THREADS = MOST_FILES = 15  # more than before, at the end
LISTEN_SECONDS = 0.07  # how long an attacker waits for what comes back

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PAGE = UPGRADE.replace(b"/socket.io/?EIO=4&transport=websocket%s", b"/socket")
POLL = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HUGE_JPEG = FRAME[:2] + b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x01\x03\x11\x01" + FRAME[2:]
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00"


class Car(threading.Thread):
    """Drives until `over` is set. answers: number received; gap: longest recent wait for one; error: why it ended."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.answers, self.gap, self.error, self.over = port, 0, 0.0, None, False

    def run(self):
        text = telemetry_text()
        try:
            with connected("127.0.0.1", self.port) as connection:
                while not self.over:
                    asked = time.monotonic()
                    connection.send_text(text)
                    self._await_answer(connection)
                    self.answers += 1
                    self.gap = max(self.gap, time.monotonic() - asked)
                    time.sleep(0.02)
        except Exception as error:
            self.error = error

    def _await_answer(self, connection):
        while message := connection.receive(10):
            if message == "2":
                connection.send_text("3")
            if message.startswith("42"):
                return
        raise TimeoutError(f"answer {self.answers + 1} is missing")


class Victim:
    """A server under attack, and the car that it drives."""

    def __init__(self, server):
        self.port, self.process = server.port, server.process
        self.car = Car(self.port)
        self.car.start()
        wait_for(lambda: self.car.answers > 20 or self.car.error)
        self.before = self.usage()

    def usage(self):
        """Return the server's memory in MB, and its numbers of threads and open files."""
        folder = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) // 1024, int(status["Threads"]), len(list((folder / "fd").iterdir()))

    def state(self):
        return requests.get(f"http://127.0.0.1:{self.port}/state", timeout=5).json()


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


@pytest.fixture(scope="module", params=ASYNC_MODES)
def victim(request, untrained_model):
    """A server under attack; after all attacks its memory, threads and files must be as before."""
    with serving(untrained_model, "--async-mode", request.param) as server, ExitStack() as stack:
        attacked = Victim(server)
        slow = [stack.enter_context(trickling(server.port, start)) for start in TRICKLES]
        yield attacked
        assert wait_for(lambda: not any(thread.is_alive() for thread in slow)), "a slow request is never closed"
        assert wait_for(lambda: attacked.state()["clients"] == 1), attacked.state()
        assert attacked.state()["autonomous"] is True, "another site's page handed the car over"
        assert attacked.state()["set_speed_mph"] == 25, "another site's page set the speed"
        assert wait_for(lambda: attacked.usage()[1] <= attacked.before[1] + MOST_THREADS), attacked.usage()
        assert wait_for(lambda: attacked.usage()[2] <= attacked.before[2] + MOST_FILES), attacked.usage()
        print(request.param, "MB, threads, files:", attacked.before, "->", attacked.usage())
        assert attacked.usage()[0] <= attacked.before[0] + MOST_GROWTH_MB
        attacked.car.over = True
        attacked.car.join(10)
        assert attacked.car.error is None
        assert server.end() == 0
        assert "Traceback" not in server.output, server.output
        assert "\x1b" not in server.output, "a client wrote to the terminal"
        assert len(server.output) < 20_000


def exchange(port, *data, seconds=LISTEN_SECONDS):
    """Send bytes and return what arrives within the time."""
    received = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as plain:
        plain.settimeout(2.0)
        for number, part in enumerate(data):
            plain.sendall(part)
            if number == 0 and part.startswith((UPGRADE[:40], PAGE[:20])):
                # bytes sent before the handshake's end are not part of the websocket
                end = b"\r\n\r\n" if part == PAGE else b'"upgrades"'
                while end not in received and (come := plain.recv(65536)):
                    received += come
        plain.settimeout(seconds)
        while part := plain.recv(65536):
            received += part
    return received


def frame(payload=b"", first=0x81, length=None, masked=True):
    """Return a websocket frame with a mask of zeros. length: the length to claim instead of the true one."""
    length = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes([first, bit | length])
    elif length < 1 << 16:
        head = bytes([first, bit | 126]) + struct.pack("!H", length)
    else:
        head = bytes([first, bit | 127]) + struct.pack("!Q", length)
    return head + (bytes(4) if masked else b"") + payload


def frames(*data):
    return lambda port: exchange(port, UPGRADE % b"", *data)


def texts(*messages):
    return frames(*(frame(message.encode()) for message in messages))


def http(*data):
    return lambda port: exchange(port, *data)


def polled(*bodies):
    """Return the attack of posting to a session without fetching its answers."""

    def attack(port):
        with polling_session(port) as sid:
            for body in bodies:
                post(port, sid, body.encode())

    return attack


@contextmanager
def polling_session(port):
    """Open a session by polling and yield its sid; the server would keep it for 85 s unless it is closed."""
    answer = exchange(port, b"GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", seconds=6)
    sid = json.loads(answer.partition(b"\r\n\r\n0")[2])["sid"].encode()
    yield sid
    post(port, sid, b"1")


def post(port, sid, body):
    head = POST % b"/socket.io/?EIO=4&transport=polling&sid=%s" % sid
    exchange(port, head + b"Content-Length: %d\r\n\r\n" % len(body), body)


def posted(path, body, headers=b""):
    return http(POST % path + headers + b"Content-Length: %d\r\n\r\n" % len(body), body)


def said(*messages):
    """Return the attack of sending messages as a page."""
    return lambda port: exchange(port, PAGE, *(frame(message.encode()) for message in messages))


def foreign(request, headers):
    """Return a request with more headers, as a browser adds them for a page of another site."""
    return request.replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n\r\n")


def many_scans(count):
    """Return a progressive JPEG that repeats a scan of 12 bytes, which took 40 microseconds each."""
    encoded = io.BytesIO()
    Image.new("RGB", (320, 160)).save(encoded, "JPEG", progressive=True)
    head = encoded.getvalue().split(b"\xff\xda")
    return b"\xff\xda".join([*head[:2], *[head[-1][:10]] * count]) + b"\xff\xd9"


def telemetry(**changes):
    fields = {"steering_angle": "0", "throttle": "0", "speed": "1", "image": base64.b64encode(FRAME).decode()}
    return texts("42" + json.dumps(["telemetry", fields | changes]))


def with_image(data):
    return telemetry(image=base64.b64encode(data).decode())


def many_connections(port, first=b"", count=200):
    with ExitStack() as stack:
        for _ in range(count):
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            with suppress(OSError):
                plain.sendall(first)
        time.sleep(0.2)


def many_polls(port):
    """Fetch the answers of one session 200 times at once."""
    with polling_session(port) as sid:
        poll = b"GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % sid
        many_connections(port, poll)


def many_upgrades(port):
    """Upgrade one session 200 times, and send nothing afterwards."""
    with polling_session(port) as sid:
        many_connections(port, UPGRADE % b"&sid=" + sid)


def reconnects(port):
    """Connect and disconnect as fast as possible, every other time without waiting for the response."""
    for number in range(60):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.sendall(UPGRADE % b"")
            if number % 2:
                plain.settimeout(0.05)
                plain.recv(1000)


def resets(port):
    """Reset the connection in the middle of a message."""
    for _ in range(10):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            plain.sendall(UPGRADE % b"" + frame(b"42[", length=5000))
            time.sleep(0.01)


def deaf(message):
    """Return the attack of sending a message for a second without reading any answer."""

    def attack(port):
        with socket.socket() as plain, suppress(OSError):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            plain.settimeout(5.0)
            plain.connect(("127.0.0.1", port))
            plain.sendall(UPGRADE % b"")
            plain.recv(10)
            plain.settimeout(0.5)
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                plain.sendall(frame(message.encode()) * 200)

    return attack


def flood(data, seconds=0.8):
    """Return the attack of sending the same data over and over, while reading the answers."""

    def attack(port):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.sendall(UPGRADE % b"")
            plain.recv(1000)
            plain.settimeout(0.5)
            reader = threading.Thread(target=drain, args=(plain,), daemon=True)
            reader.start()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                plain.sendall(data)

    return attack


def drain(plain):
    with suppress(OSError):
        while plain.recv(65536):
            pass


TRICKLES = {
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nX: ": "a header",
    b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + b"GET /state HTTP/1.1\r\nX: ": "a second request",
    POST % b"/control" + b"Content-Length: 900\r\n\r\n": "a body",
    POST % b"/" + b"Content-Length: 900000\r\n\r\n": "a body that the app does not read",
}


@contextmanager
def trickling(port, start):
    """A thread that sends single bytes until its connection is closed, while reading the answers."""
    over = threading.Event()

    def trickle():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.sendall(start)
            threading.Thread(target=drain, args=(plain,), daemon=True).start()
            while not over.wait(0.3):
                plain.sendall(b"x")

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        over.set()


DEEP = "[" * 50_000
WEBSOCKET = {
    "an unmasked frame": frames(frame(b"2", masked=False)),
    "reserved bits": frames(frame(b"2", first=0xF1)),
    "a reserved opcode": frames(frame(b"2", first=0x83)),
    "a reserved control opcode": frames(frame(b"2", first=0x8F)),
    "a frame of 10 MB": frames(frame(b"42" + bytes(10_000_000))),
    "a frame with the length 2**63": frames(frame(b"42", length=(1 << 63) + 5), b"x" * 3_000_000),
    "a length that is longer than needed": frames(b"\x81\xff" + struct.pack("!Q", 1) + bytes(4) + b"2"),
    "endless fragments": frames(frame(b"42[", first=0x01), *[frame(b"x" * 60_000, first=0x00)] * 60),
    "empty fragments": frames(frame(b"42[", first=0x01), *[frame(first=0x00) * 10_000] * 20),
    "fragments of one byte": frames(frame(b"4", first=0x01), *[frame(b"2", first=0x00) * 10_000] * 20),
    "a continuation of nothing": frames(frame(b"2", first=0x80)),
    "a message within a message": frames(frame(b"42[", first=0x01), frame(b"2")),
    "bad UTF-8": frames(frame(b"42\xff\xfe[")),
    "a text that ends within a character": frames(frame(b'42["\xe2\x82')),
    "a ping of 200 bytes": frames(frame(bytes(200), first=0x89)),
    "a fragmented ping": frames(frame(b"x", first=0x09)),
    "pings without end": flood(frame(first=0x89) * 5000),
    "pongs without end": flood(frame(first=0x8A) * 5000),
    "a close without a code": frames(frame(first=0x88)),
    "a close of one byte": frames(frame(b"\x03", first=0x88)),
    "a close with a code of nobody": frames(frame(struct.pack("!H", 4999) + b"bye", first=0x88)),
    "a close with a forbidden code": frames(frame(struct.pack("!H", 1005), first=0x88)),
    "a close with bad UTF-8": frames(frame(struct.pack("!H", 1000) + b"\xff", first=0x88)),
    "frames after a close": frames(frame(struct.pack("!H", 1000), first=0x88) + frame(b"2") * 100),
    "a binary message": frames(frame(bytes(range(256)), first=0x82)),
    "a handshake without a key": http(UPGRADE.replace(b"Sec-WebSocket-Key", b"X") % b""),
    "a handshake of version 99": http(UPGRADE.replace(b"Version: 13", b"Version: 99") % b""),
    "a handshake with bytes over 127": http(UPGRADE.replace(b"\r\n\r\n", b"\r\nX-A: \xff\xfe\r\n\r\n") % b""),
}
ENGINE_IO = {
    "garbage": texts("hello"),
    "an empty message": texts(""),
    "unknown packet types": texts("7", "8", "9"),
    "a digit of another script": texts("\u0664", "\u00b2"),
    "base64 that is none": texts("b@@@"),
    "binary as base64": texts("bAAAA"),
    "deep JSON behind a type": texts("4" + DEEP),
    "probes": texts("2probe", "3probe", "5", "5", "2probe"),
    "an OPEN of the client": texts('0{"sid":"x"}'),
    "a close, and more": texts("1", "2", "40"),
    "pings by the thousand": texts(*["2"] * 5000),
    "upgrade packets by the thousand": texts(*["5"] * 5000),
    "polled unknown types": polled("9", "2", "7"),
    "a polled close": polled("1", "1"),
    "polled base64 that is none": polled("b@@@", "b"),
    "polled deep JSON": polled("4" + DEEP, "2" + DEEP),
    "a polled JSONP form": polled("d=", "d=%ff", "x=1"),
    "17 packets at once": polled("\x1e".join(["40"] * 17), "\x1e" * 100_000),
    "names that would be echoed": polled(*["40/" + "x" * 900_000] * 8),
    "answers that nobody fetches": polled("40", *["\x1e".join(['42["telemetry"]'] * 16)] * 3),
    "a bad sid": http(UPGRADE % b"&sid=x%1b[2J%0aTraceback"),
    "a sid twice": http(UPGRADE % b"&sid=a&sid=b"),
    "EIO=2": http(UPGRADE.replace(b"EIO=4", b"EIO=2") % b""),
    "EIO=3 by polling": http(b"GET /socket.io/?EIO=3&transport=polling HTTP/1.0\r\n\r\n"),
    "a transport of nobody": http(b"GET /socket.io/?EIO=4&transport=pigeon HTTP/1.0\r\n\r\n"),
    "a JSONP number that is none": http(b"GET /socket.io/?EIO=4&transport=polling&j=x HTTP/1.0\r\n\r\n"),
    "a length below zero": http(POST % b"/socket.io/?EIO=4&transport=polling" + b"Content-Length: -5\r\n\r\n"),
    "a length without end": http(POST % b"/socket.io/" + b"Content-Length: %s\r\n\r\n" % (b"9" * 5000)),
    "a length of 5,000 zeros": http(POST % b"/socket.io/" + b"Content-Length: %s7\r\n\r\n1234567" % (b"0" * 5000)),
    "a length of 10 GB": http(POST % b"/socket.io/" + b"Content-Length: 10000000000\r\n\r\n", bytes(1_000_000)),
    "no length": http(POST % b"/socket.io/?EIO=4&transport=polling" + b"\r\n"),
    "a body in chunks": http(POST % b"/socket.io/" + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", bytes(500_000)),
    "methods of nobody": http(b"BREW /socket.io/?EIO=4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
}
SOCKET_IO = {
    "each type of packet": texts(*(f"{engine}{packet}" for engine in range(10) for packet in range(10))),
    "each type of packet by polling": polled(*(f"4{packet}" for packet in range(10)), *map(str, range(10))),
    "attachments by polling": polled("40", '451-["telemetry",{"_placeholder":true,"num":0}]', "bAAAA", "b" + "A" * 99),
    "an acknowledgement number of another script": texts('42\u0661["telemetry"]', '42\u00b2["telemetry"]'),
    "an event with attachments": texts('451-["telemetry",{"_placeholder":true,"num":0}]'),
    "a number of attachments without end": texts('459999999999-["telemetry"]', '45999999999-["x"]'),
    "an acknowledgement with attachments": texts("461-1[]"),
    "attachments that never come": frames(*[frame(b'451-["telemetry",{"_placeholder":true,"num":0}]')] * 20),
    "three arguments": texts('42["telemetry",1,2,3]'),
    "an event without a name": texts("42[]", "42[1]", "42[null]", "42{}", "42"),
    "an event with deep JSON": texts('42["telemetry",' + DEEP),
    "an event with deep and closed JSON": texts('42["telemetry",' + "[" * 900 + "]" * 900 + "]"),
    "reserved events": texts('42["connect",{}]', '42["disconnect","x"]', '42["connect_error"]', '42["message"]'),
    "an event of 10 MB": texts('42["telemetry","' + "x" * 10_000_000 + '"]'),
    "huge acknowledgement numbers": texts("42" + "9" * 99 + '["telemetry"]', "42" + "9" * 5000 + '["telemetry"]'),
    "acknowledgements of nothing": texts("43[]", "431[]", "43" + "9" * 90 + "[1]", "43null"),
    "other namespaces": texts("40/a", "40/a?b,{}", '42/a,["telemetry"]', "41/a", "43/a,1[]", "40/" + "b" * 150),
    "connects without end": texts(*["40"] * 200),
    "disconnects without end": texts(*["41"] * 200),
    "connecting with a list": texts('40[["x"]]', "40nonsense", "40{"),
    "errors of the client": texts('44{"message":"x"}', '44/a,"x"'),
    "packet types of nobody": texts("47", "48[]", "49", "4x", "4\u0664"),
    "NaN instead of JSON": texts('42["telemetry",NaN]', '42["telemetry",{"speed":NaN,"image":-Infinity}]'),
    "the same key many times": texts('42["telemetry",{' + ",".join(['"speed":"1"'] * 50_000) + "}]"),
    "a number of 400 digits": texts('42["telemetry",{"speed":' + "9" * 400 + ',"steering_angle":1e999}]'),
    "a number of 5,000 digits": texts('42["telemetry",{"speed":' + "9" * 5000 + "}]"),
    "half a character": texts('42["telemetry",{"speed":"\\ud800"}]'),
}
TELEMETRY = {
    "a truncated JPEG": with_image(FRAME[:2000]),
    "a JPEG of 65535x65535 pixels": with_image(HUGE_JPEG),
    "a PNG of 65535x65535 pixels": with_image(PNG),
    "a JPEG of 50,000 scans": with_image(many_scans(50_000)),
    "a GIF, a BMP, a WebP": texts(
        *(
            f'42["telemetry",{{"speed":"1","throttle":"0","steering_angle":"0","image":"{base64.b64encode(head).decode()}"}}]'
            for head in (b"GIF89a" + b"\xff" * 60, b"BM" + b"\xff" * 60, b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\xff" * 60)
        )
    ),
    "a number of 400 digits as a text": telemetry(speed="9" * 400, throttle="0." + "1" * 38),
    "an exponent of 9 digits": telemetry(speed="1e999999999", steering_angle="-1e-999999999"),
    "digits of another script": telemetry(speed="\u0661\u0662", throttle="1_0", steering_angle="0x10"),
    "an empty image": telemetry(image=""),
    "900 kB of zeros as an image": with_image(bytes(670_000)),
    "an image that is no base64": telemetry(image="@@@"),
    "an image that is a number": telemetry(image=7),
    "a NaN speed": telemetry(speed="NaN"),
    "an infinite speed": telemetry(speed="-inf", throttle="1e400"),
    "a speed of 39 digits": telemetry(speed="9" * 39),
    "wrong types": telemetry(speed=[], throttle={"a": 1}, steering_angle=True, image=None),
    "no image": texts('42["telemetry",{"speed":"1"}]'),
}
HTTP = {
    "garbage instead of HTTP": http(bytes(range(256)) * 40),
    "TLS": http(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
    "an endless line": http(b"GET /" + b"a" * 1_000_000),
    "an endless header": http(b"GET / HTTP/1.1\r\nX: ", b"x" * 3_000_000),
    "a header of 100 MB": http(b"GET / HTTP/1.1\r\n", *[b"X: " + b"y" * 60_000 + b"\r\n"] * 1700),
    "10,000 headers": http(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"),
    "a header with a zero": http(b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \0\x0b\r\n\r\n"),
    "HTTP of another version": http(b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n"),
    "a foreign host": http(b"GET /state HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    "a host that is none": http(b"GET /state HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    "a foreign origin": http(UPGRADE.replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.example\r\n\r\n") % b""),
    "an origin that is none": posted(b"/control", b'{"set_speed_mph":1}', b"Origin: http://[\r\n"),
    "a switch thrown by another site": posted(b"/control", b'{"autonomous":false}', b"Origin: http://evil.example\r\n"),
    "a control that is no JSON": posted(b"/control", b"{"),
    "a deep control": posted(b"/control", b"[" * 900),
    "a control of 900 kB": posted(b"/control", bytes(900_000)),
    "a control of the wrong type": posted(b"/control", b'{"set_speed_mph":"fast"}'),
    "a control of NaN": posted(b"/control", b'{"set_speed_mph":NaN}'),
    "a control of a huge number": posted(b"/control", b'{"set_speed_mph":%s}' % (b"9" * 900)),
    "a control of nobody": posted(b"/control", b'{"__class__":1}'),
    "a path out of the folder": http(b"GET /static/../page.py HTTP/1.0\r\n\r\n"),
    "a coded path out of the folder": http(b"GET /static/%2e%2e/%2e%2e/page.py HTTP/1.0\r\n\r\n"),
    "a path with a zero": http(b"GET /static/%00 HTTP/1.0\r\n\r\n"),
    "two hosts": http(b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"),
    "a foreign host in the line": http(b"GET http://evil.example/state HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    "a host with a name as its port": http(b"GET /state HTTP/1.1\r\nHost: 127.0.0.1:x@evil.example\r\n\r\n"),
    "a host of 60 kB": http(b"GET /state HTTP/1.1\r\nHost: " + b"1" * 60_000 + b"\r\n\r\n"),
    "a forwarded host": posted(
        b"/control", b'{"autonomous":false}', b"Origin: http://evil.example\r\nX-Forwarded-Host: evil.example\r\n"
    ),
    "a forwarded host that polls": http(
        foreign(POLL, b"Origin: http://evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http")
    ),
    "a form of another site": posted(b"/control", b'{"autonomous":false}', b"Sec-Fetch-Site: same-site\r\n"),
    "two lengths": http(POST % b"/control" + b"Content-Length: 5\r\nContent-Length: 900\r\n\r\n{}   "),
    "a length and chunks": http(
        POST % b"/control"
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /state HTTP/1.1\r\n\r\n"
    ),
    "an expectation": http(POST % b"/control" + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"{}"),
    "a folded header": http(b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\n evil.example\r\n\r\n"),
    "a request in single line feeds": http(b"GET /state HTTP/1.1\nHost: evil.example\n\n"),
    "a deep and closed control": posted(b"/control", b"[" * 400 + b"]" * 400),
    "a control of 900 digits": posted(b"/control", b'{"set_speed_mph":%s}' % (b"9" * 900)),
    "a control in another encoding": posted(b"/control", '{"autonomous":false}'.encode("utf-16") + b"\xd8"),
    "two requests at once": http(b"GET /state HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50),
}
PAGES = {
    "deep JSON of a page": said("[" * 400_000, '{"input":' * 900 + "1" + "}" * 900),
    "numbers of a page": said('{"drawn":1e999}', '{"drawn":NaN}', '{"drawn":' + "9" * 5000 + "}", '{"drawn":-1}'),
    "hands of a page": said('{"input":1,"hands":{"steering":Infinity}}', '{"input":1,"hands":{"steering":[[]]}}'),
    "a long message of a page": said('{"set":{"recording":"' + "x" * 900_000 + '"}}', "x" * 900_000),
    "bytes of a page": lambda port: exchange(port, PAGE, frame(bytes(range(256)), first=0x82)),
    "a page in fragments of one byte": lambda port: exchange(
        port, PAGE, frame(b"{", first=0x01), *[frame(b" ", first=0x00) * 10_000] * 20
    ),
    "a page that asks for the wheel without end": said(*['{"wheel":"ask"}'] * 2000),
}
CONNECTIONS = {
    "a deaf client that sends pings": deaf("2"),
    "a deaf client that sends telemetry": deaf('42["telemetry"]'),
    "a deaf client that asks for acknowledgement": deaf('421["telemetry"]'),
    "half a message, then a reset": resets,
    "50 pages that do not read": lambda port: many_connections(port, PAGE, 50),
    "50 pages of another site": lambda port: many_connections(port, foreign(PAGE, b"Origin: http://evil.example"), 50),
    "50 images of another site": lambda port: many_connections(port, foreign(POLL, b"Sec-Fetch-Site: cross-site"), 50),
    "20 heads of 5 MB": lambda port: many_connections(
        port, b"GET / HTTP/1.1\r\n" + (b"X: " + b"y" * 60_000 + b"\r\n") * 90, 20
    ),
    "100 bodies that do not come": lambda port: many_connections(
        port, POST % b"/login" + b"Content-Length: 999999\r\n\r\n", 100
    ),
    "200 half-open connections": many_connections,
    "200 polls of one session": many_polls,
    "200 upgrades of one session": many_upgrades,
    "200 websockets": lambda port: many_connections(port, UPGRADE % b""),
    "a storm of reconnects": reconnects,
}
ATTACKS = WEBSOCKET | ENGINE_IO | SOCKET_IO | TELEMETRY | HTTP | PAGES | CONNECTIONS


def test_the_helper_of_the_attacks_sends_valid_frames(victim):
    assert b"3" in exchange(victim.port, UPGRADE % b"", frame(b"2"))[-3:]


def test_a_page_of_another_site_gets_no_websocket(victim):
    foreign = UPGRADE.replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.example\r\n\r\n") % b""
    assert b" 403 " in exchange(victim.port, foreign).splitlines()[0]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_car_drives_on_under_attack(attack, victim):
    car = victim.car
    car.gap, answers = 0.0, car.answers
    attack(victim.port)
    assert wait_for(lambda: car.answers > answers + 1 or car.error, 5)
    assert car.error is None
    assert car.gap < LONGEST_GAP_SECONDS
    assert victim.process.poll() is None
