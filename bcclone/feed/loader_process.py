"""Load batches in a worker process: both ends of its connection, and the reports of its errors and its death.

In: positions of a batch, sent to the process. Out: images in shared memory or through the pipe, or its error.
"""

import contextlib
import math
import pickle
import struct
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, Self

import numpy as np

from bcclone.dataset.images import Image
from bcclone.feed.order import Order
from bcclone.feed.source import PAGE, Source, to_middle_of_page
from bcclone.system.child_process import become_worker, interrupts_kept_from_children
from bcclone.system.errors import UserError

_DONE = _END = b""
_PATIENCE_SECONDS = 2.0
_REQUEST = struct.Struct("II")  # slot, count
_POSITION_BYTES = 4
MAX_REQUESTS = 8


class LoaderError(UserError):
    """A loader process ended unexpectedly."""

    @classmethod
    def died(cls, what: str) -> Self:
        """Return the error for a process that died, with its remedy."""
        return cls(
            f"{what}; if memory ran out, use fewer --feed-workers or another --feed; "
            "continue with the same command and --resume"
        )


class Slots:
    """Slots in shared memory, one batch each: the requested positions, and their images unless a pipe carries them.

    The memory is anonymous, so that none is left behind when a process is killed.
    """

    def __init__(self, context: Any, count: int, batch_size: int, shape: tuple[int, ...], images: bool) -> None:
        self.count, self.shape, self.has_images = count, shape, images
        self._batch_size = batch_size
        self._bytes = batch_size * math.prod(shape) if images else 0
        self._positions = context.RawArray("I", count * batch_size)
        self._memory = context.RawArray("B", count * self._bytes + PAGE)
        self._start = to_middle_of_page(memoryview(self._memory).cast("B"))  # same in each process: all map whole pages

    def positions(self, slot: int, count: int) -> Order:
        """Return the positions in a slot, uint32 (count,), to be written or read."""
        return np.frombuffer(self._positions, np.uint32, count, slot * self._batch_size * _POSITION_BYTES)

    def memory(self, slot: int) -> memoryview:
        """Return the bytes of a slot."""
        start = self._start + slot * self._bytes
        return memoryview(self._memory).cast("B")[start : start + self._bytes]

    def images(self, slot: int, count: int) -> Image:
        """Return a slot as uint8 (count, *shape)."""
        shape = (count, *self.shape)
        return np.frombuffer(self.memory(slot), np.uint8, math.prod(shape)).reshape(shape)


class Loader:
    """The trainer's end of a loader process.

    The process reads the requested positions from `slots`, and writes the images there unless it sends them. Requests
    are answered in order. At most MAX_REQUESTS may be unanswered, so that no pipe is ever full.
    """

    def __init__(self, context: Any, source: Source, slots: Slots) -> None:
        self._slots, self._started = slots, context.RawValue("b", 0)
        self.connection, theirs = context.Pipe()
        served = (source, theirs, slots, self._started)
        self.process = context.Process(target=_serve, args=served, name="bcclone-loader", daemon=True)
        with theirs, interrupts_kept_from_children():
            self.process.start()

    @property
    def has_started(self) -> bool:
        """Return whether the process answers requests, or has ended, which wait() reports."""
        return bool(self._started.value) or not self.process.is_alive()

    def request(self, positions: Order, slot: int) -> None:
        """Request the images at these positions; raises LoaderError when the process has died."""
        self._slots.positions(slot, len(positions))[:] = positions
        try:
            self.connection.send_bytes(_REQUEST.pack(slot, len(positions)))
        except OSError:
            raise self._death() from None

    def wait(self, others: Sequence["Loader"] = ()) -> None:
        """Wait for the answer to the oldest request.

        Raises what the process raised, or LoaderError when it, or one of the others, has died.
        """
        loaders = {loader.process.sentinel: loader for loader in (self, *others)}
        ready = wait([self.connection, *loaders])
        if self.connection not in ready:
            raise loaders[ready[0]]._death()
        answer = self._receive()
        if answer != _DONE:
            error, trace = pickle.loads(answer)  # noqa: S301 what our own child sent over our own pipe
            raise error from RuntimeError(f"in a loader process:\n{trace}")

    def receive_images(self, images: Image) -> None:
        """Receive the requested images into uint8 (count, *shape); call it after wait(), when slots hold no images.

        Raises LoaderError when the process has died.
        """
        try:
            self.connection.recv_bytes_into(images.reshape(-1).data)
        except (EOFError, OSError):
            raise self._death() from None

    def _receive(self) -> bytes:
        try:
            answer: bytes = self.connection.recv_bytes()
        except (EOFError, OSError):
            raise self._death() from None
        return answer

    def _death(self) -> LoaderError:
        self.process.join(_PATIENCE_SECONDS)
        code = self.process.exitcode
        if code is not None and code < 0:
            return LoaderError.died(f"loader process {self.process.pid} was killed by signal {-code}")
        ended = "does not answer" if code is None else f"ended with exit code {code}"
        return LoaderError(f"loader process {self.process.pid} {ended}; continue with the same command and --resume")


@contextmanager
def running_loaders(context: Any, source: Source, slots: Slots, count: int) -> Iterator[list[Loader]]:
    """Run so many loader processes until the block is left, or until one of them cannot be started."""
    loaders: list[Loader] = []
    try:
        for _ in range(count):
            loaders.append(Loader(context, source, slots))
        yield loaders
    finally:
        _close(loaders)


def _close(loaders: Sequence[Loader]) -> None:
    """End the processes; those that have not started, or do not end in time, are killed."""
    for loader in loaders:
        if not loader.has_started:
            loader.process.kill()
        with contextlib.suppress(OSError):
            loader.connection.send_bytes(_END)
        loader.connection.close()
    until = time.monotonic() + _PATIENCE_SECONDS
    for loader in loaders:
        loader.process.join(max(until - time.monotonic(), 0.0))
        if loader.process.is_alive():
            loader.process.kill()
            loader.process.join()


def _serve(source: Source, connection: Connection, slots: Slots, started: Any) -> None:
    """Answer requests until the trainer closes its end of the connection or is gone; runs in the loader process."""
    become_worker()
    images = np.empty((0, *source.shape), np.uint8)
    with source, contextlib.suppress(EOFError, OSError):  # the trainer has closed its end
        started.value = 1
        while (request := connection.recv_bytes()) != _END:
            slot, count = _REQUEST.unpack(request)
            if slots.has_images:
                images = slots.images(slot, count)
            elif len(images) != count:
                images = np.empty((count, *source.shape), np.uint8)
            answer = _fill(source, slots.positions(slot, count), images)
            connection.send_bytes(answer)
            if not slots.has_images and answer == _DONE:
                connection.send_bytes(images.reshape(-1).data)


def _fill(source: Source, positions: Order, images: Image) -> bytes:
    try:
        source.fill(positions, images)
    except Exception as error:  # the trainer raises it
        trace = traceback.format_exc()
        try:
            answer = pickle.dumps((error, trace))
            pickle.loads(answer)  # noqa: S301 our own
            return answer
        except Exception:  # not every exception can be sent, or read again
            return pickle.dumps((RuntimeError(f"{type(error).__name__}: {error}"), trace))
    return _DONE
