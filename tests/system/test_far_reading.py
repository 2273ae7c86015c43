"""A small file at a URL is read up to its limit, whatever the server answers."""

import os
import re
import subprocess
import sys
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from bcclone.system.codec import UnfitFile, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.location import parse_location, reaching

MOST = 1 << 22  # bytes of a file of settings
CONTENTS = {
    "empty": b"",
    "ten": b"0123456789",
    "fits": b"x" * MOST,
    "larger": b"x" * (MOST + 1),
    "large": b"x" * 10**7,
}


class Hostile(BaseHTTPRequestHandler):
    """Answers /endless without an end, /500 with that status, other paths with content."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._begin()

    def do_GET(self):
        content = self._begin()
        try:
            while self.path == "/endless":
                self.wfile.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                self.server.sent += 65_536
            self.wfile.write(content)
        except OSError:  # the client has enough
            self.close_connection = True

    def _begin(self):
        name = self.path[1:]
        content = CONTENTS.get(name, b"")
        redirected_to = {"loop": "/loop", "file": "file:///etc/passwd"}.get(name)
        if name.isdigit():
            self.send_response(int(name))
        elif redirected_to:
            self.send_response(302)
            self.send_header("Location", redirected_to)
        else:
            self.send_response(200)
        if name == "endless":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(content) + 9 * (name == "truncated")))
        self.end_headers()
        self.close_connection = name == "truncated"
        return content


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        server.daemon_threads = True
        server.sent = 0
        server.handle_error = lambda *_: None  # of a connection that the client resets
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module", params=["memory", "http"])
def folder(request):
    """The URL of a folder that holds CONTENTS."""
    if request.param == "http":
        yield f"http://127.0.0.1:{request.getfixturevalue('server').server_port}"
        return
    for name, content in CONTENTS.items():
        fsspec.filesystem("memory").pipe_file(f"small-files/{name}", content)
    yield "memory://small-files"


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_is_read_up_to_its_limit(folder, name):
    if len(CONTENTS[name]) <= MOST:
        assert read_bytes(f"{folder}/{name}", "settings") == CONTENTS[name]
    else:
        with pytest.raises(UnfitFile, match=f"{name}: larger than {MOST} bytes"):
            read_bytes(f"{folder}/{name}", "settings")
    with pytest.raises(UserError, match="404: cannot be reached"):
        read_bytes(f"{folder}/404", "settings")


@pytest.mark.parametrize("name", ["403", "500", "503", "loop", "file", "truncated"])
def test_an_answer_that_is_no_content_is_told_in_one_line(server, name):
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    with pytest.raises(UserError, match=f"{url}: cannot be reached") as refused, reaching(url):
        read_bytes(url, "settings")
    assert "\n" not in str(refused.value)
    server.sent = 0
    with pytest.raises(UnfitFile, match="larger than"):
        read_bytes(f"http://127.0.0.1:{server.server_port}/endless", "settings")
    assert server.sent < 1 << 26


class Guarded(Hostile):
    """Answers those who send the name me and the password word."""

    def do_GET(self):
        if self.headers["Authorization"] == f"Basic {b64encode(b'me:word').decode()}":
            super().do_GET()
        else:
            self.send_error(401)


@pytest.mark.parametrize("protocol", ["http", "https", "ftp", "s3", "sftp"])
def test_a_url_with_a_password_is_refused_with_the_place_for_it(protocol):
    with pytest.raises(UserError, match="without a password") as refused:
        parse_location(f"{protocol}://me:word@host/lap")
    said = str(refused.value)
    assert "word@" not in said
    assert (
        "AWS_SECRET_ACCESS_KEY" in said
        if protocol == "s3"
        else f"FSSPEC_{protocol.upper()}" in said
    )


@pytest.mark.parametrize(
    "query", ["X-Amz-Credential=a&X-Amz-Signature=5f90", "sv=1&sig=5f90", "access_token=5f90"]
)
def test_a_url_with_a_signature_or_a_token_is_refused(query):
    with pytest.raises(UserError, match="download") as refused:
        parse_location(f"https://host/data.h5?{query}")
    assert "5f90" not in str(refused.value)
    assert str(parse_location("https://host/data.h5?version=3")).endswith("version=3")


@pytest.mark.slow
def test_the_place_for_a_password_that_the_refusal_names_is_read(tmp_path):
    with pytest.raises(UserError) as refused:
        parse_location("http://me:word@127.0.0.1/lap")
    name, value = re.search(r"(FSSPEC_\w+) in the environment to (.*)", str(refused.value)).groups()
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password word\n")
    netrc.chmod(0o600)
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/ten"
        read = (
            f"from bcclone.system.codec import read_bytes; print(read_bytes({url!r}, 'settings'))"
        )
        told = {name: value, "NETRC": str(netrc)}
        for environment, answer in (({}, b""), (told, b"b'0123456789'\n")):
            done = subprocess.run(
                [sys.executable, "-c", read],
                env=os.environ | environment,
                capture_output=True,
            )
            assert done.stdout == answer, done.stderr
        server.shutdown()
