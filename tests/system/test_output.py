"""An output replaces only an earlier one of its kind, and one process writes it at a time, however
that ends.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import pytest

from bcclone.commands import COMMANDS, load_command
from bcclone.system.errors import UserError
from bcclone.system.files import (
    CLIP,
    MODEL,
    NEW_FOLDER,
    PICTURE,
    STORE,
    check_output,
    locked,
    writing,
)
from bcclone.system.secret_words import SECRET_OPTIONS
from tests.processes import KILL

HOLD = """
import sys
from pathlib import Path
from bcclone.system.files import locked
from bcclone.system.process import claim_process
if "another program" not in sys.argv:
    claim_process()
with locked(Path(sys.argv[1]), "wait"):
    print("locked", flush=True)
    sys.stdin.read()
"""


OUTPUTS = {
    CLIP: b"\0\0\0\x20ftypisom" + bytes(9000) + b"\0\0\0\x0ffreebcclone",
    PICTURE: b"\x89PNG\r\n\x1a\n....IHDR....tEXtSoftware\0bcclone" + bytes(9000),
    "table of predictions": b"frame_id,steering_angle\n1,0.5\n",
}


def write_kinds(folder):
    """Write a file of each kind of HDF5, a damaged one, and a text, each called so."""
    for name, attribute in (
        ("store", "schema_version"),
        ("model", "model_config"),
        ("weights", "layer_names"),
    ):
        with h5py.File(folder / name, "w") as file:
            file.attrs[attribute] = 1
    h5py.File(folder / "other", "w").close()
    (folder / "damaged").write_bytes((folder / "store").read_bytes()[:100])
    (folder / "text").write_text("precious")


@pytest.fixture
def files(tmp_path):
    """Return a folder with outputs, each called by its kind, and files of others."""
    write_kinds(tmp_path)
    for kind, content in OUTPUTS.items():
        (tmp_path / kind).write_bytes(content)
        other = content.replace(b"bcclone", b"another").replace(b"steering", b"speed")
        (tmp_path / f"other {kind}").write_bytes(other)
    (tmp_path / "empty").touch()
    return tmp_path


@pytest.mark.parametrize("kind", [STORE, MODEL, *OUTPUTS])
def test_force_replaces_outputs_of_the_same_kind_damaged_ones_and_empty_files(files, kind):
    allowed = {kind, "empty"}
    if kind in (STORE, MODEL):
        allowed |= {"damaged"}
    if kind == MODEL:
        allowed |= {"weights"}
    check_output(files / "new", kind)
    for path in files.iterdir():
        if path.name in allowed:
            check_output(path, kind, force=True)
            with pytest.raises(UserError, match="exists already; .*--force, or name another -o"):
                check_output(path, kind)
        else:
            for force in (False, True):
                reason = f"{path.name} exists, and is no {kind}: .*choose another name, such as "
                with pytest.raises(UserError, match=reason):
                    check_output(path, kind, force)


def test_folders_and_devices_are_no_files_and_a_new_folder_is_empty(files):
    for path in (files, Path(os.devnull)):
        with pytest.raises(UserError, match="give the name of a file"):
            check_output(path, STORE, force=True)
    (files / "empty folder").mkdir()
    check_output(files / "empty folder", NEW_FOLDER)
    for path in (files, files / "text"):
        with pytest.raises(UserError, match="another name"):
            check_output(path, NEW_FOLDER, force=True)


def test_the_folder_of_an_output_is_made_and_removed_if_the_work_fails(tmp_path):
    path = tmp_path / "new" / "folder" / "data.h5"

    def fail():
        with writing(path, STORE):
            assert path.parent.is_dir()
            raise RuntimeError("no more room")

    with pytest.raises(RuntimeError, match="no more room"):
        fail()
    assert not list(tmp_path.iterdir())
    with writing(path, STORE):
        path.touch()
    assert list(path.parent.iterdir()) == [path]


def test_a_second_process_is_told_who_writes_and_a_killed_one_leaves_no_lock(tmp_path):
    path = tmp_path / "model.h5"
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    line = [sys.executable, "-c", HOLD, str(path), "\x1b[31mred"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        for name in (path, link):
            told = f"model.h5: process {holder.pid} .* is writing it; wait"
            with pytest.raises(UserError, match=told), locked(name, "wait"):
                pass
        with locked(tmp_path / "other.h5", "wait"):
            pass
        holder.send_signal(KILL)
    with locked(path, "wait"):
        pass
    assert list(tmp_path.iterdir()) == [link]


@pytest.mark.parametrize(
    ("words", "told", "hidden"),
    [
        (["--token", "5f90e6826c542534", "--port", "80"], "--token YOUR-TOKEN --port 80", "5f90"),
        (["--token=5f90e6826c542534"], "--token=YOUR-TOKEN", "5f90"),
        (["http://me:my%20word@host/lap"], "http://YOUR-PASSWORD@host/lap", "my%20"),
        (["another program", "--password", "mine"], "(-c)", "mine"),
    ],
)
def test_nobody_reads_the_secrets_of_the_process_that_has_a_lock(tmp_path, words, told, hidden):
    path = tmp_path / "run1"
    line = [sys.executable, "-c", HOLD, str(path), *words]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(UserError) as refused, locked(path, "wait"):
            pass
        lock = tmp_path / ".run1.bcclone-lock"
        content = lock.read_bytes().decode()
        if os.name == "posix":
            assert lock.stat().st_mode & 0o777 == 0o600
        holder.communicate()
    for text in (str(refused.value), content):
        assert told in text
        assert hidden not in text


def test_every_secret_setting_is_hidden_in_a_repeated_command_line():
    secret = {
        declared.flag
        for name in COMMANDS
        for declared in load_command(name).declared()
        if "secret" in declared.help
    }
    assert secret == set(SECRET_OPTIONS)


def test_a_second_writer_waits_for_a_short_section(tmp_path):
    path = tmp_path / "count"
    count = 12

    def add():
        with locked(path, "wait", seconds=60):
            number = int(path.read_text() or "0") if path.exists() else 0
            path.write_text(str(number + 1))

    threads = [threading.Thread(target=add) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == str(count)
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_that_is_a_link_or_another_name_of_a_file_harms_nothing(tmp_path):
    path = tmp_path / "model.h5"
    mine = tmp_path / "mine.txt"
    mine.write_text("precious")
    lock = tmp_path / ".model.h5.bcclone-lock"
    for plant in (
        lambda: lock.symlink_to(mine),
        lambda: lock.symlink_to(tmp_path / "new"),
        lambda: lock.hardlink_to(mine),
    ):
        plant()
        with locked(path, "wait"):
            assert mine.read_text() == "precious"
        lock.unlink(missing_ok=True)
    assert list(tmp_path.iterdir()) == [mine]


def test_where_nothing_can_be_locked_the_work_goes_on(tmp_path):
    with locked(tmp_path / ("n" * 250), "wait"):  # too long a name, for one
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("model", STORE, ["it is a model", "model2"]),
        ("store", MODEL, ["it is a store", "store2"]),
        ("text", CLIP, ["it is a file of 8 bytes", "text2"]),
        ("text", NEW_FOLDER, ["it is a file of 8 bytes", "text2"]),
        ("folder", NEW_FOLDER, ["a folder with mine.txt", "folder2"]),
        (".", NEW_FOLDER, ["it is a folder with", "such as new"]),
    ],
)
def test_what_stands_in_the_way_of_an_output_is_named_with_a_name_that_is_free(
    tmp_path, monkeypatch, name, kind, words
):
    write_kinds(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refused:
        check_output(Path(name), kind, force=True)
    assert all(word in str(refused.value) for word in words), refused.value
    free = str(refused.value).rpartition("such as ")[2]
    check_output(Path(free), kind)  # the remedy is right
