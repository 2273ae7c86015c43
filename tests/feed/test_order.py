"""The order of the samples depends on size, seed and epoch alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.feed.order import batches, chunked, sequential, shuffled


def test_a_shuffle_is_a_permutation_of_seed_and_epoch():
    first = shuffled(1000, seed=1, epoch=1)
    assert sorted(first.tolist()) == list(range(1000))
    assert (first == shuffled(1000, seed=1, epoch=1)).all()
    for seed, epoch in [(1, 2), (2, 1)]:
        assert (first != shuffled(1000, seed, epoch)).any()


def test_the_shuffle_is_the_same_on_every_machine_and_in_every_version():
    """A run that is resumed after an update must continue with the next sample; these are NumPy's PCG64 numbers."""
    assert shuffled(8, seed=1, epoch=2).tolist() == [6, 0, 7, 5, 1, 4, 3, 2]
    assert chunked(8, 3, seed=1, epoch=2).tolist() == [5, 4, 3, 0, 1, 2, 6, 7]


def test_the_shuffle_is_global():
    order = shuffled(10_000, seed=0, epoch=1).astype(int)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
    assert np.median(abs(np.diff(order))) > 1000


def test_every_position_is_equally_likely_for_every_sample():
    """Chi-squared of where sample 0 comes, over 2000 epochs in 10 positions: 27.9 is passed once in a thousand."""
    positions = [int(np.flatnonzero(shuffled(10, 0, epoch) == 0)[0]) for epoch in range(2000)]
    counts = np.bincount(positions, minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 27.9


@given(st.integers(0, 300), st.integers(1, 320), st.integers(0, 2**32 - 1), st.integers(1, 1000))
def test_chunks_are_shuffled_within_and_among_each_other(size, chunk_size, seed, epoch):
    order = chunked(size, chunk_size, seed, epoch)
    assert order.dtype == np.uint32
    assert sorted(order.tolist()) == list(range(size))
    chunks = (order // chunk_size).tolist()
    visits = [chunk for position, chunk in enumerate(chunks) if position == 0 or chunk != chunks[position - 1]]
    assert len(visits) == len(set(visits))  # a chunk that is left is not entered again
    assert (order == chunked(size, chunk_size, seed, epoch)).all()


def test_chunks_are_in_another_order_in_each_epoch():
    first, second = (chunked(1000, 10, seed=0, epoch=epoch) for epoch in (1, 2))
    assert (first[::10] // 10 != second[::10] // 10).any()
    assert (np.sort(first) == np.sort(second)).all()
    assert (first[:10] != np.sort(first[:10])).any()


def test_batches_cover_the_order_and_the_last_may_be_short():
    assert [batch.tolist() for batch in batches(sequential(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches(sequential(0), 3)) == []


def test_an_order_costs_four_bytes_a_sample():
    assert shuffled(1000, 0, 1).nbytes == chunked(1000, 64, 0, 1).nbytes == 4000


@pytest.mark.parametrize("order", [sequential(5), shuffled(5, 0, 1)])
def test_the_batches_of_the_rest_of_an_order_cover_it(order):
    assert np.concatenate(list(batches(order[3:], 2))).tolist() == order.tolist()[3:]
