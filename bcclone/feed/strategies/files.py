"""files: the images of a recording, read and decoded for each batch, shuffled; where there is no store."""

from bcclone.feed.epochs import Epochs
from bcclone.feed.feed import Feed
from bcclone.feed.settings import FeedSettings
from bcclone.feed.source import Columns, FileSource
from bcclone.feed.workers.threads import ThreadFetcher
from bcclone.file_samples import FileSamples


def make_feed(samples: FileSamples, columns: Columns, epochs: Epochs, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples."""
    source = FileSource.of(samples, columns, threads=settings.workers)
    fetcher = ThreadFetcher(source, batch_size, settings.max_queue_size)
    return Feed(epochs, fetcher)
