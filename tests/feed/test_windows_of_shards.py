"""The feed "shards": windows of a store's shards, read ahead."""

from dataclasses import replace

import numpy as np
import pytest

from bcclone.dataset.frames import FrameFile, Frames
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import choose_feed, open_feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.order import windowed
from bcclone.feed.selection import select
from tests.feed.test_feed import drain

BATCH = 50
SEED = 3


@pytest.fixture(scope="module")
def store(sharded_store):
    with open_store(sharded_store) as store:
        yield store


def assert_samples(batches, store, selection, order):
    images = np.concatenate([batch.images for batch in batches])
    flipped = selection.flipped[order]
    expected = store.frames[selection.frame[order]]
    expected[flipped] = expected[flipped][..., ::-1, :]
    assert (images == expected).all()
    assert (
        np.concatenate([batch.labels for batch in batches])[:, 0] == selection.labels[order, 0]
    ).all()


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 2, 5, 100])
@pytest.mark.parametrize("seq_length", [1, 3])
def test_an_epoch_has_the_samples_of_each_window_of_shards_and_can_continue_in_the_middle(
    store, window, seq_length
):
    selection = select(store, seq_length=seq_length)
    assert len(np.unique(selection.shard)) > 5
    with open_feed(selection, FeedSettings("shards", window_shards=window), BATCH, SEED) as feed:
        for epoch, start in ((1, 0), (2, BATCH), (2, 77)):
            order = windowed(selection.shard, window, SEED, epoch)
            assert_samples(drain(feed, epoch, start), store, selection, order[start:])


@pytest.mark.parametrize(("files", "expected"), [(1, "hdf5-chunks"), (2, "shards")])
def test_the_feed_chosen_for_a_store_larger_than_memory_reads_ahead(store, files, expected):
    file = FrameFile(store.frames.files[0].path, 0, 10**12, (0, 0))
    frames = Frames([file] * files, store.frames.frame_shape)
    large = replace(store, frames=frames)
    assert choose_feed(large)[0] == expected
