"""Run one task in a worker: a call becomes an outcome, with progress on the way. Loads no engine."""

import hashlib
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bcclone.system.errors import UserError

_SECONDS_BETWEEN_REPORTS = 0.25
_PACKAGE = Path(__file__).parents[1]
_SOURCES = (".py", ".csv")


@cache
def source_digest() -> str:
    """Return a digest of bcclone's files as they were at the first call: its code and its tables.

    It tells this version from others, whose number does not change with each commit.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _SOURCES):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


class WorkerFault(Exception):
    """Raise it in a task for a fault of the worker and not of the input, such as a full disk or a missing file.

    The task is tried again, elsewhere if possible. After several faults the pool raises a UserError with this text.
    """


@dataclass(frozen=True)
class Call:
    """A function and its task, as sent to a worker.

    id: names the call in reports of its progress; sources: the sender's source_digest().
    """

    function: Callable[[Any], Any]
    task: Any
    id: str
    sources: str


@dataclass(frozen=True)
class Progress:
    """How much the task of a call has reported in total until now."""

    call: str
    total: float


@dataclass(frozen=True)
class Outcome:
    """The result of a task or its error, the worker that ran it, and how much it reported in total."""

    worker: str
    progress: float
    result: Any = None
    error: UserError | WorkerFault | None = None


class _Reporter:
    """Adds up the progress of one task and sends the total a few times a second."""

    def __init__(self, send: Callable[[float], None]) -> None:
        self._send, self._sent_at = send, time.monotonic()
        self.total = 0.0

    def add(self, amount: float) -> None:
        self.total += float(amount)  # NumPy's numbers cannot be sent as events
        if time.monotonic() - self._sent_at >= _SECONDS_BETWEEN_REPORTS:
            self._send(self.total)
            self._sent_at = time.monotonic()


# a worker may run tasks in several threads
_reporter: ContextVar[_Reporter | None] = ContextVar("reporter", default=None)


def report_progress(amount: float) -> None:
    """Add to the progress of the task that this thread runs; does nothing outside of a pool. May be called often."""
    reporter = _reporter.get()
    if reporter is not None:
        reporter.add(amount)


def run_call(call: Call, worker: str, send: Callable[[Progress], None]) -> Outcome:
    """Run a task in this thread. worker: name of this worker; send: receives the progress now and then."""
    if call.sources != source_digest():
        error = UserError(
            f"worker {worker} has another version of bcclone; install the same one there, and start the worker again"
        )
        return Outcome(worker, 0.0, error=error)
    reporter = _Reporter(lambda total: send(Progress(call.id, total)))
    token = _reporter.set(reporter)
    try:
        result = call.function(call.task)
        return Outcome(worker, reporter.total, result)
    except (UserError, WorkerFault) as error:
        return Outcome(worker, reporter.total, error=error)
    finally:
        _reporter.reset(token)
