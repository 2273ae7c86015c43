"""Edits that may not be written or read are named with the remedy; a file of its own, because
Windows has others.
"""

import pytest

from bcclone.recording.edit_settings import EditSettings
from bcclone.recording.editing import edit
from bcclone.system.errors import UserError
from tests.messages.small_recording import make_recording, without_privileges


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A recording in the current folder, whose parents others may not read; everything is
    loaded.
    """
    make_recording(tmp_path, rows=4)
    monkeypatch.chdir(tmp_path)
    edit(EditSettings("."))
    yield tmp_path
    tmp_path.chmod(0o755)


def test_edits_that_cannot_be_written_are_named(here):
    here.chmod(0o555)
    with (
        without_privileges(),
        pytest.raises(UserError, match="edits.json: cannot be written: .*edit a copy"),
    ):
        edit(EditSettings(".", delete=("1", "2")))


def test_edits_that_cannot_be_read_are_named(here):
    edit(EditSettings(".", delete=("1", "2")))
    (here / "driving_log.edits.json").chmod(0)
    here.chmod(0o755)
    with (
        without_privileges(),
        pytest.raises(UserError, match="edits.json: cannot be read: .*restore the file"),
    ):
        edit(EditSettings("."))
