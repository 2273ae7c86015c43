"""Copies of far-away shards: verified, bounded, shared by processes, deleted at the end."""

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import filelock
import numpy as np
import pytest

from bcclone.cluster.shard_cache import ShardCache
from bcclone.dataset.frames import FrameFile
from bcclone.system.errors import UserError
from bcclone.system.location import parse_location

SHAPE = (4, 5, 3)
SIZE = 8 + 7 * 60  # bytes of a shard
NEVER = threading.Event()


@pytest.fixture(scope="module")
def shards():
    """Four shards at a URL, with their frames."""
    made, folder = [], parse_location("memory://shards")
    for number in range(4):
        frames = np.random.default_rng(number).integers(0, 256, (7, *SHAPE), dtype=np.uint8)
        content = b"headhead" + frames.tobytes()
        (folder / f"{number}.h5").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        made.append((FrameFile(folder / f"{number}.h5", 8, 7, (SIZE, 0), sha256), frames))
    return made


def bytes_in(cache):
    return sum(path.stat().st_size for path in cache.folder.iterdir() if path.suffix != ".lock")


def use(cache, shard):
    file, frames = shard
    assert (cache.map(file, SHAPE, NEVER) == frames).all()
    cache.release(file)


@pytest.fixture
def cache(tmp_path):
    with ShardCache(tmp_path / "cache", 2 * SIZE) as cache:
        yield cache


def test_the_oldest_copies_make_room(cache, shards):
    for number in (0, 1, 0, 2):
        use(cache, shards[number])
        time.sleep(0.01)
        assert bytes_in(cache) <= 2 * SIZE
    assert [cache.holds(file) for file, _ in shards] == [True, False, True, False]


def test_copies_in_use_stay_even_beyond_the_bound(cache, shards):
    mapped = [cache.map(file, SHAPE, NEVER) for file, _ in shards[:3]]
    assert all((found == frames).all() for found, (_, frames) in zip(mapped, shards, strict=False))
    assert bytes_in(cache) == 3 * SIZE
    for file, _ in shards[:3]:
        cache.release(file)
    use(cache, shards[3])
    assert bytes_in(cache) <= 2 * SIZE


def test_a_copy_is_used_again(cache, shards):
    use(cache, shards[0])
    file, frames = shards[0]
    gone = FrameFile(parse_location("memory://shards/gone.h5"), file.offset, file.count, file.version, file.sha256)
    use(cache, (gone, frames))


def test_a_damaged_shard_is_named_and_not_kept(cache, shards):
    file, _ = shards[0]
    damaged = FrameFile(file.path, file.offset, file.count, file.version, "0" * 64)
    with pytest.raises(UserError, match=r"memory://shards/0.h5: the shard is damaged.*SHA-256.*again"):
        cache.map(damaged, SHAPE, NEVER)
    assert not cache.holds(damaged)
    assert bytes_in(cache) == 0


def test_a_shard_that_is_gone_is_named(cache, shards):
    file, _ = shards[0]
    gone = FrameFile(parse_location("memory://shards/gone.h5"), 8, 7, file.version, "1" * 64)
    with pytest.raises(UserError, match="gone.h5: cannot be reached"):
        cache.map(gone, SHAPE, NEVER)
    assert bytes_in(cache) == 0


def test_several_processes_share_a_folder_and_a_shard_is_fetched_once(cache, shards, tmp_path):
    """Threads with caches of their own stand for processes: what they share is the folder."""
    with ExitStack() as opened, ThreadPoolExecutor(4) as pool:
        others = [opened.enter_context(ShardCache(cache.folder, cache.limit)) for _ in range(4)]
        for _ in pool.map(lambda other: [use(other, shards[number % 4]) for number in range(40)], others):
            pass
        assert bytes_in(cache) <= 2 * SIZE
    assert cache.folder.is_dir()


def test_what_a_killed_process_left_is_deleted_and_what_another_fetches_is_not(cache, shards):
    leftover, fetched = (cache.folder / f"{name}.partial" for name in ("killed", "fetched"))
    leftover.write_bytes(bytes(SIZE))
    fetched.write_bytes(bytes(SIZE))
    with filelock.FileLock(fetched.with_suffix(".lock")):
        use(cache, shards[0])
        assert fetched.exists()
        assert not leftover.exists()


def test_waiting_for_another_process_can_be_stopped(cache, shards):
    file, _ = shards[0]
    stop = threading.Event()
    stop.set()
    with (
        filelock.FileLock(cache.folder / f"{file.sha256}.lock"),
        pytest.raises(UserError, match="stopped"),
    ):
        cache.map(file, SHAPE, stop)


def test_a_temporary_folder_is_deleted_when_the_last_user_leaves(shards):
    with ShardCache(None, 2 * SIZE) as cache:
        with cache:
            use(cache, shards[0])
        assert cache.holds(shards[0][0])
    assert not cache.folder.exists()


def test_a_folder_is_made_when_the_block_is_entered(tmp_path):
    cache = ShardCache(tmp_path / "cache", 1)
    assert not (tmp_path / "cache").exists()
    with cache:
        assert (tmp_path / "cache").is_dir()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: cannot make that folder.*--cache"), ShardCache(tmp_path / "file", 1):
        raise AssertionError("a file was used as a folder")


def copy_of(cache, shard):
    return cache.folder / f"{shard[0].sha256}.h5"


SPOILED = {
    "other bytes": lambda path: path.write_bytes(bytes(SIZE)),
    "shorter": lambda path: path.write_bytes(b"x"),
    "longer": lambda path: path.write_bytes(bytes(2 * SIZE)),
    "sparse": lambda path: path.open("wb").truncate(1 << 40),
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("/nonexistent/file"),
    "a link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_copy_that_somebody_else_made_is_used_only_with_its_content(cache, shards, kind):
    SPOILED[kind](copy_of(cache, shards[0]))
    use(cache, shards[0])
    assert copy_of(cache, shards[0]).read_bytes()[8:] == shards[0][1].tobytes()
    assert not copy_of(cache, shards[0]).is_symlink()


def test_a_copy_that_was_replaced_meanwhile_is_compared_again(cache, shards):
    use(cache, shards[0])
    other = cache.folder / "other"
    other.write_bytes(bytes(SIZE))
    other.replace(copy_of(cache, shards[0]))
    use(cache, shards[0])


def test_a_link_in_place_of_what_is_fetched_overwrites_nothing(cache, shards, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    copy_of(cache, shards[0]).with_suffix(".partial").symlink_to(precious)
    use(cache, shards[0])
    assert precious.read_text() == "precious"


def test_a_link_in_place_of_a_lock_is_not_followed(cache, shards, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    copy_of(cache, shards[0]).with_suffix(".lock").symlink_to(precious)
    with pytest.raises(UserError, match=r"\.lock: cannot be locked.*--cache"):
        use(cache, shards[0])
    assert precious.read_text() == "precious"


def test_a_folder_that_every_user_may_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(UserError, match="every user may write there.*--cache"), ShardCache(tmp_path, SIZE):
        pass
