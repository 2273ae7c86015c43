"""Run calls in worker processes of this machine."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing.queues import SimpleQueue

from bcclone.system.child_process import process_pool
from bcclone.system.errors import UserError
from bcclone.system.task import Call, Outcome, Progress, run_call

_POLL_SECONDS = 0.1

# set once in each worker process: a queue between processes is inherited, and cannot be sent with a call
_queue: "ContextVar[SimpleQueue[Progress]]" = ContextVar("queue")


class ProcessEngine:
    """An engine: worker processes of this machine."""

    def __init__(self, executor: Executor, workers: int) -> None:
        self._executor, self.workers = executor, workers

    def names(self) -> Sequence[str]:
        """Return nothing: the processes share their disks, so that it does not matter which one takes a call."""
        return ()

    def submit(self, call: Call, only: Sequence[str]) -> Future[Outcome]:
        """Start a call."""
        return self._executor.submit(_run_in_process, call)

    def explain(self, error: Exception) -> UserError | None:
        """Return the error for a worker process that died."""
        return _worker_ended() if isinstance(error, BrokenExecutor) else None

    def check(self) -> None:
        """Do nothing: the executor notices by itself that a process has died."""


@contextmanager
def open_processes(workers: int, receive: Callable[[Progress], None]) -> Iterator[ProcessEngine]:
    """Yield an engine of so many processes. receive: is given their progress, in a thread."""
    queue: SimpleQueue[Progress] = multiprocessing.get_context("spawn").SimpleQueue()
    ended = threading.Event()
    # a thread, because a worker waits while the queue is full
    forwarding = threading.Thread(target=_forward, args=(queue, receive, ended), name="progress")
    forwarding.start()
    try:
        with process_pool(workers, _initialize_worker, (queue,)) as executor:
            yield ProcessEngine(executor, workers)
    except BrokenExecutor:  # a process that ended while the others were started
        raise _worker_ended() from None
    finally:
        ended.set()
        forwarding.join()
        queue.close()


def _worker_ended() -> UserError:
    return UserError("a worker process ended unexpectedly; if memory ran out, use fewer --jobs")


def _forward(queue: "SimpleQueue[Progress]", receive: Callable[[Progress], None], ended: threading.Event) -> None:
    while not ended.wait(_POLL_SECONDS):
        while not queue.empty():
            receive(queue.get())


def _initialize_worker(queue: "SimpleQueue[Progress]") -> None:
    _queue.set(queue)


def _run_in_process(call: Call) -> Outcome:
    return run_call(call, f"process {os.getpid()}", _queue.get().put)
