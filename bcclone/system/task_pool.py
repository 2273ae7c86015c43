"""Run a function over tasks on an engine, in any order: results, progress and retries are the same on each engine."""

import multiprocessing
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue as ProcessQueue
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias, TypeVar

from bcclone.system.child_process import process_pool
from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.task import Call, Outcome, Progress, WorkerFault, run_call, source_digest

_RETRIES = 3
_TASKS_PER_WORKER = 3  # one that runs, and others that wait for it to end
_SECONDS_BETWEEN_CHECKS = 1.0
_POLL_SECONDS = 0.1
_LONGEST_NAME = 200  # characters of a task that an error repeats

Task = TypeVar("Task")
Result = TypeVar("Result")


Events: TypeAlias = "SimpleQueue[Progress | Future[Outcome]]"


class Engine(Protocol):
    """What runs the calls: processes of this machine or a cluster."""

    @property
    def workers(self) -> int:
        """Return how many tasks run side by side at present."""

    def names(self) -> Sequence[str]:
        """Return the names of the workers, none if it does not matter which one takes a call."""

    def submit(self, call: Call, only: Sequence[str]) -> Future[Outcome]:
        """Start a call on one of these workers, or on any if none is named."""

    def explain(self, error: Exception) -> UserError | None:
        """Return the error for the user if the engine failed, or None if the task did."""

    def check(self) -> None:
        """Raise UserError if nothing can complete any more; called while nothing happens."""


class TaskPool:
    """A pool of workers, of this machine or of a cluster that somebody else has opened."""

    def __init__(self, engine: Engine, events: Events) -> None:
        self._engine, self._events = engine, events

    @property
    def workers(self) -> int:
        """Return how many tasks run side by side at present."""
        return self._engine.workers

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        on_progress: Callable[[float], None] = lambda amount: None,
    ) -> Iterator[tuple[int, Result]]:
        """Yield the index of each task and its result, as they complete; one run at a time.

        function, tasks: picklable, the function by its name in a module. Tasks start in their order, and are taken when
        workers are about to need them, so that not all of them are in memory. on_progress: receives what the tasks
        report by report_progress(), once for a task that is tried again.
        Raises UserError, and whatever a task raises; tasks that have not started are then cancelled.
        """
        return _TaskRun(self._engine, self._events, function, enumerate(tasks), on_progress).results()


@dataclass
class _Attempt:
    """A task that has been started. faulty: the workers on which it failed; only: where it may run, () for anywhere."""

    index: int
    call: Call
    reported: float = 0.0
    faulty: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


class _TaskRun:
    """The tasks of one run: which are pending, what they reported, and how often each was tried."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        function: Callable[[Any], Any],
        tasks: Iterator[tuple[int, Any]],
        on_progress: Callable[[float], None],
    ) -> None:
        self._engine, self._events, self._on_progress = engine, events, on_progress
        self._function, self._tasks = function, tasks
        self._pending: dict[Future[Outcome], _Attempt] = {}
        self._attempts: dict[str, _Attempt] = {}  # by the id of the call

    def results(self) -> Iterator[tuple[int, Any]]:
        """Yield index and result of the tasks, as they complete."""
        try:
            self._start_some()
            while self._pending:
                event = self._next_event()
                if isinstance(event, Progress):
                    self._advance(self._attempts.get(event.call), event.total)
                elif event in self._pending:
                    yield from self._complete(self._pending.pop(event), self._explained(event.result))
                    self._start_some()
        finally:
            for future in self._pending:
                future.cancel()

    def _start_some(self) -> None:
        """Start tasks until every worker has one to run and some that wait."""
        most = _TASKS_PER_WORKER * max(self._explained(lambda: self._engine.workers), 1)
        while len(self._pending) < most and (entry := next(self._tasks, None)) is not None:
            index, task = entry
            attempt = _Attempt(index, Call(self._function, task, uuid.uuid4().hex, source_digest()))
            self._attempts[attempt.call.id] = attempt
            self._start(attempt)

    def _start(self, attempt: _Attempt) -> None:
        future: Future[Outcome] = self._explained(self._engine.submit, attempt.call, attempt.only)
        self._pending[future] = attempt
        future.add_done_callback(self._events.put)

    def _complete(self, attempt: _Attempt, outcome: Outcome) -> Iterator[tuple[int, Any]]:
        """Yield a result; start a task again after a fault of the worker."""
        if outcome.error is None:
            self._advance(attempt, outcome.progress)
            del self._attempts[attempt.call.id]
            yield attempt.index, outcome.result
        else:
            self._retry(attempt, outcome.worker, outcome.error)

    def _retry(self, attempt: _Attempt, worker: str, error: UserError | WorkerFault) -> None:
        """Start a task again, elsewhere if possible; raises UserError after several faults."""
        if isinstance(error, UserError):
            raise error
        attempt.faulty += (worker,)
        if len(attempt.faulty) > _RETRIES:
            raise UserError(
                f"{str(attempt.call.task)[:_LONGEST_NAME]}: failed {len(attempt.faulty)} times, at last on worker "
                f"{worker}: {error}; mend the worker and run the same command again"
            )
        attempt.only = tuple(name for name in self._explained(self._engine.names) if name not in attempt.faulty)
        self._start(attempt)

    def _restart_stranded(self) -> None:
        """Start the tasks again that wait for workers which have ended."""
        present = set(self._explained(self._engine.names))
        stranded = [future for future, attempt in self._pending.items() if attempt.only]
        for future in stranded:
            if present.isdisjoint(self._pending[future].only):
                attempt = self._pending.pop(future)
                future.cancel()
                attempt.only = tuple(present - set(attempt.faulty))
                self._start(attempt)

    def _advance(self, attempt: _Attempt | None, total: float) -> None:
        if attempt is not None and total > attempt.reported:
            self._on_progress(total - attempt.reported)
            attempt.reported = total

    def _next_event(self) -> "Progress | Future[Outcome]":
        while True:
            try:
                return self._events.get(timeout=_SECONDS_BETWEEN_CHECKS)
            except Empty:
                self._explained(self._engine.check)
                self._restart_stranded()

    def _explained(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function; an error of the engine becomes a UserError."""
        try:
            return function(*arguments)
        except UserError:
            raise
        except Exception as error:
            explained = self._engine.explain(error)
            if explained is None:
                raise
            raise explained from None


# set once in each worker process: a queue between processes is inherited, and cannot be sent with a call
_queue: "ContextVar[ProcessQueue[Progress]]" = ContextVar("queue")


class _ProcessEngine:
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
def _open_processes(workers: int, receive: Callable[[Progress], None]) -> Iterator[_ProcessEngine]:
    """Yield an engine of so many processes. receive: is given their progress, in a thread."""
    queue: ProcessQueue[Progress] = multiprocessing.get_context("spawn").SimpleQueue()
    ended = threading.Event()
    # a thread, because a worker waits while the queue is full
    forwarding = threading.Thread(target=_forward, args=(queue, receive, ended), name="progress")
    forwarding.start()
    try:
        with process_pool(workers, _initialize_worker, (queue,)) as executor:
            yield _ProcessEngine(executor, workers)
    except BrokenExecutor:  # a process that ended while the others were started
        raise _worker_ended() from None
    finally:
        ended.set()
        forwarding.join()
        queue.close()


def _worker_ended() -> UserError:
    return UserError("a worker process ended unexpectedly; if memory ran out, use fewer --jobs")


def _forward(queue: "ProcessQueue[Progress]", receive: Callable[[Progress], None], ended: threading.Event) -> None:
    while not ended.wait(_POLL_SECONDS):
        while not queue.empty():
            receive(queue.get())


def _initialize_worker(queue: "ProcessQueue[Progress]") -> None:
    _queue.set(queue)


def _run_in_process(call: Call) -> Outcome:
    return run_call(call, f"process {os.getpid()}", _queue.get().put)


@contextmanager
def open_pool(jobs: int = 0) -> Iterator[TaskPool]:
    """Yield a pool of processes of this machine, which have ended when the block is left. Raises UserError.

    jobs: number of processes, 0 for one per usable core.
    """
    events: Events = SimpleQueue()
    with _open_processes(jobs or usable_cores(), events.put) as processes:
        yield TaskPool(processes, events)
