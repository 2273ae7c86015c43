"""memory: all frames in memory, shuffled."""

from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, MemorySource
from bcclone.feed.workers.threads import ThreadFetcher
from bcclone.store import Store


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = MemorySource.of(store, columns)
    fetcher = ThreadFetcher(source, batch_size, settings.max_queue_size)
    return Feed(epochs, fetcher)
