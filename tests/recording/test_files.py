"""Logs and images are found where users and programs put them."""

import os
from pathlib import Path

import pytest

from bcclone.recording.files import ImageIndex, default_inputs, find_log, find_logs
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.recording.written_logs import log_lines, write


@pytest.mark.parametrize("subfolder", ["IMG", ".", "IMG/IMG"])
def test_images_are_found_by_base_name_in_every_usual_folder(tmp_path, subfolder):
    folder = tmp_path / subfolder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "center_x.jpg").write_bytes(b"")
    for log in (tmp_path / "driving_log.csv", tmp_path / "IMG" / "driving_log.csv"):
        index = ImageIndex(log)
        assert index.find("center_x.jpg") == str(folder / "center_x.jpg")
        assert index.find("center_y.jpg") is None
        assert index.orphans(["center_y.jpg"]) == ["center_x.jpg"]


def test_images_are_found_in_spite_of_other_letters_as_on_windows_and_macos(tmp_path):
    folder = tmp_path / "img"
    folder.mkdir()
    for name in ("CENTER_X.JPG", "center_y.jpg"):
        (folder / name).write_bytes(b"")
    index = ImageIndex(tmp_path / "driving_log.csv")
    assert index.find("center_x.jpg") == str(folder / "CENTER_X.JPG")
    assert index.find("center_y.JPG") == str(folder / "center_y.jpg")
    assert index.find("center_z.jpg") is None
    assert index.orphans(["center_x.jpg"]) == ["center_y.jpg"]
    (folder / "driving_log.csv").write_text("a\n")
    assert find_logs([str(tmp_path)]) == [folder / "driving_log.csv"]
    (folder / "center_x.jpg").write_bytes(b"")
    assert ImageIndex(tmp_path / "driving_log.csv").find("center_x.jpg") == str(
        folder / "center_x.jpg"
    )


@pytest.mark.skipif(os.name == "nt", reason="a name cannot hold a backslash on Windows")
@pytest.mark.parametrize("name", ["IMG\\{}", "lake\\IMG\\{}", "IMG\\{}".upper(), "Img/{}"])
def test_images_are_found_where_an_archive_of_windows_left_them(tmp_path, name):
    path = tmp_path / name.format("center_x.jpg")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    (tmp_path / "IMG\\._center_y.jpg").write_bytes(b"")  # of macOS
    index = ImageIndex(tmp_path / "driving_log.csv")
    assert index.find("center_x.jpg") == str(path)
    assert index.find("center_y.jpg") is None
    assert index.orphans(["center_x.jpg"]) == []
    log = tmp_path / "lake\\driving_log.csv"
    for other in (log, tmp_path / "lake\\trace.csv", tmp_path / "lake\\._driving_log.csv"):
        other.write_text("x")
    assert find_logs([str(tmp_path)]) == [log]


def test_folders_files_and_patterns_name_each_log_once(tmp_path):
    logs = []
    for name in ("a", "b", ".cache"):
        (tmp_path / name).mkdir()
        logs.append(write(tmp_path / name, log_lines()))
    (tmp_path / "empty.csv").write_text("")
    assert find_logs([str(tmp_path)]) == find_logs([f"{tmp_path}/?/"]) == logs[:2]
    assert find_logs([str(tmp_path / "a"), str(logs[0]), f"{tmp_path}/?"]) == logs[:2]
    tables = [
        tmp_path / name
        for name in ("run1.csv", "run2.csv", "trace.csv", "answers.csv", "drivers.csv")
    ]
    for table in tables:
        table.write_text("x")
    # tables beside a log are no logs
    assert find_logs([str(tmp_path / "run*.csv")]) == find_logs([str(tmp_path)]) == tables[:2]
    with pytest.raises(UserError, match=r"2 recordings, expected one.*run1\.csv"):
        find_log(str(tmp_path))
    log = write(tmp_path, log_lines())
    assert find_logs([str(tmp_path)]) == [log]
    (tmp_path / "IMG").mkdir()
    assert find_logs([str(tmp_path), str(tmp_path / "IMG")]) == [log]


def test_missing_inputs_and_a_named_pipe_are_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for name, words in [
        ("none", "no such file"),
        ("*.none", "nothing matches"),
        (".", "no driving_log.csv"),
        ("pipe.csv", "neither a folder nor a file"),
    ]:
        with pytest.raises(UserError, match=words):
            find_logs([str(tmp_path / name)])


def test_the_default_inputs_are_the_recordings_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.csv").write_text("x")  # any CSV file of the current folder may be anything
    with pytest.raises(UserError, match="no RECORDING named") as nothing:
        default_inputs()
    assert nothing.value.exit_code == 2
    (tmp_path / "data" / "IMG").mkdir(parents=True)
    write(tmp_path / "data", log_lines())
    assert default_inputs() == ["data"]
    for name in ("b", "a", ".cache", "empty"):
        (tmp_path / "recordings" / name).mkdir(parents=True)
    for name in ("b", "a", ".cache"):
        write(tmp_path / "recordings" / name, log_lines())
    assert default_inputs() == [str(Path("recordings", name)) for name in ("a", "b")]
    write(tmp_path, log_lines())
    assert default_inputs() == ["driving_log.csv"]


def test_what_macos_keeps_beside_files_is_no_input(tmp_path):
    images = tmp_path / "IMG"
    images.mkdir()
    for folder, name in ((tmp_path, "lap1.csv"), (images, "center_x.jpg")):
        (folder / name).write_text("x")
        (folder / f"._{name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._lap1.csv").write_bytes(b"\0\5\x16\7")
    assert find_logs([str(tmp_path)]) == [tmp_path / "lap1.csv"]
    assert find_logs([f"{tmp_path}/*.csv"]) == [tmp_path / "lap1.csv"]
    index = ImageIndex(tmp_path / "lap1.csv")
    assert index.orphans([]) == ["center_x.jpg"]
    with pytest.raises(UserError, match="not a log"):
        read_log(tmp_path / "._lap1.csv")


@pytest.mark.skipif(os.name == "nt", reason="names of files are bytes on Linux alone")
@pytest.mark.parametrize(
    "name", [b"caf\xe9_1.jpg", "café_1.jpg".encode(), "cafe\u0301_1.jpg".encode()]
)
def test_an_image_is_found_whatever_the_bytes_of_its_name(tmp_path, name):
    image = tmp_path / "IMG" / os.fsdecode(name)
    image.parent.mkdir()
    image.write_bytes(b"")
    index = ImageIndex(tmp_path / "driving_log.csv")
    assert index.find("café_1.jpg") == str(image)
    assert index.orphans(["café_1.jpg"]) == []
