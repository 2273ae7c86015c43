"""Commands in messages: a shell splits them into the words that are meant, spaces in paths kept."""

import os
import re
import shlex
import subprocess
import sys
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


# what a terminal would obey or show otherwise when the line is pasted, and bytes that are no UTF-8
STRANGE = [
    "lap\necho gone\n",
    "lap\rrm -r .",
    "\x1b[201~lap\x07\x00"[:-1],
    "it's\ta \\ lap\n",
    "lap\n1'$(exit)`exit`\"!",
    "caf\udce9",
    "\u202egpj.pal\u200b\u00a0",
    "é\udcc3\n7",
    "-\x7f\x9b31m",
]


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
@pytest.mark.skipif(sys.platform == "win32", reason="has no file with such a name")
def test_a_line_with_strange_names_is_printable_and_still_names_the_file(name, tmp_path):
    line = shown_command("edit", name, Path(name), "--undo")
    assert line.isprintable()
    # bash has read the line when it runs it, so that its words are what a paste would give
    script = f"printf '%s\\0' {line.partition(' ')[2]}"
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=True)
    words = [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]
    path = f"./{name}" if name.startswith("-") else name
    assert words == ["edit", name, path, "--undo"]


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
def test_a_line_with_strange_names_is_printable_on_windows(name):
    assert command_line(["edit", name], platform="win32").isprintable()


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
