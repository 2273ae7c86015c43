"""Make the feeds that read a store or image files without Keras or TensorFlow, one function for each --feed."""

from collections.abc import Callable, Iterator

from bcclone.feed.feed import Batch, Feed
from bcclone.feed.order import EpochOrder, Order, batches
from bcclone.feed.processes import PipeFetcher, SharedMemoryFetcher
from bcclone.feed.read_ahead import ReadAhead
from bcclone.feed.selection import Selection
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import FileSource, MemorySource, StoreSource
from bcclone.feed.threads import ThreadFetcher

_QUEUE_SIZE = 8
_PROCESSES, _SLOTS_PER_PROCESS = 2, 4


def hdf5(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of the memory-mapped store: hdf5 in the order of the store, hdf5-shuffle truly shuffled.

    Shuffling costs nothing while the file fits into memory.
    """
    source = StoreSource.of(selection.store, selection.arrays)
    return Feed(epoch_order, ThreadFetcher(source, batch_size, settings.max_queue_size))


def hdf5_chunks(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of chunks of the store, read ahead: for stores larger than memory."""
    source = StoreSource.of(selection.store, selection.arrays)
    return Feed(epoch_order, ReadAheadFetcher(source, batch_size, settings.max_queue_size, settings.chunk_size))


class ReadAheadFetcher(ThreadFetcher):
    """Fill batches from parts of the store that have just been read from the disk. window: samples read at once."""

    def __init__(self, source: StoreSource, batch_size: int, ahead: int, window: int) -> None:
        super().__init__(source, batch_size, ahead)
        self._store_source, self._window = source, window

    def _batches(self, order: Order) -> Iterator[Batch]:
        done = 0
        with ReadAhead(self._store_source, order, self._window).running() as reader:
            for positions in batches(order, self._batch_size):
                done += len(positions)
                reader.wait_for(done)
                yield self._reader.read(positions)


def memory(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of frames that are all read into memory first."""
    source = MemorySource.of(selection.store, selection.arrays)
    return Feed(epoch_order, ThreadFetcher(source, batch_size, settings.max_queue_size))


def files(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed that reads and decodes the images of a recording for each batch; needs no store."""
    source = FileSource.of(selection.image_samples, selection.arrays, threads=settings.workers)
    return Feed(epoch_order, ThreadFetcher(source, batch_size, settings.max_queue_size))


def queue(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of one loader process, a pipe and a bounded queue, as in the source design."""
    source = StoreSource.of(selection.store, selection.arrays)
    return Feed(epoch_order, PipeFetcher(source, batch_size, settings.max_queue_size or _QUEUE_SIZE))


def workers(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of loader processes that write into shared memory; the order does not depend on their speed."""
    source = StoreSource.of(selection.store, selection.arrays)
    processes = settings.workers or _PROCESSES
    slots = settings.max_queue_size or processes * _SLOTS_PER_PROCESS
    return Feed(epoch_order, SharedMemoryFetcher(source, batch_size, processes, slots))


MakeFeed = Callable[..., Feed]
STORE_STRATEGIES: dict[str, MakeFeed] = {
    "files": files,
    "memory": memory,
    "hdf5": hdf5,
    "hdf5-chunks": hdf5_chunks,
    "hdf5-shuffle": hdf5,
    "queue": queue,
    "workers": workers,
}
