"""simulator, drive: servers that babble, are silent or gone, and what cannot be recorded."""

import base64
import hashlib
import re
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bcclone.drive.run_folder import run_recorder
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.simulator.unity_websocket import ServerGone, UnitySocket
from tests.drive.drive_server import Still
from tests.drive.test_page_addresses import make_page
from tests.messages.refusals import refusal
from tests.messages.small_recording import without_privileges
from tests.simulator.test_simulate import server, steer

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455


def drive(*answers, patience_seconds=60.0):
    with server(*answers) as port, connected("127.0.0.1", port) as connection:
        return UnityClient(connection, Still(20), patience_seconds=patience_seconds).drive()


@contextmanager
def answering(*chunks):
    """A port whose first guest is sent these bytes, and then nothing more.

    ACCEPT in them becomes the answer to the guest's key.
    """
    over = threading.Event()
    silence_seconds = 0 if chunks else 5

    def answer():
        guest, _ = listener.accept()
        with guest, suppress(OSError):  # who is refused may be gone
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", guest.recv(4096))[1]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            for chunk in chunks:
                guest.sendall(chunk.replace(b"ACCEPT", accept))
                over.wait(0.2)
            over.wait(silence_seconds)

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


def connect(*chunks):
    with answering(*chunks) as port, UnitySocket("127.0.0.1", port, 60.0) as connection:
        connection.receive(60)


def asked_to_record_where_nobody_may():
    # before the block without privileges, because imports may need them
    with run_recorder() as recorder:
        page = make_page(recorder=recorder)
        Path().chmod(0o555)
        try:
            with without_privileges():
                page.set({"recording": True})
        finally:
            Path().chmod(0o755)


REFUSALS = [
    refusal(lambda: drive(steer("0.0"), None, patience_seconds=0.5), "0.5 s", "running"),
    refusal(lambda: connect(HEAD + b"\r\n" + b"\x88\x00"), "server", by=(ServerGone,)),
    refusal(
        lambda: connect(HEAD + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        "ext",
        by=(ServerGone,),
    ),
    refusal(
        lambda: connect(b"HTTP/1.1 404 Not Found\r\n\r\n"), "no websocket", "404", by=(ServerGone,)
    ),
    refusal(asked_to_record_where_nobody_may, "run-2", "Permission denied", "another folder"),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_what_the_other_end_of_the_wire_does_wrong_is_said_with_a_remedy(mistake, check_refusal):
    check_refusal(mistake)
