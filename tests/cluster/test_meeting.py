"""The workers of a cluster meet before TensorFlow connects them: who is missing or was told something else is named."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from bcclone.cluster.meeting import meet
from bcclone.cluster.workers import Cluster
from bcclone.system.errors import UserError
from tests.processes import free_addresses, wait_for


def met(*meetings, seconds=5.0):
    """Let each (cluster, version) meet in a thread; return the error of each, "" for none."""

    def one(meeting):
        cluster, version = meeting
        try:
            meet(cluster, version, seconds)
        except UserError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(meetings)) as pool:
        return list(pool.map(one, meetings))


def workers(addresses, *indices, version="1"):
    return [(Cluster(addresses, index), version) for index in indices]


def connected(addresses):
    """Return a connection to the chief, None while it does not listen."""
    try:
        return socket.create_connection(Cluster(addresses, 0).host_and_port(0), timeout=5)
    except OSError:
        return None


def test_workers_meet_whoever_comes_first():
    addresses = free_addresses(3)
    assert met(*workers(addresses, 0, 1, 2)) == ["", "", ""]
    assert met(*workers(addresses, 2, 1, 0)) == ["", "", ""]  # the ports are free again


def test_a_worker_that_does_not_come_is_named_to_all():
    addresses = free_addresses(3)
    errors = met(*workers(addresses, 0, 1), seconds=1.0)
    assert errors[0] == errors[1]
    assert f"worker 2 ({addresses[2]}) did not come within 1 s" in errors[0]
    assert "--workers" in errors[0]


def test_a_chief_whose_address_is_of_another_machine_is_told_so():
    own, other = free_addresses(2)
    port = own.rpartition(":")[2]
    (error,) = met(*workers([f"192.0.2.1:{port}", other], 0), seconds=0.5)
    assert "192.0.2.1 is not an address of this machine" in error


def test_a_chief_that_does_not_come_is_named():
    addresses = free_addresses(2)
    (error,) = met(*workers(addresses, 1), seconds=0.5)
    assert f"worker 0 ({addresses[0]}) did not answer within 0.5 s" in error


def test_another_count_of_workers_is_told_to_all():
    addresses = free_addresses(3)
    for told in ((addresses[:2], addresses), (addresses, addresses[:2])):
        begun = time.monotonic()
        errors = met((Cluster(told[0], 0), "1"), (Cluster(told[1], 1), "1"), seconds=20.0)
        assert time.monotonic() - begun < 10
        assert errors[0] == errors[1]
        for words in ("worker 1 was given", f"({len(told[1])} workers)", f"({len(told[0])})", "the same"):
            assert words in errors[0]


def came(addresses, index):
    """Return the connection of a worker that has told the chief its number and waits."""
    waiting = wait_for(lambda: connected(addresses))
    waiting.sendall(json.dumps({"index": index, "addresses": addresses, "version": "1"}).encode() + b"\n")
    return waiting


def test_another_version_is_told():
    addresses = free_addresses(3)
    errors = met(*workers(addresses, 0), *workers(addresses, 1, version="2"))
    assert errors[0] == errors[1]
    assert "another version of bcclone (2) than worker 0 (1)" in errors[0]


def test_a_number_given_twice_is_told_to_all():
    addresses = free_addresses(3)
    with ThreadPoolExecutor(1) as pool:
        chief = pool.submit(met, *workers(addresses, 0))
        with came(addresses, 1) as first:
            (second,) = met(*workers(addresses, 1))
            told = first.makefile().readline().strip()
        assert [told] == chief.result() == [second]
    assert "two workers were started with --worker-index 1; give each one a number of its own" in second


def test_a_port_in_use_is_named():
    addresses = free_addresses(2)
    for index in (0, 1):
        host, port = Cluster(addresses, index).host_and_port(index)
        with socket.create_server((host, port)):
            (error,) = met(*workers(addresses, index), seconds=0.5)
        assert f"worker {index} ({addresses[index]}), this one, cannot listen at port {port}" in error
        assert "--workers" in error


def test_other_programs_at_the_ports_do_not_disturb_and_are_named():
    addresses = free_addresses(2)
    host, port = Cluster(addresses, 0).host_and_port(0)

    def visit():
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff\n", b'{"index": "x"}\n'):
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.sendall(data)

    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(met, *workers(addresses, 0))
        wait_for(lambda: connected(addresses)).close()
        pool.submit(visit).result()
        assert met(*workers(addresses, 1)) == [""]
        assert chief.result() == [""]

    def answer(server, data):
        connection, _ = server.accept()
        connection.recv(1 << 16)
        connection.sendall(data)
        connection.close()

    for data, words in ((b"", "is not waiting for workers"), (b"\xff\xfe\n", "another program")):
        with socket.create_server((host, port)) as server:
            thread = threading.Thread(target=answer, args=(server, data))
            thread.start()
            (error,) = met(*workers(addresses, 1), seconds=2.0)
            thread.join()
        assert f"worker 0 ({addresses[0]})" in error
        assert words in error


def test_a_worker_that_left_may_come_again():
    addresses = free_addresses(3)
    with ThreadPoolExecutor(1) as pool:
        chief = pool.submit(met, *workers(addresses, 0), seconds=20.0)
        came(addresses, 1).close()
        time.sleep(0.3)
        assert met(*workers(addresses, 1, 2)) == ["", ""]
        assert chief.result() == [""]
    assert connected(addresses) is None


WRONG = (None, True, -1, 0, 2, 1.5, 10**400, "x", "1\n2", "\x1b[2J", [], ["a:1"], ["a:1", "a:1"], [1, 2], {}, [[]])
TEXTS = (b"[" * 60_000, b"[]\n", b"9" * 5000 + b"\n", b"\xff\n", b"x" * 70_000, b"")


def after_stranger(said):
    """Let a stranger say something to a chief, and then its worker come; return the errors of both."""
    addresses = free_addresses(2)
    with ThreadPoolExecutor(1) as pool:
        chief = pool.submit(met, *workers(addresses, 0), seconds=20.0)
        with wait_for(lambda: connected(addresses)) as stranger, suppress(OSError):
            stranger.sendall(said(addresses) if callable(said) else said)
            stranger.shutdown(socket.SHUT_WR)
            answer = stranger.recv(1 << 16).decode()
            if answer:
                return [answer.rstrip("\n"), *chief.result()]
        return [*met(*workers(addresses, 1)), *chief.result()]


@pytest.mark.parametrize("field", ["index", "addresses", "version"])
def test_a_stranger_s_hello_is_not_counted_and_at_most_ends_all_in_one_line(field):
    for wrong in WRONG:

        def said(addresses, wrong=wrong):
            hello = {"index": 1, "addresses": addresses, "version": "1", field: wrong}
            return json.dumps(hello).encode() + b"\n"

        here, other = after_stranger(said)
        assert here == other
        assert here == "" or here.isprintable()


@pytest.mark.parametrize("said", TEXTS)
def test_other_texts_of_strangers_do_not_disturb(said):
    assert after_stranger(said) == ["", ""]


def test_programs_that_say_nothing_do_not_keep_the_chief_from_giving_up():
    addresses = free_addresses(2)
    with ThreadPoolExecutor(1) as pool, ExitStack() as opened:
        chief = pool.submit(met, *workers(addresses, 0), seconds=1.0)
        opened.enter_context(wait_for(lambda: connected(addresses))).sendall(b'{"index"')
        for _ in range(20):
            if one := connected(addresses):
                opened.enter_context(one)
        (error,) = chief.result(timeout=30)
    assert "did not come within 1 s" in error


def test_a_hostile_chief_s_answer_is_not_printed():
    addresses = free_addresses(2)
    with socket.create_server(Cluster(addresses, 0).host_and_port(0)) as server, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(met, *workers(addresses, 1), seconds=5.0)
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"error: all is lost\x1b[2J\n")
            assert "is another program" in waiting.result()[0]
