"""Stores, byte for byte: of each form that preprocess.py writes."""

import json

import h5py
import numpy as np
import pytest

from tests.golden.expected import check, digest
from tests.running import run_script

SMALL = ("--size", "32", "--block-seconds", 1)
STORES = {
    "one drive": ("lake", "--block-seconds", 1),
    "both tracks": ("lake", "mountain", *SMALL),
    "center without flips": ("lake", *SMALL, "--cameras", "center", "--no-flip"),
    "earlier frames": ("lake", *SMALL, "--frame-offsets", 2),
    "sequences": ("lake", "mountain", *SMALL, "--seq-length", 3),
    "end of each drive": ("lake", "mountain", "--size", 32, "--split", "end"),
    "random rows": ("lake", "--size", 32, "--split", "random", "--seed", 5),
    "another drive for validation": ("lake", "--size", 32, "--validation-recording", "mountain"),
    "another drive for the test": ("lake", *SMALL, "--test-recording", "mountain"),
    "constant correction": ("lake", *SMALL, "--correction", 0.2),
    "no validation": ("lake", "--size", 32, "--validation", 0),
    "oblong": ("lake", "--size", "64x40", "--block-seconds", 1),
    "grey": ("lake", "--preprocess", "gray-80x120", "--block-seconds", 1),
    "yuv": ("lake", "--preprocess", "nvidia-66x200-yuv", "--block-seconds", 1),
    "parts": ("lake", "--preprocess", "rows 60-140, 64x64, RGB, 0..1", "--block-seconds", 1),
}


def contents(path):
    """Return what a store holds: its attributes, and a digest of each dataset and column."""
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        content = {"attributes": {name: _read(attributes[name]) for name in attributes}}
        for name, dataset in file.items():
            if name == "origin":  # the recording's path and times, for --resume
                continue
            if h5py.check_string_dtype(dataset.dtype):
                content[name] = [_read(text) for text in np.ravel(dataset[()])]
            elif dataset.dtype.names:
                table = dataset[:]
                content[name] = {column: digest(table[column]) for column in table.dtype.names}
            else:
                content[name] = digest(dataset[()])
            assert not dataset.attrs.keys()
    return content


def _read(value):
    """Return a stored text or number; from JSON, without the path, which each machine has anew."""
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str):
        return value.item()
    if not value.startswith("{"):
        return value
    return {key: item for key, item in json.loads(value).items() if key != "path"}


@pytest.mark.parametrize("name", STORES)
def test_a_store_has_the_expected_content(name, here):
    run_script("preprocess.py", *STORES[name], "-o", "store.h5", cwd=here)
    check("stores", name, contents(here / "store.h5"))


def test_store_that_a_drive_was_added_to(here):
    run_script("preprocess.py", "lake", *SMALL, "-o", "store.h5", cwd=here)
    run_script("preprocess.py", "mountain", "--add", "-o", "store.h5", cwd=here)
    check("stores", "added", contents(here / "store.h5"))


def test_folder_of_shards(here):
    options = ("--size", 64, "--block-seconds", 1, "--shard-mb", 1, "--jobs", 1)
    run_script("preprocess.py", "lake", "mountain", *options, "-o", "shards", cwd=here)
    manifest = json.loads((here / "shards" / "store.json").read_text())
    for recording in manifest["recordings"]:
        del recording["path"]
    for shard in manifest["shards"]:
        del shard["sha256"]  # of a file that holds the path
    shards = {path.stem: contents(path) for path in sorted((here / "shards").glob("*.h5"))}
    of_shards = {
        name: {**shard, "rows": digest(json.dumps(shard["rows"]))} for name, shard in shards.items()
    }
    check("stores", "shards", {"store.json": manifest} | of_shards)


def test_store_of_an_edited_drive(here):
    run_script("edit", "lake", "--delete", 10, 20, cwd=here)
    run_script("edit", "lake", "--mirror-steering", "--rows", 30, 40, cwd=here)
    run_script("edit", "lake", "--advance-steering", 0.1, cwd=here)
    edits = json.loads((here / "lake" / "driving_log.edits.json").read_text())
    run_script("preprocess.py", "lake", *SMALL, "-o", "store.h5", cwd=here)
    check("stores", "edited", contents(here / "store.h5") | {"driving_log.edits.json": edits})


def test_store_of_a_tub_that_was_written_and_read(here):
    run_script("export", "lake", "--to", "tub", "-o", "tub", cwd=here)
    run_script("import", "tub", "-o", "back", cwd=here)
    log = (here / "back" / "driving_log.csv").read_text().replace(str(here), "HERE")
    run_script("preprocess.py", "back", *SMALL, "-o", "store.h5", cwd=here)
    check("stores", "tub", contents(here / "store.h5") | {"imported log": digest(log)})
