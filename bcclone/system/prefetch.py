"""Compute results ahead of time in threads: items -> results, in the order of the items."""

import atexit
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from bcclone.system.hardware import usable_cores
from bcclone.system.progress import ProgressBar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def prefetch_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Iterator[Result]]:
    """Yield an iterator of the results of function(item), in the order of the items.

    An idle thread takes the next item, so that what makes the items runs ahead, too;
    concurrent.futures would take them in the caller's thread, and would need 20 us more for each,
    with which a feed gives up to a quarter fewer samples. An error of the function, or of the
    iterator of the items, is raised when its result is asked for, after all results before it. The
    threads end when the block or the process ends; calls that have begun are finished first.

    threads: how many; 0 to call the function in the caller's thread when a result is asked for
    ahead: how many results, 1 or more, may be in work or ready, besides the one that the caller got
        last
    """
    if not threads:
        yield map(function, items)
        return
    prefetch = _Prefetch(function, items, threads, ahead)
    # a daemon thread that is inside OpenCV while Python shuts down would abort the process
    atexit.register(prefetch.end)
    try:
        for thread in prefetch.threads:
            thread.start()
        yield prefetch.results()
    finally:
        prefetch.end()
        atexit.unregister(prefetch.end)


class _Prefetch:
    """The threads of prefetch_ordered()."""

    def __init__(
        self, function: Callable[[Any], Any], items: Iterable[Any], threads: int, ahead: int
    ) -> None:
        self._function = function
        self._items = iter(items)
        self._taking = threading.Lock()  # held while an item is taken: `_answers` has their order
        # for each item, in the order of the items, a queue that will get its result and its error
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # an entry makes one thread do something: True: take one more item; False: end
        self._permits: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(ahead):
            self._permits.put(True)
        self.threads = [
            threading.Thread(target=self._work, name="bcclone-prefetch", daemon=True)
            for _ in range(threads)
        ]

    def _work(self) -> None:
        while self._permits.get():
            answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
            try:
                with self._taking:
                    self._answers.put(answer)
                    item = next(self._items)
                answer.put((self._function(item), None))
                del item  # so that its memory can be used again
            except Exception as error:  # StopIteration of next() marks the end of the items
                answer.put((None, error))

    def results(self) -> Iterator[Any]:
        """Yield the results in order, until the last one or an error."""
        while True:
            result, error = self._answers.get().get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            self._permits.put(True)
            yield result

    def end(self) -> None:
        """Take back the permits that no thread has used, and end all threads that have started."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._permits.get_nowait()
        for _ in self.threads:
            self._permits.put(False)
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()


@contextmanager
def read_ahead(
    label: str, unit: str, read: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Iterator[Result]]:
    """Yield an iterator of the results of read(item), in the order of the items.

    Up to 32 results are read ahead, on all cores.

    label, unit: of the progress bar that shows them
    """

    def counted() -> Iterator[Result]:
        for result in results:
            yield result
            progress.advance(1)

    with (
        prefetch_ordered(read, items, threads=usable_cores(), ahead=32) as results,
        ProgressBar(label, len(items), unit) as progress,
    ):
        yield counted()
