"""A manifest that somebody else wrote is refused with a reason, whatever it holds, and nothing outside is read."""

import copy
import json
import os
import shutil
import socket

import h5py
import numpy as np
import pytest

from bcclone.cluster.manifest import MANIFEST_NAME
from bcclone.cluster.shard_task import first_checksums
from bcclone.cluster.shards import open_store
from bcclone.dataset.store_reader import read_store
from bcclone.system.errors import UserError

VALUES = (None, True, 0, 1, -1, 1.5, 1e300, 10**18, 2**63, 10**400, "", "x", "../x", "/etc/passwd", "\0", "é" * 1000)
TEXTS = ("[]", "[1]", "[[]]", "{}", '{"x": 1}', "NaN", "1e999", "9" * 5000, "[" * 5000 + "]" * 5000, '"\ud800"')


@pytest.fixture
def folder(sharded_store, tmp_path):
    """A store that a test may change; its shards are links to the original ones."""
    folder = tmp_path / "store"
    folder.mkdir()
    for path in sharded_store.glob("*.h5"):
        os.link(path, folder / path.name)
    shutil.copy(sharded_store / MANIFEST_NAME, folder)
    return folder


def manifest_of(folder):
    return json.loads((folder / MANIFEST_NAME).read_text())


def own_shard(folder):
    """Return the first shard, which is no link any more."""
    shard = folder / manifest_of(folder)["shards"][0]["name"]
    content = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(content)
    return shard


def fields(value, place=()):
    """Yield the place of each field; of a list, of its first member."""
    yield place
    for key in value if isinstance(value, dict) else range(min(len(value), 1)) if isinstance(value, list) else ():
        yield from fields(value[key], (*place, key))


def replaced(manifest, place, text):
    """Return the manifest's text with a field replaced by a JSON text."""
    if not place:
        return text
    changed = copy.deepcopy(manifest)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = "here"
    return json.dumps(changed).replace('"here"', text)


def outcome(folder, text):
    """Return the reason why a manifest is refused, "" if it is not; any other error fails the test."""
    (folder / MANIFEST_NAME).write_text(text, errors="surrogatepass")
    try:
        with open_store(folder) as store:
            assert len(store.rows) >= 0
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("part", ["schema_version", "preprocessing", "sample_settings", "recordings", "shards", ""])
def test_a_field_of_any_other_type_is_refused(folder, part):
    manifest = manifest_of(folder)
    places = [place for place in fields(manifest) if place[:1] == (part,) or not (part or place[1:])]
    refused = 0
    for place in places:
        for text in (*map(json.dumps, VALUES), *TEXTS):
            reason = outcome(folder, replaced(manifest, place, text))
            assert not reason or str(folder) in reason
            refused += bool(reason)
    assert refused >= len(places) * 15  # the others are other values of the field


@pytest.mark.parametrize("rest", ["", "x", '{"a": '])
def test_text_that_is_no_json_is_refused(folder, rest):
    assert "not the manifest" in outcome(folder, rest)


def test_a_shard_that_is_listed_3000_times_is_refused(folder):
    manifest = manifest_of(folder)
    manifest["shards"] = manifest["shards"][:1] * 3000
    assert "is named twice" in outcome(folder, json.dumps(manifest))


def test_a_shard_that_has_3000_names_is_refused(folder):
    manifest = manifest_of(folder)
    first = manifest["shards"][0]
    manifest["shards"] = [{**first, "name": f"{number}.h5"} for number in range(3000)]
    for number in range(3000):
        os.link(folder / first["name"], folder / f"{number}.h5")
    assert "same file" in outcome(folder, json.dumps(manifest))


@pytest.mark.parametrize("field", ["rows", "samples", "frames"])
def test_a_count_that_the_file_cannot_hold_asks_for_no_memory(folder, field):
    manifest = manifest_of(folder)
    shard = manifest["shards"][0]
    shard[field] = shard["bytes"]
    assert "not the shard that the manifest describes" in outcome(folder, json.dumps(manifest))
    shard[field] = shard["bytes"] + 1
    assert "expected 0 to its bytes" in outcome(folder, json.dumps(manifest))


@pytest.mark.parametrize(
    "name", ["../00000.h5", "/etc/passwd", "a/../../00000.h5", "00000.h5\n", ".", "..", "00000.H5", "٠.h5", "-1.h5"]
)
def test_a_shard_is_a_file_of_the_folder_with_a_number_as_its_name(folder, name):
    manifest = manifest_of(folder)
    manifest["shards"][0]["name"] = name
    reason = outcome(folder, json.dumps(manifest))
    assert "expected the name of a file" in reason
    assert "\n" not in reason


def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder, tmp_path):
    shard = folder / manifest_of(folder)["shards"][0]["name"]
    shard.rename(tmp_path / "elsewhere.h5")
    shard.symlink_to(tmp_path / "elsewhere.h5")
    assert "leads out of the folder" in outcome(folder, (folder / MANIFEST_NAME).read_text())


@pytest.mark.parametrize("name", [MANIFEST_NAME, "00000.h5"])
def test_a_pipe_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=r"without a store\.json|not a regular file|is missing"):
        open_store(folder)


def test_a_manifest_of_a_terabyte_without_content_is_refused(folder):
    with (folder / MANIFEST_NAME).open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match=r"store\.json: larger than"):
        open_store(folder)


def test_a_store_that_names_a_server_connects_to_none(folder):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        manifest = manifest_of(folder)
        manifest["recordings"][0]["path"] = f"ftp://127.0.0.1:{server.getsockname()[1]}/driving_log.csv"
        assert outcome(folder, json.dumps(manifest)) == ""
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_frame_that_a_row_cannot_have_is_refused(folder):
    shard = own_shard(folder)
    for frame, words in ((10**6, "rows refer to frames"), (-2, "a frame_center outside")):
        with h5py.File(shard, "r+") as file:
            rows = file["rows"][()]
            rows["frame_center"][0] = frame
            file["rows"][...] = rows
        assert words in outcome(folder, (folder / MANIFEST_NAME).read_text())


@pytest.mark.parametrize(
    "table", [None, ["text"] * 4, np.zeros(3, np.uint32), np.zeros(10**3, np.float64), np.zeros((10**3, 2), np.uint32)]
)
def test_a_shard_without_its_checksums_is_refused(folder, table):
    shard = own_shard(folder)
    with h5py.File(shard, "r+") as file:
        del file["checksums"]
        if table is not None:
            file["checksums"] = table
    with pytest.raises((UserError, ValueError), match="has no '?checksums"):
        first_checksums(*read_store(shard, ["checksums"])[1], 4)
