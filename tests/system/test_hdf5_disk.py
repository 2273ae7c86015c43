"""An HDF5 file that is written on a full disk ends in the disk's error, wherever the disk becomes full."""

import ast
import subprocess
import sys
import tracemalloc

import h5py
import numpy as np
import pytest

from bcclone.system.hdf5_disk import checking, write_hdf5

# for each limit: a process of its own, in which no file may be larger, writes what an export writes; its exit code
PROGRAM = """
import os, resource, sys
from pathlib import Path
from tests.system.test_hdf5_disk import write_some

path, results = Path(sys.argv[1]), []
for limit in range(0, int(sys.argv[2]), int(sys.argv[3])):
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            write_some(path)
        except OSError as error:
            sys.exit(1 if error.strerror == "File too large" and error.filename == str(path) else 3)
        sys.exit(2)
    results.append(os.waitpid(child, 0)[1])
print(results)
"""


def write_some(path, rows=60, wide=20):
    with write_hdf5(path, track_order=True) as (file, check_disk):
        for episode in range(3):
            group = file.create_group(f"episode_{episode}")
            pixels = group.create_dataset(
                "pixels", (0, wide, wide, 3), "u1", maxshape=(None, wide, wide, 3), chunks=(1, wide, wide, 3)
            )
            content = group.create_dataset("jpeg", (0,), h5py.vlen_dtype(np.uint8), maxshape=(None,), chunks=(256,))
            for row in checking(range(rows), check_disk):
                for dataset in (pixels, content):
                    dataset.resize(row + 1, axis=0)
                pixels[row] = row
                content[row] = np.full(700, row, np.uint8)
            group["names"] = np.array([f"row {row}" for row in range(rows)], h5py.string_dtype())
            group.attrs["rows"] = rows


@pytest.mark.parametrize("step", [16_384, pytest.param(1024, marks=pytest.mark.slow)])
def test_a_disk_that_becomes_full_at_any_place_is_reported_and_crashes_nothing(tmp_path, step):
    write_some(tmp_path / "whole.h5")
    size = (tmp_path / "whole.h5").stat().st_size
    line = [sys.executable, "-c", PROGRAM, tmp_path / "limited.h5", size, step]
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = ast.literal_eval(done.stdout)
    assert len(results) == -(-size // step)
    assert set(results) == {1 << 8}, results  # no signal, and no other exit code


def test_a_file_has_what_was_written(tmp_path):
    write_some(tmp_path / "whole.h5")
    with h5py.File(tmp_path / "whole.h5") as file:
        assert list(file) == ["episode_0", "episode_1", "episode_2"]
        assert (file["episode_1/pixels"][:, 0, 0, 0] == np.arange(60)).all()
        assert (file["episode_2/jpeg"][59] == 59).all()


def test_a_large_file_needs_little_memory(tmp_path):
    tracemalloc.start()
    write_some(tmp_path / "whole.h5", rows=40, wide=400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "whole.h5").stat().st_size > 50e6
    assert peak < 10e6


def test_a_work_ends_soon_after_the_disk_is_full():
    full = OSError(28, "No space left on device")
    written = []

    def check():
        if len(written) == 3:
            raise full

    with pytest.raises(OSError, match="No space left"):
        written.extend(checking(range(100), check))
    assert len(written) == 3
