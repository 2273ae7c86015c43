"""bcclone.training.train.train() does what `python model.py` does."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bcclone.dataset.shards import open_store
from bcclone.system.errors import UserError
from bcclone.training.plan import new_run, resumed_run
from bcclone.training.train import resume, train
from bcclone.training.train_settings import RunFiles, TrainSettings
from tests.running import result_of
from tests.training import trainings
from tests.training.trainings import assert_same_weights


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
def test_a_training_whose_store_was_overwritten_goes_on_once_the_store_is_put_back(
    simulated_store, tmp_path
):
    store = tmp_path / "data.h5"
    content = simulated_store.read_bytes()
    store.write_bytes(content)

    def overwrite(line):
        if line.startswith("epoch 1: loss"):
            store.write_bytes(content[::-1])

    chosen = replace(settings(store, tmp_path), epochs=2, feed="hdf5-shuffle")
    with pytest.raises(UserError, match=r"data\.h5: .*overwritten.*--resume"):
        train(chosen, overwrite)
    with pytest.raises(UserError, match=r"data\.h5"):  # as it is now
        resume(chosen, {})
    store.write_bytes(content)  # the same bytes, with another time
    assert resume(chosen, {}).epochs == 2
    whole = train(replace(chosen, output=tmp_path / "whole.h5", name="whole"))
    assert_same_weights(tmp_path / "model.h5", whole.model)


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


def typed_in(message):
    """Return the words of the command that a message shows."""
    (line,) = [line for line in message.splitlines() if "--resume" in line]
    return shlex.split(line.partition(" with: ")[2].partition("bcclone model ")[2])


def refused(store, folder, *options):
    """Return what a training says that does not overwrite the model of an earlier one."""
    message = trainings.train(store, folder, *options, code=1).stderr
    assert message.index("--resume") < message.index("--force")
    return message


def test_a_resume_names_an_older_run_that_was_interrupted(simulated_store, tmp_path):
    files = {"data": (str(simulated_store),), "output": tmp_path / "m.h5", "runs": tmp_path / "r"}
    notices = []
    with open_store(simulated_store) as data:
        for name in ("first", "second"):
            new_run(TrainSettings(**files, name=name, epochs=3), data, notices.append).make_folder()
        notices.clear()
        assert resumed_run(RunFiles(**files), {}, data, notices.append).path.name == "second"
        (note,) = [notice for notice in notices if "first" in notice]
        assert "after 0 of 3 epochs" in note
        words = typed_in(note)
        named = RunFiles(**files, name=words[words.index("--name") + 1])
        assert resumed_run(named, {}, data, notices.append).path == tmp_path / "r" / "first"


@pytest.mark.slow
def test_a_training_beside_a_run_that_goes_on_names_it_and_how(simulated_store, tmp_path):
    store = shutil.copy(simulated_store, tmp_path / "data.h5")
    quick = ("--batch-size", 64)
    trainings.train(store, tmp_path, *quick, "--epochs", 1)
    (run,) = (tmp_path / "runs").iterdir()
    # more epochs, or the same ones, after which only more are of use
    for epochs, more in ((2, 2), (1, 2)):
        words = typed_in(refused(store, tmp_path, *quick, "--epochs", epochs))
        assert words[-2:] == ["--epochs", str(more)]
    # other weights are another training
    others = trainings.train(
        store, tmp_path, *quick, "--epochs", 2, "--learning-rate", 0.1, code=1
    ).stderr
    assert "--resume" not in others
    words = typed_in(refused(store, tmp_path, *quick, "--epochs", 2))
    assert result_of("model.py", *words, "--no-plots")["epochs"] == 2
    assert [one.name for one in (tmp_path / "runs").iterdir()] == [run.name]

    # the same run as an interruption leaves it, with an epoch to go
    (run / "result.json").unlink()
    settings = json.loads((run / "settings.json").read_text())
    settings["settings"]["epochs"] = 3
    (run / "settings.json").write_text(json.dumps(settings))
    message = refused(store, tmp_path, *quick, "--epochs", 3)
    assert f"{run} was interrupted after 2 of 3 epochs" in message
    # it is named also where nothing is overwritten
    published = (tmp_path / "model.h5").read_bytes()
    (tmp_path / "model.h5").unlink()
    notices = []
    chosen = TrainSettings(
        (str(store),), tmp_path / "model.h5", runs=tmp_path / "runs", epochs=3, batch_size=64
    )
    with open_store(store) as data:
        assert new_run(chosen, data, notices.append).is_new
    assert any("was interrupted after 2 of 3 epochs" in notice for notice in notices)
    (tmp_path / "model.h5").write_bytes(published)
    assert result_of("model.py", *typed_in(message), "--no-plots")["epochs"] == 3
