"""Run a function over tasks in processes of this machine, or on a cluster.

In: a function and its tasks. Out: the result of each task. A task whose worker has a fault is run
again.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Generic, TypeVar

from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.interrupts import become_worker, interrupts_kept_from_children

_RETRIES = 3  # how often a task is run again after a fault of its worker
_TASKS_PER_WORKER = 3  # one that runs, and two that wait for it to end
_SECONDS_BETWEEN_REPORTS = 0.25
_LONGEST_NAME = 200  # characters of a task that an error repeats
_PACKAGE = Path(__file__).parents[1]  # the folder bcclone
_SOURCES = (".py", ".csv")  # endings of the files that source_digest() covers

Task = TypeVar("Task")
Result = TypeVar("Result")


@cache
def source_digest() -> str:
    """Return a digest of bcclone's code and tables, as the files were at the first call.

    The digest changes with every change of the code; the version number does not.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _SOURCES):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


class WorkerFault(Exception):
    """Raised in a task for a fault of the worker and not of the input, such as a full disk.

    The pool runs the task again, on another worker if there is one. After four faults of a task it
    raises a UserError with this text.
    """


# what report_progress() calls; each thread has its own value, since a worker may run several tasks
_report: ContextVar[Callable[[float], object]] = ContextVar("report", default=lambda amount: None)


def report_progress(amount: float) -> None:
    """Add an amount to the progress of the task that this thread runs; may be called often.

    Does nothing in a thread that runs no task of a pool.
    """
    _report.get()(amount)


def run_task(
    function: Callable[[Task], Result], task: Task, worker: str, report: Callable[[float], object]
) -> Result:
    """Run a task in this thread, and return its result.

    worker: name of this worker; becomes the second argument of a WorkerFault
    report: called with each amount that the task gives to report_progress()
    """
    token = _report.set(report)
    try:
        return function(task)
    except WorkerFault as fault:
        raise WorkerFault(str(fault), worker) from None
    finally:
        _report.reset(token)


@dataclass(frozen=True)
class _Submitted(Generic[Task]):
    """A task that a worker has, or will get."""

    index: int  # position of the task among all tasks of the run, from 0
    task: Task
    faulty: tuple[str, ...] = ()  # names of the workers that had a fault with this task


class TaskPool:
    """Worker processes of this machine; a subclass has the workers of a cluster.

    executor: runs the tasks
    workers: how many tasks run side by side
    reported: returns how much progress all tasks of the pool have reported so far
    """

    def __init__(self, executor: Executor, workers: int, reported: Callable[[], float]) -> None:
        self._executor = executor
        self._workers = workers
        self.reported = reported

    @property
    def workers(self) -> int:
        """Return how many tasks run side by side at present."""
        return self._workers

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        on_progress: Callable[[float], object] = lambda amount: None,
    ) -> Iterator[tuple[int, Result]]:
        """Yield the index of each task and its result, in the order in which the tasks complete.

        A pool does one run at a time. Tasks start in their order. They are taken from `tasks` only
        when workers are about to need them, so that not all of them are in memory. Raises
        UserError, and whatever a task raises; tasks that have not started are then cancelled.

            function: a function of a module, which can be pickled
            tasks: arguments of the function, which can be pickled
            on_progress: called with the amount that the tasks have reported since its last call
        """
        pending: dict[Future[Result], _Submitted[Task]] = {}
        waiting = enumerate(tasks)
        reported = self.reported()
        try:
            while True:
                # submit enough tasks that no worker becomes idle, but few, to save memory
                most = _TASKS_PER_WORKER * max(self.workers, 1)
                for index, task in islice(waiting, max(most - len(pending), 0)):
                    pending[self.submit(function, task, faulty=())] = _Submitted(index, task)
                if not pending:
                    return
                done, _ = wait(pending, _SECONDS_BETWEEN_REPORTS, FIRST_COMPLETED)
                results = self._results(done, pending, function)
                # read the progress only now: it then includes that of the tasks that are done,
                # and the caller hears of it before it gets their results
                before = reported
                reported = self.reported()
                if reported > before:
                    on_progress(reported - before)
                yield from results
                if not done:
                    self.check()
        except Exception as error:
            if not isinstance(error, UserError):
                self.explain(error)
            raise
        finally:
            for future in pending:
                future.cancel()

    def _results(
        self,
        done: "Iterable[Future[Result]]",
        pending: "dict[Future[Result], _Submitted[Task]]",
        function: Callable[[Task], Result],
    ) -> list[tuple[int, Result]]:
        """Return index and result of each task that is done; run a task with a fault again.

        done: futures that have ended
        pending: futures of all submitted tasks; those that are done leave it
        """
        results = []
        for future in done:
            submitted = pending.pop(future)
            task = submitted.task
            try:
                results.append((submitted.index, future.result()))
            except WorkerFault as fault:
                reason, worker = fault.args
                if len(submitted.faulty) == _RETRIES:
                    raise UserError(
                        f"{str(task)[:_LONGEST_NAME]}: failed {_RETRIES + 1} times, "
                        f"at last on worker {worker}: {reason}; "
                        "mend the worker and run the same command again"
                    ) from None
                faulty = (*submitted.faulty, worker)
                again = self.submit(function, task, faulty)
                pending[again] = _Submitted(submitted.index, task, faulty)
        return results

    def submit(
        self, function: Callable[[Task], Result], task: Task, faulty: Sequence[str]
    ) -> "Future[Result]":
        """Submit a task, and return the future of its result.

        faulty: names of workers that a cluster avoids, as long as it has other workers
        """
        return self._executor.submit(_run_in_process, function, task)

    def check(self) -> None:
        """Raise UserError if no task can complete any more; called when none has for a while."""

    def explain(self, error: Exception) -> None:
        """Raise a UserError if the cluster caused this error; return if the task raised it."""


# progress that the tasks of all workers have reported, in shared memory; set once in each worker
_total: "ContextVar[Synchronized[float]]" = ContextVar("total")


@contextmanager
def open_pool(jobs: int = 0) -> Iterator[TaskPool]:
    """Yield a pool of processes of this machine; all have ended when the block is left.

    Raises UserError if a process ends unexpectedly.

    jobs: number of processes, 0 for one per usable core
    """
    jobs = jobs or usable_cores()
    total = multiprocessing.get_context("spawn").Value("d")
    try:
        with process_pool(jobs, _set_total, (total,)) as executor:
            yield TaskPool(executor, jobs, lambda: total.value)
    except BrokenExecutor:
        raise UserError(
            "a worker process ended unexpectedly; if memory ran out, use fewer --jobs"
        ) from None


def _set_total(total: "Synchronized[float]") -> None:
    _total.set(total)


def _run_in_process(function: Callable[[Task], Result], task: Task) -> Result:
    """Run a task in this worker process, and add its progress to the total of all workers."""
    total = _total.get()

    def add(amount: float) -> None:
        with total.get_lock():
            total.value += amount

    return run_task(function, task, f"process {os.getpid()}", add)


@contextmanager
def process_pool(
    workers: int, initializer: Callable[..., object] = int, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Yield an executor with spawned worker processes; all have ended when the block is left.

    An error in the block, or Ctrl-C, kills them.

    workers: number of processes
    initializer: function that is called first in each worker; int, the default, does nothing
    arguments: arguments of the initializer
    """
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # TensorFlow and Numba do not survive a fork
    pool = ProcessPoolExecutor(workers, context, _initialize_worker, (initializer, arguments))
    processes: set[multiprocessing.process.BaseProcess] = set()
    try:
        # Start all workers now: a process keeps Ctrl-C blocked only if it starts in this block. The
        # executor starts a worker with a task, unless one is idle; so submit tasks that do nothing.
        with interrupts_kept_from_children():
            while len(processes) < workers:
                pool.submit(int)
                processes = set(multiprocessing.active_children()) - before
        yield pool
    except BaseException:
        for process in processes:
            process.kill()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _initialize_worker(initializer: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    become_worker()
    initializer(*arguments)
