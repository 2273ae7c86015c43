"""Commands in messages: a shell splits them into the words that are meant, spaces in paths kept."""

import re
import shlex
from pathlib import Path

import pytest

from bcclone import UserError, open_store
from bcclone.recording.files import find_logs
from bcclone.recording.log import read_log
from bcclone.system.errors import command_line, shown_command
from tests.running import run_script


def words_of(message: str) -> list[str]:
    """Return the words of the command that a message names last."""
    return shlex.split(re.findall(r"bcclone [^;\n]*", message)[-1])


def test_the_import_that_a_folder_without_a_recording_needs_can_be_pasted(tmp_path):
    folder = tmp_path / "my pictures"
    folder.mkdir()
    with pytest.raises(UserError) as error:
        find_logs([str(folder)])
    assert words_of(str(error.value))[:3] == ["bcclone", "import", str(folder)]


def test_the_command_that_makes_a_missing_store_can_be_pasted(tmp_path):
    store = tmp_path / "my data.h5"
    with pytest.raises(UserError) as error:
        open_store(store)
    assert words_of(str(error.value))[-1] == str(store)


def test_the_command_that_restores_deleted_rows_can_be_pasted_and_restores_them(
    recording, tmp_path
):
    log = recording.rename(tmp_path / "my lap") / "driving_log.csv"
    run_script("edit", log, "--delete", 1, 60)
    rows = log.read_text().splitlines(keepends=True)
    log.write_text("".join(rows[:60]))
    with pytest.raises(UserError) as error:
        read_log(log)
    undo = words_of(str(error.value))
    assert undo == ["bcclone", "edit", str(log), "--undo"]
    run_script(*undo[1:])
    assert len(read_log(log).rows) == 60


def test_the_import_that_a_picture_needs_can_be_pasted(tmp_path):
    picture = tmp_path / "my pictures" / "driving_log.csv"
    picture.parent.mkdir()
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError) as error:
        read_log(picture)
    assert words_of(str(error.value))[:3] == ["bcclone", "import", str(picture.parent)]


@pytest.mark.parametrize("name", ["it's mine", "é 🚗 #%"])
def test_any_name_can_be_pasted_into_a_shell(name):
    words = words_of(shown_command("edit", Path(name), "--undo"))
    assert words == ["bcclone", "edit", name, "--undo"]


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (r"C:\Users\me\my drives\lap 1", r'edit "C:\Users\me\my drives\lap 1"'),
        ("it's mine", 'edit "it\'s mine"'),
        ("R&D", 'edit "R&D"'),
        ("lake,mountain", 'edit "lake,mountain"'),
        (r"C:\drives\lap1", r"edit C:\drives\lap1"),
        ("--port=4567", "edit --port=4567"),
        ("", 'edit ""'),
        ("C:\\my drives\\", r'edit "C:\my drives\\"'),
        ('say "hi"', r'edit "say \"hi\""'),
        ("C:\\R&D\\", r'edit "C:\R&D\\"'),
        ('a"b&c', r'edit "a\"b&c"'),
    ],
)
def test_on_windows_words_have_the_quotes_that_its_shells_take(word, line):
    assert command_line(["edit", word], platform="win32") == line
