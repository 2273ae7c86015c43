"""Wait until all workers of a cluster are there, with equal options, before TensorFlow connects them.

While TensorFlow waits for a worker it holds the interpreter's lock, without a limit: no signal, thread or exception
could end a wait for a worker that never comes. So the workers meet at the chief's address first. Each one sends a line
of JSON; the chief answers all of them with an empty line when every worker has come, or with the error that ends them.

Any program may connect. It can end the meeting, like a worker with other options, but not pass as a worker twice, keep
the chief from counting the time, or make it print more than a line. TensorFlow, which connects the workers next, asks
nobody who they are; so the network between them must be private.
"""

import re
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import NoReturn

from bcclone.cluster.workers import Cluster
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, json_text
from bcclone.system.reading import parse_json

MEETING_SECONDS = 60.0
_RETRY_SECONDS, _CONNECT_SECONDS, _GRACE_SECONDS = 0.2, 5.0, 10.0
_LONGEST_LINE = 1 << 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_VERSION = re.compile("[0-9A-Za-z.+-]{1,100}")


@dataclass(frozen=True)
class Hello:
    """What a worker tells the chief: its number, the addresses that it was given, and its version of bcclone."""

    index: int
    addresses: tuple[str, ...]
    version: str

    def __post_init__(self) -> None:
        Cluster(self.addresses, self.index)  # raises SettingError, a ValueError, for others than a cluster may have
        if not _VERSION.fullmatch(self.version) or not "".join(self.addresses).isprintable():
            raise ValueError("not what a worker says")


def meet(cluster: Cluster, version: str, seconds: float = MEETING_SECONDS) -> None:
    """Return when all workers are there; call it on each of them.

    version: of bcclone; seconds: how long to wait. Raises UserError, on all workers that have come, when one does not
    come in time, has other --workers or another version; and when this worker's port is in use.
    """
    if cluster.is_chief:
        _meet_as_chief(cluster, version, seconds)
    else:
        _listening(cluster).close()  # TensorFlow will listen there
        _answer_of_chief(cluster, version, seconds)


def _listening(cluster: Cluster) -> socket.socket:
    """Return a socket that listens at this worker's port; raises UserError when the port is in use."""
    host, port = cluster.host_and_port(cluster.index)
    try:
        return socket.create_server((host if host in _LOOPBACK else "", port), family=_family(host))
    except OSError as error:
        raise UserError(
            f"{cluster.describe(cluster.index)}, this one, cannot listen at port {port}: {error.strerror}; give each "
            "worker a --worker-index of its own, or end the program that uses the port, or choose other --workers"
        ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if host == "::1" else socket.AF_INET


def _meet_as_chief(cluster: Cluster, version: str, seconds: float) -> None:
    until, came = time.monotonic() + seconds, dict[int, socket.socket]()
    with _listening(cluster) as server, ExitStack() as opened:
        try:
            while len(came) < len(cluster) - 1:
                connection, hello = _next_worker(server, until) or _nobody(cluster, came, seconds)
                opened.enter_context(connection)
                came = {index: other for index, other in came.items() if _is_open(other)}  # the others may come again
                _admit(cluster, came, connection, hello, version)
        except UserError as error:
            _answer(came, str(error))
            raise
        _answer(came, "")


def _next_worker(server: socket.socket, until: float) -> tuple[socket.socket, Hello] | None:
    """Return the next connection of a worker and what it says, None when the time is up."""
    while (left := until - time.monotonic()) > 0:
        server.settimeout(left)
        try:
            connection, _ = server.accept()
        except TimeoutError:
            return None
        if hello := _hello_of(connection, until):
            return connection, hello
        connection.close()  # another program that probes this port
    return None


def _hello_of(connection: socket.socket, until: float) -> Hello | None:
    """Return what a worker says, None if it is no worker."""
    try:
        return from_json(Hello, parse_json(_line(connection, min(until, time.monotonic() + _CONNECT_SECONDS))))
    except (OSError, ValueError):
        return None


def _line(connection: socket.socket, until: float) -> bytes:
    """Return what the other end sends up to the end of a line, or up to its own end; raises OSError."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
        connection.settimeout(max(until - time.monotonic(), _RETRY_SECONDS))  # the other end may send a byte at a time
        if time.monotonic() > until or not (part := connection.recv(_LONGEST_LINE - len(line))):
            break
        line += part
    return line


def _admit(
    cluster: Cluster, came: dict[int, socket.socket], connection: socket.socket, hello: Hello, version: str
) -> None:
    """Note that a worker has come; raises UserError when its options differ, or when it has come twice."""
    connection.settimeout(_CONNECT_SECONDS)
    index, text = hello.index, _difference(cluster, version, hello)
    if not text and index in (*came, 0):
        text = f"two workers were started with --worker-index {index}; give each one a number of its own"
    came[-1 if text else index] = connection  # a worker that is refused is answered, too
    if text:
        raise UserError(text)


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.settimeout(_CONNECT_SECONDS)


def _answer(came: Mapping[int, socket.socket], text: str) -> None:
    for connection in came.values():
        with suppress(OSError):
            connection.sendall(text.encode() + b"\n")


def _difference(cluster: Cluster, version: str, hello: Hello) -> str:
    """Return in what a worker differs from the chief, "" when it agrees."""
    if hello.addresses != tuple(cluster.addresses):
        return (
            f"worker {hello.index} was given --workers {','.join(hello.addresses)} ({len(hello.addresses)} "
            f"workers), and worker 0 {','.join(cluster.addresses)} ({len(cluster)}); give every worker the same"
        )
    if hello.version != version:
        return (
            f"{cluster.describe(hello.index)} has another version of bcclone ({hello.version}) than worker 0 "
            f"({version}); install the same on every machine"
        )
    return ""


def _nobody(cluster: Cluster, came: Mapping[int, object], seconds: float) -> NoReturn:
    """Raise UserError, which names the workers that have not come."""
    missing = [index for index in range(1, len(cluster)) if index not in came]
    names = ", ".join(map(cluster.describe, missing))
    raise UserError(
        f"{names} did not come within {seconds:g} s; start every worker with the same --workers, each with its "
        f"--worker-index, and check that the machines reach each other at these ports{_foreign_address(cluster)}"
    )


def _foreign_address(cluster: Cluster) -> str:
    """Return a hint if this worker's address is not one of this machine, as behind a gateway; else ""."""
    host, _ = cluster.host_and_port(cluster.index)
    try:
        socket.create_server((host, 0), family=_family(host)).close()
    except OSError:
        return f"; {host} is not an address of this machine, which is worker {cluster.index}"
    return ""


def _answer_of_chief(cluster: Cluster, version: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    chief = cluster.describe(0)
    with _connection_to_chief(cluster, until, seconds) as connection:
        try:
            connection.sendall(json_text(Hello(cluster.index, tuple(cluster.addresses), version)).encode())
            answer = _line(connection, time.monotonic() + seconds + _GRACE_SECONDS)
        except OSError:
            answer = b""
    if not answer.endswith(b"\n"):
        raise UserError(
            f"{chief} ended, or is not waiting for workers: start all workers anew, and check that no other program "
            "uses its port"
        )
    text = answer.decode(errors="replace").strip()
    if "\ufffd" in text or not text.isprintable():
        raise UserError(f"{chief} is another program; give every worker other --workers")
    if text:
        raise UserError(text)


def _connection_to_chief(cluster: Cluster, until: float, seconds: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection(cluster.host_and_port(0), timeout=_CONNECT_SECONDS)
        except OSError as error:
            if time.monotonic() >= until:
                raise UserError(
                    f"{cluster.describe(0)} did not answer within {seconds:g} s ({error.strerror or error}); start "
                    "every worker with the same --workers, and check that this machine reaches that address"
                ) from None
        time.sleep(_RETRY_SECONDS)
