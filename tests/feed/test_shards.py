"""A folder of shards, also at a URL: all feeds read it as one file; "shards" reads ahead."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from bcclone.dataset.frames import FrameFile, Frames
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import check_feed, choose_feed, open_feed
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.feed.order import windowed
from bcclone.feed.selection import select
from bcclone.system.errors import UserError
from bcclone.system.files import FileVersion
from bcclone.system.location import parse_location
from tests.feed.feeds import drain

SEED = 3
SETTINGS = FeedSettings("shards", window_shards=2)
FEEDS = [
    name for name, strategy in STRATEGIES.items() if not strategy.of_files and name != "shards"
]


@pytest.fixture(scope="module")
def store(sharded_store):
    with open_store(sharded_store) as store:
        assert len(store.frames.files) > 5
        yield store


@pytest.fixture
def far(far_store):
    with open_store(far_store) as far:
        yield far


def assert_same(batches, expected):
    for one, other in zip(batches, expected, strict=True):
        assert (np.asarray(one.images) == np.asarray(other.images)).all()
        assert (np.asarray(one.labels) == np.asarray(other.labels)).all()


@pytest.mark.parametrize(
    "name",
    [
        "hdf5-shuffle",
        *(pytest.param(name, marks=pytest.mark.slow) for name in FEEDS if name != "hdf5-shuffle"),
    ],
)
def test_the_batches_are_those_of_one_file(simulated_store, store, name):
    settings = FeedSettings(feed=name, chunk_size=100)
    with open_store(simulated_store) as one_file:
        feeds = [
            open_feed(select(of, seq_length=3), settings, 16, SEED) for of in (one_file, store)
        ]
        with feeds[0] as one, feeds[1] as shards:
            found = drain(shards, 2, 16)
            assert_same(found, drain(one, 2, 16))
            assert sum(map(len, found)) == len(shards) - 16


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 2, 5, 100])
@pytest.mark.parametrize("seq_length", [1, 3])
def test_an_epoch_has_the_samples_of_each_window_of_shards(store, window, seq_length):
    selection = select(store, seq_length=seq_length)
    with open_feed(selection, FeedSettings("shards", window_shards=window), 50, SEED) as feed:
        for epoch, start in ((1, 0), (2, 50), (2, 77)):
            order = windowed(selection.shard, window, SEED, epoch)[start:]
            batches = drain(feed, epoch, start)
            expected = store.frames[selection.frame[order]]
            flipped = selection.flipped[order]
            expected[flipped] = expected[flipped][..., ::-1, :]
            assert (np.concatenate([batch.images for batch in batches]) == expected).all()
            labels = np.concatenate([batch.labels for batch in batches])
            assert (labels == selection.labels[order]).all()


@pytest.mark.parametrize(("files", "expected"), [(1, "hdf5-chunks"), (2, "shards")])
def test_the_feed_chosen_for_a_store_larger_than_memory_reads_ahead(store, files, expected):
    file = FrameFile(store.frames.files[0].path, 0, 10**12, FileVersion(0))
    large = replace(store, frames=Frames([file] * files, store.frames.frame_shape))
    assert choose_feed(large)[0] == expected


@pytest.mark.parametrize("seq_length", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_the_batches_of_a_store_at_a_url_are_those_of_the_local_store(far, store, seq_length):
    selections = [select(of, seq_length=seq_length) for of in (far, store)]
    feeds = [open_feed(selection, SETTINGS, 50, SEED) for selection in selections]
    with feeds[0] as one, feeds[1] as other:
        for epoch, start in ((1, 0), (2, 100)):
            assert_same(drain(one, epoch, start), drain(other, epoch, start))


def test_a_shard_that_was_damaged_since_is_named_when_it_is_fetched(sharded_store, tmp_path):
    folder = shutil.copytree(sharded_store, tmp_path / "store")
    path = sorted(folder.glob("*.h5"))[3]
    content = bytearray(path.read_bytes())
    content[500_000] ^= 1  # in a frame
    path.write_bytes(content)
    url = parse_location("memory://stores/damaged")
    url.fs.put(str(folder), url.path, recursive=True)
    with (
        open_store(url) as far,
        open_feed(select(far), SETTINGS, 50, SEED) as feed,
        pytest.raises(UserError, match="00003.h5: the shard is damaged"),
    ):
        drain(feed, 1)


def test_what_is_not_a_folder_of_shards_at_a_url_is_refused(far_store):
    with pytest.raises(UserError, match="00000.h5.*expected a folder"):
        open_store(far_store / "00000.h5")
    with pytest.raises(UserError, match="memory://stores/none: no such store"):
        open_store(parse_location("memory://stores/none"))


def test_a_url_is_read_by_the_feed_shards_and_no_other(far):
    assert choose_feed(far)[0] == "shards"
    with pytest.raises(UserError, match="--feed memory.*--feed shards"):
        check_feed(far, FeedSettings("memory"))
