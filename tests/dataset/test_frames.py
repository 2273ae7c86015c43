"""Frames of one file or of several, numbered through, are read like an array, and mapped again by a
pickled copy.
"""

import errno
import os
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.dataset.frames import FrameFile, Frames, FramesInMemory
from bcclone.system.errors import UserError
from bcclone.system.files import file_version, write_bytes
from tests.processes import said
from tests.running import ROOT

SHAPE = (4, 5, 3)
COUNTS = (7, 0, 12, 1)
FRAMES = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


@pytest.fixture(scope="module")
def files(folder):
    """Files that hold the frames one after the other, each behind some other bytes."""
    made = []
    start = 0
    for number, count in enumerate(COUNTS):
        path = folder / str(number)
        path.write_bytes(b"other" * number + FRAMES[start : start + count].tobytes())
        made.append(FrameFile(path, 5 * number, count, file_version(path)))
        start += count
    return made


@pytest.fixture(scope="module")
def one_file(folder):
    path = folder / "one"
    path.write_bytes(b"other" + FRAMES.tobytes())
    return FrameFile(path, 5, len(FRAMES), file_version(path))


@pytest.fixture(scope="module", params=["one file", "several files", "memory"])
def frames(request, files, one_file):
    if request.param == "memory":
        return FramesInMemory(FRAMES)
    return Frames([one_file], SHAPE) if request.param == "one file" else Frames(files, SHAPE)


@given(st.lists(st.integers(0, len(FRAMES) - 1)))
def test_any_frames_can_be_taken_in_any_order(frames, indices):
    into = np.zeros((len(indices), *SHAPE), np.uint8)
    frames.take(np.array(indices, np.uint32), into)
    assert (into == FRAMES[indices]).all()


@pytest.mark.parametrize("index", [-1, slice(None, None, -3), np.array([[0, 19], [7, 8]])], ids=str)
def test_frames_are_indexed_like_an_array(frames, index):
    assert (frames[index] == FRAMES[index]).all()


@pytest.mark.parametrize("index", [-21, np.array([3, 20])], ids=str)
def test_a_frame_that_does_not_exist_is_an_error(frames, index):
    with pytest.raises(IndexError, match="size 20"):
        frames[index]


def test_closed_frames_say_so_until_they_are_entered_again(files):
    frames = Frames(files, SHAPE)
    with frames:
        pass
    with pytest.raises(ValueError, match="these frames are closed"):
        frames[0]
    with frames:
        assert (frames[0] == FRAMES[0]).all()


def test_a_pickled_copy_reads_the_same_frames(frames):
    copy = pickle.loads(pickle.dumps(frames))
    assert (copy.shape, copy.nbytes) == (FRAMES.shape, FRAMES.nbytes)
    assert (np.asarray(copy) == FRAMES).all()


def test_loading_reads_what_can_be_taken_afterwards(files, one_file):
    for frames in (Frames([one_file], SHAPE), Frames(files, SHAPE)):
        frames.load(np.array([[0, 19], [7, 8]]), threading.Event())
        assert (frames[[19, 0]] == FRAMES[[19, 0]]).all()


@pytest.mark.parametrize("count", [1, 2])
def test_a_copy_refuses_a_file_that_has_changed(tmp_path, count):
    path = tmp_path / "data.h5"
    path.write_bytes(FRAMES.tobytes())
    sent = pickle.dumps(
        Frames([FrameFile(path, 0, len(FRAMES), file_version(path))] * count, SHAPE)
    )
    os.utime(path, ns=(1, 1))
    copy = pickle.loads(sent)
    with pytest.raises(UserError, match=r"data\.h5.*rewritten or removed"):
        copy[0]


def overwrite(path):
    path.write_bytes((255 - FRAMES).tobytes())
    os.utime(path, ns=(2, 2))  # a disk may count times in steps


def truncate(path):
    os.truncate(path, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody write a mapped file")
@pytest.mark.parametrize("change", [overwrite, truncate])
@pytest.mark.parametrize("count", [1, 2])
def test_frames_of_a_file_that_is_overwritten_are_refused(tmp_path, change, count):
    paths = [tmp_path / f"{number}.h5" for number in range(count)]
    for path in paths:
        path.write_bytes(FRAMES.tobytes())
    files = [FrameFile(path, 0, len(FRAMES), file_version(path)) for path in paths]
    with Frames(files, SHAPE) as frames:
        assert (frames[-1] == FRAMES[-1]).all()
        change(paths[-1])
        for read in (lambda: frames[-1], lambda: np.asarray(frames)):
            with pytest.raises(UserError, match=f"{count - 1}.h5: .*overwritten.*--resume"):
                read()


class HiddenPath(type(Path())):
    """A path that may not be looked at, once it is hidden."""

    is_hidden = False

    def stat(self, **options):
        if self.is_hidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return super().stat(**options)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody write a mapped file")
def test_a_file_out_of_sight_does_not_hide_that_another_one_is_overwritten(tmp_path):
    paths = [HiddenPath(tmp_path / "0.h5"), tmp_path / "1.h5"]
    for path in paths:
        path.write_bytes(FRAMES.tobytes())
    files = [FrameFile(path, 0, len(FRAMES), file_version(path)) for path in paths]
    with Frames(files, SHAPE) as frames:
        assert (frames[:] == [*FRAMES, *FRAMES]).all()
        paths[0].is_hidden = True
        assert (frames[0] == FRAMES[0]).all()
        overwrite(paths[1])
        with pytest.raises(UserError, match=r"1\.h5: .*overwritten"):
            frames.check_unchanged()


READ_WHILE_IT_BECOMES_SHORTER = """
import os, sys
from pathlib import Path
from bcclone.dataset.frames import FrameFile, Frames
from bcclone.system.files import file_version
from bcclone.system.process import claim_process

claim_process()
path = Path(sys.argv[1])
frames = Frames([FrameFile(path, 0, 20, file_version(path))], (4, 5, 3))
check = frames.check_unchanged
frames[0]
os.truncate(path, 0)
# as where the file changes just after it was looked at
frames.check_unchanged = lambda *files: None if files else check()
try:
    frames[0]
finally:
    print("not reached")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody write a mapped file")
def test_a_file_that_becomes_shorter_while_it_is_read_ends_the_process_with_its_name(tmp_path):
    path = tmp_path / "data.h5"
    path.write_bytes(FRAMES.tobytes())
    done = said(sys.executable, "-c", READ_WHILE_IT_BECOMES_SHORTER, path, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {path}: ")
    assert "--resume" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no mapped file")
@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_frames_of_a_file_that_is_replaced_are_those_that_were_opened(tmp_path, change):
    path = tmp_path / "data.h5"
    path.write_bytes(FRAMES.tobytes())
    with Frames([FrameFile(path, 0, len(FRAMES), file_version(path))], SHAPE) as frames:
        assert (frames[0] == FRAMES[0]).all()
        if change == "replaced":
            write_bytes(path, (255 - FRAMES).tobytes())
        else:
            path.unlink()
        assert (frames[:] == FRAMES).all()


def test_threads_may_read_new_files_at_the_same_time(tmp_path, monkeypatch):
    """Each file is mapped once; with two maps of it, one thread would read memory that is gone."""
    files = []
    mapped = []
    memmap = np.memmap

    def map_slowly(path, *arguments):
        mapped.append(path.name)
        time.sleep(0.001)  # meanwhile, other threads need it, too
        return memmap(path, *arguments)

    monkeypatch.setattr(np, "memmap", map_slowly)
    for number in range(40):
        path = tmp_path / str(number)
        path.write_bytes(FRAMES.tobytes())
        files.append(FrameFile(path, 0, len(FRAMES), file_version(path)))
    indices = np.arange(40 * len(FRAMES), dtype=np.uint32)

    def read(frames):
        into = np.empty((len(indices), *SHAPE), np.uint8)
        frames.take(indices, into)
        return (into.reshape(40, *FRAMES.shape) == FRAMES).all()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, [Frames(files, SHAPE)] * 8))
    assert sorted(mapped) == sorted(str(file.path) for file in files)
