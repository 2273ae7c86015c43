"""XLA: what it cannot compile for is remembered, and the folder of its programs is looked after."""

import os
import sys

import pytest

from bcclone.system.hardware import Card
from bcclone.system.xla import (
    COMPILE,
    compiler_fault,
    flags_to_keep_in,
    keeping_fault,
    note_programs,
    open_programs,
)
from tests.processes import said
from tests.running import ROOT
from tests.training.trainings import assert_same_weights


def test_a_process_that_xla_ends_is_a_fault_that_is_remembered(tmp_path):
    dies = "import os; os.write(2, b'no such PTX version\\n'); os.abort()"
    fault = compiler_fault(Card("card"), tmp_path, dies)
    assert "no such PTX version" in fault
    assert compiler_fault(Card("card"), tmp_path, "") == fault
    assert compiler_fault(Card("other card"), tmp_path, "") == ""
    assert compiler_fault(Card("other card"), tmp_path, dies) == ""


def test_a_fault_that_may_pass_is_tried_again(tmp_path):
    assert "no memory" in compiler_fault(Card("card"), tmp_path, "raise SystemExit('no memory')")
    assert compiler_fault(Card("card"), tmp_path, "") == ""


@pytest.mark.slow
def test_xla_compiles_a_convolution_here(tmp_path):
    assert compiler_fault(Card("this processor"), tmp_path, COMPILE) == ""


@pytest.mark.slow
def test_a_program_kept_by_one_process_is_loaded_by_the_next(tmp_path):
    assert keeping_fault(Card("this processor"), tmp_path, COMPILE) == ""
    # what compiles with a kept program needs no other try
    assert compiler_fault(Card("this processor"), tmp_path, "raise SystemExit('tried again')") == ""
    # the folder of the trial is gone
    assert [file.name for file in tmp_path.iterdir()] == ["xla.json"]


def test_programs_are_not_kept_where_the_next_process_cannot_load_them(tmp_path):
    code = f"import os; path = {str(tmp_path / 'first')!r}; os.mkdir(path)"
    assert "File exists" in keeping_fault(Card("card"), tmp_path, code)


def test_programs_without_a_fitting_checksum_are_removed(tmp_path):
    folder = tmp_path / "programs"
    assert open_programs(folder) == ""
    (folder / "a.pb").write_bytes(b"a program")
    (folder / "b.pb").write_bytes(b"another")
    note_programs(folder)
    (folder / "b.pb").write_bytes(b"")  # as a power failure leaves it
    (folder / "c.pb").write_bytes(b"of a process that was killed")
    assert open_programs(folder) == ""
    assert [file.name for file in folder.glob("*.pb")] == ["a.pb"]
    (folder / "sha256.json").write_text("{")
    assert open_programs(folder) == ""
    assert not list(folder.glob("*.pb"))


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_the_folder_of_programs_is_the_users_alone(tmp_path):
    folder = tmp_path / "programs"
    folder.mkdir(mode=0o777)
    assert open_programs(folder) == ""
    assert folder.stat().st_mode & 0o777 == 0o700
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert "is not a folder of yours" in open_programs(link)
    (tmp_path / "file").write_text("")
    assert "file" in open_programs(tmp_path / "file" / "programs")


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize("umask", [0, 0o022, 0o277])
def test_no_folder_of_the_cache_is_open_to_others(tmp_path, monkeypatch, umask):
    cache = tmp_path / "new" / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    before = os.umask(umask)
    try:
        assert open_programs(cache / "bcclone" / "xla" / "card") == ""
        made = [cache.parent, *(path for path in cache.parent.rglob("*") if path.is_dir())]
        assert {oct(path.stat().st_mode & 0o777) for path in made} == {"0o700"}
        # those that another version has made
        (cache / "bcclone" / "xla").chmod(0o755)
        cache.chmod(0o755)  # it is not bcclone's
        assert open_programs(cache / "bcclone" / "xla" / "card") == ""
    finally:
        os.umask(before)
    assert (cache / "bcclone" / "xla").stat().st_mode & 0o777 == 0o700
    assert cache.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_file_in_the_place_of_the_folder_keeps_its_mode(tmp_path):
    file = tmp_path / "programs"
    file.write_text("")
    file.chmod(0o644)
    assert "is not a folder of yours" in open_programs(file)
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.long
def test_a_second_training_loads_the_programs_of_the_first(simulated_store, tmp_path):
    """Here on the processor, where only tests let XLA compile; the folder is that of a GPU."""
    programs = tmp_path / "programs of XLA"

    def trained(name):
        assert open_programs(programs) == ""
        flags = {"TF_XLA_FLAGS": flags_to_keep_in(programs)}
        options = ("--epochs", 1, "--jit-compile", "on", "--feed", "device", "--no-plots")
        line = (sys.executable, ROOT / "model.py", simulated_store, "-o", tmp_path / name)
        said(*line, *options, "--runs", tmp_path / "runs", check=True, env=os.environ | flags)
        note_programs(programs)
        return {file.name: file.stat().st_mtime_ns for file in programs.glob("*.pb")}

    first = trained("first.h5")
    assert len(first) == 2  # the steps, and the validation
    assert trained("second.h5") == first
    assert_same_weights(tmp_path / "first.h5", tmp_path / "second.h5")
    for file in programs.glob("*.pb"):
        os.truncate(file, 1000)
    assert trained("third.h5").keys() == first.keys()
    assert_same_weights(tmp_path / "first.h5", tmp_path / "third.h5")
