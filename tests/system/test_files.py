"""A file is written completely or not at all, and temporary files of killed processes are
removed.
"""

import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest

from bcclone.system.files import new_folder, replacing, write_bytes, write_text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_or_device_stays_what_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is a device, expected a file"), replacing(pipe):
        raise AssertionError("nothing is to be written")
    assert pipe.is_fifo()


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_only_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail(replace, path):
        with replace(path) as temporary:
            if replace is new_folder:
                temporary /= "part"
            temporary.write_text("half")
            raise RuntimeError("no more room")

    for replace, target in ((replacing, path), (new_folder, tmp_path / "made")):
        with pytest.raises(RuntimeError, match="no more room"):
            fail(replace, target)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


KILLED_WHILE_WRITING = """
import os, pathlib, platform, sys
from bcclone.system.files import replacing
path, computer = sys.argv[1:]
platform.node = lambda: computer
with replacing(pathlib.Path(path)) as temporary:
    temporary.write_text("half")
    os._exit(1)
"""


def left_by(code, path, *arguments):
    """Return what a process leaves beside a path, or instead of it."""
    there = set(path.parent.iterdir())
    subprocess.run([sys.executable, "-c", code, str(path), *arguments], check=False)
    return set(path.parent.iterdir()) - there


def test_temporary_files_of_dead_processes_are_removed(tmp_path):
    path = tmp_path / "file.txt"
    here = platform.node()
    assert len(left_by(KILLED_WHILE_WRITING, path, here)) == 1
    others = left_by(KILLED_WHILE_WRITING, tmp_path / "other.txt", here)
    others |= left_by(KILLED_WHILE_WRITING, tmp_path / "file.png", here)
    with replacing(path) as mine:
        mine.write_text("half")
        write_text(path, "new")
        assert set(tmp_path.iterdir()) == {path, mine, *others}


def test_a_file_that_is_being_written_stays_while_one_with_a_shorter_name_is_written(tmp_path):
    with replacing(tmp_path / "data.2026-11-23.h5") as temporary:
        temporary.write_text("minutes of work")
        write_text(tmp_path / "data.h5", "new")
        assert temporary.read_text() == "minutes of work"


def test_what_another_computer_writes_into_a_shared_folder_stays(tmp_path):
    path = tmp_path / "file.txt"
    theirs = left_by(KILLED_WHILE_WRITING, path, "elsewhere")  # its process id means nothing here
    write_text(path, "new")
    assert set(tmp_path.iterdir()) == {path, *theirs}


def test_a_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "made"
    for exists in (False, True):
        if exists:
            path.mkdir()
        with new_folder(path) as folder:
            (folder / "file.txt").write_text("whole")
            assert not path.exists() or not list(path.iterdir())
        assert list(tmp_path.rglob("*")) == [path, path / "file.txt"]
        shutil.rmtree(path)


def test_a_folder_with_files_that_has_come_meanwhile_is_kept(tmp_path):
    path = tmp_path / "made"

    def make():
        with new_folder(path):
            path.mkdir()
            (path / "mine.txt").write_text("precious")

    with pytest.raises(OSError, match=str(path)):
        make()
    assert list(tmp_path.rglob("*")) == [path, path / "mine.txt"]


def test_a_link_that_the_user_names_stays_and_its_target_is_replaced(tmp_path):
    write_text(tmp_path / "file.txt", "old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "file.txt")
    write_bytes(tmp_path / "link.txt", b"new", follow=True)
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "file.txt").read_text() == "new"


def test_a_link_in_a_folder_is_replaced_and_what_it_leads_to_stays(tmp_path):
    write_text(tmp_path / "file.txt", "old")
    for target in ("file.txt", "link.txt", "nowhere/file.txt"):
        (tmp_path / "link.txt").unlink(missing_ok=True)
        (tmp_path / "link.txt").symlink_to(target)
        write_text(tmp_path / "link.txt", "new")
        assert not (tmp_path / "link.txt").is_symlink()
        assert (tmp_path / "link.txt").read_text() == "new"
    assert (tmp_path / "file.txt").read_text() == "old"


def test_names_of_any_length_and_any_characters_can_be_written(tmp_path):
    for name in ("n" * 251 + ".txt", "**[x].txt", "noext", ".hidden"):
        write_text(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"


def test_a_folder_with_content_is_replaced_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / "old").touch()
    with suppress(KeyboardInterrupt), new_folder(folder, replaces=True) as new:
        (new / "half").touch()
        raise KeyboardInterrupt
    assert [path.name for path in folder.iterdir()] == ["old"]
    with new_folder(folder, replaces=True) as new:
        (new / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(OSError, match="drive"), new_folder(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["new"]
