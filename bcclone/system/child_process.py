"""Set up worker processes that ignore Ctrl-C and end with their parent; imports only the standard library."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor


@contextmanager
def interrupts_kept_from_children() -> Iterator[None]:
    """Start child processes within the block, so that Ctrl-C does not reach them; their parent ends them."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become_worker() -> None:
    """Make this process a worker that ignores Ctrl-C and ends when its parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process with its parent; a killed parent cannot do it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def process_pool(
    workers: int, initializer: "Callable[..., None] | None" = None, arguments: tuple[Any, ...] = ()
) -> "Iterator[ProcessPoolExecutor]":
    """Yield an executor with spawned worker processes; all have ended when the block is left.

    An error in the block, or Ctrl-C, kills them. initializer, arguments: called first in each worker.
    """
    from concurrent.futures import ProcessPoolExecutor

    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # TensorFlow and Numba do not survive a fork
    pool = ProcessPoolExecutor(workers, context, _initialize_worker, (initializer, arguments))
    processes: set[multiprocessing.process.BaseProcess] = set()
    try:
        with interrupts_kept_from_children():
            while len(processes) < workers:  # a task starts a worker, unless one is idle
                pool.submit(int)
                processes = set(multiprocessing.active_children()) - before
        yield pool
    except BaseException:
        for process in processes:
            process.kill()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _initialize_worker(initializer: "Callable[..., None] | None", arguments: tuple[Any, ...]) -> None:
    become_worker()
    if initializer is not None:
        initializer(*arguments)
