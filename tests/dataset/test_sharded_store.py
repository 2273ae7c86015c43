"""A folder of shards has the content of a store of one file, whoever writes it and whatever
interrupts it.
"""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.dataset.shards import MANIFEST_NAME, open_store
from bcclone.system.errors import UserError
from bcclone.system.files import locked
from bcclone.system.settings import SettingError
from models.making.__main__ import list_stores
from tests.dask_cluster import dask_cluster, kill
from tests.processes import started
from tests.recordings import images_of, many_rows, rewrite, spoil
from tests.running import command, run_script

SMALL = ("--size", 64, "--block-seconds", 1, "--shard-mb", 1, "--jobs", 2)  # 27 rows a shard
OF_ONE_FILE = SMALL[:4]
OPTIONS = {
    "plain": (),
    "earlier frames, random split": ("--frame-offsets", 3, "--split", "random"),
    "one camera, no flips": ("--cameras", "left", "--no-flip"),
}


def preprocess(*arguments, code=0):
    done = run_script("preprocess.py", *arguments, code=code)
    return done.stdout + done.stderr


def content_of(path):
    with open_store(path) as store:
        tables = (store.samples.tobytes(), store.rows.dtype, store.rows.tobytes())
        frames = np.asarray(store.frames).tobytes()
        return (
            store.content_hash,
            tables,
            frames,
            store.recordings,
            store.sample_settings,
            store.preprocessing,
        )


def shards_of(folder):
    return sorted(path.name for path in folder.glob("[0-9]*.h5"))


@pytest.fixture(scope="module")
def two_recordings(simulated_recording, tmp_path_factory):
    """Two recordings: damaged images in one; in the other, rows that share the
    images of a side.
    """
    parent = tmp_path_factory.mktemp("two")
    first, second = (
        shutil.copytree(simulated_recording, parent / name) for name in ("first", "second")
    )
    spoil(first)
    # ten rows have the left image of an earlier shard
    rewrite(
        second,
        lambda rows: [
            *rows[:60],
            *([row[0], rows[5][1], *row[2:]] for row in rows[60:70]),
            *rows[70:110],
        ],
    )
    return first, second


@pytest.fixture
def copy(sharded_store, tmp_path):
    """A folder of shards that a test may damage."""
    return shutil.copytree(sharded_store, tmp_path / "store")


def test_a_folder_has_the_content_of_one_file(sharded_store, simulated_store):
    assert content_of(sharded_store) == content_of(simulated_store)
    manifest = json.loads((sharded_store / MANIFEST_NAME).read_text())
    assert shards_of(sharded_store) == [
        f"{number:05}.h5" for number in range(len(manifest["shards"]))
    ]
    rows = [shard["rows"] for shard in manifest["shards"]]
    assert max(rows) - min(rows) <= 1 < len(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "earlier frames, random split",
        *(pytest.param(kind, marks=pytest.mark.long) for kind in list(OPTIONS)[::2]),
    ],
)
def test_a_folder_has_that_content_with_all_options(two_recordings, tmp_path, kind):
    one = tmp_path / "one.h5"
    folder = tmp_path / "store"
    options = (*OPTIONS[kind], "--allow-skips")
    said = preprocess(*two_recordings, "-o", one, *OF_ONE_FILE, *options)
    of_shards = preprocess(*two_recordings, "-o", folder, *SMALL, *options)
    assert content_of(folder) == content_of(one)
    skips = [line for line in said.splitlines() if line.startswith("skipped")]
    assert [line for line in of_shards.splitlines() if line.startswith("skipped")] == skips
    assert len(shards_of(folder)) >= 3


@pytest.mark.slow
def test_a_dask_cluster_writes_the_same(recording, tmp_path):
    with dask_cluster(tmp_path) as cluster:
        preprocess(recording, "-o", tmp_path / "dask", *SMALL[:-2], "--scheduler", cluster.address)
    preprocess(recording, "-o", tmp_path / "here", *SMALL)
    assert shards_of(tmp_path / "dask") == shards_of(tmp_path / "here")


@pytest.mark.long
def test_the_shard_of_a_killed_worker_is_written_by_another(simulated_recording, tmp_path):
    long = many_rows(simulated_recording, tmp_path / "many", 1200)  # 45 shards
    folder = tmp_path / "store"
    with dask_cluster(tmp_path, workers=2) as cluster:
        line = (long, "-o", folder, *SMALL[:-2], "--scheduler", cluster.address)
        with started(command("preprocess.py", *line), lambda: len(shards_of(folder)) >= 3) as run:
            assert not (folder / MANIFEST_NAME).exists()
            kill(cluster.workers[0])
            assert run.wait(timeout=120) == 0
    preprocess(long, "-o", tmp_path / "one.h5", *OF_ONE_FILE)
    assert content_of(folder) == content_of(tmp_path / "one.h5")
    assert not list(folder.glob(".*partial*"))


@pytest.mark.slow
def test_stores_of_one_file_are_listed_as_a_folder(two_recordings, tmp_path):
    stores = [tmp_path / "first.h5", tmp_path / "second.h5"]
    for recording, store in zip(two_recordings, stores, strict=True):
        preprocess(recording, "-o", store, *OF_ONE_FILE, "--allow-skips")
    list_stores(stores[:1], tmp_path / "one")
    assert content_of(tmp_path / "one") == content_of(stores[0])
    list_stores(stores, tmp_path / "both")
    both, first, second = (open_store(path) for path in (tmp_path / "both", *stores))
    with both, first, second:
        frames = np.concatenate([np.asarray(first.frames), np.asarray(second.frames)])
        assert np.array_equal(np.asarray(both.frames), frames)
        samples = np.concatenate([first.samples, second.samples])
        assert np.array_equal(both.samples["steering"], samples["steering"])
        assert both.recordings == [*first.recordings, *second.recordings]


@pytest.mark.slow
def test_adding_appends_shards_and_gives_the_content_of_one_file(two_recordings, tmp_path):
    one = tmp_path / "one.h5"
    folder = tmp_path / "store"
    for store, options in ((one, OF_ONE_FILE), (folder, SMALL)):
        preprocess(two_recordings[0], "-o", store, *options, "--frame-offsets", 2)
    before = {name: (folder / name).stat().st_mtime_ns for name in shards_of(folder)}
    preprocess(*two_recordings, "-o", one, "--add")
    preprocess(*two_recordings, "-o", folder, "--add", "--shard-mb", 1, "--jobs", 2)
    assert content_of(folder) == content_of(one)
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before
    assert len(shards_of(folder)) > len(before)


@pytest.mark.slow
def test_an_interrupted_conversion_goes_on_with_the_shards_that_are_whole(two_recordings, tmp_path):
    folder = tmp_path / "store"
    line = (*two_recordings, "-o", tmp_path / "store", *SMALL, "--allow-skips")
    with started(
        command("preprocess.py", *line), lambda: len(shards_of(folder)) >= 2, start_new_session=True
    ) as run:
        os.killpg(run.pid, signal.SIGKILL)
    assert not (folder / MANIFEST_NAME).exists()
    with pytest.raises(UserError, match=r"without a store\.json"):
        open_store(folder)
    assert "complete it with --resume" in preprocess(*line, code=1)
    kept = {name: (folder / name).stat().st_mtime_ns for name in shards_of(folder)}
    preprocess(*line, "--resume")
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept
    preprocess(*two_recordings, "-o", tmp_path / "one.h5", *OF_ONE_FILE, "--allow-skips")
    assert content_of(folder) == content_of(tmp_path / "one.h5")
    assert not [path.name for path in folder.iterdir() if "partial" in path.name]
    assert "is a complete store already" in preprocess(*line, "--resume", code=1)


@pytest.mark.slow
def test_a_shard_whose_images_have_changed_is_written_again(recording, tmp_path):
    folder = tmp_path / "store"
    preprocess(recording, "-o", folder, *SMALL)
    before = content_of(folder)
    (folder / MANIFEST_NAME).unlink()
    image = images_of(recording)[30]
    other = images_of(recording)[31]
    image.write_bytes(other.read_bytes())
    preprocess(recording, "-o", folder, *SMALL, "--resume")
    assert content_of(folder)[0] != before[0]
    assert content_of(folder)[1] == before[1]


@pytest.mark.slow
def test_the_old_store_stays_until_the_new_one_is_complete(copy, recording):
    before = content_of(copy)
    for image in images_of(recording)[:20]:
        image.write_bytes(b"")
    assert "cannot be used" in preprocess(recording, "-o", copy, *SMALL, "--force", code=1)
    assert content_of(copy) == before
    preprocess(recording, "-o", copy, *SMALL, "--force", "--allow-skips", "--resume")
    assert content_of(copy)[0] != before[0]
    assert len(shards_of(copy)) == 5


def test_an_output_may_be_a_folder_at_a_url():
    assert PreprocessSettings(("lake",), "memory://stores/x").output.name == "x"
    with pytest.raises(SettingError, match="output 3, expected a path or a URL"):
        PreprocessSettings(("lake",), 3)


def test_two_conversions_do_not_write_one_folder(recording, tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    with locked(folder, "wait"):
        assert "is writing it; wait until it ends" in preprocess(
            recording, "-o", folder, *SMALL, code=1
        )


def test_an_output_that_is_no_store_is_refused(recording, tmp_path):
    assert "holds other files than a store's" in preprocess(
        recording, "-o", recording, *SMALL, "--force", code=1
    )
    folder = tmp_path / "none" / "store"
    wrong = preprocess(
        recording, "-o", tmp_path / "data.h5", "--scheduler", "tcp://127.0.0.1:1", code=1
    )
    assert "write a folder of shards" in wrong
    assert "leave --jobs out" in preprocess(
        recording, "-o", folder, "--jobs", 2, "--scheduler", "tcp://127.0.0.1:1", code=1
    )


DAMAGE = {
    "missing": (lambda path: path.unlink(), "shard of the store is missing"),
    "truncated": (lambda path: os.truncate(path, 300_000), "not a complete store"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"0"), "not the shard"),
    "another": (lambda path: shutil.copy(path.with_name("00000.h5"), path), "not the shard"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_shard_is_refused_by_name(copy, kind):
    damage, reason = DAMAGE[kind]
    damage(copy / "00003.h5")
    with pytest.raises(UserError, match=rf"00003\.h5: .*({reason})"):
        open_store(copy)
