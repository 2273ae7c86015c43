"""A store that is damaged, or of another make, is refused in one message; nothing of another file
comes along.
"""

import contextlib
import json
import socket

import h5py
import pytest

from bcclone.dataset.shards import open_store
from bcclone.system.errors import UserError
from tests.dataset.small_stores import some_frames, write_store
from tests.hostile import WRONG_PARTS, in_another_place, put, thinned

OBJECTS = ("frames", "samples", "rows", "recordings")
ATTRIBUTES = ("@schema_version", "@preprocessing", "@sample_settings", "@content_hash")


@pytest.fixture
def store(tmp_path):
    write_store(tmp_path / "data.h5", some_frames(10))
    return tmp_path / "data.h5"


def refused(path):
    """Return why the store is refused; nothing else may be raised."""
    with pytest.raises(UserError) as caught:
        open_store(path)
    text = str(caught.value)
    assert str(path) in text
    assert "preprocess" in text, "no remedy"
    assert len(text) < 3000
    return text


@pytest.mark.parametrize("attack", in_another_place)
def test_no_table_comes_from_another_file(store, attack):
    in_another_place[attack](store, "rows")
    refused(store)


@pytest.mark.parametrize("value", thinned(WRONG_PARTS, WRONG_PARTS, 24))
@pytest.mark.parametrize("name", [*OBJECTS, *ATTRIBUTES])
def test_a_part_of_another_type_is_refused(store, name, value):
    put(store, name, WRONG_PARTS[value])
    if name == "@content_hash" and isinstance(WRONG_PARTS[value], str):
        open_store(store).close()  # any text is a hash
    else:
        refused(store)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("samples", "frame", 10),
        ("samples", "row", 4_000_000_000),
        ("rows", "frame_left", 10),
        ("rows", "recording", 1),
        ("rows", "recording", -5),
        ("rows", "frame_left", -2),  # -1 stands for no frame
    ],
)
def test_a_value_that_no_store_has_is_refused(store, table, column, value):
    with h5py.File(store, "r+") as file:
        values = file[table][()]
        values[column][3] = value
        file[table][:] = values
    refused(store)


@pytest.mark.parametrize(("part", "thing"), [("frames", "frame"), ("recordings", "recording")])
def test_a_reference_to_the_first_of_no_things_is_refused(tmp_path, part, thing):
    path = tmp_path / "data.h5"
    write_store(path, some_frames(1))
    with h5py.File(path, "r+") as file:
        shape = (0, *file[part].shape[1:])
        dtype = file[part].dtype
        del file[part]
        file.create_dataset(part, shape, dtype)
    assert f"refers to {thing} 0 of 0" in refused(path)


@pytest.mark.parametrize("kind", ["http", "simplecache::ftp"])
def test_a_store_connects_to_no_host_that_it_names(store, kind):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{kind}://127.0.0.1:{server.getsockname()[1]}/log.csv"
        with h5py.File(store, "r+") as file:
            described = json.loads(file["recordings"].asstr()[0])
            del file["recordings"]
            file["recordings"] = [json.dumps({**described, "path": url})]
        with contextlib.suppress(UserError):
            open_store(store).close()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
