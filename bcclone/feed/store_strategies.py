"""Strategies that read the store or image files: an order of the samples, where they are read from, what reads ahead.

Each function returns the feed of one --feed; those that need Keras or TensorFlow have files of their own.
"""

from collections.abc import Callable, Iterator

from bcclone.feed.feed import Batch, Feed
from bcclone.feed.order import Epochs, Order, batches
from bcclone.feed.processes import PipeFetcher, SharedMemoryFetcher
from bcclone.feed.read_ahead import ReadAhead
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, FileSource, MemorySource, StoreSource
from bcclone.feed.threads import ThreadFetcher
from bcclone.store import Store
from bcclone.store.image_samples import ImageSamples

_QUEUE_SIZE = 8
_PROCESSES, _SLOTS_A_PROCESS = 2, 4


def hdf5(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of the memory-mapped store; the order decides whether it is shuffled.

    hdf5-shuffle is a true shuffle, which costs nothing while the file fits into memory; hdf5 is the order of the store,
    as most first attempts have it.
    """
    source = StoreSource.of(store, columns)
    return Feed(epochs, ThreadFetcher(source, batch_size, settings.max_queue_size))


def hdf5_chunks(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of chunks of the store, read ahead: for stores larger than memory."""
    source = StoreSource.of(store, columns)
    return Feed(epochs, ReadAheadFetcher(source, batch_size, settings.max_queue_size, settings.chunk_size))


class ReadAheadFetcher(ThreadFetcher):
    """Fills batches from stretches of the store that have been read just before. window: samples read at once."""

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


def memory(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of frames that were all read into memory."""
    source = MemorySource.of(store, columns)
    return Feed(epochs, ThreadFetcher(source, batch_size, settings.max_queue_size))


def files(samples: ImageSamples, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed that reads and decodes the images of a recording for each batch, where there is no store."""
    source = FileSource.of(samples, columns, threads=settings.workers)
    return Feed(epochs, ThreadFetcher(source, batch_size, settings.max_queue_size))


def queue(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of a loader process, a pipe and a bounded queue: the source design's loader, made to end well."""
    source = StoreSource.of(store, columns)
    fetcher = PipeFetcher(source, batch_size, settings.max_queue_size or _QUEUE_SIZE, settings.start_method)
    return Feed(epochs, fetcher)


def workers(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return a feed of loader processes that write into shared memory; the order is decided before they are asked."""
    source = StoreSource.of(store, columns)
    processes = settings.workers or _PROCESSES
    slots = settings.max_queue_size or processes * _SLOTS_A_PROCESS
    fetcher = SharedMemoryFetcher(source, batch_size, processes, slots, settings.start_method)
    return Feed(epochs, fetcher)


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
