"""Fetch batches with a thread of this process, and read the store ahead of time for those that need it.

A memory map reads page by page; a disk is many times faster with long sequential reads. The data read ahead is
discarded: the system caches it, and the memory map finds it in the cache.
"""

import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import FileIO
from itertools import chain
from typing import Self

import numpy as np

from bcclone.feed.feed import Batch
from bcclone.feed.order import Order, batches
from bcclone.feed.source import FrameSource, Reader, Source

_BATCHES_AHEAD = 4
_WINDOWS_AHEAD = 2
_SCRATCH_BYTES = 1 << 18
_READS_AT_ONCE = 32
_GAP_FRAMES = 16  # gaps up to this size are read, too, rather than starting a new read
_Result = Batch | Exception | None  # of the thread that prefetches


class ThreadFetcher:
    """Read batches ahead of time in a thread. ahead: number of batches, 0 for the default."""

    def __init__(self, source: Source, batch_size: int, ahead: int = 0) -> None:
        self._source, self._batch_size, self._ahead = source, batch_size, ahead or _BATCHES_AHEAD
        self._reader = Reader(source, batch_size, kept=self._ahead + 2)

    def fetch(self, order: Order) -> AbstractContextManager[Iterator[Batch]]:
        """Return the batches of these positions."""
        return PrefetchThread(self._batches(order), self._ahead)

    def _batches(self, order: Order) -> Iterator[Batch]:
        for positions in batches(order, self._batch_size):
            yield self._reader.read(positions)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class ReadAheadFetcher(ThreadFetcher):
    """Fill batches from parts of the store that have just been read from the disk. window: samples read at once."""

    def __init__(self, source: FrameSource, batch_size: int, ahead: int, window: int) -> None:
        super().__init__(source, batch_size, ahead)
        self._store_source, self._window = source, window

    def _batches(self, order: Order) -> Iterator[Batch]:
        done = 0
        with ReadAhead(self._store_source, order, self._window).running() as reader:
            for positions in batches(order, self._batch_size):
                done += len(positions)
                reader.wait_for(done)
                yield self._reader.read(positions)


class PrefetchThread:
    """A thread that takes up to `ahead` batches from an iterator while the current one is trained on.

    The thread ends with the iterator, the block or the process, even if Ctrl-C comes before the block is entered or
    while it is left; then it closes the iterator. Errors in the thread are raised by next().
    """

    def __init__(self, batches: Iterator[Batch], ahead: int) -> None:
        # SimpleQueue costs a tenth of queue.Queue; each token permits the thread to take one more batch
        self._results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(ahead):
            self._tokens.put(True)
        work = (batches, self._tokens, self._results)
        self._thread = threading.Thread(target=_take_all, args=work, name="bcclone-feed", daemon=True)
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
        self._results.put(result)  # for the next call
        if result is None:
            raise StopIteration
        raise result


def _take_all(
    batches: Iterator[Batch], tokens: "queue.SimpleQueue[bool]", results: "queue.SimpleQueue[_Result]"
) -> None:
    try:
        while tokens.get() and (batch := next(batches, None)) is not None:
            results.put(batch)
            del batch  # so that its memory can be reused
        results.put(None)
    except Exception as error:  # raised by next() in the trainer
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


class ReadAhead:
    """A thread that reads the frames of an order into the system's cache, `window` samples at a time.

    When a read fails the thread only stops: the memory map then reads, or fails, by itself.
    """

    def __init__(self, source: FrameSource, order: Order, window: int) -> None:
        self._source, self._order, self._window = source, order, window
        self._room, self._ready = threading.Semaphore(_WINDOWS_AHEAD), threading.Semaphore(0)
        self._stop = threading.Event()
        self._waited = 0

    @contextmanager
    def running(self) -> Iterator["ReadAhead"]:
        """Read ahead until the block is left."""
        thread = threading.Thread(target=self._read_all, name="bcclone-read-ahead", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._room.release()
            thread.join()

    def wait_for(self, end: int) -> None:
        """Wait until the frames of all samples before `end` have been read; call it with rising values."""
        while self._waited * self._window < end:
            if self._waited:
                self._room.release()
            self._ready.acquire()
            self._waited += 1

    def _read_all(self) -> None:
        with contextlib.suppress(OSError), self._released_at_the_end():
            scratch = memoryview(bytearray(_SCRATCH_BYTES))
            for window in batches(self._order, self._window):
                self._room.acquire()
                self._read_window(window, scratch)
                if self._stop.is_set():
                    return
                self._ready.release()

    def _read_window(self, window: Order, scratch: memoryview) -> None:
        with ExitStack() as files:
            opened: FileIO | None = None
            ranges = frame_ranges(self._source.arrays.frame[window])
            frames = self._source.frames
            for file, start, size in chain.from_iterable(frames.stretches(*each) for each in ranges):
                if self._stop.is_set():
                    return
                if opened is None or opened.name != file.path:
                    files.close()
                    opened = files.enter_context(FileIO(file.path))
                _read(opened, start, size, scratch)

    @contextmanager
    def _released_at_the_end(self) -> Iterator[None]:
        """Release all waits when the thread ends."""
        try:
            yield
        finally:
            self._ready.release(len(self._order) // self._window + 1)


def frame_ranges(frames: Order) -> Iterator[tuple[int, int]]:
    """Yield the first and the last frame of each run of frames without large gaps."""
    numbers = np.unique(frames).astype(np.int64)
    ends = np.flatnonzero(np.diff(numbers) > _GAP_FRAMES)
    yield from zip(numbers[np.append(0, ends + 1)].tolist(), numbers[np.append(ends, -1)].tolist(), strict=True)


def _read(file: FileIO, start: int, size: int, scratch: memoryview) -> None:
    """Read and discard bytes in few calls, since each waits for the interpreter lock afterwards."""
    end = start + size
    while start < end:
        if hasattr(os, "preadv"):
            count = min(-(-(end - start) // len(scratch)), _READS_AT_ONCE)
            read = os.preadv(file.fileno(), [scratch] * count, start)
        else:
            file.seek(start)
            read = file.readinto(scratch) or 0
        if not read:
            return
        start += read
