"""Compute results ahead of time in threads, and give them in the order of their inputs.

concurrent.futures does the same, and costs a fifth more with small batches: its futures wait on
condition variables.
"""

import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from bcclone.system.progress import ProgressBar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def prefetch_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Iterator[Result]]:
    """Give the results of function(item), in the order of the items.

    An idle thread takes the next item. At most `ahead` results are being computed or wait for the
    caller, beyond the one that the caller has. An error, of the function
    or of the items, is raised when its result is asked for, after all results before it. The
    threads end with the block or the process, and finish the calls that have begun.

        threads: 0 to call the function in the caller's thread, when a result is asked for
        ahead: 1 or more
    """
    if not threads:
        yield map(function, items)
        return
    permits: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: take one more item; False: end
    # for each item, in their order, a queue that gets its result
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(ahead):
        permits.put(True)
    work = (function, iter(items), threading.Lock(), permits, results)
    workers = [
        threading.Thread(target=_work, args=work, name="bcclone-prefetch", daemon=True)
        for _ in range(threads)
    ]
    # a daemon thread inside OpenCV when Python shuts down would abort the process
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
    """Give the results of read(item) in order, 32 ahead on all cores, with a progress bar.

    unit: what an item is called in the bar, such as "images"
    """

    def counted(results: Iterator[Result], progress: ProgressBar) -> Iterator[Result]:
        for result in results:
            yield result
            progress.advance(1)

    with prefetch_ordered(read, items, os.cpu_count() or 1, 32) as results:
        if not shows_progress:
            yield results
            return
        with ProgressBar(label, len(items), unit) as progress:
            yield counted(results, progress)


class _Failed(NamedTuple):
    error: Exception


def _work(
    function: Callable[[Item], Result],
    items: Iterator[Item],
    taking: threading.Lock,
    permits: "queue.SimpleQueue[bool]",
    results: "queue.SimpleQueue[Any]",
) -> None:
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
    with contextlib.suppress(queue.Empty):
        while True:
            permits.get_nowait()
    for _ in workers:
        permits.put(False)
    for worker in workers:
        if worker.ident is not None:
            worker.join()
