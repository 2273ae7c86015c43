"""Recordings and stores on an S3 server: the same store, the same weights, errors in one line."""

import re

import pytest

from bcclone.dataset.shards import Manifest, open_store
from bcclone.system.location import parse_location
from tests.running import run_script
from tests.s3 import put_folder, s3_server

pytestmark = pytest.mark.slow
OPTIONS = ("--block-seconds", 2, "--frame-offsets", 1, "--shard-mb", 1)
STORE = "s3://bucket/store"


@pytest.fixture(scope="module")
def server(simulated_recording):
    with s3_server():
        put_folder(simulated_recording, "s3://bucket/recordings/lake")
        run_script(
            "preprocess.py", "s3://bucket/recordings/lake", "-o", STORE, *OPTIONS, "--jobs", 2
        )
        yield


def shards_of(store):
    return [
        (shard.name, shard.rows, shard.samples, shard.frames)
        for shard in Manifest.read(store).shards
    ]


def test_a_store_made_on_s3_of_a_recording_on_s3_is_the_local_one(server, sharded_store):
    url = parse_location(STORE)
    with open_store(url) as far, open_store(sharded_store) as near:
        assert far.content_hash == near.content_hash
        assert (far.samples == near.samples).all()
    assert shards_of(url) == shards_of(sharded_store)
    assert not [path.name for path in url.iterdir() if path.suffix not in (".h5", ".json")]


def test_a_complete_store_is_kept_and_a_removed_shard_is_made_again(server, sharded_store):
    url = parse_location(STORE)
    again = (*OPTIONS, "--jobs", 1)
    done = run_script("preprocess.py", "s3://bucket/recordings/*", "-o", STORE, *again, code=1)
    assert "is a complete store already" in done.stderr
    (url / "store.json").unlink()
    (url / "00001.h5").unlink()
    run_script("preprocess.py", "s3://bucket/recordings/*", "-o", STORE, *again, "--resume")
    with open_store(url) as far, open_store(sharded_store) as near:
        assert far.content_hash == near.content_hash


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("s3://none/recording",), "s3://none/recording: no such file or folder"),
        (("s3://bucket/recordings/x*",), "nothing matches this pattern"),
        (
            ("s3://bucket/recordings/lake", "-o", "s3://none/store"),
            "s3://none/store: cannot be reached: .*bucket",
        ),
        (
            ("s3://bucket/recordings/lake", "-o", "s3://bucket/x.h5"),
            "one file is written to a local path",
        ),
    ],
)
def test_what_is_not_on_the_server_is_told_in_one_line(server, arguments, words):
    done = run_script("preprocess.py", *arguments, code=1)
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert re.search(words, error)
