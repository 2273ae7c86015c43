"""A server names its address for a browser, and none of its threads outlives it."""

import threading
import time

import pytest

from bcclone.system.interrupts import StopSocket
from bcclone.web import threading_host
from bcclone.web.access import Access
from bcclone.web.web_server import WebServer


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
