"""The feeds "hdf5-chunks" and "shards", for stores larger than memory: a thread reads the next window of samples.

In: positions, and how they are split into windows. Out: batches.

A window is a chunk of the store, or some of its files, which may be far away.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bcclone.dataset.frames import Frames
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import EpochOrder, Order, batches, split_into_windows
from bcclone.feed.selection import Selection
from bcclone.feed.source import Batch, FrameSource
from bcclone.feed.threads import PrefetchThread, ThreadFetcher

_WINDOWS_AHEAD = 2  # with the one that batches are filled from


def hdf5_chunks(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "ReadAheadFetcher":
    """Read chunks of the store ahead."""

    def split(order: Order) -> list[Order]:
        return list(batches(order, settings.chunk_size))

    return ReadAheadFetcher(selection.mapped_source(), epoch_order.batch_samples, settings.max_queue_size, split)


def shards(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "ReadAheadFetcher":
    """Read windows of a store's files ahead; raises UserError when the copies of far ones do not fit into the cache."""
    frames, limit = selection.store.frames, settings.cache_bytes
    frames.check_cache(limit, settings.window_shards * epoch_order.streams)
    frames.set_cache(Path(settings.cache) if settings.cache else None, limit)
    return windows(selection, epoch_order, settings)


def windows(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings) -> "ReadAheadFetcher":
    """Read the next files of an order ahead."""

    def split(order: Order) -> list[Order]:
        return [order[part] for part in split_into_windows(selection.shard[order])]

    return ReadAheadFetcher(selection.mapped_source(), epoch_order.batch_samples, settings.max_queue_size, split)


class ReadAheadFetcher(ThreadFetcher):
    """Fill batches from windows that have just been read. split: divides an order into windows."""

    def __init__(
        self, source: FrameSource, batch_size: int, ahead: int, split: Callable[[Order], Sequence[Order]]
    ) -> None:
        super().__init__(source, batch_size, ahead)
        self._frames, self._frame, self._split = source.frames, source.arrays.frame, split

    @contextmanager
    def fetch(self, order: Order) -> Iterator[Iterator[Batch]]:
        """Give the batches of these positions."""
        windows = ReadAhead(self._frames, self._frame, self._split(order))
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
    """A thread that brings the frames of windows near, of the next one while batches are filled from the current one.

    frame: index into the frames of each sample, (samples, ...); windows: the samples of each window.
    """

    def __init__(self, frames: Frames, frame: Order, windows: Sequence[Order]) -> None:
        self._frames, self._frame, self._windows = frames, frame, windows
        self._loaded: list[Any] = []  # of each window that has been read, what is to be unloaded
        self._room, self._ready = threading.Semaphore(_WINDOWS_AHEAD), threading.Semaphore(0)
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._number, self._left = -1, 0  # the current window, and how many of its samples are not taken yet

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
            for loaded in self._loaded[max(self._number, 0) :]:
                self._frames.unload(loaded)

    def stop(self) -> None:
        """Read no further; parts() raises an error instead of waiting. May be called from any thread."""
        self._stop.set()
        self._room.release()

    def parts(self, samples: int) -> Iterator[slice]:
        """Take the next samples: yield slices of them, each of one window, as soon as it has been read.

        Raises the error of the thread.
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
            self._frames.unload(self._loaded[self._number])
            self._room.release()
        self._number += 1
        self._ready.acquire()
        if self._number >= len(self._loaded):
            raise self._error or RuntimeError("reading ahead was stopped")
        self._left = len(self._windows[self._number])

    def _read_all(self) -> None:
        try:
            for window in self._windows:
                self._room.acquire()
                if self._stop.is_set():
                    return
                self._loaded.append(self._frames.load(self._frame[window], self._stop))
                self._ready.release()
        except Exception as error:  # raised by parts()
            self._error = error
        finally:
            self._ready.release(len(self._windows) + 1)  # nobody waits any more
