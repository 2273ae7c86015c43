"""A fault of one machine of a cluster loses nothing: its shards are written elsewhere, or one line
tells the user.
"""

import subprocess
import time

import pytest

from bcclone.dataset.shards import MANIFEST_NAME, open_store
from tests.dask_cluster import dask_cluster, kill
from tests.processes import wait_for
from tests.recordings import many_rows
from tests.running import command, run_script

OPTIONS = ("--size", 64, "--shard-mb", 1)
SECONDS_TO_END = 120  # much more than it takes, also while other programs use all cores


@pytest.fixture
def folder(tmp_path):
    """The folder of the store, which is not there yet."""
    return tmp_path / "store"


@pytest.fixture(scope="module")
def recording(simulated_recording, tmp_path_factory):
    """A recording of 1,200 rows, 45 shards."""
    return many_rows(simulated_recording, tmp_path_factory.mktemp("many") / "lake", 1200)


@pytest.fixture(scope="module")
def expected(recording, tmp_path_factory):
    """The content hash of a store of one file."""
    one = tmp_path_factory.mktemp("one") / "one.h5"
    run_script("preprocess.py", recording, "-o", one, *OPTIONS[:2])
    return hash_of(one)


def hash_of(path):
    with open_store(path) as store:
        return store.content_hash


def start(recording, folder, address):
    """Start a conversion; return its process when some shards are written and others are not."""
    line = command("preprocess.py", recording, "-o", folder, *OPTIONS, "--scheduler", address)
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: len(list(folder.glob("[0-9]*.h5"))) >= 3)
    assert not (folder / MANIFEST_NAME).exists()
    return process


def ended(process):
    said, _ = process.communicate(timeout=120)
    assert "Traceback" not in said
    return said


@pytest.mark.long
def test_the_shard_of_a_killed_worker_is_written_by_another(recording, folder, expected, tmp_path):
    with dask_cluster(tmp_path, workers=2) as cluster:
        process = start(recording, folder, cluster.address)
        kill(cluster.workers[0])
        said = ended(process)
        assert process.returncode == 0, said
    assert hash_of(folder) == expected
    assert not list(folder.glob(".*partial*"))


@pytest.mark.long
def test_a_killed_scheduler_is_told_in_one_line_and_a_resume_goes_on(
    recording, folder, expected, tmp_path
):
    with dask_cluster(tmp_path, workers=2) as cluster:
        process = start(recording, folder, cluster.address)
        kill(cluster.scheduler)
        began = time.monotonic()
        said = ended(process)
        assert time.monotonic() - began < SECONDS_TO_END
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith(f"error: the Dask scheduler at {cluster.address} ended")
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("[0-9]*.h5")}
    assert not (folder / MANIFEST_NAME).exists()
    run_script("preprocess.py", recording, "-o", folder, *OPTIONS, "--resume")
    assert hash_of(folder) == expected
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
