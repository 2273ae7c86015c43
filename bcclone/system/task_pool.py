"""Run a function over tasks in processes of this machine, or on a cluster; keep the results of
finished tasks.

In: a function, its tasks, and perhaps a folder. Out: the results. After a fault of a worker, its
task is run again.
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
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Generic, TypeVar

from bcclone.system.atomic import write_text
from bcclone.system.codec import from_text, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.interrupts import become_worker, interrupts_kept_from_children
from bcclone.system.json_values import json_text
from bcclone.system.progress import Notify, ProgressBar

_RETRIES = 3
_TASKS_PER_WORKER = 3  # one that runs, and others that wait for it to end
_SECONDS_BETWEEN_REPORTS = 0.25
_LONGEST_NAME = 200  # characters of a task that an error repeats
_PACKAGE = Path(__file__).parents[1]
_SOURCES = (".py", ".csv")

Task = TypeVar("Task")
Result = TypeVar("Result")


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
    """Raise it in a task for a fault of the worker and not of the input, such as a full disk or a
    missing file.

    The task is tried again, elsewhere if possible. After several faults the pool raises a UserError
    with this text.
    """


# a worker may run tasks in several threads
_report: ContextVar[Callable[[float], object]] = ContextVar("report", default=lambda amount: None)


def report_progress(amount: float) -> None:
    """Add to the progress of the task that this thread runs; does nothing outside of a pool. May be
    called often.
    """
    _report.get()(amount)


def run_task(
    function: Callable[[Task], Result], task: Task, worker: str, report: Callable[[float], object]
) -> Result:
    """Run a task in this thread, and return its result.

    worker: name of this worker, which is added to a WorkerFault; report: receives what the task
    reports.
    """
    token = _report.set(report)
    try:
        return function(task)
    except WorkerFault as fault:
        raise WorkerFault(str(fault), worker) from None
    finally:
        _report.reset(token)


class TaskPool:
    """Workers of this machine; a subclass has those of a cluster.

    workers: how many tasks run side by side; reported: returns how much progress all tasks have
    reported so far.
    """

    def __init__(self, executor: Executor, workers: int, reported: Callable[[], float]) -> None:
        self._executor, self._workers, self.reported = executor, workers, reported

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
        """Yield the index of each task and its result, as they complete; one run at a time.

        function, tasks: picklable, the function by its name in a module. Tasks start in their
        order, and are taken when workers are about to need them, so that not all of them are in
        memory. on_progress: receives what the tasks report by report_progress(). Raises UserError,
        and whatever a task raises; tasks that have not started are then cancelled.
        """
        pending: dict[
            Future[Result], tuple[int, Task, tuple[str, ...]]
        ] = {}  # and the workers where it failed
        waiting, reported = enumerate(tasks), self.reported()
        try:
            while True:
                for index, task in islice(
                    waiting, max(_TASKS_PER_WORKER * max(self.workers, 1) - len(pending), 0)
                ):
                    pending[self.submit(function, task, ())] = index, task, ()
                if not pending:
                    return
                done, _ = wait(pending, _SECONDS_BETWEEN_REPORTS, FIRST_COMPLETED)
                results = self._results(done, pending, function)
                before, reported = reported, self.reported()
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
        pending: "dict[Future[Result], tuple[int, Task, tuple[str, ...]]]",
        function: Callable[[Task], Result],
    ) -> list[tuple[int, Result]]:
        """Return index and result of each task that is done; repeat those that met a fault."""
        results = []
        for future in done:
            index, task, faulty = pending.pop(future)
            try:
                results.append((index, future.result()))
            except WorkerFault as fault:
                reason, worker = fault.args
                if len(faulty) == _RETRIES:
                    raise UserError(
                        f"{str(task)[:_LONGEST_NAME]}: failed {_RETRIES + 1} times, at last on worker {worker}: "
                        f"{reason}; mend the worker and run the same command again"
                    ) from None
                faulty = (*faulty, worker)
                pending[self.submit(function, task, faulty)] = index, task, faulty
        return results

    def submit(
        self, function: Callable[[Task], Result], task: Task, faulty: Sequence[str]
    ) -> "Future[Result]":
        """Start a task, on a worker that is not named as faulty if there is another one."""
        return self._executor.submit(_run_in_process, function, task)

    def check(self) -> None:
        """Raise UserError if nothing can complete any more; called while nothing happens."""

    def explain(self, error: Exception) -> None:
        """Raise the UserError for this error if the cluster failed; return if the task did."""


# set once in each worker process: what all of them have reported
_total: "ContextVar[Synchronized[float]]" = ContextVar("total")


@contextmanager
def open_pool(jobs: int = 0) -> Iterator[TaskPool]:
    """Yield a pool of processes of this machine, which have ended when the block is left. Raises
    UserError.

    jobs: number of processes, 0 for one per usable core.
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

    An error in the block, or Ctrl-C, kills them. initializer, arguments: called first in each
    worker; int does nothing.
    """
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # TensorFlow and Numba do not survive a fork
    pool = ProcessPoolExecutor(workers, context, _initialize_worker, (initializer, arguments))
    processes: set[multiprocessing.process.BaseProcess] = set()
    try:
        with interrupts_kept_from_children():
            while len(processes) < workers:  # a task starts a worker, unless one is idle
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


@dataclass(frozen=True)
class FinishedSteps(Generic[Result]):
    """The results of finished steps in a folder, so that a command that was killed continues after
    the last of them.

    kind: dataclass of the results. A step has a key, which says all that its result depends on. Its
    file KEY.json is written whole or not at all; without a folder nothing is kept.
    """

    folder: Path | None
    kind: type[Result]

    def find(self, key: str) -> Result | None:
        """Return the result of a step that was finished before, None if there is none that can be
        read.
        """
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
    """How a run is shown: label and unit of its progress bar, what a task is called, and who
    receives other lines.
    """

    label: str
    unit: str
    noun: str
    notify: Notify = lambda line: None


def run_kept(
    pool: TaskPool | int,
    function: Callable[[Any], Result],
    tasks: Sequence[Any],
    kept: FinishedSteps[Any],
    shown: Shown,
) -> list[Result]:
    """Return the result of each task, in their order; those that are kept already are not run
    again.

    pool: the workers, or how many processes to start at most, 0 for one per usable core; tasks:
    each has a `key`, which says all that its result depends on, "" to keep none, and a `size`, its
    progress in units; kept: receives each result as soon as it is there. Raises as TaskPool.run()
    does.
    """
    results = {
        index: result
        for index, task in enumerate(tasks)
        if task.key and (result := kept.find(task.key))
    }
    left = [index for index in range(len(tasks)) if index not in results]
    if results:
        shown.notify(
            f"{len(results)} of {len(tasks)} {shown.noun} are finished already, in {kept.folder}"
        )
    if left:
        total = round(sum(tasks[index].size for index in left))
        opened = (
            open_pool(min(pool or usable_cores(), len(left)))
            if isinstance(pool, int)
            else nullcontext(pool)
        )
        with opened as workers, ProgressBar(shown.label, total, shown.unit) as progress:

            def advance(amount: float) -> None:
                progress.advance(amount, f"{len(results)} of {len(tasks)} {shown.noun} done")

            for number, result in workers.run(function, [tasks[index] for index in left], advance):
                index = left[number]
                results[index] = kept.keep(tasks[index].key, result) if tasks[index].key else result
            advance(max(total - progress.done, 0.0))  # some may have ended early
    return [results[index] for index in range(len(tasks))]
