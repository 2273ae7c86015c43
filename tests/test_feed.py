"""Feeds give every sample once, in an order that seed and epoch alone decide, and end when they are left."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from bcclone.feed import Batch, Prefetch, StoreSource, batches, sequential, shuffled
from bcclone.store import Store


def feed_threads():
    return [thread for thread in threading.enumerate() if thread.name == "bcclone-feed"]


def test_the_order_is_a_permutation_of_seed_and_epoch():
    first = shuffled(1000, seed=1, epoch=1)
    assert sorted(first.tolist()) == list(range(1000))
    assert (first == shuffled(1000, seed=1, epoch=1)).all()
    for seed, epoch in [(1, 2), (2, 1)]:
        assert (first != shuffled(1000, seed, epoch)).any()


def test_the_shuffle_is_global():
    order = shuffled(10_000, seed=0, epoch=1).astype(int)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
    assert np.median(abs(np.diff(order))) > 1000


def test_batches_cover_the_order_and_the_last_may_be_short():
    assert [piece.tolist() for piece in batches(sequential(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_every_sample_comes_once_and_to_the_bit(simulated_store):
    with Store(simulated_store) as store:
        source = StoreSource(store, validation=True)
        samples = store.samples[store.part(validation=True)]
        assert len(source) == len(samples)
        order = shuffled(len(source), seed=3, epoch=2)
        place = 0
        with Prefetch(source.gather, batches(order, 32)) as feed:
            for batch in feed:
                for image, steering in zip(batch.images, batch.steering, strict=True):
                    sample = samples[order[place]]
                    frame = store.frames[sample["frame"]]
                    assert (image == (frame[:, ::-1] if sample["flipped"] else frame)).all()
                    assert steering[0] == sample["steering"]
                    place += 1
        assert place == len(samples)


def a_batch(piece):
    return Batch(np.zeros((len(piece), 2, 2, 3), np.uint8), np.zeros((len(piece), 1), np.float32))


def test_what_the_loader_raises_ends_the_feed_with_its_error():
    def gather(piece):
        if piece[0] >= 4:
            raise RuntimeError("the disk is gone")
        return a_batch(piece)

    with Prefetch(gather, batches(sequential(100), 2)) as feed, pytest.raises(RuntimeError, match="the disk is gone"):
        list(feed)
    assert not feed_threads()


def test_leaving_early_ends_the_thread():
    with Prefetch(a_batch, batches(sequential(10_000), 1), depth=2) as feed:
        next(iter(feed))
    assert not feed_threads()


def test_fetching_runs_ahead_but_not_without_bound():
    fetched = []

    def gather(piece):
        fetched.append(piece)
        return a_batch(piece)

    with Prefetch(gather, batches(sequential(100), 1), depth=3) as feed:
        next(iter(feed))
        until = time.monotonic() + 10
        while len(fetched) < 4:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.2)
        assert len(fetched) <= 5


def test_a_feed_that_was_never_left_ends_with_its_process():
    """Ctrl-C can come between a thread's start and the block; a thread left inside OpenCV would abort Python."""
    script = """
import cv2, numpy as np, time
from bcclone.feed import Prefetch, batches, sequential
image, flipped = np.zeros((512, 512, 3), np.uint8), np.empty((512, 512, 3), np.uint8)
feed = Prefetch(lambda piece: cv2.flip(image, 1, dst=flipped), batches(sequential(10**6), 1), depth=10**7)
feed.__enter__()
time.sleep(0.05)
raise SystemExit(3)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "")
