"""Compute results ahead of time in worker threads or processes, and give them in the order of their inputs."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from bcclone.system.child_process import interrupts_kept_from_children

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def prefetch_ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | Executor,
    ahead: int,
) -> Iterator[Iterator[Result]]:
    """Give the results of function(item), in the order of the items.

    Items are taken one by one in the calling thread. At most `ahead` of them are computed, or wait to be collected,
    beyond the result that the caller holds; the next one is submitted when the caller asks for the next result. An
    error, of the function or of the items, is raised when its result is asked for, after all results before it.
    Leaving the block cancels the calls that have not begun and waits for the others.

    workers: how many threads, which end with the block, or an executor, which stays open; ahead: 1 or more.
    """
    executor = ThreadPoolExecutor(workers, "bcclone-prefetch") if isinstance(workers, int) else workers
    pending: deque[Future[Result]] = deque()
    try:
        yield _results(function, iter(items), executor, ahead, pending)
    finally:
        wait([future for future in pending if not future.cancel()])
        if isinstance(workers, int):
            executor.shutdown()


def _results(
    function: Callable[[Item], Result],
    items: Iterator[Item],
    executor: Executor,
    ahead: int,
    pending: deque[Future[Result]],
) -> Iterator[Result]:
    submitted_all = False
    while True:
        while len(pending) < ahead and not submitted_all:
            future = _submit_next(function, items, executor)
            if future is None:
                submitted_all = True
            else:
                pending.append(future)
                submitted_all = future.done() and future.exception() is not None
                del future  # its result's memory is used again as soon as the caller drops it
        if not pending:
            return
        yield pending.popleft().result()


def _submit_next(
    function: Callable[[Item], Result], items: Iterator[Item], executor: Executor
) -> "Future[Result] | None":
    """Submit the next item, None when there is none; an error of the items or the executor becomes a failed future."""
    try:
        item = next(items)
        with interrupts_kept_from_children():  # an executor may start a process with a task
            return executor.submit(function, item)
    except StopIteration:
        return None
    except Exception as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        return failed
