"""Which connections stay open; with a clock that the tests set."""

import socket
from contextlib import contextmanager

import pytest

from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Connections


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=limits.SOCKETS + 10) as server:
        yield server


@contextmanager
def clients(listener, connections, count):
    """Yield the sockets of `count` clients, each accepted."""
    pairs = []
    for _ in range(count):
        client = socket.create_connection(listener.getsockname(), 5)
        accepted, address = listener.accept()
        connections.accepted(accepted, address)
        pairs.append((client, accepted))
    try:
        yield pairs
    finally:
        for pair in pairs:
            for sock in pair:
                sock.close()


def environ_of(client):
    host, port = client.getsockname()
    return {"REMOTE_ADDR": host, "REMOTE_PORT": port}


def is_closed(client):
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False


def test_a_connection_without_a_request_in_time_is_closed(listener):
    clock = Clock()
    connections = Connections(clock=clock)
    with clients(listener, connections, 2) as ((silent, _), (asking, _)):
        connections.requested(environ_of(asking))
        clock.seconds = limits.REQUEST_SECONDS - 0.1
        connections.close_late()
        assert not is_closed(silent)
        clock.seconds = limits.REQUEST_SECONDS + 0.1
        connections.close_late()
        assert is_closed(silent)
        assert not is_closed(asking)


def test_one_connection_too_many_closes_the_oldest_that_still_waits(listener):
    connections = Connections()
    with clients(listener, connections, 3) as ((driving, _), (oldest, _), (second, _)):
        connections.requested(environ_of(driving))
        with clients(listener, connections, limits.SOCKETS - 3):
            assert not is_closed(oldest)
            with clients(listener, connections, 1) as ((newest, _),):
                assert is_closed(oldest)
                assert not any(map(is_closed, (driving, second, newest)))


def test_closed_connections_are_forgotten(listener):
    connections = Connections()
    for _ in range(3):  # together more than the limit
        with clients(listener, connections, limits.SOCKETS // 2) as pairs:
            connections.requested(environ_of(pairs[0][0]))
            assert not is_closed(pairs[0][0])
            assert not is_closed(pairs[1][0])


def test_at_the_end_all_connections_are_closed(listener):
    connections = Connections()
    with clients(listener, connections, 2) as ((waiting, _), (served, _)):
        connections.requested(environ_of(served))
        connections.close_all()
        assert is_closed(waiting)
        assert is_closed(served)
