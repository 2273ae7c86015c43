"""Several workers: each fetches its part of every batch, and together they give what one worker
gives.
"""

import numpy as np
import pytest

from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import STRATEGIES, AugmentSettings, FeedSettings
from bcclone.feed.order import BatchPart
from bcclone.feed.selection import select

OTHERS = [name for name in STRATEGIES if name not in ("hdf5-shuffle", "files")]


@pytest.mark.parametrize(
    "strategy", ["hdf5-shuffle", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_parts_of_augmented_batches_are_those_of_the_whole_batch(simulated_store, strategy):
    """On the CPU, with 3 workers that divide neither the batches nor the epoch."""
    with open_store(simulated_store) as store:
        selection = select(store)
        settings = FeedSettings(strategy, feed_workers=1)
        start = (len(selection) // 20 - 3) * 20

        def batches(part):
            feed = open_feed(selection, settings, 20, 3, augment=AugmentSettings(), part=part)
            found = []
            with feed, feed.epoch(1, start) as given:
                for batch in given:
                    images = np.array(batch.images)[: batch.samples]
                    found.append((images, np.array(batch.labels)[: batch.samples], batch))
            return found

        whole = batches(BatchPart())
        parts = [batches(BatchPart(index, 3)) for index in range(3)]
    assert len(whole) >= 3
    assert [len(one) for one in parts] == [len(whole)] * 3
    for (images, steering, batch), *of_workers in zip(whole, *parts, strict=True):
        assert (np.concatenate([one[0] for one in of_workers]) == images).all()
        assert (np.concatenate([one[1] for one in of_workers]) == steering).all()
        assert {one[2].global_size for one in of_workers} == {batch.global_size}
