"""Load batches in processes, into shared memory: the feeds "workers", "queue" and "sequence".

In: the positions of each batch, which are sent to a loader process. Out: each `Batch`, in the order
of the requests, whichever process is faster.
"""

import contextlib
import math
import multiprocessing
import pickle
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
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
from bcclone.feed.strategies import AS_LOADED, Delivery, Feed
from bcclone.system.errors import UserError
from bcclone.system.process import become_worker, interrupts_kept_from_children


def workers(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> "ProcessFeed":
    """Read the memory-mapped store in loader processes, by default two."""
    processes = settings.feed_workers or 2
    slots = settings.max_queue_size or 4 * processes
    return ProcessFeed(selection.mapped_source(), order, processes, slots, delivery)


def queue(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> "ProcessFeed":
    """Read the memory-mapped store in loader processes, by default one, into a bounded queue."""
    processes = settings.feed_workers or 1
    slots = settings.max_queue_size or 8
    return ProcessFeed(selection.mapped_source(), order, processes, slots, delivery)


def sequence(
    selection: Selection, order: EpochOrder, settings: FeedSettings, delivery: Delivery
) -> Feed:
    """Read the memory-mapped store with threads or processes, by default six.

    This imitates a Keras PyDataset with that many workers. Keras's own queue is not used, since it
    waits forever when a worker process is killed.
    """
    source = selection.mapped_source()
    ahead = settings.max_queue_size or 32
    workers = settings.feed_workers or 6
    if settings.multiprocessing:
        return ProcessFeed(source, order, workers, ahead, delivery)
    return Feed(source, order, delivery, ahead, workers)


class LoaderError(UserError):
    """A loader process ended unexpectedly."""


class ProcessFeed(Feed):
    """A feed whose loader processes write batches into shared memory; training reads them there.

    With n processes, batch k is loaded by process k modulo n, so that the order of the batches does
    not depend on the speed of the processes.

    processes: number of loader processes
    slots: number of batches that fit into the shared memory, with those that training uses
    """

    def __init__(
        self,
        source: SampleSource,
        order: EpochOrder,
        processes: int,
        slots: int,
        delivery: Delivery = AS_LOADED,
    ) -> None:
        super().__init__(source, order, delivery, threads=0)
        # with fewer than two slots for each process, processes would wait
        self._slot_count = max(slots, 2 * processes + 2)
        self._processes = processes
        # both are filled when the feed is opened
        self._loaders: list[Loader] = []
        self._free: deque[int] = deque()  # slots that neither a request nor a batch uses

    def _open(self, opened: ExitStack) -> None:
        super()._open(opened)
        context = multiprocessing.get_context("spawn")
        slots = Slots(context, self._slot_count, self.order.batch_size, self.source.shape)
        # a new one: batches of an earlier opening give their slots back to the one before
        self._free = deque(range(self._slot_count))
        opened.callback(self._end)
        for _ in range(self._processes):
            self._loaders.append(Loader.start(context, self.source, slots))

    def _end(self) -> None:
        """Kill the processes; this is safe, since they only read files."""
        loaders = self._loaders
        self._loaders = []
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
        """Give the batches of an epoch, loaded by the processes.

        Raises what a process raised, or LoaderError when a process has died.
        """
        requested: deque[_Request] = deque()
        try:
            yield self._received(batches, requested)
        # after Ctrl-C an answer may be half received, so the pipes cannot be used any more
        except (LoaderError, KeyboardInterrupt):
            self._end()
            raise
        finally:
            for request in requested:
                request.loader.drop_answer()
                self._free.append(request.slot)

    def _received(self, batches: Batches, requested: deque["_Request"]) -> Iterator[Batch]:
        """Yield the batches.

        requested: the requests that are not answered yet, oldest first; none at first
        """
        most = _MAX_REQUESTS * self._processes
        numbered = enumerate(batches)
        while True:
            # request as many batches as there are free slots
            while self._free and len(requested) < most:
                entry = next(numbered, None)
                if entry is None:
                    break
                number, positions = entry
                loader = self._loaders[number % self._processes]
                slot = self._free.popleft()
                requested.append(_Request(loader, slot, positions))
                loader.request(slot, positions)
            if not requested:
                return
            # wait for the oldest one
            loader, slot, positions = requested.popleft()
            try:
                loader.wait(self._loaders)
            except Exception:
                self._free.append(slot)
                raise
            # if training keeps many batches, it gets copies, so that slots remain for the processes
            as_copy = len(self._free) + len(requested) <= self._processes
            # the batch is not put in a variable, which would keep its slot in use until the
            # generator goes on
            yield Batch(
                self._take(loader.slots.memory(slot), slot, len(positions), as_copy),
                self.source.arrays.labels[positions],
            )

    def _take(self, memory: memoryview, slot: int, count: int, as_copy: bool) -> Image:
        """Return the images in a slot; the slot is free again when nobody uses them any more.

        memory: the bytes of the slot
        count: number of images
        as_copy: return a copy, so that the slot is free at once
        """
        free = self._free
        shape = (count, *self.source.shape)
        images = lend(memory, shape, lambda: free.append(slot))
        return images.copy() if as_copy else images


_MAX_REQUESTS = 8  # most unanswered requests for each process; more might fill the pipe and block


class _Request(NamedTuple):
    """A batch that a process was asked for."""

    loader: "Loader"
    slot: int
    positions: Order


class Slots:
    """Shared memory for batches, divided into slots of one batch each.

    The memory has no name in the system, so that nothing is left behind when a process is killed.
    """

    def __init__(self, context: Any, count: int, batch_size: int, shape: tuple[int, ...]) -> None:
        self._bytes = batch_size * math.prod(shape)
        self._memory = context.RawArray("B", count * self._bytes + PAGE)

    def memory(self, slot: int) -> memoryview:
        """Return the bytes of a slot.

        Slots begin in the middle of a page. Each process may map the memory at another address, but
        always at a page boundary, so that a slot begins at the same byte of it in all processes.
        """
        memory = memoryview(self._memory).cast("B")
        start = to_middle_of_page(memory) + slot * self._bytes
        return memory[start : start + self._bytes]


class Loader(NamedTuple):
    """A loader process as the trainer sees it; it answers requests in their order."""

    process: Any
    connection: Connection
    started: Any  # a shared byte, 1 once the process has opened its source
    slots: "Slots"  # where it writes the batches

    @classmethod
    def start(cls, context: Any, source: SampleSource, slots: Slots) -> Self:
        started = context.RawValue("b", 0)
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(source, theirs, slots, started), name="bcclone-loader", daemon=True
        )
        with theirs, interrupts_kept_from_children():
            process.start()
        return cls(process, ours, started, slots)

    @property
    def has_started(self) -> bool:
        return bool(self.started.value) or not self.process.is_alive()

    def request(self, slot: int, positions: Order) -> None:
        """Request the images at these positions; raises LoaderError when the process has died."""
        try:
            self.connection.send_bytes(np.append(np.uint32(slot), positions).data)
        except OSError:
            raise self._death() from None

    def wait(self, others: Sequence["Loader"] = ()) -> None:
        """Wait for the answer to the oldest request.

        Raises what the process raised, or LoaderError when this process or another has died.

        others: loaders whose death also ends the wait
        """
        answer = self._answer(others)
        if answer:
            error, trace = pickle.loads(answer)  # noqa: S301 what our own child sent over our own pipe
            raise error from RuntimeError(f"in a loader process:\n{trace}")

    def drop_answer(self) -> None:
        """Wait for the answer to the oldest request, which nobody needs any more.

        The process may have died, or its connection may be closed already.
        """
        with contextlib.suppress(LoaderError, OSError):
            self._answer()

    def _answer(self, others: Sequence["Loader"] = ()) -> bytes:
        """Return the next answer; raises LoaderError when this process or another has died."""
        loaders = {loader.process.sentinel: loader for loader in (self, *others)}
        ready = wait([self.connection, *loaders])
        if self.connection not in ready:
            raise loaders[ready[0]]._death()
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            raise self._death() from None

    def _death(self) -> LoaderError:
        self.process.join(_SECONDS_TO_END)
        process = f"loader process {self.process.pid}"
        remedy = "continue with the same command and --resume"
        code = self.process.exitcode
        if code is not None and code < 0:
            return LoaderError(
                f"{process} was killed by signal {-code}; "
                f"if memory ran out, use fewer --feed-workers or another --feed; {remedy}"
            )
        return LoaderError(f"{process} ended with exit code {code}; {remedy}")


_SECONDS_TO_END = 2.0  # wait for the exit code of a process that has closed its connection


def _serve(source: SampleSource, connection: Connection, slots: Slots, started: Any) -> None:
    """Answer requests until the trainer closes the connection or ends; runs in the loader process.

    A request is uint32: the number of the slot, then the positions of the batch. The answer is
    empty, or a pickled exception with its traceback as text.
    """
    become_worker()
    with source, contextlib.suppress(EOFError, OSError):
        started.value = 1
        while True:
            request = np.frombuffer(connection.recv_bytes(), np.uint32)
            slot = int(request[0])
            positions = request[1:]
            shape = (len(positions), *source.shape)
            memory = np.frombuffer(slots.memory(slot), np.uint8, math.prod(shape))
            answer = b""
            try:
                source.fill(positions, memory.reshape(shape))
            except Exception as error:  # the trainer raises it, in Loader.wait()
                answer = pickle.dumps((error, traceback.format_exc()))
            connection.send_bytes(answer)
