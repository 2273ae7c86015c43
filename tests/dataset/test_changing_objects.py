"""Objects on an S3 server that change after the store was opened: one error names the object."""

import numpy as np
import pytest

from bcclone.dataset.shards import Manifest, open_store, read_shards
from bcclone.system.errors import UserError
from bcclone.system.location import parse_location
from tests.s3 import put_folder, s3_server

pytestmark = pytest.mark.slow
FIRST = "00000.h5"


@pytest.fixture(scope="module")
def server():
    with s3_server():
        yield


@pytest.fixture
def store(server, sharded_store):
    put_folder(sharded_store, "s3://bucket/store")
    url = parse_location("s3://bucket/store")
    yield url
    url.fs.rm(url.path, recursive=True)


def flipped(path):
    """Write an object again with one other byte, and the same size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


CHANGES = {
    "other content": flipped,
    "shorter": lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x" * 1000),
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_frames_of_a_shard_that_changes_after_the_store_was_opened_are_not_read(store, change):
    with open_store(store) as opened:
        other = opened.frames[np.array([len(opened.frames) - 1])]
        CHANGES[change](store / FIRST)
        with pytest.raises(UserError, match=f"{FIRST}: .*(the shard is damaged|cannot be reached)"):
            opened.frames[np.array([0, 1])]
        assert (opened.frames[np.array([len(opened.frames) - 1])] == other).all()
    assert other.any()


def test_a_store_that_was_written_again_after_its_manifest_was_read_is_refused(store):
    manifest = Manifest.read(store)
    (store / FIRST).write_bytes((store / "00001.h5").read_bytes())
    with pytest.raises(UserError, match=FIRST):
        read_shards(store, manifest)
