"""hdf5-chunks: chunks of the store in random order, shuffled within; read ahead, for what is larger than memory."""

from collections.abc import Iterator

from bcclone.feed.batch import Batch
from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.order import Order, batches
from bcclone.feed.read_ahead import ReadAhead
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, StoreSource
from bcclone.feed.workers.threads import ThreadFetcher
from bcclone.store import Store


def make_feed(store: Store, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = StoreSource.of(store, columns)
    fetcher = ReadAheadFetcher(source, batch_size, settings.max_queue_size, settings.chunk_size)
    return Feed(epochs, fetcher)


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
