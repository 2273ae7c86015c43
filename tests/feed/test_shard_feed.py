"""Every feed gives the same batches of a folder of shards as of one file with the same content."""

import numpy as np
import pytest

from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.feed.selection import select

FEEDS = [
    name for name, strategy in STRATEGIES.items() if not strategy.of_files and name != "shards"
]


@pytest.fixture(scope="module")
def stores(simulated_store, sharded_store):
    """One file and a folder of shards, both opened."""
    with open_store(simulated_store) as one, open_store(sharded_store) as shards:
        assert len(shards.frames.files) >= 4
        yield one, shards


@pytest.mark.parametrize(
    "name",
    [
        "hdf5-shuffle",
        *(pytest.param(name, marks=pytest.mark.slow) for name in FEEDS if name != "hdf5-shuffle"),
    ],
)
def test_the_batches_are_those_of_one_file(stores, name):
    settings = FeedSettings(feed=name, chunk_size=100)
    one, shards = (open_feed(select(store, seq_length=3), settings, 16, 3) for store in stores)
    count = 0
    with one, shards, one.epoch(2, 16) as expected, shards.epoch(2, 16) as found:
        for there, here in zip(expected, found, strict=True):
            assert (np.asarray(here.images) == np.asarray(there.images)).all()
            assert (np.asarray(here.labels) == np.asarray(there.labels)).all()
            count += len(here)
    assert count == len(shards) - 16
