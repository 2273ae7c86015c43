"""A recording is whole after each row, whatever the disk does, and one without a row is in nobody's
way.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis.strategies import lists, sampled_from

from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import read_log
from bcclone.recording.run_folder import RecordingWriter, is_free
from bcclone.recording.run_tables import DRIVERS, HUMAN, DrivenBy, read_drivers
from bcclone.system.errors import UserError
from tests.processes import full_disk

NUMBERS = ("0.5", "0.3", "0", "20")
BY_HAND = DrivenBy(HUMAN, 1)


def write(writer, number=0, image=b"x" * 100):
    name = f"center_2026_01_01_00_00_00_{number:03d}.jpg"
    writer.write({name: image}, NUMBERS, {DRIVERS: BY_HAND.row(name)})
    return name


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_row_has_its_images_and_its_rows_in_the_tables(tmp_path):
    writer = RecordingWriter(tmp_path / "new" / "run", prefix="IMG/")
    names = [write(writer, number) for number in range(3)]
    log = read_log(writer.log)
    assert log.rows["center"].tolist() == names
    assert writer.log.read_text().startswith(f"IMG/{names[0]},,,0.5,0.3,0,20\n")
    assert read_drivers(writer.folder) == dict.fromkeys(names, BY_HAND)
    assert [path.name for path in sorted((writer.folder / "IMG").iterdir())] == names


def test_a_recording_that_was_killed_says_that_it_ended_early(tmp_path, caplog):
    whole = RecordingWriter(tmp_path / "whole", prefix="IMG/")
    with whole:
        write(whole)
    read_log(whole.log)
    assert not caplog.messages
    killed = RecordingWriter(tmp_path / "killed", prefix="IMG/")
    write(killed)
    assert len(read_log(killed.log).rows) == 1
    (note,) = caplog.messages
    assert f"{killed.folder} ended early" in note
    with pytest.raises(KeyboardInterrupt), RecordingWriter(tmp_path / "stopped") as stopped:
        raise KeyboardInterrupt
    write(stopped)
    read_log(stopped.log)
    assert f"{stopped.folder} ended early" in caplog.messages[-1]


def test_the_name_of_the_folder_may_be_bytes_that_are_no_utf_8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with RecordingWriter(folder) as writer:
        name = write(writer)
    log = read_log(writer.log)
    assert ImageIndex(writer.log).find(log.rows["center"][0]) == str(folder / "IMG" / name)


# parts of names that break the rows of a log, if they stand in it
PARTS = [
    "\n", "\r", "\x0b", "\x85", "\u2028", "\t", ",", ";", "|", '"', "'", " ", "\\", ".jpg,",
    ".JPEG;", ".png,", ".jpg", "center_2026_01_01_00_00_00_000.jpg,", "0,5", "-", "#",
    "%2f", "\ufeff", "left_", "\u202e", "é", os.fsdecode(b"\xe9"), os.fsdecode(b"\xff\xfe"), "lap",
]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="has no file with such a name")
@settings(max_examples=20, deadline=None)
@given(names=lists(lists(sampled_from(PARTS), min_size=1, max_size=4).map("".join), max_size=3))
@example(names=["lap\n1"])
@example(names=["lap.jpg,1"])
@example(names=[" lap "])
@example(names=["x" * 250] * 15)
def test_a_recording_in_a_folder_of_any_name_is_read_as_it_was_written(names):
    with TemporaryDirectory() as above:
        folder = Path(above, *filter(None, names), "run")
        with RecordingWriter(folder) as writer:
            written = [write(writer, number) for number in range(2)]
        for log in (writer.log, *find_logs([str(folder)])):
            assert read_log(log).rows["center"].tolist() == written
        found = ImageIndex(writer.log).find(written[1])
        assert Path(found).samefile(folder / "IMG" / written[1])
        # another program, which splits at commas
        table = pandas.read_csv(writer.log, header=None, encoding_errors="replace")
        assert table.shape == (2, 7)
        assert table[3].tolist() == [0.5, 0.5]


# the disk is full within the image, within the table, before and within the log
@pytest.mark.parametrize("size", [0, 50, 90, 130, 200])
def test_a_row_that_does_not_fit_the_disk_leaves_nothing(tmp_path, size):
    writer = RecordingWriter(tmp_path, prefix="x" * 90 + "/")
    write(writer)
    before = content(tmp_path)
    with full_disk(size), pytest.raises(OSError, match="too large|space"):
        write(writer, 1, b"x" * (size + 20 if size == 50 else 20))
    assert content(tmp_path).keys() <= before.keys()
    assert writer.log.read_bytes() == before[writer.log.relative_to(tmp_path)]
    write(writer, 2)
    assert (writer.rows, len(read_log(writer.log).rows)) == (2, 2)


def test_links_are_replaced_and_a_recording_is_never_added_to(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    writer = RecordingWriter(tmp_path / "run")
    (tmp_path / "run" / "IMG" / "center_2026_01_01_00_00_00_000.jpg").symlink_to(
        tmp_path / "theirs"
    )
    assert not (tmp_path / "run" / "IMG" / write(writer)).is_symlink()
    with pytest.raises(UserError, match="record into .*run-2"):
        RecordingWriter(tmp_path / "run")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_a_recording_without_a_row_is_in_nobodys_way(tmp_path):
    folder = tmp_path / "run"
    assert is_free(folder)
    RecordingWriter(folder).finish()
    assert not folder.exists()
    folder.mkdir()
    RecordingWriter(folder).finish()
    assert not list(folder.iterdir())  # a folder that was there stays
    writer = RecordingWriter(folder)
    write(writer)
    writer.finish()
    assert not is_free(folder)
    assert writer.log.is_file()
    (tmp_path / "file").touch()
    assert not is_free(tmp_path / "file")
    with pytest.raises(UserError, match="cannot record there: .*choose another folder"):
        RecordingWriter(tmp_path / "file" / "run")
