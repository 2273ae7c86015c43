"""bcclone.training.train.train() does what `python model.py` does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bcclone.system.errors import UserError
from bcclone.training.train import resume, train
from bcclone.training.train_settings import TrainSettings


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


def test_an_output_that_is_an_input_is_refused_before_anything_is_done(simulated_store):
    with pytest.raises(UserError, match="is an input of this command"):
        train(TrainSettings(data=(str(simulated_store),), output=simulated_store))


@pytest.mark.slow
def test_a_training_that_ends_at_once_leaves_no_file_of_autograph(simulated_store, tmp_path):
    (tmp_path / "temporary").mkdir()
    script = f"""
import os
from pathlib import Path
from bcclone.training.train import train
from bcclone.training.train_settings import TrainSettings
folder = Path({str(tmp_path)!r})
output = {{"output": folder / "model.h5", "runs": folder / "runs"}}
data = ({str(simulated_store)!r},)
train(TrainSettings(data=data, epochs=1, batch_size=256, augment_on='device', **output))
os._exit(7)  # as a kill: nothing is tidied up
"""
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    assert (
        subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 7
    )
    assert [path.name for path in (tmp_path / "temporary").rglob("*autograph*")] == []
