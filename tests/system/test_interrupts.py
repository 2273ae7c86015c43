"""Ctrl-C, SIGTERM, an event or a call requests a stop; after the block, signals have their former handlers."""

import contextlib
import os
import select
import signal
import threading

import pytest

from bcclone.system.interrupts import Interrupts, StopSocket, keeping_interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")


def is_readable(sock, seconds=5.0):
    return bool(select.select([sock], [], [], seconds)[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_sets_the_flag_and_the_second_interrupts(number):
    before = signal.getsignal(number)
    with Interrupts().listening() as interrupts:
        assert not interrupts.requested
        signal.raise_signal(number)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_makes_the_stop_socket_readable(number):
    before = signal.getsignal(number)
    with StopSocket() as stop:
        assert signal.getsignal(number) == before
        stop.take_signals()
        assert not is_readable(stop.socket, 0.0)
        signal.raise_signal(number)
        assert is_readable(stop.socket)
        stop.wait()
        assert signal.getsignal(number) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_any_thread_requests_a_stop_by_a_call_or_by_the_event_and_takes_no_signals():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupts().listening():
            stop.take_signals()
            seen.append(signal.getsignal(signal.SIGINT))
            stop.request()

    with StopSocket() as stop:
        threading.Thread(target=work).start()
        assert is_readable(stop.socket)
    assert seen == [before]
    stop.request()  # too late, and harmless
    event = threading.Event()
    with StopSocket(event) as stop:
        assert not is_readable(stop.socket, 0.0)
        event.set()
        assert is_readable(stop.socket)


def _import_interrupted():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("cannot import name") from None


def test_an_interrupt_that_a_package_swallows_or_turns_into_its_own_error_is_not_lost():
    with pytest.raises(KeyboardInterrupt), keeping_interrupts(), contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), keeping_interrupts():
        _import_interrupted()
    with pytest.raises(ImportError), keeping_interrupts():
        raise ImportError("cannot import name")
