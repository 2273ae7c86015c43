"""A file is written whole or not at all, and what a killed run left is removed."""

import os
import subprocess
import sys

import pytest

from bcclone.atomic import replacing, write_text


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("no more room")

    with pytest.raises(RuntimeError, match="no more room"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_dead_processes_are_removed_and_of_living_ones_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = tmp_path / f".file.{os.getpid()}-0123abcd.partial.txt"
    theirs = tmp_path / f".file.{dead.pid}-0123abcd.partial.txt"
    for path in (mine, theirs):
        path.write_text("half")
    write_text(tmp_path / "file.txt", "new")
    assert mine.exists()
    assert not theirs.exists()
