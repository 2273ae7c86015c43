"""Frames at a URL are those of local files, from copies that are verified, bounded and shared, or
read one by one.
"""

import hashlib
import os
import sys
import tempfile
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.dataset import far_frames
from bcclone.dataset.far_frames import FarFrames, ShardCache, Stopped
from bcclone.dataset.frames import FrameFile
from bcclone.system.errors import UserError
from bcclone.system.location import parse_location, version_of
from tests.processes import full_disk

SHAPE = (4, 5, 3)
SIZE = 8 + 7 * 60  # bytes of a shard of seven frames
NEVER = threading.Event()


def write_files(url, *counts):
    """Write frames into files in this folder; return each file with its frames."""
    made = []
    folder = parse_location(url)
    for number, count in enumerate(counts):
        frames = np.random.default_rng(number).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
        content = b"headhead" + frames.tobytes()
        path = folder / f"{number}.h5"
        path.write_bytes(content)
        made.append(
            (
                FrameFile(path, 8, count, version_of(path), hashlib.sha256(content).hexdigest()),
                frames,
            )
        )
    return made


@pytest.fixture(scope="module")
def shards():
    return write_files("memory://shards", 7, 7, 7, 7)


@pytest.fixture(scope="module")
def far():
    """Twenty frames in four files, opened with a cache; and what they are."""
    files, parts = zip(*write_files("memory://far", 7, 0, 12, 1), strict=True)
    with FarFrames(files, SHAPE, ShardCache(None, 10_000)) as frames:
        yield frames, np.concatenate(parts)


def taken(frames, indices):
    into = np.zeros((len(indices), *SHAPE), np.uint8)
    frames.take(np.array(indices, np.uint32), into)
    return into


@given(st.lists(st.integers(0, 19)), st.lists(st.integers(0, 19)))
def test_any_frames_can_be_taken_whatever_is_loaded(far, loaded, indices):
    frames, expected = far
    near = frames.load(np.array(loaded, np.uint32), NEVER)
    try:
        assert (taken(frames, indices) == expected[indices]).all()
    finally:
        frames.unload(near)


def test_without_a_cache_frames_are_read_by_themselves(far):
    opened, expected = far
    frames = FarFrames(opened.files, SHAPE)
    assert frames.load(np.arange(20), NEVER) == []
    assert (taken(frames, range(20)) == expected).all()
    assert (frames[np.array([[0, 19], [7, 3]])] == expected[[[0, 19], [7, 3]]]).all()


def test_a_file_of_which_few_frames_are_needed_is_not_copied(far):
    with FarFrames(far[0].files, SHAPE, ShardCache(None, 10_000)) as frames:
        near = frames.load(np.arange(8), NEVER)
        assert near == [0]
        frames.unload(near)


def test_what_two_windows_share_stays_until_both_are_done():
    ((file, expected),) = write_files("memory://shared", 7)
    with FarFrames([file], SHAPE, ShardCache(None, 10_000)) as frames:
        first, second = (frames.load(np.array(wanted), NEVER) for wanted in ([0, 1, 2], [3, 4, 5]))
        frames.unload(first)
        file.path.unlink()
        assert (taken(frames, [3, 6]) == expected[[3, 6]]).all()
        frames.unload(second)


# ---- copies of shards


def bytes_in(cache):
    return sum(path.stat().st_size for path in cache.folder.iterdir())


def use(cache, shard):
    file, frames = shard
    assert (cache.map(file, SHAPE, NEVER) == frames).all()
    cache.release(file)


@pytest.fixture
def cache(tmp_path):
    with ShardCache(tmp_path / "cache", 2 * SIZE) as cache:
        yield cache


def test_the_oldest_copies_make_room(cache, shards):
    for time, number in enumerate((0, 1, 0, 2)):
        use(cache, shards[number])
        os.utime(cache.folder / f"{shards[number][0].sha256}.h5", (time, time))
        assert bytes_in(cache) <= 2 * SIZE
    assert [cache.has_copy(file) for file, _ in shards] == [True, False, True, False]


def test_copies_in_use_stay_even_beyond_the_bound(cache, shards):
    mapped = [cache.map(file, SHAPE, NEVER) for file, _ in shards[:3]]
    assert all((found == frames).all() for found, (_, frames) in zip(mapped, shards, strict=False))
    assert bytes_in(cache) == 3 * SIZE
    for file, _ in shards[:3]:
        cache.release(file)
    use(cache, shards[3])
    assert bytes_in(cache) <= 2 * SIZE


def test_a_copy_is_used_again_but_not_a_part_of_one(cache, shards):
    use(cache, shards[0])
    file, frames = shards[0]
    use(cache, (replace(file, path=parse_location("memory://shards/gone.h5")), frames))
    (cache.folder / f"{file.sha256}.h5").write_bytes(b"x")
    use(cache, shards[0])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sha256": "0" * 64}, r"memory://shards/0.h5: the shard is damaged.*SHA-256.*again"),
        (
            {"path": parse_location("memory://shards/gone.h5"), "sha256": "1" * 64},
            "gone.h5: cannot be reached",
        ),
    ],
)
def test_a_shard_that_is_damaged_or_gone_is_named_and_not_kept(cache, shards, changed, words):
    file = replace(shards[0][0], **changed)
    with pytest.raises(UserError, match=words):
        cache.map(file, SHAPE, NEVER)
    assert list(cache.folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_a_full_disk_is_not_taken_for_a_server_that_cannot_be_reached(cache, shards):
    with full_disk(100), pytest.raises(UserError, match="cannot keep copies.*another --cache"):
        cache.map(shards[0][0], SHAPE, NEVER)
    assert list(cache.folder.iterdir()) == []


def test_fetching_can_be_stopped(cache, shards):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        cache.map(shards[0][0], SHAPE, stop)
    assert list(cache.folder.iterdir()) == []


def test_a_copy_that_another_process_deletes_while_it_is_fetched_is_fetched_again(
    cache, shards, monkeypatch
):
    deleted = []

    def sha256_of(path):
        if not deleted:
            deleted.append(path)
            path.unlink()
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(far_frames, "sha256_of", sha256_of)
    use(cache, shards[0])
    assert deleted
    assert [path.name for path in cache.folder.iterdir()] == [f"{shards[0][0].sha256}.h5"]


def test_a_temporary_folder_is_made_only_if_no_other_is_wanted(tmp_path, shards, monkeypatch):
    temporary = tmp_path / "temporary"
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with ShardCache(tmp_path / "cache", 2 * SIZE) as cache:  # `temporary` does not exist
        use(cache, shards[0])
    temporary.mkdir()
    with ShardCache(None, 2 * SIZE) as cache:
        use(cache, shards[0])
        assert cache.folder.parent == temporary
    assert list(temporary.iterdir()) == []
