"""Store -> batches: which sample comes next (order), how it is fetched (source), who fetches it (workers)."""

from bcclone.feed.order import batches, sequential, shuffled
from bcclone.feed.source import Batch, StoreSource
from bcclone.feed.workers import Prefetch

__all__ = ["Batch", "Prefetch", "StoreSource", "batches", "sequential", "shuffled"]
