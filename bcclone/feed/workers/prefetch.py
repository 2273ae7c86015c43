"""Any batches -> the same batches, got ahead of time by a thread."""

import contextlib
import queue
import threading
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from bcclone.feed.batch import Batch

_Results = queue.Queue[Batch | Exception | None]


class Prefetch:
    """A thread that gets the next batches while the current one is trained on.

    The thread ends when its batches are used up, the block is left, or the process ends, also where Ctrl-C came
    before the block was entered or while it was left; what the thread raises is raised here. batches: closed by the
    thread when it ends.
    """

    def __init__(self, batches: Iterator[Batch], ahead: int) -> None:
        self._results: _Results = queue.Queue(ahead)
        self._stop = threading.Event()
        work = (batches, self._results, self._stop)
        self._thread = threading.Thread(target=_get_all, args=work, name="bcclone-feed", daemon=True)
        # a daemon thread inside OpenCV when Python shuts down would abort the process
        weakref.finalize(self, _end, self._thread, self._stop, self._results)

    def __enter__(self) -> Iterator[Batch]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self._thread, self._stop, self._results)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        item = self._results.get()
        if isinstance(item, Batch):
            return item
        self._results.put(item)  # asked again, it ends again
        if item is None:
            raise StopIteration
        raise item


def _get_all(batches: Iterator[Batch], results: _Results, stop: threading.Event) -> None:
    try:
        for batch in batches:
            results.put(batch)
            if stop.is_set():
                break
        results.put(None)
    except Exception as error:  # the trainer must hear of it, or it would wait for ever
        results.put(error)
    finally:
        if hasattr(batches, "close"):
            batches.close()


def _end(thread: threading.Thread, stop: threading.Event, results: _Results) -> None:
    stop.set()
    while thread.is_alive():
        with contextlib.suppress(queue.Empty):  # it may be waiting for room
            results.get(timeout=0.05)
