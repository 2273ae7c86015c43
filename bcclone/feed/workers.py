"""Orders -> batches fetched ahead of time, by someone else than the one who trains."""

import contextlib
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from bcclone.feed.order import Order
from bcclone.feed.source import Batch

_DEPTH = 4


class Prefetch:
    """A thread that gathers the next batches while the current one is trained on.

    The thread ends when its batches are used up, the block is left, or the process ends, also where Ctrl-C came
    before the block was entered or while it was left; what the thread raises is raised here.
    """

    def __init__(self, gather: Callable[[Order], Batch], pieces: Iterator[Order], depth: int = _DEPTH) -> None:
        self._queue: queue.Queue[Batch | Exception | None] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fetch, args=(gather, pieces), name="bcclone-feed", daemon=True)
        # a daemon thread inside OpenCV when Python shuts down would abort the process
        self._end = weakref.finalize(self, _end, self._thread, self._stop, self._queue)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self._thread, self._stop, self._queue)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def _fetch(self, gather: Callable[[Order], Batch], pieces: Iterator[Order]) -> None:
        try:
            for piece in pieces:
                if self._stop.is_set():
                    return
                self._queue.put(gather(piece))
            self._queue.put(None)
        except Exception as error:  # the trainer must hear of it, or it would wait for ever
            self._queue.put(error)


def _end(thread: threading.Thread, stop: threading.Event, results: queue.Queue[Batch | Exception | None]) -> None:
    stop.set()
    while thread.is_alive():
        with contextlib.suppress(queue.Empty):  # it may be waiting for room
            results.get(timeout=0.05)
