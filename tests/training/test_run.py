"""bcclone.training.train.train() does what `python model.py` does."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bcclone.system.errors import UserError
from bcclone.training.train import resume, train
from bcclone.training.train_settings import RunFiles, TrainSettings


def settings(store, folder):
    return TrainSettings(
        data=(str(store),),
        output=folder / "model.h5",
        runs=folder / "runs",
        name="one",
        epochs=1,
        batch_size=64,
        augment=False,
        feed="memory",
    )


def test_a_training_is_a_library_call_and_its_resume_finds_it_complete(simulated_store, tmp_path):
    lines = []
    result = train(settings(simulated_store, tmp_path), lines.append)
    assert (result.epochs, result.feed, result.ended) == (1, "memory", "--epochs 1")
    assert Path(result.model).is_file()
    assert result.run == tmp_path / "runs" / "one"
    assert json.loads((result.run / "result.json").read_text()) == result.as_json()
    assert any(line.startswith("epoch 1: loss") for line in lines)
    again = resume(settings(simulated_store, tmp_path), {})
    assert again.was_complete
    assert again.as_json() == result.as_json()


def test_a_folder_of_shards_is_named_like_the_file_of_a_store(
    simulated_store, sharded_store, tmp_path
):
    (tmp_path / "shards").mkdir()
    of_file = train(settings(simulated_store, tmp_path))
    of_shards = train(settings(sharded_store, tmp_path / "shards"))
    assert of_shards.samples == of_file.samples
    assert of_shards.val_loss == pytest.approx(of_file.val_loss, rel=1e-4)
    assert resume(settings(sharded_store, tmp_path / "shards"), {}).was_complete


@pytest.mark.slow
def test_a_training_goes_on_after_its_folder_was_renamed(simulated_store, tmp_path, monkeypatch):
    folder = tmp_path / "content"
    folder.mkdir()
    shutil.copy(simulated_store, folder / "s.h5")
    of_drive = tmp_path / "drive"

    def here(place, epochs):
        monkeypatch.chdir(place)
        files = {"data": ("s.h5",), "output": Path("model.h5"), "runs": Path("runs"), "name": None}
        return replace(settings("s.h5", Path()), epochs=epochs, **files)

    assert train(here(folder, 1)).epochs == 1
    folder.rename(of_drive)
    result = resume(here(of_drive, 1), {"epochs": 2})
    assert result.epochs == 2
    assert [path.name for path in (of_drive / "runs").iterdir()] == [result.run.name]
    (of_drive / "s.h5").rename(of_drive / "other.h5")
    again = resume(RunFiles(data=("other.h5",), output=Path("model.h5"), runs=Path("runs")), {})
    assert again.was_complete


def test_an_output_that_is_an_input_is_refused_before_anything_is_done(simulated_store):
    with pytest.raises(UserError, match="is an input of this command"):
        train(TrainSettings(data=(str(simulated_store),), output=simulated_store))
