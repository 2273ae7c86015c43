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


@pytest.mark.parametrize(
    "strategy",
    [
        "hdf5-shuffle",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in STRATEGIES
            if n not in ("hdf5-shuffle", "files")
        ),
    ],
)
def test_parts_of_augmented_batches_are_those_of_the_whole_batch(simulated_store, strategy):
    """Of every feed, on the CPU, and with 3 workers that divide neither the batches nor the
    epoch.
    """
    with open_store(simulated_store) as store:
        selection = select(store)

        def batches(part, start=0):
            with (
                open_feed(
                    selection,
                    FeedSettings(strategy, feed_workers=1),
                    20,
                    seed=3,
                    augment=AugmentSettings(),
                    part=part,
                ) as feed,
                feed.epoch(1, start) as given_batches,
            ):
                return [
                    (
                        np.array(batch.images)[: batch.samples],
                        np.array(batch.labels)[: batch.samples],
                        batch.global_size,
                    )
                    for batch in given_batches
                ]

        start = (len(selection) // 20 - 3) * 20
        whole = batches(BatchPart(), start)
        parts = [batches(BatchPart(index, 3), start) for index in range(3)]
    assert len(whole) >= 3
    assert [len(one) for one in parts] == [len(whole)] * 3
    for (images, steering, size), *of_workers in zip(whole, *parts, strict=True):
        assert (np.concatenate([one[0] for one in of_workers]) == images).all()
        assert (np.concatenate([one[1] for one in of_workers]) == steering).all()
        assert {one[2] for one in of_workers} == {size}
