"""Building a feed opens nothing; its block opens what it needs, and leaves nothing open, after an
error either.
"""

import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bcclone.dataset.conversion import open_in_place
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed, open_feed_in_order
from bcclone.feed.feed_settings import STRATEGIES, AugmentSettings, FeedSettings
from bcclone.feed.selection import select
from bcclone.system.errors import UserError
from tests.feed.feeds import feed_threads

FORMS = {name: (FeedSettings(name, feed_workers=1), None) for name in STRATEGIES}
FORMS["augmented on the CPU"] = (FeedSettings("hdf5-shuffle", feed_workers=1), AugmentSettings())
OF_FILES = [name for name, strategy in STRATEGIES.items() if strategy.of_files]


@pytest.fixture(params=[*FORMS, "validation"])
def form(request):
    return request.param


@pytest.fixture
def folder(form, simulated_recording, simulated_store, tmp_path):
    """A folder with the data of the feed."""
    folder = tmp_path / "data"
    if form not in OF_FILES:
        folder.mkdir()
        shutil.copy(simulated_store, folder / "data.h5")
        return folder
    shutil.copytree(simulated_recording, folder)
    log = folder / "driving_log.csv"
    log.write_text(log.read_text().replace(str(simulated_recording), str(folder)))
    return folder


@contextmanager
def built(form, folder):
    """Give a feed of the form, built while its data are away: it cannot have read them."""
    with ExitStack() as stack:
        if form in OF_FILES:
            data = open_in_place((str(folder),), Preprocessing(), SampleSettings())
        else:
            data = stack.enter_context(open_store(folder / "data.h5"))
        part = "validation" if form == "validation" else "training"
        selection = select(data, part)
        away = folder.rename(folder.with_name("away"))
        if form == "validation":
            feed = open_feed_in_order(selection, 64)
        else:
            settings, augment = FORMS[form]
            feed = open_feed(selection, settings, 64, augment=augment)
        away.rename(folder)
        yield feed


def opened(folder):
    """Return the files of a folder that this process has open, mapped ones too, and its threads."""
    process = psutil.Process()
    paths = {one.path for one in process.open_files()} | {one.path for one in process.memory_maps()}
    return [path for path in paths if Path(path).is_relative_to(folder)], feed_threads()


NOTHING = ([], [])


def test_building_a_feed_opens_nothing_and_leaving_its_block_closes_all(form, folder):
    with built(form, folder) as feed:
        assert opened(folder) == NOTHING
        with feed, feed.epoch(1) as batches:
            assert sum(map(len, batches)) == len(feed) > 0
        assert opened(folder) == NOTHING


def test_data_that_are_gone_end_a_feed_with_an_error_and_it_can_be_entered_again(form, folder):
    with built(form, folder) as feed:
        gone = folder.rename(folder.with_name("gone"))
        with pytest.raises(UserError, match=str(folder)), feed, feed.epoch(1) as batches:
            next(batches)
        assert opened(gone) == NOTHING
        gone.rename(folder)
        with feed, feed.epoch(1) as batches:
            assert sum(map(len, batches)) == len(feed)


def test_the_copies_of_far_shards_are_open_only_within_the_blocks_of_their_feeds(
    far_store, tmp_path
):
    cache = tmp_path / "cache"
    with open_store(far_store) as store:
        store = replace(store, frames=store.frames.reopened(cache))
        training = open_feed(select(store), FeedSettings("shards", window_shards=1), 64)
        validation = open_feed_in_order(select(store, "validation"), 64)
        assert (cache.exists(), opened(tmp_path)) == (False, NOTHING)
        with training, validation:
            for feed in (training, validation):
                with feed.epoch(1) as batches:
                    assert sum(map(len, batches)) == len(feed)
            assert list(cache.glob("*.h5"))
        assert opened(tmp_path) == NOTHING
