"""Source -> batches, by a thread of this process."""

import contextlib
import queue
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Self

from bcclone.feed.feed import Batch
from bcclone.feed.order import Order, batches
from bcclone.feed.source import Reader, Source

_Result = Batch | Exception | None


class Prefetch:
    """A thread that gets the next batches while the current one is trained on, at most `ahead` of them.

    The thread ends when its batches are used up, the block is left, or the process ends, also where Ctrl-C came
    before the block was entered or while it was left; what the thread raises is raised here. batches: closed by the
    thread when it ends.
    """

    def __init__(self, batches: Iterator[Batch], ahead: int) -> None:
        # these queues are of C and cost a tenth of queue.Queue; a token is leave to get one batch more
        self._results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(ahead):
            self._tokens.put(True)
        work = (batches, self._tokens, self._results)
        self._thread = threading.Thread(target=_get_all, args=work, name="bcclone-feed", daemon=True)
        # a daemon thread inside OpenCV when Python shuts down would abort the process
        weakref.finalize(self, _end, self._thread, self._tokens)

    def __enter__(self) -> Iterator[Batch]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._thread, self._tokens)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        result = self._results.get()
        if isinstance(result, Batch):
            self._tokens.put(True)
            return result
        self._results.put(result)  # asked again, it ends again
        if result is None:
            raise StopIteration
        raise result


def _get_all(
    batches: Iterator[Batch], tokens: "queue.SimpleQueue[bool]", results: "queue.SimpleQueue[_Result]"
) -> None:
    try:
        while tokens.get() and (batch := next(batches, None)) is not None:
            results.put(batch)
            del batch  # or its memory could not be used again
        results.put(None)
    except Exception as error:  # the trainer must hear of it, or it would wait for ever
        results.put(error)
    finally:
        if hasattr(batches, "close"):
            batches.close()


def _end(thread: threading.Thread, tokens: "queue.SimpleQueue[bool]") -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            tokens.get_nowait()
    tokens.put(False)
    if thread.ident is not None:
        thread.join()


_AHEAD = 4


class ThreadFetcher:
    """Fills batches ahead of time. ahead: how many, 0 for what suits most."""

    def __init__(self, source: Source, batch_size: int, ahead: int = 0) -> None:
        self._source, self._batch_size, self._ahead = source, batch_size, ahead or _AHEAD
        self._reader = Reader(source, batch_size, kept=self._ahead + 2)

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions."""
        return Prefetch(self._batches(order), self._ahead)

    def _batches(self, order: Order) -> Iterator[Batch]:
        for positions in batches(order, self._batch_size):
            yield self._reader.read(positions)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
