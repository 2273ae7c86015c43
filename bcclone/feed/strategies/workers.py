"""workers: loader processes that write into shared memory; the order is decided before they are asked."""

from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, StoreSource
from bcclone.feed.workers.processes import SharedMemoryFetcher
from bcclone.store import Store

_PROCESSES = 2
_SLOTS_A_PROCESS = 4


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = StoreSource.of(store, columns)
    processes = settings.workers or _PROCESSES
    slots = settings.max_queue_size or processes * _SLOTS_A_PROCESS
    fetcher = SharedMemoryFetcher(source, batch_size, processes, slots, settings.start_method)
    return Feed(epochs, fetcher)
