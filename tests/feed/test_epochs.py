"""The order of each epoch, and the samples with zero steering that are left out of it."""

import numpy as np
import pytest

from bcclone.dataset.samples import SAMPLE
from bcclone.dataset.store import Store
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import ORDERS, WINDOWS, FeedSettings, Ordering, SamplingSettings
from bcclone.feed.order import EpochOrder, allowed_zeros, balanced, has_zero_steering, shuffled
from bcclone.feed.selection import select
from bcclone.system.errors import UserError


def test_zero_steering_is_that_of_the_recorded_row_and_not_of_the_sample():
    rows = np.array([(0.0,), (0.1,), (-0.0,)], [("steering", float)])
    samples = np.zeros(5, SAMPLE)
    samples["row"], samples["steering"] = [0, 0, 1, 1, 2], [0.0, 0.25, 0.1, 0.0, -0.25]
    assert has_zero_steering(samples["row"], rows).tolist() == [True, True, False, False, True]


def test_steering_counts_as_zero_below_a_millionth():
    rows = np.array([(9e-7,), (1e-6,), (-9e-7,), (-1e-6,)], [("steering", np.float64)])
    assert has_zero_steering(np.arange(4, dtype=np.uint32), rows).tolist() == [True, False, True, False]


def test_a_single_surplus_sample_is_left_out():
    zeros = np.array([True] * 5 + [False] * 4)
    assert len(balanced(np.arange(9, dtype=np.uint32), zeros, 0.5, seed=1, epoch=1)) == 8


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
    assert orders[0].tolist() == [position for position in shuffled(1000, 5, 1).tolist() if position in kept]


@pytest.mark.parametrize(
    ("others", "zeros", "fraction", "expected"),
    [(100, 50, 1.0, 50), (100, 50, 0.5, 50), (90, 500, 0.1, 10), (0, 9, 0.5, 0)],
)
def test_the_allowed_number_of_samples_of_zero_steering(others, zeros, fraction, expected):
    assert allowed_zeros(others, zeros, fraction) == expected


@pytest.mark.parametrize(
    "kind", [kind for kind in ORDERS if kind != WINDOWS]
)  # which leaves samples out before it orders them
def test_every_epoch_has_the_declared_length_and_depends_on_the_settings_alone(kind):
    zeros = np.arange(1000) % 3 == 0
    complete = EpochOrder(1000, Ordering(kind, 64), 7)
    assert len(complete) == len(complete.order(1)) == 1000
    thinned = EpochOrder(1000, Ordering(kind, 64), 7, zeros, 0.1)
    for epoch in (1, 2):
        order = thinned.order(epoch)
        assert len(order) == len(thinned) == 667 - 1 + allowed_zeros(666, 334, 0.1) == len(set(order.tolist()))
        assert (order == thinned.order(epoch)).all()
        assert [
            position for position in complete.order(epoch).tolist() if position in set(order.tolist())
        ] == order.tolist()


@pytest.mark.parametrize("strategy", ["hdf5-shuffle", "hdf5-chunks", "sequence"])
def test_a_feed_gives_the_balanced_epoch(simulated_store, strategy):
    with Store(simulated_store) as store:
        training = store.samples[~store.samples["validation"]]
        store.rows["steering"] = np.where(np.arange(len(store.rows)) % 2, 0.0, 0.01)
        zeros = int((training["row"] % 2).sum())
        others = len(training) - zeros
        with (
            open_feed(select(store), FeedSettings(strategy), SamplingSettings(16, zero_fraction=0.2)) as feed,
            feed.epoch(1) as batches,
        ):
            given = sum(len(batch) for batch in batches)
        assert zeros > allowed_zeros(others, zeros, 0.2) > 0
        assert given == len(feed) == others + allowed_zeros(others, zeros, 0.2)
        store.rows["steering"] = 0.0
        with pytest.raises(UserError, match="without that option"):
            open_feed(select(store), FeedSettings(strategy), SamplingSettings(16, zero_fraction=0.2))
