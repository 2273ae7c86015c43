"""Several workers: each fetches its part of every batch, and together they give what one worker gives."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.cluster.part_order import PartOrder
from bcclone.dataset.store import Store
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed import open_feed, open_validation_feed
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings, Ordering, SamplingSettings
from bcclone.feed.order import EpochOrder, allowed_zeros
from bcclone.feed.selection import select


@pytest.mark.parametrize(
    "strategy",
    [*sorted(STRATEGIES.keys() - {"files", "device"}), pytest.param("device", marks=pytest.mark.slow)],
)
def test_parts_of_augmented_batches_are_those_of_the_whole_batch(simulated_store, strategy):
    """Of every feed, on the CPU, and with 3 workers that divide neither the batches nor the epoch."""
    sampling = SamplingSettings(20, 3, augmentation=AugmentSettings())
    with Store(simulated_store) as store:
        selection = select(store)

        def batches(make_order, start=0):
            with (
                open_feed(selection, FeedSettings(strategy, feed_workers=1), sampling, make_order) as feed,
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
        whole = batches(EpochOrder, start)
        parts = [batches(partial(PartOrder, worker=index, workers=3), start) for index in range(3)]
    assert len(whole) >= 3
    assert [len(one) for one in parts] == [len(whole)] * 3
    for (images, steering, size), *of_workers in zip(whole, *parts, strict=True):
        assert (np.concatenate([one[0] for one in of_workers]) == images).all()
        assert (np.concatenate([one[1] for one in of_workers]) == steering).all()
        assert {one[2] for one in of_workers} == {size}


def test_validation_samples_are_divided_too(simulated_store):
    with Store(simulated_store) as store:
        selection, steering = select(store, "validation"), []
        for index in range(3):
            make_order = partial(PartOrder, worker=index, workers=3)
            with open_validation_feed(selection, 256, make_order) as feed, feed.epoch(1) as batches:
                steering.append(np.concatenate([batch.labels[: batch.samples] for batch in batches]))
    assert sorted(np.concatenate(steering).ravel()) == sorted(selection.arrays.labels[:, 0])


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 6), st.integers(0, 5))
def test_over_all_workers_every_sample_comes_once_an_epoch(size, batch_size, count, skipped):
    count, start = min(count, batch_size), min(skipped, size // batch_size) * batch_size
    orders = [
        PartOrder(size, Ordering("shuffled"), seed=4, batch_size=batch_size, worker=index, workers=count)
        for index in range(count)
    ]
    whole, given_positions = orders[0].order(2), []
    fetched = [(list(order.positions(2, start)), list(order.spans(start))) for order in orders]
    for number, first in enumerate(range(start, size, batch_size)):
        for positions, spans in fetched:
            taken = max(spans[number].samples, 1)
            given_positions += positions[: spans[number].samples]
            del positions[:taken]
        assert given_positions[first - start :] == whole[first : first + batch_size].tolist()
    assert given_positions == whole[start:].tolist()
    assert not any(positions for positions, _ in fetched)


def test_a_worker_reads_only_the_shards_of_its_stream():
    shard, zeros = np.arange(9000, dtype=np.uint32) // 100, np.arange(9000) % 3 == 0
    ordering = Ordering("windows", 4, streams=3)
    read = []
    for worker in range(3):
        order = PartOrder(9000, ordering, 5, zeros, 0.1, batch_size=30, worker=worker, workers=3, shard=shard)
        read.append(set(shard[order.positions(1)].tolist()))
    shared = sum(map(len, read)) - len(set().union(*read))
    assert len(set().union(*read)) == 90
    assert shared <= 6  # of the last batches
    whole = EpochOrder(9000, ordering, 5, zeros, 0.1, batch_size=30, shard=shard).order(1)
    assert len(set(whole.tolist())) == len(whole) == 6000 + allowed_zeros(6000, 3000, 0.1)
