"""A manifest or shard with a wrong value is refused with a reason in one line, or read as it is."""

import json
import shutil
from itertools import islice

import pytest

from bcclone.dataset.shards import MANIFEST_NAME, open_store
from bcclone.system.errors import UserError
from bcclone.system.location import parse_location
from tests.hostile import with_wrong_values


@pytest.fixture
def folder(sharded_store, tmp_path):
    """A store that a test may change."""
    return shutil.copytree(sharded_store, tmp_path / "store")


def outcome(folder, manifest):
    """Return why a manifest is refused, "" if it is not; any other error fails the test."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / MANIFEST_NAME).write_text(text, errors="surrogatepass")
    try:
        with open_store(folder) as store:
            assert len(store.rows) >= 0
    except (
        UserError,
        OSError,
    ) as error:  # the system refuses the name of a shard of 5,000 characters
        reason = str(error)
        return reason if str(folder) in reason else pytest.fail(reason)
    return ""


@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_a_manifest_with_any_wrong_value_is_refused_or_read(folder, every):
    wrong = islice(
        with_wrong_values(json.loads((folder / MANIFEST_NAME).read_text())), 0, None, every
    )
    refused = [bool(outcome(folder, manifest)) for manifest in wrong]
    assert sum(refused) > 0.6 * len(refused)  # the others are other values of a field


@pytest.mark.parametrize("field", ["rows", "samples", "frames"])
def test_a_count_that_the_file_cannot_hold_asks_for_no_memory(folder, field):
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    manifest["shards"][0][field] += 1
    assert "not the shard that the manifest describes" in outcome(folder, manifest)


def test_a_shard_at_a_url_must_have_the_size_that_the_manifest_describes(sharded_store):
    url = parse_location("memory://stores/longer")
    url.fs.put(str(sharded_store), url.path, recursive=True)
    shard = url / "00001.h5"
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(UserError, match="00001.h5.*manifest"):
        open_store(url)
    url.fs.rm(url.path, recursive=True)
