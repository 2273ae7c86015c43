"""A store returns what was written to it, and refuses a damaged or foreign file with the reason."""

import time

import h5py
import numpy as np
import pytest

from bcclone.dataset.samples import join_rows, row_frame, row_table
from bcclone.dataset.shards import open_if_store, open_store
from bcclone.system.errors import UserError
from tests.dataset.small_stores import (
    PREPROCESSING,
    RECORDINGS,
    SETTINGS,
    some_frames,
    some_rows,
    write_store,
)
from tests.recordings import remove_column


def test_a_number_that_only_some_rows_have_is_nan_in_the_others():
    without = row_table(some_rows(2))
    with_number = row_table(some_rows(3).assign(path_2m=0.5))
    joined = join_rows([without, with_number])["path_2m"]
    assert np.array_equal(joined, [np.nan] * 2 + [0.5] * 3, equal_nan=True)


@pytest.mark.parametrize("name", ["steering", "recording"])
def test_a_store_without_a_column_of_the_log_is_refused(tmp_path, name):
    write_store(tmp_path / "data.h5", some_frames(10))
    remove_column(tmp_path / "data.h5", name)
    with pytest.raises(UserError, match=f"no column {name}"):
        open_store(tmp_path / "data.h5")


@pytest.mark.parametrize("capacity", [10, 17], ids=["capacity filled", "capacity not filled"])
def test_a_store_returns_what_was_written_to_it(tmp_path, capacity):
    frames = some_frames(10)
    samples = write_store(tmp_path / "data.h5", frames, capacity)
    with open_store(tmp_path / "data.h5") as store:
        assert (np.asarray(store.frames) == frames).all()
        assert (store.samples == samples).all()
        assert store.preprocessing == PREPROCESSING
        assert store.recordings == RECORDINGS
        assert store.sample_settings == SETTINGS
        assert row_frame(store.rows)["center"].tolist() == some_rows(10)["center"].tolist()
        assert store.split_indices("validation").tolist() == [0, 4, 8]
        assert len(store.split_indices("training")) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["data.h5"]


def test_unused_capacity_leaves_no_trace_in_the_file(tmp_path):
    write_store(tmp_path / "all.h5", some_frames(10))
    time.sleep(1.1)  # HDF5 notes times in seconds, if it notes them
    write_store(tmp_path / "fewer.h5", some_frames(10), capacity=10_000)
    assert (tmp_path / "fewer.h5").read_bytes() == (tmp_path / "all.h5").read_bytes()


@pytest.mark.parametrize("keep", [0, 2048, -1])
def test_a_truncated_store_is_refused(tmp_path, keep):
    path = tmp_path / "data.h5"
    write_store(path, some_frames(10))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="not a complete store"):
        open_store(path)


def test_a_file_that_is_no_hdf5_may_be_a_log_but_not_under_the_name_of_a_store(tmp_path):
    for name in ("log.txt", "recording.zip", "data.h5"):
        (tmp_path / name).write_bytes(b"PK\3\4")
    assert open_if_store(tmp_path / "log.txt") is None
    assert open_if_store(tmp_path / "recording.zip") is None
    with pytest.raises(UserError, match="not a complete store"):
        open_if_store(tmp_path / "data.h5")


def test_a_model_is_not_a_store(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = "{}"
    with pytest.raises(UserError, match=r"model\.h5: not a complete store: it is a model"):
        open_store(tmp_path / "model.h5")


def test_an_hdf5_file_of_another_program_is_no_store(tmp_path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = np.zeros((2, 66, 200, 3), np.uint8)
    with pytest.raises(UserError, match=r"images\.h5: not a complete store: .*preprocess"):
        open_store(tmp_path / "images.h5")


def test_a_store_that_is_a_pointer_of_git_lfs_is_to_be_fetched(tmp_path):
    path = tmp_path / "data.h5"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")
    with pytest.raises(UserError, match=r"pointer of Git LFS.* git lfs pull$"):
        open_store(path)
