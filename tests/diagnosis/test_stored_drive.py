"""`preprocess` says so when it makes a store of driving that a check would not use."""

import shutil

import pytest

from tests.messages.refusals import run_command
from tests.recordings import mirrored, rewrite


def said(capsys, recording, store):
    assert run_command("preprocess", recording, "-o", store) == 0
    return " ".join(capsys.readouterr())


def standing(rows):
    """Return the rows of a log; in 8 s of them the car stands."""
    halted = [[*row[:3], "0.0", "0.0", "0.0", "0.0"] for row in rows[100:220]]
    return [*rows[:100], *halted, *rows[220:]]


@pytest.mark.slow
def test_a_store_of_a_mirrored_or_standing_drive_is_told_with_the_command_that_checks_it(
    winding_recording, tmp_path, capsys
):
    assert "--check" not in said(capsys, winding_recording, tmp_path / "good.h5")

    wrong = shutil.copytree(winding_recording, tmp_path / "wrong")
    rewrite(wrong, mirrored)
    notes = said(capsys, wrong, tmp_path / "wrong.h5")
    assert "the car turns to the other side than it is steered" in notes
    assert f"bcclone preprocess {wrong} --check" in notes

    halted = shutil.copytree(winding_recording, tmp_path / "halted")
    rewrite(halted, standing)
    assert "the car stands for 8 s of 2" in said(capsys, halted, tmp_path / "halted.h5")
