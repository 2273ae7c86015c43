"""Compute results ahead of time in threads, and yield them in the order of their inputs.

In: a function and its inputs. Out: an iterator of the results; an error is raised where its result
is due. concurrent.futures does the same, but takes a fifth more time with small batches: its
futures wait on condition variables.
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
