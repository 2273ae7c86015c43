"""Source -> batches in any number at once, by the threads or processes of concurrent.futures."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from bcclone.feed.batch import Batch
from bcclone.feed.order import Order
from bcclone.feed.reader import Reader
from bcclone.feed.workers.child import become_worker, interrupts_kept_from_children
from bcclone.feed.workers.loader import LoaderError


class ReadingPool:
    """Workers that read batches. start_method: "" for threads, else that of the processes."""

    def __init__(self, reader: Reader, workers: int, start_method: str) -> None:
        self._executor: Executor
        self._read: Callable[[Order], Batch]
        if start_method:
            context = get_context(start_method)
            self._executor = ProcessPoolExecutor(workers, context, _begin_worker, (reader,))
            self._read = _read_in_worker
        else:
            self._executor = ThreadPoolExecutor(workers, "bcclone-pool")
            self._read = reader.read

    def submit(self, positions: Order) -> "Future[Batch]":
        """Ask for the samples at these positions; raises LoaderError when a worker has died."""
        try:
            with interrupts_kept_from_children():  # a request may start a process
                return self._executor.submit(self._read, positions)
        except BrokenProcessPool:
            raise _death() from None

    def result(self, future: "Future[Batch]") -> Batch:
        """Wait for what was asked for; raises what the worker raised, or LoaderError when one has died."""
        try:
            return future.result()
        except BrokenProcessPool:
            raise _death() from None

    def close(self) -> None:
        """End the workers."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _death() -> LoaderError:
    return LoaderError.died("a loader process was killed")


_this_worker = threading.local()  # of a process: its reader, which is sent only once


def _begin_worker(reader: Reader) -> None:
    become_worker()
    _this_worker.reader = reader


def _read_in_worker(positions: Order) -> Batch:
    batch: Batch = _this_worker.reader.read(positions)
    return batch
