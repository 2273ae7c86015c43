"""The order of the samples depends on size, seed and epoch alone, and so do the samples that it
leaves out.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.dataset.samples import SAMPLE
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import ORDERS, FeedSettings
from bcclone.feed.order import (
    BatchPart,
    BatchSpan,
    Order,
    allowed_zeros,
    balanced,
    chunked,
    has_zero_steering,
    interleaved,
    shuffled,
    split_into_windows,
    streamed,
    windowed,
)
from bcclone.feed.selection import select
from bcclone.system.errors import UserError


@pytest.mark.parametrize(
    ("kind", "message"), [("shufled", "'shufled', expected one of"), ("windows", "shard_of_sample")]
)
def test_an_order_that_cannot_be_made_is_refused_at_once(kind, message):
    with pytest.raises(ValueError, match=message):
        Order(10, kind)


@pytest.mark.parametrize("kind", ORDERS)
def test_every_order_is_a_permutation_that_depends_on_seed_and_epoch_alone(kind):
    def order(seed, epoch):
        shard = np.arange(1000, dtype=np.uint32) // 10
        return Order(1000, kind, 8, seed, shard_of_sample=shard).positions(epoch).tolist()

    first = order(seed=1, epoch=1)
    assert sorted(first) == list(range(1000))
    assert first == order(seed=1, epoch=1)
    changes = {first != order(seed, epoch) for seed, epoch in [(1, 2), (2, 1), (3, 3)]}
    assert len(changes) == 1  # with every seed and epoch, or never


def test_the_shuffle_is_the_same_on_every_machine_and_in_every_version():
    """A run that is resumed after an update must continue with the next sample; these are NumPy's
    PCG64 numbers.
    """
    assert shuffled(8, seed=1, epoch=2).tolist() == [6, 0, 7, 5, 1, 4, 3, 2]
    assert chunked(8, 3, seed=1, epoch=2).tolist() == [5, 4, 3, 0, 1, 2, 6, 7]
    assert windowed(np.arange(8) // 2, 2, seed=1, epoch=2).tolist() == [5, 2, 4, 3, 7, 1, 0, 6]


def test_the_shuffle_is_global():
    order = shuffled(10_000, seed=0, epoch=1).astype(int)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
    assert np.median(abs(np.diff(order))) > 1000


@given(st.integers(0, 300), st.integers(1, 320), st.integers(0, 2**32 - 1), st.integers(1, 1000))
def test_chunks_are_shuffled_within_and_among_each_other(size, chunk_size, seed, epoch):
    order = chunked(size, chunk_size, seed, epoch)
    assert order.dtype == np.uint32
    assert sorted(order.tolist()) == list(range(size))
    chunks = (order // chunk_size).tolist()
    visits = [
        chunk
        for position, chunk in enumerate(chunks)
        if position == 0 or chunk != chunks[position - 1]
    ]
    assert len(visits) == len(set(visits))  # a chunk that is left is not entered again
    assert (order == chunked(size, chunk_size, seed, epoch)).all()


shards_of_samples = st.lists(st.integers(0, 12), max_size=200).map(
    lambda shards: np.array(shards, np.uint32)
)


@given(shards_of_samples, st.integers(1, 14), st.integers(0, 2**32 - 1), st.integers(1, 1000))
def test_windows_of_shards_are_shuffled_within_and_no_shard_is_entered_again(
    shard, window, seed, epoch
):
    order = windowed(shard, window, seed, epoch)
    assert order.dtype == np.uint32
    assert sorted(order.tolist()) == list(range(len(shard)))
    parts = split_into_windows(shard[order])
    assert [place for part in parts for place in range(part.start, part.stop)] == list(
        range(len(shard))
    )
    assert max((len(set(shard[order[part]].tolist())) for part in parts), default=0) <= window


def test_an_order_is_split_where_a_shard_begins_after_others_have_ended():
    assert split_into_windows(np.array([0, 1, 0, 2, 0, 3], np.uint32)) == [
        slice(0, 3),
        slice(3, 5),
        slice(5, 6),
    ]
    assert split_into_windows(np.array([2, 2, 0, 1, 0, 3], np.uint32)) == [
        slice(0, 2),
        slice(2, 5),
        slice(5, 6),
    ]
    assert split_into_windows(np.array([], np.uint32)) == []


@given(
    shards_of_samples.filter(len),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(4, 40),
    st.integers(0, 1000),
)
def test_streams_give_every_sample_once_and_depend_on_the_seed_alone(
    shard, window, streams, batch_size, seed
):
    orders = [
        streamed(shard, window, streams, batch_size, np.random.default_rng(seed)).tolist()
        for _ in range(2)
    ]
    assert sorted(orders[0]) == list(range(len(shard)))
    assert orders[0] == orders[1]


def test_streams_are_interleaved_batch_by_batch():
    streams = [np.array([0, 1, 2, 3, 4]), np.array([10, 11, 12])]
    assert interleaved(streams, 3).tolist() == [0, 1, 10, 2, 3, 11, 4, 12]


@given(st.integers(0, 200), st.integers(1, 9))
def test_the_spans_of_all_workers_make_up_a_batch(size, count):
    spans = [BatchPart(index, count).span(size) for index in range(count)]
    joined = [first for span in spans for first in range(span.first, span.first + span.samples)]
    assert joined == list(range(size))
    assert max(span.samples for span in spans) - min(span.samples for span in spans) <= 1
    assert {span.size for span in spans} == {size}


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 6), st.integers(0, 5))
def test_over_all_workers_every_sample_comes_once_an_epoch(size, batch_size, count, skipped):
    count = min(count, batch_size)
    start = min(skipped, size // batch_size) * batch_size
    parts = [
        Order(
            size, "shuffled", seed=4, batch_size=batch_size, part=BatchPart(index, count)
        ).batches(2, start)
        for index in range(count)
    ]
    whole = Order(size, "shuffled", seed=4, batch_size=batch_size).batches(2, start)
    assert {len(part) for part in parts} == {len(whole)}
    for number, batch in enumerate(whole):
        given_positions = [part[number][: part.span(number).samples].tolist() for part in parts]
        assert sum(given_positions, []) == batch.tolist()
    assert [part.positions.tolist() for part in parts] == [
        sum((one.tolist() for one in part), []) for part in parts
    ]


def test_a_worker_without_a_sample_has_an_empty_span():
    assert BatchPart(2, 3).span(2) == BatchSpan(0, 0, 2)
    batches = Order(5, batch_size=3, part=BatchPart(2, 3)).batches(1)
    assert [batches.span(number) for number in range(2)] == [BatchSpan(2, 1, 3), BatchSpan(0, 0, 2)]
    assert [batch.tolist() for batch in batches] == [[2], [3]]


def test_a_worker_reads_only_the_shards_of_its_stream():
    shard = np.arange(9000, dtype=np.uint32) // 100
    zeros = np.arange(9000) % 3 == 0
    whole = Order(
        9000, "windows", 4, 5, zeros, 0.1, batch_size=30, shard_of_sample=shard, streams=3
    )
    read = [
        set(shard[replace(whole, part=BatchPart(worker, 3)).batches(1).positions].tolist())
        for worker in range(3)
    ]
    assert len(set().union(*read)) == 90
    assert sum(map(len, read)) - 90 <= 6  # of the last batches
    order = whole.positions(1)
    assert len(set(order.tolist())) == len(order) == 6000 + allowed_zeros(6000, 3000, 0.1)


# ---- the samples with zero steering that an epoch leaves out


def test_zero_steering_is_that_of_the_recorded_row_and_not_of_the_sample():
    rows = np.array([(0.0,), (0.1,), (-0.0,)], [("steering", float)])
    samples = np.zeros(5, SAMPLE)
    samples["row"] = [0, 0, 1, 1, 2]
    samples["steering"] = [0.0, 0.25, 0.1, 0.0, -0.25]
    assert has_zero_steering(samples["row"], rows).tolist() == [True, True, False, False, True]


def test_surplus_samples_of_zero_steering_are_left_out_differently_in_each_epoch():
    zeros = np.arange(1000) % 4 != 0  # 750 of 1,000
    orders = [balanced(shuffled(1000, 5, epoch), zeros, 0.5, 5, epoch) for epoch in (1, 2)]
    for order in orders:
        assert len(order) == 500
        assert len(set(order.tolist())) == 500
        assert zeros[order].sum() == 250
        assert set(np.flatnonzero(~zeros)) <= set(order.tolist())
    first, second = (set(order[zeros[order]].tolist()) for order in orders)
    assert len(first - second) > 100
    again = balanced(shuffled(1000, 5, 1), zeros, 0.5, 5, 1)
    assert (again == orders[0]).all()
    kept = set(orders[0].tolist())
    assert orders[0].tolist() == [
        position for position in shuffled(1000, 5, 1).tolist() if position in kept
    ]


@pytest.mark.parametrize(
    ("others", "zeros", "fraction", "expected"),
    [(100, 50, 1.0, 50), (100, 50, 0.5, 50), (90, 500, 0.1, 10), (0, 9, 0.5, 0), (3, 100, 0.7, 7)],
)
def test_samples_of_zero_steering_are_limited_to_their_fraction(others, zeros, fraction, expected):
    assert allowed_zeros(others, zeros, fraction) == expected


def steered(store, steering):
    """Return a store with another steering in its rows."""
    rows = store.rows.copy()
    rows["steering"] = steering
    return replace(store, rows=rows)


@pytest.mark.parametrize("strategy", ["hdf5-shuffle", "hdf5-chunks"])
def test_a_feed_gives_the_balanced_epoch(simulated_store, strategy):
    with open_store(simulated_store) as opened:
        store = steered(opened, np.where(np.arange(len(opened.rows)) % 2, 0.0, 0.01))
        training = store.samples[~store.samples["validation"]]
        zeros = int((training["row"] % 2).sum())
        others = len(training) - zeros
        with (
            open_feed(select(store), FeedSettings(strategy), 16, zero_fraction=0.2) as feed,
            feed.epoch(1) as batches,
        ):
            given = sum(len(batch) for batch in batches)
        assert zeros > allowed_zeros(others, zeros, 0.2) > 0
        assert given == len(feed) == others + allowed_zeros(others, zeros, 0.2)
        with pytest.raises(UserError, match="without that option"):
            open_feed(select(steered(opened, 0.0)), FeedSettings(strategy), 16, zero_fraction=0.2)
