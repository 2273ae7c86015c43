"""A disk that refuses every lock, as some network drives do: commands work there, without locks."""

import os
import shutil
import sys

import pytest

from tests.processes import said
from tests.running import ROOT, command

# what the C library's functions do on such a disk
NO_LOCKS = """
#include <errno.h>
int flock(int file, int operation) { errno = %s; return -1; }
int lockf(int file, int command, long size) { errno = %s; return -1; }
"""


def without_locks(folder, error, **variables):
    """Return the environment of a program for which every lock fails with this error."""
    if not sys.platform.startswith("linux") or not shutil.which("cc"):
        pytest.skip("needs Linux and a compiler of C")
    source = folder / "no_locks.c"
    library = folder / "no_locks.so"
    source.write_text(NO_LOCKS % (error, error))
    said("cc", "-shared", "-fPIC", "-o", library, source, check=True)
    return os.environ | {"LD_PRELOAD": str(library)} | variables


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("ENOSYS", "EOPNOTSUPP")]


@pytest.fixture(params=["ENOLCK", *OTHERS])
def run(request, tmp_path):
    """Run a command where every lock fails; its exit code must be 0."""
    # some users ask HDF5 to lock, for other programs
    environment = without_locks(tmp_path, request.param, HDF5_USE_FILE_LOCKING="TRUE")

    def run(*words):
        done = said(*command(*words), env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_a_store_is_written_and_read(run, simulated_recording, tmp_path):
    for store in ("file.h5", "shards"):
        run("preprocess", simulated_recording, "-o", store, "--size", 32)
        run("preprocess", simulated_recording, "-o", store, "--size", 32, "--force")
    assert not list(tmp_path.glob(".*lock*"))


@pytest.mark.slow
@pytest.mark.parametrize("run", ["ENOLCK"], indirect=True)
def test_a_model_is_trained_resumed_and_drives(run, simulated_store, tmp_path):
    run("model", simulated_store, "-o", "m.h5", "--epochs", 1, "--no-plots")
    done = run("model", simulated_store, "-o", "m.h5", "--epochs", 2, "--resume", "--no-plots")
    assert "resuming" in done.stderr
    run("evaluate", ROOT / "models" / "lake.h5", "--laps", 0.005)
    assert not list(tmp_path.glob(".*lock*"))


LOAD = """
import sys, bcclone
print(bcclone.load_model(sys.argv[1]).model.count_params())
with bcclone.open_store(sys.argv[2]) as store:
    print(len(store.rows["steering"]))
"""


@pytest.mark.slow
def test_a_program_loads_a_model_and_a_store(simulated_store, tmp_path):
    line = (sys.executable, "-c", LOAD, ROOT / "models" / "lake.h5", simulated_store)
    done = said(*line, env=without_locks(tmp_path, "ENOLCK"))
    assert len(done.stdout.split()) == 2, done.stderr
