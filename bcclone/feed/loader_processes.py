"""Load batches in processes, which write them into shared memory: the feeds "workers", "queue" and
"sequence".

In: the positions of each batch, sent to a process. Out: `Batch`, in the same order, whichever
process is faster.
"""

import contextlib
import math
import multiprocessing
import pickle
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from threading import Event
from typing import Any, NamedTuple, Self

import numpy as np

from bcclone.camera.images import Image
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import Batches, EpochOrder, Order
from bcclone.feed.selection import Selection
from bcclone.feed.source import PAGE, Batch, SampleSource, lend, to_middle_of_page
from bcclone.feed.strategies import Feed
from bcclone.system.errors import UserError
from bcclone.system.interrupts import become_worker, interrupts_kept_from_children

_PROCESSES, _SLOTS_PER_PROCESS, _QUEUE_SIZE = 2, 4, 8
_SEQUENCE_WORKERS, _SEQUENCE_QUEUE_SIZE = 6, 32
_MAX_REQUESTS = 8  # unanswered ones of a process, so that no pipe is ever full
_PATIENCE_SECONDS = 2.0


def workers(selection: Selection, order: EpochOrder, settings: FeedSettings) -> "ProcessFeed":
    """Read the memory-mapped store in loader processes, by default two."""
    processes = settings.feed_workers or _PROCESSES
    slots = settings.max_queue_size or processes * _SLOTS_PER_PROCESS
    return ProcessFeed(selection.mapped_source(), order, processes, slots)


def queue(selection: Selection, order: EpochOrder, settings: FeedSettings) -> "ProcessFeed":
    """Read the memory-mapped store in loader processes, by default one, whose batches wait in a
    bounded queue.
    """
    slots = settings.max_queue_size or _QUEUE_SIZE
    return ProcessFeed(selection.mapped_source(), order, settings.feed_workers or 1, slots)


def sequence(selection: Selection, order: EpochOrder, settings: FeedSettings) -> Feed:
    """Read the memory-mapped store with as many threads, or processes, as a Keras PyDataset has
    workers.

    Keras's own queue waits forever when a worker process is killed.
    """
    source, ahead = selection.mapped_source(), settings.max_queue_size or _SEQUENCE_QUEUE_SIZE
    workers = settings.feed_workers or _SEQUENCE_WORKERS
    return (
        ProcessFeed(source, order, workers, ahead)
        if settings.multiprocessing
        else Feed(source, order, ahead, workers)
    )


class LoaderError(UserError):
    """A loader process ended unexpectedly."""


class ProcessFeed(Feed):
    """Loader processes that write batches into shared memory, which training reads without a copy.

    Process k modulo their number loads batch k, so that the order does not depend on their speed.
    slots: batches that fit into the shared memory, including those in use by training.
    """

    def __init__(self, source: SampleSource, order: EpochOrder, processes: int, slots: int) -> None:
        super().__init__(source, order, threads=0)
        self._count = max(slots, 2 * processes + 2)
        self._processes = processes
        self._loaders: list[Loader] = []

    def _open(self, opened: ExitStack) -> None:
        super()._open(opened)
        context = multiprocessing.get_context("spawn")
        self._slots = Slots(context, self._count, self.order.batch_size, self.source.shape)
        self._free = deque(range(self._count))
        opened.callback(self._end)
        for _ in range(self._processes):
            self._loaders.append(Loader.start(context, self.source, self._slots))

    def _end(self) -> None:
        """Kill the processes, which only read."""
        loaders, self._loaders = self._loaders, []
        for loader in loaders:
            loader.process.kill()
            loader.connection.close()
        for loader in loaders:
            loader.process.join()

    @property
    def has_started(self) -> bool:
        return all(loader.has_started for loader in self._loaders)

    @contextmanager
    def pieces(self, batches: Batches, stop: Event) -> Iterator[Iterator[Batch]]:
        """Give the batches; raises what a process raised, or LoaderError when one has died."""
        requested: deque[tuple[Loader, int, Order]] = deque()
        try:
            yield self._received(batches, requested)
        except (LoaderError, KeyboardInterrupt):  # the latter perhaps while an answer was received
            self._end()
            raise
        finally:
            for loader, slot, _ in requested:
                with contextlib.suppress(Exception):
                    loader.wait()
                self._free.append(slot)

    def _received(
        self, batches: Batches, requested: deque[tuple["Loader", int, Order]]
    ) -> Iterator[Batch]:
        numbered, most = enumerate(batches), _MAX_REQUESTS * self._processes
        while True:
            while (
                self._free and len(requested) < most and (entry := next(numbered, None)) is not None
            ):
                loader, slot = self._loaders[entry[0] % self._processes], self._free.popleft()
                requested.append((loader, slot, entry[1]))
                loader.request(slot, entry[1])
            if not requested:
                return
            loader, slot, positions = requested.popleft()
            try:
                loader.wait(self._loaders)
            except Exception:
                self._free.append(slot)
                raise
            are_few = len(self._free) + len(requested) <= self._processes
            yield Batch(
                self._take(slot, len(positions), are_few), self.source.arrays.labels[positions]
            )

    def _take(self, slot: int, count: int, as_copy: bool) -> Image:
        """Return the images of a slot, or a copy when the caller keeps so many batches that slots
        run out.
        """
        free = self._free
        images = lend(
            self._slots.memory(slot), (count, *self.source.shape), lambda: free.append(slot)
        )
        return images.copy() if as_copy else images


class Slots:
    """Shared memory for batches; it is anonymous, so that none is left behind when a process is
    killed.
    """

    def __init__(self, context: Any, count: int, batch_size: int, shape: tuple[int, ...]) -> None:
        self._bytes = batch_size * math.prod(shape)
        self._memory = context.RawArray("B", count * self._bytes + PAGE)

    def memory(self, slot: int) -> memoryview:
        """Return the bytes of a slot; each process maps whole pages, so that it begins at the same
        byte.
        """
        memory = memoryview(self._memory).cast("B")
        start = to_middle_of_page(memory) + slot * self._bytes
        return memory[start : start + self._bytes]


class Loader(NamedTuple):
    """The trainer's end of a loader process, which answers requests in their order."""

    process: Any
    connection: Connection
    started: Any

    @classmethod
    def start(cls, context: Any, source: SampleSource, slots: Slots) -> Self:
        started = context.RawValue("b", 0)
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(source, theirs, slots, started), name="bcclone-loader", daemon=True
        )
        with theirs, interrupts_kept_from_children():
            process.start()
        return cls(process, ours, started)

    @property
    def has_started(self) -> bool:
        return bool(self.started.value) or not self.process.is_alive()

    def request(self, slot: int, positions: Order) -> None:
        """Request the images at these positions; raises LoaderError when the process has died."""
        try:
            self.connection.send_bytes(np.append(np.uint32(slot), positions).data)
        except OSError:
            raise self._death() from None

    def wait(self, others: "list[Loader] | tuple[()]" = ()) -> None:
        """Wait for the answer to the oldest request.

        Raises what the process raised, or LoaderError when it, or one of the others, has died.
        """
        loaders = {loader.process.sentinel: loader for loader in (self, *others)}
        ready = wait([self.connection, *loaders])
        if self.connection not in ready:
            raise loaders[ready[0]]._death()
        try:
            answer = self.connection.recv_bytes()
        except (EOFError, OSError):
            raise self._death() from None
        if answer:
            error, trace = pickle.loads(answer)  # noqa: S301 what our own child sent over our own pipe
            raise error from RuntimeError(f"in a loader process:\n{trace}")

    def _death(self) -> LoaderError:
        self.process.join(_PATIENCE_SECONDS)
        code, remedy = self.process.exitcode, "continue with the same command and --resume"
        if code is not None and code < 0:
            return LoaderError(
                f"loader process {self.process.pid} was killed by signal {-code}; if memory ran out, use fewer "
                f"--feed-workers or another --feed; {remedy}"
            )
        return LoaderError(
            f"loader process {self.process.pid} ended with exit code {code}; {remedy}"
        )


def _serve(source: SampleSource, connection: Connection, slots: Slots, started: Any) -> None:
    """Answer requests until the trainer closes its end of the connection or is gone; runs in the
    loader process.
    """
    become_worker()
    with source, contextlib.suppress(EOFError, OSError):
        started.value = 1
        while True:
            request = np.frombuffer(connection.recv_bytes(), np.uint32)
            slot, positions = int(request[0]), request[1:]
            shape = len(positions), *source.shape
            images, answer = (
                np.frombuffer(slots.memory(slot), np.uint8, math.prod(shape)).reshape(shape),
                b"",
            )
            try:
                source.fill(positions, images)
            except Exception as error:  # which the trainer raises
                answer = pickle.dumps((error, traceback.format_exc()))
            connection.send_bytes(answer)
