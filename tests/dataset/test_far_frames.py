"""Frames at a URL are those of local files, from copies that are verified and may be shared."""

import hashlib
import sys
import tempfile
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.dataset.frames import Copies, FrameFile, Frames
from bcclone.system.errors import UserError
from bcclone.system.files import FileVersion
from bcclone.system.location import parse_location
from tests.processes import full_disk

SHAPE = (4, 5, 3)
NEVER = threading.Event()


def write_files(url, *counts):
    """Write frames into files in this folder; return the files, and all frames."""
    files = []
    parts = []
    folder = parse_location(url)
    for number, count in enumerate(counts):
        frames = np.random.default_rng(number).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
        content = b"headhead" + frames.tobytes()
        path = folder / f"{number}.h5"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(FrameFile(path, 8, count, FileVersion(len(content)), digest))
        parts.append(frames)
    return files, np.concatenate(parts)


@pytest.fixture(scope="module")
def far():
    return write_files("memory://far", 7, 0, 12, 1)


@given(st.lists(st.integers(0, 19)), st.lists(st.integers(0, 19)))
def test_any_frames_can_be_taken_whatever_is_loaded(far, loaded, indices):
    files, expected = far
    with Frames(files, SHAPE) as frames:
        frames.load(np.array(loaded, np.uint32), NEVER)
        into = np.zeros((len(indices), *SHAPE), np.uint8)
        frames.take(np.array(indices, np.uint32), into)
        frames.copies.close()
    assert (into == expected[indices]).all()


def test_a_copy_in_a_chosen_folder_is_used_again(tmp_path):
    files, expected = write_files("memory://kept", 7)
    frames = Frames(files, SHAPE).reopened(tmp_path / "cache")
    assert (frames.reopened()[:] == expected).all()
    files[0].path.unlink()
    assert (frames.reopened()[:] == expected).all()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [f"{files[0].sha256}.h5"]


def test_a_temporary_folder_is_shared_and_deleted_at_the_end(far, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    frames = Frames(far[0], SHAPE)
    with frames.reopened() as one, frames.reopened() as other:
        assert (one[:] == other[:]).all()
        (folder,) = tmp_path.iterdir()
        assert len(list(folder.iterdir())) == 3  # one file has no frame
    frames.copies.close()
    assert list(tmp_path.iterdir()) == []


def flipped(content):
    """Return the bytes with one other bit."""
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


CHANGES = {
    "other content": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "shorter": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_shard_that_changes_after_the_store_was_opened_is_named_and_not_kept(change, tmp_path):
    files, expected = write_files("memory://changing", 7, 12)
    frames = Frames(files, SHAPE).reopened(tmp_path)
    CHANGES[change](files[0].path)
    words = r"memory://changing/0\.h5: .*(the shard is damaged.*again|cannot be reached)"
    with pytest.raises(UserError, match=words):
        frames[0]
    assert (frames[8] == expected[8]).all()
    assert [path.name for path in tmp_path.iterdir()] == [f"{files[1].sha256}.h5"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_a_full_disk_is_not_taken_for_a_server_that_cannot_be_reached(far, tmp_path):
    with full_disk(100), pytest.raises(UserError, match="cannot keep copies.*another --cache"):
        Copies(tmp_path).path_of(far[0][2])
    assert list(tmp_path.iterdir()) == []
