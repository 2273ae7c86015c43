"""The feed "shards": windows of a store's shards in random order, shuffled within, for stores larger than memory.

The shards of a local store are read into the system's cache, those at a URL into a local cache of bounded size.
"""

import threading
from pathlib import Path

from bcclone.cluster.far_frames import FarFrames, LoadedFrames
from bcclone.dataset.store import Store
from bcclone.feed.feed import Feed, Fetcher
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import EpochOrder, Order, split_into_windows
from bcclone.feed.read_ahead import ReadAheadFetcher, SystemCacheReader, WindowReader
from bcclone.feed.selection import Selection
from bcclone.feed.source import FrameSource
from bcclone.system.errors import UserError

_MEGABYTE = 10**6


def shards(selection: Selection, epoch_order: EpochOrder, settings: FeedSettings, batch_size: int) -> Feed:
    """Return the feed of these samples; raises UserError when their windows do not fit into the cache."""
    frames = selection.store.frames
    if isinstance(frames, FarFrames):
        check_cache(selection.store, settings, -(-settings.ordering.streams // epoch_order.part.count))
        frames.open_cache(Path(settings.cache) if settings.cache else None, settings.cache_mb * _MEGABYTE)
    return Feed(epoch_order, window_fetcher(selection, batch_size, settings.max_queue_size))


def window_fetcher(selection: Selection, batch_size: int, ahead: int = 0) -> Fetcher:
    """Return a fetcher that reads the next shards of an order while batches are filled from the current ones.

    ahead: number of batches, 0 for the default.
    """
    source = FrameSource.mapped(selection.store, selection.arrays)
    reader: WindowReader = SystemCacheReader(source)
    if isinstance(source.frames, FarFrames):
        reader = FarReader(selection.arrays.frame, source.frames)

    def split(order: Order) -> list[Order]:
        return [order[part] for part in split_into_windows(selection.shard[order])]

    return ReadAheadFetcher(source, batch_size, ahead, split, reader)


class FarReader:
    """Brings the frames of windows of samples to this machine. frame: of each sample, (samples, ...)."""

    def __init__(self, frame: Order, frames: FarFrames) -> None:
        self._frame, self._frames = frame, frames
        self._loaded: dict[int, LoadedFrames] = {}  # id of a window -> its frames

    def read(self, window: Order, stop: threading.Event) -> None:
        """Fetch what is not here yet."""
        self._loaded[id(window)] = self._frames.load(self._frame[window], stop)

    def release(self, window: Order) -> None:
        """Give up the frames of a window."""
        self._frames.unload(self._loaded.pop(id(window)))


def check_cache(store: Store, settings: FeedSettings, streams: int = 1) -> None:
    """Raise UserError when the largest possible windows, the current and the next one, do not fit into the cache.

    streams: of windows that this process draws its batches from.
    """
    sizes = sorted((file.version[0] for file in store.frames.files), reverse=True)
    shards = settings.window_shards * streams
    needed = sum(sizes[: 2 * shards])
    if needed > settings.cache_mb * _MEGABYTE:
        raise UserError(
            f"{store.path}: two windows of {shards} shards have {-(-needed // _MEGABYTE)} MB, and the cache may hold "
            f"{settings.cache_mb} MB; use a larger --cache-mb or fewer --window-shards"
        )
