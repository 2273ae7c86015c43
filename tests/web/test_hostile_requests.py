"""Requests that no browser sends, to the pages of edit, drive and play: refused; nothing breaks."""

import json
import socket
from contextlib import suppress

import pytest

from tests.drive.drive_server import Constant, errors_logged, playing, serving_in_a_thread
from tests.editor.recording_page import looking_at

JSON = {"Content-Type": "application/json"}
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDAwMDAwMDAwMDAwMDAwMA==",
}


@pytest.fixture(
    scope="module", params=["edit", "drive", pytest.param("play", marks=pytest.mark.slow)]
)
def page(request):
    """Yield the port of a page, and the path that it posts to."""
    if request.param == "edit":
        with looking_at(request.getfixturevalue("simulated_recording")) as edited:
            yield int(edited.url.rsplit(":", 1)[1].strip("/")), "/edit/0"
    else:
        serve = {"drive": serving_in_a_thread(Constant()), "play": playing()}[request.param]
        with serve as server:
            yield server.port, "/control"


def answer_to(port, path=b"/", method=b"GET", host=None, headers=(), body=b"", **more):
    """Send a request as it is, and return the answer's status, "" for none, and the answer."""
    lines = {"Host": host or f"127.0.0.1:{port}", "Content-Length": len(body)}
    lines |= dict(headers) | {name.replace("_", "-"): text for name, text in more.items()}
    head = b" ".join([method, path, b"HTTP/1.1"])
    for name, text in lines.items():
        head += f"\r\n{name}: {text}".encode("latin-1")
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        answer = b""
        with suppress(OSError):  # the server may end a request before all of it is sent
            client.sendall(head + b"\r\n\r\n" + body)
            client.shutdown(socket.SHUT_WR)
            while more_bytes := client.recv(1 << 16):
                answer += more_bytes
    return answer[9:12].decode() if answer.startswith(b"HTTP/") else "", answer


def is_well(port):
    return answer_to(port)[0] == "200"


PATHS = [
    b"/..%2f..%2f..%2f..%2f..%2fetc/passwd",
    b"/static/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
    b"/static/../page.py",
    b"/static/%2e%2e/page.py",
    b"/page/..%5c..%5cpage.py",
    b"/static/style.css%00.js",
    b"/static//etc/passwd",
    b"//etc/passwd",
    b"/%c0%ae%c0%ae/etc/passwd",
    b"/\xff\xfe",
    b"/" + b"a" * 60_000,
    b"/" + b"%2e%2e/" * 5000,
    b"*",
    b"/ /x",
    b"/frames/0/" + b"9" * 5000,
    b"/frames/-1/0",
    b"/state/99999999999999999999",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:40])
def test_no_path_leads_out_of_the_page(page, path):
    port, _ = page
    with errors_logged() as errors:
        status, answer = answer_to(port, path)
        assert status in ("", "308", "400", "404", "414")
        assert b"root:" not in answer
        assert b"import " not in answer
        assert is_well(port)
    assert not errors


HOSTS = [
    "evil.example",
    "127.0.0.1.evil",
    "evil@127.0.0.1",
    "127.0.0.1:80@evil",
    "[::1",
    "0x7f000001",
    "2130706433",
    "local%68ost",
    "\xff\xfe",
    "a" * 60_000,
    "\x1b[31m",
]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: ascii(host)[:40])
def test_no_other_host_is_this_server(page, host):
    port, path = page
    assert answer_to(port, host=host)[0] in ("400", "403")
    # also in the address of the request, or as a second header
    assert answer_to(port, b"http://evil.example/")[0] == "403"
    assert answer_to(port, headers={"host": "evil.example"})[0] in ("400", "403")
    assert is_well(port)


BODIES = [
    b"[" * 900,
    b'{"recording": NaN}',
    b'{"set_speed_mph": 1e999}',
    b'{"set_speed_mph": ' + b"9" * 900 + b"}",
    b'"\\ud800"',
    b'{"\\ud800": 1}',
    b"\xff\xfe",
    b'{"__proto__": 1}',
    b'{"delete": [[1e308, 2]], "version": ""}',
    b'{"delete": [[true, 2]]}',
    b'{"delete": [[0, ' + b"9" * 900 + b"]]}",
    b'{"remedy": "\\ud800"}',
    b'{"version": [], "undo": true}',
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: ascii(body)[:40])
def test_a_strange_body_is_answered_with_what_was_expected(page, body):
    port, path = page
    with errors_logged() as errors:
        status, answer = answer_to(port, path.encode(), b"POST", headers=JSON, body=body)
        assert status in ("400", "409")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        for length in (-1, "9" * 30, "x"):
            headers = JSON | {"Content-Length": length}
            status, _ = answer_to(port, path.encode(), b"POST", headers=headers, body=body)
            assert status in ("400", "413")
        assert is_well(port)
    assert not errors


@pytest.mark.parametrize("method", [b"TRACE", b"PUT", b"DELETE", b"PATCH", b"CONNECT", b"X" * 5000])
def test_no_other_method_is_answered(page, method):
    port, path = page
    for each in (b"/", path.encode()):
        assert answer_to(port, each, method)[0] in ("", "400", "405")
    assert is_well(port)


@pytest.mark.parametrize("path", [b"/", b"/state", b"/socket", b"/socket.io/?EIO=4"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1"])
def test_no_other_site_opens_a_websocket(page, path, origin):
    port, _ = page
    assert answer_to(port, path, headers=UPGRADE | {"Origin": origin})[0] in ("403", "404")
    assert is_well(port)
