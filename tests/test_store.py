"""A store gives back what was put into it, or says what is wrong with it."""

import h5py
import numpy as np
import pandas as pd
import pytest

from bcclone.errors import UserError
from bcclone.images import Preprocessing
from bcclone.samples import SAMPLE
from bcclone.store import Store, StoreWriter, row_frame, row_table

PREPROCESSING = Preprocessing(width=16, height=8)
RECORDINGS = [{"path": "a"}]
SETTINGS = {"seed": 3}


def some_frames(count):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 16, 3), dtype=np.uint8)


def some_rows(count):
    names = [f"ö{n}.jpg" for n in range(count)]
    return pd.DataFrame({"line": range(count), "center": names, "left": "", "right": "", "steering": 0.5})


def write_store(path, frames, capacity=None):
    samples = np.zeros(len(frames), SAMPLE)
    samples["frame"] = np.arange(len(frames))
    samples["validation"][::4] = True
    with StoreWriter(path, PREPROCESSING, capacity or len(frames)) as writer:
        writer.append(frames[:3])
        writer.append(frames[3:])
        rows = row_table(some_rows(len(frames)))
        writer.finish(
            [samples[:4], samples[4:]], rows, ["a long text" * 99, *[""] * (len(frames) - 1)], RECORDINGS, SETTINGS
        )
    return samples


@pytest.mark.parametrize("capacity", [10, 17], ids=["all frames came", "some frames were left out"])
def test_round_trip(tmp_path, capacity):
    frames = some_frames(10)
    samples = write_store(tmp_path / "data.h5", frames, capacity)
    with Store(tmp_path / "data.h5") as store:
        assert (store.frames == frames).all()
        assert (store.samples == samples).all()
        assert store.preprocessing == PREPROCESSING
        assert store.recordings == RECORDINGS
        assert store.sample_settings == SETTINGS
        assert row_frame(store.rows)["center"].tolist() == some_rows(10)["center"].tolist()
        assert store.extras == ["a long text" * 99, *[""] * 9]
        assert store.split_indices(validation=True).tolist() == [0, 4, 8]
        assert len(store.split_indices(validation=False)) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["data.h5"]


def test_frames_that_did_not_come_cost_no_room_and_no_copy(tmp_path):
    write_store(tmp_path / "all.h5", some_frames(10))
    write_store(tmp_path / "fewer.h5", some_frames(10), capacity=10_000)
    assert (tmp_path / "fewer.h5").read_bytes() == (tmp_path / "all.h5").read_bytes()


def test_the_frames_are_mapped_and_not_read(tmp_path):
    write_store(tmp_path / "data.h5", some_frames(10))
    with Store(tmp_path / "data.h5") as store:
        assert isinstance(store.frames, np.memmap)
        assert not store.frames.flags.writeable


def test_any_hdf5_reader_can_read_it(tmp_path):
    frames = some_frames(10)
    write_store(tmp_path / "data.h5", frames)
    with h5py.File(tmp_path / "data.h5") as file:
        assert (file["frames"][()] == frames).all()
        assert file["frames"].chunks is None
        assert file["samples"].dtype.names == SAMPLE.names
        assert file.attrs["schema_version"] == 2


def test_the_hdf5_in_use_is_not_one_that_crafted_files_corrupt():
    assert h5py.version.hdf5_version_tuple[:3] >= (1, 14, 5)


def test_the_sample_table_costs_at_most_32_bytes_a_sample():
    assert SAMPLE.itemsize <= 32


@pytest.mark.parametrize("keep", [0, 100, 2048, -1])
def test_a_truncated_store_is_refused(tmp_path, keep):
    path = tmp_path / "data.h5"
    write_store(path, some_frames(10))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="not a whole store"):
        Store(path)


def change(path, edit):
    with h5py.File(path, "r+") as file:
        edit(file)


DAMAGE = {
    "newer schema": (lambda file: file.attrs.__setitem__("schema_version", 99), "schema version 99, expected 1"),
    "other preprocessing": (lambda file: file.attrs.__setitem__("preprocessing_hash", "0"), "do not belong together"),
    "no samples": (lambda file: file.__delitem__("samples"), "samples"),
    "dangling samples": (
        lambda file: file["samples"].__setitem__(0, np.array([(99,) + (0,) * 7], SAMPLE)[0]),
        "not there",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_store_that_does_not_fit_is_refused_with_the_reason(tmp_path, kind):
    edit, told = DAMAGE[kind]
    path = tmp_path / "data.h5"
    write_store(path, some_frames(10))
    change(path, edit)
    with pytest.raises(UserError, match=told):
        Store(path)


def test_a_missing_store_says_what_to_run_first(tmp_path):
    with pytest.raises(UserError, match="python preprocess.py RECORDING"):
        Store(tmp_path / "data.h5")


def test_the_same_content_has_the_same_hash_and_other_content_another(tmp_path):
    hashes = []
    changed = some_frames(10)
    changed[7, 3, 3, 1] ^= 1
    for frames in (some_frames(10), some_frames(10), some_frames(9), changed):
        write_store(tmp_path / "data.h5", frames)
        with Store(tmp_path / "data.h5") as store:
            hashes.append(store.content_hash)
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_a_store_too_large_for_the_disk_is_refused_at_once(tmp_path):
    with pytest.raises(UserError, match="MB are free"):
        StoreWriter(tmp_path / "data.h5", PREPROCESSING, 10**13)
