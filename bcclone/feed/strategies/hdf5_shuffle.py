"""hdf5-shuffle: a true shuffle over the memory-mapped store; while the file fits into memory it costs nothing."""

from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, StoreSource
from bcclone.feed.workers.threads import ThreadFetcher
from bcclone.store import Store


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = StoreSource.of(store, columns)
    fetcher = ThreadFetcher(source, batch_size, settings.max_queue_size)
    return Feed(epochs, fetcher)
