"""Frames at a URL are those of local files, whether copies are loaded or they are read by themselves."""

import hashlib
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcclone.cluster.far_frames import FarFrames, ShardCache
from bcclone.dataset.frames import FrameFile
from bcclone.system.location import parse_location, version_of

SHAPE = (4, 5, 3)
COUNTS = (7, 0, 12, 1)
FRAMES = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), *SHAPE), dtype=np.uint8)
NEVER = threading.Event()


@pytest.fixture(scope="module")
def files():
    return write_files("memory://far")


def write_files(url):
    """Write the frames into files in this folder, and return them."""
    made, start, folder = [], 0, parse_location(url)
    for number, count in enumerate(COUNTS):
        content = b"other" * number + FRAMES[start : start + count].tobytes()
        (folder / f"{number}.h5").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        file = folder / f"{number}.h5"
        made.append(FrameFile(file, 5 * number, count, version_of(file), sha256))
        start += count
    return made


@pytest.fixture(scope="module")
def frames(files):
    with FarFrames(files, SHAPE, ShardCache(None, 10_000)) as frames:
        yield frames


def taken(frames, indices):
    into = np.zeros((len(indices), *SHAPE), np.uint8)
    frames.take(np.array(indices, np.uint32), into)
    return into


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, len(FRAMES) - 1)), st.lists(st.integers(0, len(FRAMES) - 1)))
def test_any_frames_can_be_taken_whatever_is_loaded(frames, loaded, indices):
    near = frames.load(np.array(loaded, np.uint32), NEVER)
    try:
        assert (taken(frames, indices) == FRAMES[indices]).all()
    finally:
        frames.unload(near)


def test_without_a_cache_frames_are_read_by_themselves(files):
    frames = FarFrames(files, SHAPE)
    near = frames.load(np.arange(20), NEVER)
    assert near == []
    assert (taken(frames, range(20)) == FRAMES).all()
    frames.unload(near)
    assert (frames[np.array([[0, 19], [7, 3]])] == FRAMES[np.array([[0, 19], [7, 3]])]).all()


def test_a_file_of_which_few_frames_are_needed_is_not_copied(files):
    with FarFrames(files, SHAPE, ShardCache(None, 10_000)) as frames:
        near = frames.load(np.array([0, 1, 2, 3, 4, 5, 6, 7]), NEVER)
        assert near == [0]
        frames.unload(near)


def test_what_two_windows_share_stays_until_both_are_done():
    files = write_files("memory://shared")
    with FarFrames(files, SHAPE, ShardCache(None, 10_000)) as frames:
        first, second = (frames.load(np.array(wanted), NEVER) for wanted in ([0, 1, 2], [3, 4, 5]))
        frames.unload(first)
        for file in files:
            file.path.unlink()
        assert (taken(frames, [3, 6]) == FRAMES[[3, 6]]).all()
        frames.unload(second)
