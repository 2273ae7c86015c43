"""Several workers: each fetches its part of every batch, and together they give what one worker gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.augment.settings import AugmentSettings
from bcclone.feed.open import open_feed, open_validation_feed
from bcclone.feed.order import BatchPart, EpochOrder
from bcclone.feed.selection import select
from bcclone.feed.settings import STRATEGIES, FeedSettings, Ordering, SamplingSettings
from bcclone.store import Store


@given(st.integers(0, 200), st.integers(1, 9))
def test_the_spans_of_all_workers_make_up_a_batch(size, count):
    spans = [BatchPart(index, count).span(size) for index in range(count)]
    joined = [first for span in spans for first in range(span.first, span.first + span.samples)]
    assert joined == list(range(size))
    assert max(span.samples for span in spans) - min(span.samples for span in spans) <= 1
    assert {span.size for span in spans} == {size}


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 6), st.integers(0, 5))
def test_over_all_workers_every_sample_comes_once_an_epoch(size, batch_size, count, skipped):
    count, start = min(count, batch_size), min(skipped, size // batch_size) * batch_size
    orders = [
        EpochOrder(size, Ordering("shuffled"), seed=4, batch_size=batch_size, part=BatchPart(index, count))
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


@pytest.mark.parametrize("strategy", sorted(STRATEGIES.keys() - {"files"}))
def test_parts_of_augmented_batches_are_those_of_the_whole_batch(simulated_store, strategy):
    """Of every feed, on the CPU, and with 3 workers that divide neither the batches nor the epoch."""
    sampling = SamplingSettings(20, 3, augmentation=AugmentSettings())
    with Store(simulated_store) as store:
        selection = select(store)

        def batches(part, start=0):
            with (
                open_feed(selection, FeedSettings(strategy, feed_workers=1), sampling, part) as feed,
                feed.epoch(1, start) as given_batches,
            ):
                return [
                    (
                        np.array(batch.images)[: batch.samples],
                        np.array(batch.steering)[: batch.samples],
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


def test_validation_samples_are_divided_too(simulated_store):
    with Store(simulated_store) as store:
        selection, steering = select(store, True), []
        for index in range(3):
            with open_validation_feed(selection, 256, BatchPart(index, 3)) as feed, feed.epoch(1) as batches:
                steering.append(np.concatenate([batch.steering[: batch.samples] for batch in batches]))
    assert sorted(np.concatenate(steering).ravel()) == sorted(selection.arrays.steering)


def test_a_batch_with_fewer_samples_than_workers_is_refused():
    with pytest.raises(ValueError, match="batches of 2 for 3 workers"):
        EpochOrder(100, batch_size=2, part=BatchPart(0, 3))
    with pytest.raises(ValueError, match="worker 3 of 3"):
        BatchPart(3, 3)
