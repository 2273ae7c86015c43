"""Read the parts of a store that an order needs from the disk ahead of time, in long sequential reads.

A memory map reads page by page; a disk is many times faster with long reads. The data read here is discarded: the
system caches it, and the memory map finds it in the cache.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

import numpy as np

from bcclone.feed.order import Order, batches
from bcclone.feed.source import StoreSource

_WINDOWS_AHEAD = 2
_SCRATCH_BYTES = 1 << 18
_READS_AT_ONCE = 32
_GAP_FRAMES = 16  # gaps up to this size are read, too, rather than starting a new read


class ReadAhead:
    """A thread that reads the frames of an order into the system's cache, `window` samples at a time.

    When a read fails the thread only stops: the memory map then reads, or fails, by itself.
    """

    def __init__(self, source: StoreSource, order: Order, window: int) -> None:
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
        with contextlib.suppress(OSError), self._released_at_the_end(), FileIO(self._source.path) as file:
            scratch = memoryview(bytearray(_SCRATCH_BYTES))
            for window in batches(self._order, self._window):
                self._room.acquire()
                self._read_window(file, window, scratch)
                if self._stop.is_set():
                    return
                self._ready.release()

    def _read_window(self, file: FileIO, window: Order, scratch: memoryview) -> None:
        for first, last in stretches(self._source.arrays.frame[window]):
            if self._stop.is_set():
                return
            _read(file, *self._source.bytes_of(first, last), scratch)

    @contextmanager
    def _released_at_the_end(self) -> Iterator[None]:
        """Release all waits when the thread ends."""
        try:
            yield
        finally:
            self._ready.release(len(self._order) // self._window + 1)


def stretches(frames: Order) -> Iterator[tuple[int, int]]:
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
