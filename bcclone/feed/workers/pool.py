"""Source -> batches in any number at once, by the threads or processes of concurrent.futures."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from bcclone.feed.order import Order
from bcclone.feed.source import Source
from bcclone.feed.workers.loader import LoaderError, become_worker, interrupts_kept_from_children
from bcclone.images import Image

Arrays = tuple[Image, npt.NDArray[np.float32]]  # images and steering, as a Batch has them


class ReadingPool:
    """Workers that read batches. start_method: "" for threads, else that of the processes."""

    def __init__(self, source: Source, workers: int, start_method: str) -> None:
        self._executor: Executor
        self._read: Callable[[Order], Arrays]
        if start_method:
            context = get_context(start_method)
            self._executor = ProcessPoolExecutor(workers, context, _begin_worker, (source,))
            self._read = _read_in_worker
            with interrupts_kept_from_children():  # the first request starts them
                self._executor.submit(_nothing).result()
        else:
            self._executor = ThreadPoolExecutor(workers, "bcclone-pool")
            self._read = partial(read_batch, source)

    def submit(self, positions: Order) -> "Future[Arrays]":
        """Ask for the samples at these positions."""
        try:
            return self._executor.submit(self._read, positions)
        except BrokenProcessPool:
            raise _death() from None

    def result(self, future: "Future[Arrays]") -> Arrays:
        """Wait for what was asked for; raises what the worker raised, or LoaderError when one has died."""
        try:
            return future.result()
        except BrokenProcessPool:
            raise _death() from None

    def close(self) -> None:
        """End the workers."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def read_batch(source: Source, positions: Order) -> Arrays:
    """Return the samples at these positions, in memory of their own."""
    images = np.empty((len(positions), *source.shape), np.uint8)
    source.fill(positions, images)
    return images, source.columns.steering_of(positions)


def _death() -> LoaderError:
    return LoaderError.died("a loader process was killed")


_this_worker = threading.local()  # of a process: the source that it reads, which is sent only once


def _begin_worker(source: Source) -> None:
    become_worker()
    _this_worker.source = source


def _read_in_worker(positions: Order) -> Arrays:
    return read_batch(_this_worker.source, positions)


def _nothing() -> None:
    pass
