"""A work folder that is damaged or of another improvement is refused."""

import pytest

from bcclone.lab.improve import ImproveSettings
from bcclone.lab.improve.improvement import OPTIONS, work_folder
from bcclone.lab.improve.learning import Learning
from bcclone.lab.improve.rounds import Round
from bcclone.system.errors import UserError
from bcclone.system.json_values import json_text
from tests.lab.improve.test_corrections import score


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "work/rounds").mkdir(parents=True)
    return ImproveSettings(
        tmp_path / "model.h5", expert=True, output=tmp_path / "better.h5", work=tmp_path / "work", resume=True
    )


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"{}"])
def test_options_that_are_none_are_refused(settings, content):
    (settings.work / OPTIONS).write_bytes(content)
    with pytest.raises(UserError, match="work") as caught, work_folder(settings):
        pass
    assert "--work" in str(caught.value)


@pytest.mark.parametrize(
    "one",
    [Round(number=7, model="start.h5"), Round(number=0, model="start.h5", scores={"no-such-row": score(0)})],
    ids=["another number", "a row that is none"],
)
def test_a_round_of_another_folder_is_refused(settings, one):
    (settings.work / "rounds/00.json").write_text(json_text(one))
    with pytest.raises(UserError, match="begin anew with --force") as caught:
        Learning(settings, None, None, lambda line: None).begin()
    assert str(settings.work / "rounds") in str(caught.value)
