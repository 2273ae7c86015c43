"""queue: a loader process, a pipe and a bounded queue, shuffled: the loader of the source design, made to end well."""

from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, StoreSource
from bcclone.feed.workers.processes import PipeFetcher
from bcclone.store import Store

_QUEUE_SIZE = 8


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = StoreSource.of(store, columns)
    fetcher = PipeFetcher(source, batch_size, settings.max_queue_size or _QUEUE_SIZE, settings.start_method)
    return Feed(epochs, fetcher)
