"""A server names its address for a browser, none of its threads outlives it, and it goes on when
the process can open no more files.
"""

import socket
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from bcclone.system.process import StopSocket
from bcclone.web import threading_host
from bcclone.web.access import Access
from bcclone.web.web_server import WebServer, load_host
from tests.drive.drive_server import MODES
from tests.processes import wait_for

try:
    import resource
except ImportError:  # Windows
    resource = None


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("0.0.0.0", 4567), "http://127.0.0.1:4567/"),
        (("10.0.0.0", 4567), "http://10.0.0.0:4567/"),
        (("127.0.0.1", 80), "http://127.0.0.1:80/"),
        (("::1", 80), "http://[::1]:80/"),
    ],
)
def test_the_url_is_that_of_the_address_for_a_browser_on_this_machine(address, url):
    assert WebServer(threading_host, address, Access(), print).url == url


def test_a_check_that_runs_at_the_end_of_the_block_is_waited_for():
    begun = threading.Event()
    finished = threading.Event()

    def check():
        begun.set()
        time.sleep(0.5)
        finished.set()

    with WebServer(threading_host, ("127.0.0.1", 0), Access(), print) as server:
        server.show(lambda environ, start_response: [], check)
        assert begun.wait(60)
    assert finished.is_set()


def test_the_thread_that_waits_for_a_programs_event_ends_with_the_block():
    before = set(threading.enumerate())
    with StopSocket(threading.Event()):
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) <= before


@contextmanager
def few_files(free):
    """Let this process open at most so many files more within the block, or a few more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as newest:
        most = newest.fileno() + free
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


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
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [False, True], ids=["limit met", "limit known"])
def test_half_open_connections_that_use_up_all_files_leave_the_server_idle_and_alive(mode, known):
    host = load_host(mode)
    with ExitStack() as clients:
        # made before, since these are files, too
        half_open = [clients.enter_context(socket.socket()) for _ in range(100)]
        with (
            few_files(100) if known else nullcontext(),
            WebServer(host, ("127.0.0.1", 0), Access(), print) as server,
        ):
            assert answers(server)
            with nullcontext() if known else few_files(10):
                for client in half_open:
                    client.connect(("127.0.0.1", server.port))
                wait_for(idle, every_seconds=0)
                if known:  # the rest of the program can still open files
                    with Path(__file__).open():
                        pass
                clients.close()
                assert answers(server)
