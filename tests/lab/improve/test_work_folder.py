"""A work folder that is damaged or of another improvement is refused."""

import os

import pytest

from bcclone.lab.improve.improve_settings import ImproveSettings
from bcclone.lab.improve.rounds import Round
from bcclone.lab.improve.training_rounds import TrainingRounds
from bcclone.lab.improve.work_folder import WorkFolder, opened
from bcclone.system.errors import UserError
from bcclone.system.json_values import json_text
from tests.lab.improve.test_corrections import score


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work/rounds").mkdir(parents=True)
    return WorkFolder.at(tmp_path / "work")


def settings(tmp_path, **others):
    return ImproveSettings(
        tmp_path / "model.h5", expert=True, output=tmp_path / "better.h5", work=tmp_path / "work", **others
    )


@pytest.mark.parametrize(
    "content",
    [b"[]", b"7", b"null", b"{", b'{"model": NaN}', b"[" * 100_000, b"\xff", b'{"seed": 1' + b"0" * 400 + b"}", b"{}"],
)
def test_options_that_are_none_are_refused(work, tmp_path, content):
    work.options.write_bytes(content)
    with pytest.raises(UserError, match="work") as caught, opened(settings(tmp_path, resume=True), {"seed": 0}):
        pass
    assert "--work" in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes in folders")
def test_a_pipe_and_a_folder_in_the_place_of_the_options_are_refused(work, tmp_path):
    for make in (os.mkfifo, os.mkdir):
        make(work.options)
        with pytest.raises(UserError, match="not a regular file"), opened(settings(tmp_path, resume=True), {"seed": 0}):
            pass
        work.options.rename(tmp_path / make.__name__)


@pytest.mark.parametrize(
    "one",
    [
        Round(number=7, model="start.h5"),
        Round(number=0, model="start.h5", scores={"no-such-row": score(0)}),
    ],
    ids=["another number", "a row that is none"],
)
def test_a_round_of_another_folder_is_refused(work, tmp_path, one):
    (work.rounds / "00.json").write_text(json_text(one))
    improvement = TrainingRounds(settings(tmp_path, resume=True), work, None, None, lambda line: None)
    with pytest.raises(UserError, match="begin anew with --force") as caught:
        improvement.begin()
    assert str(work.rounds) in str(caught.value)
