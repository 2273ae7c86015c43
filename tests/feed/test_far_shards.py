"""The feed "shards" of a store at a URL gives the batches of the local store, from copies."""

import shutil

import pytest

from bcclone.dataset.shards import open_store
from bcclone.feed.feed import check_feed, choose_feed, open_feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.selection import select
from bcclone.system.errors import UserError
from bcclone.system.location import parse_location
from tests.feed.test_feed import drain

SETTINGS = FeedSettings("shards", window_shards=2)


@pytest.fixture
def stores(far_store, sharded_store):
    with open_store(far_store) as far, open_store(sharded_store) as near:
        yield far, near


def assert_same(batches, expected):
    for one, other in zip(batches, expected, strict=True):
        assert (one.images == other.images).all()
        assert (one.labels == other.labels).all()


@pytest.mark.parametrize("seq_length", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_the_batches_are_those_of_the_local_store(stores, seq_length):
    far, near = (select(store, seq_length=seq_length) for store in stores)
    with open_feed(far, SETTINGS, 50, 3) as one, open_feed(near, SETTINGS, 50, 3) as other:
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
        open_feed(select(far), SETTINGS, 50, 3) as feed,
        pytest.raises(UserError, match="00003.h5: the shard is damaged"),
    ):
        drain(feed, 1)


def test_what_is_not_a_folder_of_shards_at_a_url_is_refused(far_store):
    with pytest.raises(UserError, match="00000.h5: a file at a URL, expected a folder of shards"):
        open_store(far_store / "00000.h5")
    with pytest.raises(UserError, match="memory://stores/none: no such store"):
        open_store(parse_location("memory://stores/none"))


def test_a_url_is_read_by_the_feed_shards_and_no_other(stores):
    assert choose_feed(stores[0])[0] == "shards"
    with pytest.raises(UserError, match="--feed memory reads local stores; use --feed shards"):
        check_feed(stores[0], FeedSettings("memory"))
