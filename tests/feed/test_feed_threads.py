"""Threads of feeds end with an error, an epoch or the training, and leave nothing behind."""

import gc
from dataclasses import replace

import numpy as np
import pytest

from bcclone.dataset.frames import FramesInMemory
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed_in_order
from bcclone.feed.loading import Feed, WindowFeed
from bcclone.feed.order import Order
from bcclone.feed.selection import Buffers, Source, select
from bcclone.system.errors import UserError
from tests.feed.feeds import feed_threads

SHAPE = (8, 8, 3)
SIZE = 200


class FaultyFrames(FramesInMemory):
    """Frames of which number 150 is spoilt, or cannot be read ahead, as in a far file that is gone.

    gone: whether it cannot be read ahead
    """

    def __init__(self, gone=False):
        super().__init__(np.zeros((SIZE, *SHAPE), np.uint8))
        self.gone = gone

    def take(self, indices, into):
        if 150 in indices:
            raise ValueError("frame 150 is spoilt")
        super().take(indices, into)

    def load(self, indices, stop=None):
        if self.gone and 150 in indices:
            raise UserError("frame 150 is gone")


def by_forty(positions):
    return [slice(start, start + 40) for start in range(0, len(positions), 40)]


def feed_of(frames, threads=2, split=None):
    labels = np.zeros((SIZE, 1), np.float32)
    source = Source(frames, np.arange(SIZE, dtype=np.uint32), np.zeros(SIZE, bool), labels)
    order = Order(SIZE, batch_size=10)
    if split:
        return WindowFeed(split, source, order, threads=threads)
    return Feed(source, order, threads=threads)


def count_epoch(feed):
    """Read an epoch to its end; return the number of samples, and the error that ended it."""
    count = 0
    try:
        with feed.epoch(1) as batches:
            for batch in batches:
                count += len(batch)
    except Exception as error:
        return count, error
    return count, None


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not feed_threads()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("split", [None, by_forty])
def test_an_error_in_a_thread_is_raised_in_the_trainer_and_does_not_end_the_feed(threads, split):
    with feed_of(FaultyFrames(), threads, split) as feed:
        for _ in range(2):
            count, error = count_epoch(feed)
            assert (count, type(error), str(error)) == (150, ValueError, "frame 150 is spoilt")


def test_an_error_while_reading_ahead_is_raised_at_its_window():
    with feed_of(FaultyFrames(gone=True), split=by_forty) as feed:
        for _ in range(2):
            count, error = count_epoch(feed)
            assert (count, str(error)) == (120, "frame 150 is gone")
            with feed.epoch(1) as batches:
                next(batches)


def test_a_buffer_is_reused_only_when_no_reference_to_it_is_left():
    buffers = Buffers(2, SHAPE, kept=4)
    first = buffers.take(2)
    address = first.__array_interface__["data"][0]
    view = first[1]
    del first
    gc.collect()
    assert buffers.take(2).__array_interface__["data"][0] != address
    del view
    assert any(buffers.take(1).__array_interface__["data"][0] == address for _ in range(3))


def test_a_feed_without_samples_is_empty(simulated_store):
    with open_store(simulated_store) as store:
        empty = replace(store, samples=store.samples[:0])
        with open_feed_in_order(select(empty, "validation"), 8) as feed, feed.epoch(1) as batches:
            assert list(batches) == []
