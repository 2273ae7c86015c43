"""Other processes: start them, wait for them, read what they print, give them a full disk."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

# Windows has no SIGKILL; its SIGTERM ends a process as suddenly
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def wait_for(condition, seconds=120, every_seconds=0.05):
    """Wait until the condition is true and return its value; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(every_seconds)
    return value


@contextmanager
def cpu_limit(seconds):
    """Raise TimeoutError after so much time of the processor.

    That ends the module re, too, which looks for signals while it matches.
    """

    def expired(number, frame):
        raise TimeoutError(f"more than {seconds} s of the processor")

    before = signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def said(*line, check=False, **options):
    """Run a process to its end; return its exit code and outputs, as text.

    check: whether the code must be 0
    """
    return subprocess.run([*map(str, line)], capture_output=True, text=True, check=check, **options)


def python(code, *arguments, **options):
    """Return what a Python program prints, in a process of its own; its exit code must be 0."""
    return said(sys.executable, "-c", code, *arguments, check=True, **options).stdout


@contextmanager
def started(line, until, **options):
    """Start a process, yield it once it is as far as `until` says, and kill it after the block.

    until: a text, with which a line of the standard error begins, or a function that becomes true
    options: of subprocess.Popen
    """
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True} | options
    with subprocess.Popen([*map(str, line)], **options) as process:
        try:
            if callable(until):
                wait_for(lambda: until() or process.poll() is not None, every_seconds=0.01)
            else:
                assert any(text.startswith(until) for text in process.stderr), process.wait()
            assert process.poll() is None, process.communicate()
            yield process
        finally:
            process.kill()


def imported_by(*line):
    """Run a command with `-X importtime`; return the top-level names imported."""
    done = said(sys.executable, "-X", "importtime", *line[1:], check=True)
    lines = [text for text in done.stderr.splitlines() if text.startswith("import time:")]
    return {text.rpartition("|")[2].strip().partition(".")[0] for text in lines}


# a program that runs the command of its further arguments; the first is the most bytes of a file
_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def on_a_full_disk(line, size):
    """Return the command line that runs a command as on a full disk.

    Its files can have at most `size` bytes each. preexec_fn would fork, and eventlet warns about
    that once it is imported.
    """
    return [sys.executable, "-S", "-c", _LIMITED, str(size), *map(str, line)]


@contextmanager
def full_disk(size):
    """Let no file of this process have more than `size` bytes within the block."""
    import resource  # Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def free_addresses(count):
    """Return addresses of this machine, HOST:PORT, at which nothing listens."""
    with ExitStack() as opened:
        addresses = []
        for _ in range(count):
            server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            _, port = server.getsockname()
            addresses.append(f"127.0.0.1:{port}")
        return tuple(addresses)


def content_of(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
