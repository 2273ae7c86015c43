"""Run a function over tasks in processes; keep the results of earlier runs.

open_pool() has processes of this machine, or the workers of a Dask cluster. run_kept() runs only
the tasks whose results no earlier run has kept in a folder, so that a killed command continues
where it stopped.
"""

import contextlib
import errno
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
)
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from bcclone.system.codec import from_text, read_bytes
from bcclone.system.errors import UserError, first_line, require_package
from bcclone.system.files import write_text
from bcclone.system.hardware import usable_cores
from bcclone.system.interrupts import interrupts_kept_from_children
from bcclone.system.process import become_worker, claim_process, is_own_process, loggers_kept
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.settings import Setting, SettingError
from bcclone.system.values import json_text

Item = TypeVar("Item")
Result = TypeVar("Result")

Jobs = Annotated[
    int,
    Setting("processes that work in parallel", 1, 256, unit="N", zero="one per core"),
]
Scheduler = Annotated[
    str,
    Setting(
        "work on the Dask cluster of this scheduler, such as tcp://HOST:8786, whose workers need "
        "the same files at the same paths",
        unit="ADDRESS",
        shown="none",
    ),
]


def check_one_pool(scheduler: str, jobs: int) -> None:
    """Raise SettingError if both a scheduler and a number of processes are given."""
    if scheduler and jobs:
        raise SettingError(
            "{jobs} are processes of this machine, but {scheduler} is given; leave {jobs} out"
        )


# ---- pools of processes

# errors of semaphores, which Linux keeps in the folder /dev/shm
_OF_SHARED_MEMORY = (errno.EACCES, errno.ENOENT, errno.ENOSPC, errno.ENOSYS, errno.EROFS)


@contextmanager
def open_pool(jobs: int = 0, scheduler: str = "") -> Iterator[Executor]:
    """Yield an executor; its processes have all ended when the block is left.

    An error in the block, or Ctrl-C, kills them. Raises UserError if workers end unexpectedly, or
    the scheduler does not answer.

    jobs: number of processes of this machine, 0 for one per usable core
    scheduler: address of a Dask scheduler, to work on its cluster instead
    """
    if scheduler:
        with _cluster(scheduler) as executor:
            yield executor
        return
    # A worker imports the user's program, and runs what stands there without a guard. Python asks
    # in this way, too; the error of open_pool() in the first process says how to mend it.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)
    context = multiprocessing.get_context("spawn")  # TensorFlow and Numba do not survive a fork
    try:
        pool = _ProcessPool(jobs or usable_cores(), context, become_worker)
    except OSError as error:
        if error.errno not in _OF_SHARED_MEMORY:
            raise
        raise UserError(
            "processes that work in parallel share memory, which this machine does not offer: "
            f"/dev/shm: {error.strerror}; let it be a folder in memory that can be written, as "
            "docker run --shm-size 64m makes it"
        ) from None
    try:
        yield pool
    except BaseException as error:
        pool.kill()
        if isinstance(error, BrokenExecutor):
            guard = ""
            if not is_own_process():
                guard = "each worker imports your program, so put its main code under "
                guard += '`if __name__ == "__main__":`; '
            raise UserError(
                f"a worker process ended unexpectedly; {guard}if memory, processes or threads ran "
                "out, close other programs, or use fewer --jobs"
            ) from None
        raise
    finally:
        pool.shutdown()


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    """Yield an executor of the workers of a Dask cluster."""
    require_package("distributed", "--scheduler", "bcclone[cluster]")
    from distributed import Client, KilledWorker

    # these print tracebacks when a connection ends
    loggers = ("distributed", "distributed.client", "tornado.application", "asyncio")
    with loggers_kept(*loggers, silent=True):
        try:
            client = Client(scheduler, timeout=8, set_as_default=False)
            client.wait_for_workers(1, timeout=10)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no Dask cluster answers at {scheduler} ({first_line(error)}); start a scheduler, "
                f"and a worker on each machine: dask worker {scheduler}"
            ) from None
        try:
            with client:
                # pure=False: Dask runs equal tasks again, instead of returning the first result
                yield client.get_executor(pure=False)
        except (KilledWorker, CancelledError):
            raise UserError(
                f"the Dask scheduler at {scheduler}, or several of its workers, ended; start them "
                "again, fewer workers on a machine if memory ran out, and run the same command "
                "again, with --resume if it has that"
            ) from None


_END_SECONDS = 2.0  # longest wait for workers that were asked to end; then they are killed


class _ProcessPool(ProcessPoolExecutor):
    """Starts its processes, which it does when it gets a task, without Ctrl-C."""

    def submit(self, *arguments: Any, **options: Any) -> "Future[Any]":
        # Its own thread would start this thread for the first task, and if that cannot start, end
        # without a word: the tasks would wait for ever. Here, that raises RuntimeError
        queue = vars(self)["_call_queue"]  # which mypy does not know; None after shutdown()
        if queue is not None and queue._thread is None:
            queue._start_thread()
        with interrupts_kept_from_children():
            return super().submit(*arguments, **options)

    def kill(self) -> None:
        processes = list(self._processes.values())  # Python 3.14 has kill_workers()
        # first, because the executor prints a traceback if a worker ends while tasks are cancelled
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()  # so that it removes the temporary file that it was writing
        until = time.monotonic() + _END_SECONDS
        for process in processes:
            process.join(max(until - time.monotonic(), 0.0))
            process.kill()  # of no effect where it has ended


def run_tasks(
    pool: Executor, function: Callable[[Item], Result], tasks: Iterable[Item]
) -> Iterator[tuple[int, Result]]:
    """Yield the index of each task and its result, in the order in which the tasks complete.

    Raises whatever a task raises; tasks that have not started are then cancelled.

    function: a function of a module, which can be pickled, as each task
    """
    futures = {pool.submit(_run, function, task): index for index, task in enumerate(tasks)}
    try:
        for future in as_completed(list(futures)):
            yield futures.pop(future), future.result()
    except BaseException as error:
        if not isinstance(error, BrokenExecutor):  # after which the executor ends them all
            for future in futures:
                future.cancel()
        raise


def _run(function: Callable[[Item], Result], task: Item) -> Result:
    """Run a task in a worker.

    A worker of Dask becomes a process of bcclone's own here, until it ends: TensorFlow cannot take
    back its threads and devices.
    """
    claim_process()
    return function(task)


# ---- kept results


def find_kept(folder: Path | None, kind: type[Result], key: str) -> Result | None:
    """Return the result that was kept in a folder under a key, None if there is no readable one.

    folder: None if nothing is kept
    kind: dataclass of the result
    """
    try:
        return from_text(kind, read_bytes(folder / f"{key}.json", "json")) if folder else None
    except (OSError, ValueError):
        return None


def keep(folder: Path | None, key: str, result: Result) -> Result:
    """Write a result into the file KEY.json of a folder, whole or not at all, and return it."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{key}.json", json_text(result))
    return result


def run_kept(
    pool: Executor | int,
    function: Callable[[Any], Result],
    tasks: Sequence[Any],
    folder: Path | None,
    kind: Any,
    *,
    label: str,
    unit: str,
    noun: str,
    notify: Notify = lambda line: None,
) -> list[Result]:
    """Return the result of each task, in the order of the tasks; keep the results of new ones.

    A task whose result is kept already is not run. Raises as run_tasks() does.

    pool: the workers, or how many processes to start at most, 0 for one per usable core
    tasks: each has a `key`, a text that differs wherever its result could differ, or "" if its
        result is not kept; and a `size` in the unit of the progress bar
    folder: of the kept results; None to keep nothing
    kind: dataclass of the results
    label, unit: of the progress bar
    noun: what the tasks are called, in the plural, such as "drives"
    notify: called with a line on the results that were kept already
    """
    results: dict[int, Result] = {}
    for index, task in enumerate(tasks):
        if task.key and (result := find_kept(folder, kind, task.key)):
            results[index] = result
    left = [index for index in range(len(tasks)) if index not in results]
    if results:
        notify(f"{len(results)} of {len(tasks)} {noun} are finished already, in {folder}")
    if left:
        with contextlib.ExitStack() as stack:
            if isinstance(pool, int):
                pool = stack.enter_context(open_pool(min(pool or usable_cores(), len(left))))
            total = round(sum(tasks[index].size for index in left))
            progress = stack.enter_context(ProgressBar(label, total, unit))
            for number, result in run_tasks(pool, function, [tasks[index] for index in left]):
                task = tasks[left[number]]
                if task.key:
                    keep(folder, task.key, result)
                results[left[number]] = result
                progress.advance(task.size, f"{len(results)} of {len(tasks)} {noun} done")
    return [results[index] for index in range(len(tasks))]
