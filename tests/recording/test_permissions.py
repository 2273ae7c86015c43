"""Edits that may not be written or read are named with the remedy; a file of its own, because
Windows has others.
"""

from pathlib import Path

import pytest

from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import DELETE, Edit
from bcclone.system.errors import UserError
from tests.messages.small_recording import make_recording, without_privileges

DELETION = Edit(DELETE, ((0, 1),))


def edit(*edits):
    EditedRecording(Path("driving_log.csv")).edit(edits)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A recording in the current folder, whose parents others may not read; everything is
    loaded.
    """
    make_recording(tmp_path, rows=4)
    monkeypatch.chdir(tmp_path)
    edit()
    yield tmp_path
    tmp_path.chmod(0o755)


def test_edits_that_cannot_be_written_are_named(here):
    here.chmod(0o555)
    with (
        without_privileges(),
        pytest.raises(UserError, match="edits.json: cannot be written: .*edit a copy"),
    ):
        edit(DELETION)


def test_edits_that_cannot_be_read_are_named(here):
    edit(DELETION)
    (here / "driving_log.edits.json").chmod(0)
    here.chmod(0o755)
    with (
        without_privileges(),
        pytest.raises(UserError, match="edits.json: cannot be read: .*restore the file"),
    ):
        edit()
