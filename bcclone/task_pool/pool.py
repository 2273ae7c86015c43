"""Run a function over tasks on an engine, in any order: results, progress and retries are the same on each engine."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias, TypeVar

from bcclone.errors import UserError
from bcclone.hardware import usable_cores
from bcclone.task_pool.processes import open_processes
from bcclone.task_pool.task import Call, Outcome, Progress, WorkerFault, source_digest

_RETRIES = 3
_SECONDS_BETWEEN_CHECKS = 1.0
_LONGEST_NAME = 200  # characters of a task that an error repeats

Task = TypeVar("Task")
Result = TypeVar("Result")


Events: TypeAlias = "SimpleQueue[Progress | Future[Outcome]]"


class Engine(Protocol):
    """What runs the calls: processes of this machine or a cluster."""

    executor: Executor
    workers: int

    def submit(self, call: Call, avoid: Sequence[str]) -> Future[Outcome]:
        """Start a call, preferably not on these workers."""

    def explain(self, error: Exception) -> UserError | None:
        """Return the error for the user if the engine failed, or None if the task did."""

    def check(self) -> None:
        """Raise UserError if nothing can complete any more; called while nothing happens."""


class TaskPool:
    """A pool of workers. executor: starts single calls; workers: how many tasks run side by side, at the beginning."""

    def __init__(self, engine: Engine, events: Events) -> None:
        self._engine, self._events = engine, events
        self.executor, self.workers = engine.executor, engine.workers

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        on_progress: Callable[[float], None] = lambda amount: None,
    ) -> Iterator[tuple[int, Result]]:
        """Yield the index of each task and its result, as they complete; one run at a time.

        function, tasks: picklable, the function by its name in a module; tasks start in their order. on_progress:
        receives what the tasks report by report_progress(), once for a task that is tried again.
        Raises UserError, and whatever a task raises; tasks that have not started are then cancelled.
        """
        return _Run(self._engine, self._events, function, list(tasks), on_progress).results()


class _Run:
    """The tasks of one run: which are pending, what they reported, and how often each was tried."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        function: Callable[[Any], Any],
        tasks: Sequence[Any],
        on_progress: Callable[[float], None],
    ) -> None:
        self._engine, self._events, self._on_progress = engine, events, on_progress
        self._calls = [Call(function, task, uuid.uuid4().hex, source_digest()) for task in tasks]
        self._indices = {call.id: index for index, call in enumerate(self._calls)}
        self._reported = [0.0] * len(tasks)
        self._faulty: list[tuple[str, ...]] = [()] * len(tasks)  # the workers on which a task failed
        self._pending: dict[Future[Outcome], int] = {}

    def results(self) -> Iterator[tuple[int, Any]]:
        """Yield index and result of the tasks, as they complete."""
        try:
            for index in range(len(self._calls)):
                self._start(index)
            while self._pending:
                event = self._next_event()
                if isinstance(event, Progress):
                    self._advance(self._indices.get(event.call), event.total)
                elif event in self._pending:
                    yield from self._complete(self._pending.pop(event), self._explained(event.result))
        finally:
            for future in self._pending:
                future.cancel()

    def _start(self, index: int) -> None:
        future: Future[Outcome] = self._explained(self._engine.submit, self._calls[index], self._faulty[index])
        self._pending[future] = index
        future.add_done_callback(self._events.put)

    def _complete(self, index: int, outcome: Outcome) -> Iterator[tuple[int, Any]]:
        """Yield a result; start a task again after a fault of the worker."""
        if outcome.error is None:
            self._advance(index, outcome.progress)
            yield index, outcome.result
        else:
            self._retry(index, outcome.worker, outcome.error)

    def _retry(self, index: int, worker: str, error: UserError | WorkerFault) -> None:
        """Start a task again; raises UserError if that cannot help."""
        if isinstance(error, UserError):
            raise error
        self._faulty[index] += (worker,)
        if len(self._faulty[index]) > _RETRIES:
            raise UserError(
                f"{str(self._calls[index].task)[:_LONGEST_NAME]}: failed {len(self._faulty[index])} times, at last on "
                f"worker {worker}: {error}; mend the worker and run the same command again"
            )
        self._start(index)

    def _advance(self, index: int | None, total: float) -> None:
        if index is not None and total > self._reported[index]:
            self._on_progress(total - self._reported[index])
            self._reported[index] = total

    def _next_event(self) -> "Progress | Future[Outcome]":
        while True:
            try:
                return self._events.get(timeout=_SECONDS_BETWEEN_CHECKS)
            except Empty:
                self._explained(self._engine.check)

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


@contextmanager
def open_pool(scheduler: str, jobs: int = 0, notify: Callable[[str], None] = lambda line: None) -> Iterator[TaskPool]:
    """Yield a pool of workers; all that it started has ended when the block is left. Raises UserError.

    scheduler: "" for processes of this machine, "local:N" for a Dask cluster of N processes on this machine, or the
    address of a running Dask scheduler, such as "tcp://HOST:8786"; jobs: number of processes without a scheduler, 0 for
    one per usable core; notify: receives the address of Dask's dashboard.
    """
    events: Events = SimpleQueue()
    if not scheduler:
        with open_processes(jobs or usable_cores(), events.put) as processes:
            yield TaskPool(processes, events)
        return
    from bcclone.task_pool.cluster import open_cluster

    with open_cluster(scheduler, events.put, notify) as cluster:
        yield TaskPool(cluster, events)
