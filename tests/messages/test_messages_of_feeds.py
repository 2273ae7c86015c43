"""feed: stores whose samples a feed cannot give."""

from pathlib import Path

import h5py
import pytest

from bcclone.dataset.store import Store
from bcclone.feed.feed import check_feed, open_feed
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.keras_sequence import SampleDataset
from bcclone.feed.selection import describe_windows, select
from tests.dataset.test_store import some_frames, write_store
from tests.messages.refusals import refusal, run_command
from tests.messages.small_recording import make_recording

PLACE = Path("data.h5")


def store(driven="0.1,0.3,0,12"):
    run_command("preprocess", make_recording("rec", driven=driven), "--size", 8)
    return Store(PLACE)


def larger_than_memory():
    """A store with room for frames that take no room on the disk."""
    write_store(PLACE, some_frames(3))
    with h5py.File(PLACE, "r+") as file:
        del file["frames"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((10**10, 8, 16, 3))
        h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT8, space, plan)
    try:
        check_feed(Store(PLACE), FeedSettings("memory"))
    finally:
        PLACE.unlink()


def all_for_training():
    run_command("preprocess", make_recording("rec"), "--size", 8, "--validation", 0)
    return SampleDataset.from_store(PLACE, part="validation")


def without_any_steering():
    return open_feed(select(store("0,0.3,0,12")), FeedSettings(), 1, zero_fraction=0.1)


def shorter_than_a_window():
    selection = select(store(), seq_length=20)
    return describe_windows(selection, selection)


REFUSALS = [
    refusal(larger_than_memory, "data.h5", "3840.0 GB", "--feed hdf5-chunks"),
    refusal(without_any_steering, "data.h5", "steering", "0", "--zero-fraction"),
    refusal(
        shorter_than_a_window,
        "data.h5",
        "20 consecutive rows",
        "--seq-length",
        "--split blocks",
    ),
    refusal(
        all_for_training,
        "data.h5",
        "validation",
        "bcclone preprocess RECORDING... -o data.h5 --validation 0.2",
    ),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_store_that_a_feed_cannot_read_is_refused_with_the_option_that_helps(
    mistake, check_refusal
):
    check_refusal(mistake)
