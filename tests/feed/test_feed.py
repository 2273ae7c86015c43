"""The contract of all feeds: each sample once an epoch, in the same order, from any step on."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from bcclone.dataset.conversion import open_in_place
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed, open_feed_in_order
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.feed.order import Order
from bcclone.feed.selection import Source, select
from bcclone.system.errors import UserError
from tests.feed.feeds import drain, plain
from tests.feed.test_feed_threads import count_epoch

BATCH = 64  # samples
SEED = 3
FORMS = {name: FeedSettings(name, chunk_size=100) for name in STRATEGIES}


@pytest.fixture(scope="module")
def store(simulated_store):
    with open_store(simulated_store) as store:
        yield store


@pytest.fixture(scope="module")
def files(simulated_recording):
    """The samples of the store, read from the image files instead."""
    settings = SampleSettings(block_seconds=2.0, frame_offsets=1)
    return open_in_place((str(simulated_recording),), Preprocessing(), settings)


@pytest.fixture(scope="module", params=FORMS)
def form(request):
    return request.param


@pytest.fixture(scope="module")
def data_of(store, files, sharded_store):
    """A function that returns the samples of the store, as a form of feeds reads them."""
    with open_store(sharded_store) as shards:
        others = {"files": files, "shards": shards}
        yield lambda form: others.get(form, store)


@pytest.fixture(scope="module")
def selection(form, data_of):
    return select(data_of(form))


@pytest.fixture(scope="module")
def feed(form, selection):
    with open_feed(selection, FORMS[form], BATCH, SEED) as feed:
        yield feed


@pytest.fixture(scope="module")
def expected(form, store, selection):
    """Return a function that computes images and steering of an epoch in the simplest way."""
    samples = store.samples[~store.samples["validation"]]
    return lambda epoch: plain(store, samples[order_of(form, selection, epoch)])


def order_of(form, selection, epoch):
    ordering = FORMS[form].ordering[:2]
    order = Order(len(selection), *ordering, SEED, shard_of_sample=selection.shard)
    return order.positions(epoch)


def assert_same(batches, expected):
    expected_images, expected_steering = expected
    images = np.concatenate([np.asarray(batch.images) for batch in batches])
    steering = np.concatenate([np.asarray(batch.labels) for batch in batches])
    assert images.dtype == np.uint8
    assert steering.dtype == np.float32
    assert (images == expected_images).all()
    assert (steering == expected_steering).all()


def test_every_training_sample_comes_once_to_the_bit_and_the_last_batch_is_short(feed, expected):
    batches = drain(feed, 1)
    assert_same(batches, expected(1))
    sizes = [len(batch) for batch in batches]
    assert set(sizes[:-1]) == {BATCH}
    assert 0 < sizes[-1] == len(feed) % BATCH < BATCH


def test_an_epoch_can_continue_in_the_middle(feed, expected):
    images, steering = expected(2)
    assert_same(drain(feed, 2, 100), (images[100:], steering[100:]))


def test_leaving_an_epoch_early_or_by_an_error_does_not_affect_the_next(feed, expected):
    for asked in (0, 3):
        with suppress(ZeroDivisionError), feed.epoch(1) as batches:
            for _ in range(asked):
                next(batches)
            raise ZeroDivisionError
    assert_same(drain(feed, 3), expected(3))


class SpoiltLabels:
    """The labels of samples, of which one cannot be read."""

    def __init__(self, labels, spoilt):
        self.shape = labels.shape
        self._labels = labels
        self._spoilt = spoilt

    def __getitem__(self, positions):
        if self._spoilt in positions:
            raise ValueError("a sample is spoilt")
        return self._labels[positions]


def test_an_error_in_mid_epoch_comes_at_its_batch_and_does_not_end_the_feed(form, selection):
    spoilt = order_of(form, selection, 1)[2 * BATCH]
    labels = SpoiltLabels(selection.labels, spoilt)
    with open_feed(replace(selection, labels=labels), FORMS[form], BATCH, SEED) as feed:
        for _ in range(2):
            count, error = count_epoch(feed)
            assert (count, str(error)) == (2 * BATCH, "a sample is spoilt")


def test_validation_samples_come_in_order_and_apart(store, files):
    validation = store.samples[store.samples["validation"]]
    for data in (store, files):
        with open_feed_in_order(select(data, "validation"), 50) as feed:
            assert len(feed) == len(validation)
            assert_same(drain(feed, 1), plain(store, validation))


SEQ_LENGTH = 3


def plain_windows(store, validation):
    """Return images and steering of all windows of a side, in the simplest way, from the rows."""
    samples = store.samples
    newest = samples["frame_offset"] == 0
    images = []
    steering = []
    for sample in samples[newest & (samples["validation"] == validation)]:
        last = int(sample["row"])
        rows = store.rows[max(last - SEQ_LENGTH + 1, 0) : last + 1]
        # all rows are of one episode
        if len(rows) < SEQ_LENGTH or (rows["validation"] != validation).any():
            continue
        camera = ("center", "left", "right")[sample["camera"]]
        window = store.frames[rows[f"frame_{camera}"]]
        if sample["flipped"]:
            window = window[:, :, ::-1]
        images.append(window)
        steering.append([sample["steering"]])
    return np.stack(images), np.array(steering, np.float32)


@pytest.mark.parametrize("name", FORMS)
def test_every_feed_gives_the_same_windows_from_any_start(name, store, data_of):
    images, steering = plain_windows(store, validation=False)
    selection = select(data_of(name), seq_length=SEQ_LENGTH)
    with open_feed(selection, FORMS[name], BATCH, SEED) as feed:
        assert len(feed) == len(images)
        for epoch, start in ((1, 0), (2, 100)):
            order = order_of(name, selection, epoch)[start:]
            assert_same(drain(feed, epoch, start), (images[order], steering[order]))


def test_validation_windows_come_in_order(store, files):
    for data in (store, files):
        with open_feed_in_order(select(data, "validation", SEQ_LENGTH), 50) as feed:
            assert_same(drain(feed, 1), plain_windows(store, validation=True))


class FramesOfTenGigabytes:
    """Frames that TensorFlow cannot copy."""

    nbytes = 10**10
    frame_shape = (128, 128, 3)

    def __init__(self, error):
        self._error = error

    def __enter__(self):
        return self

    def close(self):
        pass

    def __array__(self, *_, **__):
        raise self._error(None, None, "Dst tensor is not initialized.")


@pytest.mark.parametrize("error", [tf.errors.ResourceExhaustedError, tf.errors.InternalError])
def test_frames_that_do_not_fit_on_the_device_are_refused_with_a_remedy(error, store):
    """TensorFlow raises the first on a CPU, and the second when it copies to a GPU."""
    feed = open_feed(select(store), FORMS["device"], BATCH)
    sample = feed.source
    feed.source = Source(FramesOfTenGigabytes(error), sample.frame, sample.flipped, sample.labels)
    message = "10.0 GB.*CPU:0.*--feed hdf5-shuffle"
    with pytest.raises(UserError, match=message), feed:
        pass


def test_the_samples_that_windows_leave_out_are_counted(store):
    training = select(store, "training", SEQ_LENGTH)
    validation = select(store, "validation", SEQ_LENGTH)
    _, training_steering = plain_windows(store, validation=False)
    _, validation_steering = plain_windows(store, validation=True)
    windows = len(training_steering) + len(validation_steering)
    assert training.left_out + validation.left_out == len(store.samples) - windows
