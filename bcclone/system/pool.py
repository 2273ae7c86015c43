"""Run a function over tasks in processes or threads; keep the results of earlier runs.

open_pool() has processes of this machine, and a cluster has its own. prefetch_ordered() computes
results ahead of time in threads. run_kept() runs only the tasks whose results no earlier run has
kept in a folder, so that a killed command continues where it stopped.
"""

import contextlib
import hashlib
import multiprocessing
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from bcclone.system.codec import from_text, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.files import write_text
from bcclone.system.hardware import usable_cores
from bcclone.system.process import Notify, ProgressBar, become_worker, interrupts_kept_from_children
from bcclone.system.values import json_text

_RETRIES = 3  # how often a task is run again after a fault of its worker
_TASKS_PER_WORKER = 3  # one that runs, and two that wait for it to end
_SECONDS_BETWEEN_REPORTS = 0.25
_LONGEST_NAME = 200  # characters of a task that an error repeats
_PACKAGE = Path(__file__).parents[1]  # the folder bcclone
_SOURCES = (".py", ".csv")  # endings of the files that source_digest() covers

Item = TypeVar("Item")
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


@contextlib.contextmanager
def prefetch_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Iterator[Result]]:
    """Yield an iterator of the results of function(item), in the order of the items.

    An idle thread takes the next item. An error of the function, or of the iterator of the items,
    is raised when its result is asked for, after all results before it. The threads end when the
    block or the process ends; calls that have begun are finished first.

        threads: how many; 0 to call the function in the caller's thread when a result is asked for
        ahead: how many results, 1 or more, may be in work or ready, besides the one that the caller
            got last
    """
    if not threads:
        yield map(function, items)
        return
    # an entry makes one thread do something: True: take one more item; False: end
    permits: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # for each item, in the order of the items, a queue that will get its result
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(ahead):
        permits.put(True)
    work = (function, iter(items), threading.Lock(), permits, results)
    workers = [
        threading.Thread(target=_work, args=work, name="bcclone-prefetch", daemon=True)
        for _ in range(threads)
    ]
    # end the threads also when the process ends: a daemon thread that is inside OpenCV while Python
    # shuts down would abort the process
    end = weakref.finalize(workers[0], _end, workers, permits)
    try:
        for worker in workers:
            worker.start()
        yield _collected(permits, results)
    finally:
        end()


@contextlib.contextmanager
def read_ahead(
    label: str,
    unit: str,
    read: Callable[[Item], Result],
    items: Sequence[Item],
    shows_progress: bool = True,
) -> Iterator[Iterator[Result]]:
    """Yield an iterator of the results of read(item), in the order of the items.

    Up to 32 results are read ahead, on all cores. A progress bar shows them.

    label: what is done, in front of the count in the bar
    unit: what an item is called in the bar, such as "images"
    """

    def counted(results: Iterator[Result], progress: ProgressBar) -> Iterator[Result]:
        for result in results:
            yield result
            progress.advance(1)

    with prefetch_ordered(read, items, threads=os.cpu_count() or 1, ahead=32) as results:
        if not shows_progress:
            yield results
            return
        with ProgressBar(label, len(items), unit) as progress:
            yield counted(results, progress)


class _Failed(NamedTuple):
    """Stands for the result of an item whose computation raised an error."""

    error: Exception


def _work(
    function: Callable[[Item], Result],
    items: Iterator[Item],
    taking: threading.Lock,
    permits: "queue.SimpleQueue[bool]",
    results: "queue.SimpleQueue[Any]",
) -> None:
    """Compute results in a thread of prefetch_ordered(), until a permit says to end.

    taking: held while an item is taken, so that `results` has the order of the items
    """
    while permits.get():
        result: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            with taking:
                results.put(result)
                item = next(items)
            result.put(function(item))
            del item  # so that its memory can be used again
        # _collected() raises the error; StopIteration of next() marks the end of the items
        except Exception as error:
            result.put(_Failed(error))


def _collected(
    permits: "queue.SimpleQueue[bool]", results: "queue.SimpleQueue[Any]"
) -> Iterator[Any]:
    """Yield the results in order, until the last one or an error."""
    while True:
        result = results.get().get()
        if not isinstance(result, _Failed):
            permits.put(True)
            yield result
        elif isinstance(result.error, StopIteration):
            return
        else:
            raise result.error


def _end(workers: Sequence[threading.Thread], permits: "queue.SimpleQueue[bool]") -> None:
    """Take back the permits that no thread has used, and end all threads that have started."""
    with contextlib.suppress(queue.Empty):
        while True:
            permits.get_nowait()
    for _ in workers:
        permits.put(False)
    for worker in workers:
        if worker.ident is not None:
            worker.join()


@dataclass(frozen=True)
class FinishedSteps(Generic[Result]):
    """Keeps the result of each finished step, so that a killed command need not repeat the step.

    A step has a key, a text that differs wherever its result could differ. The result is in the
    file KEY.json, which is written whole or not at all.
    """

    folder: Path | None  # folder of the files; None to keep nothing
    kind: type[Result]  # dataclass of the results

    def find(self, key: str) -> Result | None:
        """Return the result that was kept for a key, None if there is no readable one."""
        if self.folder is None:
            return None
        try:
            return from_text(self.kind, read_bytes(self.folder / f"{key}.json", "json"))
        except (OSError, ValueError):
            return None

    def keep(self, key: str, result: Result) -> Result:
        """Write the result of a step, and return it."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / f"{key}.json", json_text(result))
        return result


@dataclass(frozen=True)
class Shown:
    """How the progress of a run is shown to the user."""

    label: str  # what is done; in front of the count in the progress bar
    unit: str  # what the progress bar counts, such as "rows"
    noun: str  # what the tasks are called, in the plural, such as "drives"
    notify: Notify = lambda line: None  # called with other lines for the user


def run_kept(
    pool: TaskPool | int,
    function: Callable[[Any], Result],
    tasks: Sequence[Any],
    kept: FinishedSteps[Any],
    shown: Shown,
) -> list[Result]:
    """Return the result of each task, in the order of the tasks; keep the results of new ones.

    A task whose result is kept already is not run. Raises as TaskPool.run() does.

        pool: the workers, or how many processes to start at most, 0 for one per usable core
        tasks: each has a `key` as FinishedSteps describes it, or "" if its result is not kept; and
            a `size`, the progress that it will report, in the unit of the progress bar
        kept: has the earlier results, and gets each new one as soon as it is there
    """
    results: dict[int, Result] = {}
    for index, task in enumerate(tasks):
        if task.key and (result := kept.find(task.key)):
            results[index] = result
    left = [index for index in range(len(tasks)) if index not in results]
    if results:
        shown.notify(
            f"{len(results)} of {len(tasks)} {shown.noun} are finished already, in {kept.folder}"
        )
    if not left:
        return [results[index] for index in range(len(tasks))]

    total = round(sum(tasks[index].size for index in left))
    with (
        _workers_for(pool, len(left)) as workers,
        ProgressBar(shown.label, total, shown.unit) as progress,
    ):

        def advance(amount: float) -> None:
            progress.advance(amount, f"{len(results)} of {len(tasks)} {shown.noun} done")

        for number, result in workers.run(function, [tasks[index] for index in left], advance):
            index = left[number]
            if tasks[index].key:
                kept.keep(tasks[index].key, result)
            results[index] = result
        advance(max(total - progress.done, 0.0))  # a task may end early, and report less progress
    return [results[index] for index in range(len(tasks))]


def _workers_for(pool: TaskPool | int, tasks: int) -> AbstractContextManager[TaskPool]:
    """Return a context manager of the workers: the given pool, which stays open afterwards, or new
    processes, no more than there are tasks.
    """
    if isinstance(pool, int):
        return open_pool(min(pool or usable_cores(), tasks))
    return nullcontext(pool)
