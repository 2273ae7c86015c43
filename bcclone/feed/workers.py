"""Orders -> batches fetched ahead of time, by someone else than the one who trains."""

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from bcclone.feed.order import Order
from bcclone.feed.source import Batch

_DEPTH = 4


class Prefetch:
    """A thread that gathers the next batches while the current one is trained on.

    The thread ends when its batches are used up or the block is left; what it raises is raised here.
    """

    def __init__(self, gather: Callable[[Order], Batch], pieces: Iterator[Order], depth: int = _DEPTH) -> None:
        self._queue: queue.Queue[Batch | Exception | None] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fetch, args=(gather, pieces), name="bcclone-feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:  # it may be waiting for room
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

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
