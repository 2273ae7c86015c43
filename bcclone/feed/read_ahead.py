"""Fetch batches from windows of samples whose frames a second thread has read shortly before.

A memory map reads page by page; a disk is many times faster with long sequential reads. The data read ahead is
discarded: the system caches it, and the memory map finds it in the cache.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from itertools import chain
from typing import Protocol

import numpy as np

from bcclone.feed.feed import Batch
from bcclone.feed.order import Order, batches
from bcclone.feed.source import FrameSource, Source
from bcclone.feed.threads import PrefetchThread, ThreadFetcher
from bcclone.system.location import as_local

_WINDOWS_AHEAD = 2  # with the one that batches are filled from
_SCRATCH_BYTES = 1 << 18
_READS_AT_ONCE = 32
_GAP_FRAMES = 16  # gaps up to this size are read, too, rather than starting a new read


Split = Callable[[Order], Sequence[Order]]


class WindowReader(Protocol):
    """Brings the frames of samples near, in a thread of its own."""

    def read(self, window: Order, stop: threading.Event) -> None:
        """Bring the frames of a window of samples near; may return early when `stop` is set. May raise UserError."""

    def release(self, window: Order) -> None:
        """Give up the frames of a window that has been read."""


class ReadAheadFetcher(ThreadFetcher):
    """Fill batches from windows that have just been read. split: divides an order into windows; reader: reads them."""

    def __init__(self, source: Source, batch_size: int, ahead: int, split: Split, reader: WindowReader) -> None:
        super().__init__(source, batch_size, ahead)
        self._split, self._window_reader = split, reader

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        windows = ReadAhead(self._window_reader, self._split(order))
        with PrefetchThread(self._filled(order, windows), self._ahead) as filled:
            try:
                yield filled
            finally:
                windows.stop()  # first, because the other thread may wait for a window

    def _filled(self, order: Order, windows: "ReadAhead") -> Iterator[Batch]:
        with windows.running():
            for positions in batches(order, self._batch_size):
                yield self._reader.read(positions, windows.parts(len(positions)))


class ReadAhead:
    """A thread that reads windows, the next one while batches are filled from the current one."""

    def __init__(self, reader: WindowReader, windows: Sequence[Order]) -> None:
        self._reader, self._windows = reader, windows
        self._room, self._ready = threading.Semaphore(_WINDOWS_AHEAD), threading.Semaphore(0)
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._number, self._left = -1, 0  # the current window, and how many of its samples are not taken yet
        self._read = 0  # number of windows read

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read ahead until the block is left."""
        thread = threading.Thread(target=self._read_all, name="bcclone-read-ahead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join()
            for window in self._windows[max(self._number, 0) : self._read]:
                self._reader.release(window)

    def stop(self) -> None:
        """Read no further; parts() raises an error instead of waiting. May be called from any thread."""
        self._stop.set()
        self._room.release()

    def parts(self, samples: int) -> Iterator[slice]:
        """Take the next samples: yield slices of them, each of one window, as soon as it has been read.

        Raises the error of the reader.
        """
        start = 0
        while start < samples:
            while not self._left:
                self._begin_next()
            end = min(start + self._left, samples)
            yield slice(start, end)
            self._left -= end - start
            start = end

    def _begin_next(self) -> None:
        if self._number >= 0:
            self._reader.release(self._windows[self._number])
            self._room.release()
        self._number += 1
        self._ready.acquire()
        if self._number >= self._read:
            raise self._error or RuntimeError("reading ahead was stopped")
        self._left = len(self._windows[self._number])

    def _read_all(self) -> None:
        try:
            for window in self._windows:
                self._room.acquire()
                if self._stop.is_set():
                    return
                self._reader.read(window, self._stop)
                self._read += 1
                self._ready.release()
        except Exception as error:  # raised by parts()
            self._error = error
        finally:
            self._ready.release(len(self._windows) + 1)  # nobody waits any more


class SystemCacheReader:
    """Reads frames into the system's cache. When a read fails, the memory map then reads, or fails, by itself."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))

    def read(self, window: Order, stop: threading.Event) -> None:
        """Read the frames of a window of samples."""
        frames = self._source.frames
        with contextlib.suppress(OSError), ExitStack() as files:
            opened: FileIO | None = None
            ranges = frame_ranges(self._source.arrays.frame[window])
            for file, start, size in chain.from_iterable(frames.stretches(*each) for each in ranges):
                if stop.is_set():
                    return
                path = as_local(file.path)
                if opened is None or opened.name != path:
                    files.close()
                    opened = files.enter_context(FileIO(path))
                _read(opened, start, size, self._scratch)

    def release(self, window: Order) -> None:
        """Do nothing; the system evicts what it needs the memory of."""


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
