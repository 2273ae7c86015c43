"""Ctrl-C before the first step of a training: the same command can be run again."""

import shutil
import signal

import pytest

from bcclone.training.plan import new_run
from bcclone.training.train_settings import TrainSettings
from tests.processes import said, started
from tests.running import command
from tests.training.trainings import data

# what is there at the moment of the interrupt, in the folder of the run
MOMENTS = ["", "settings.json", "settings.toml", "checkpoints", "checkpoints/checkpoint-*.h5"]


@pytest.mark.slow
def test_the_same_command_trains_after_an_interrupt_at_any_moment(simulated_store, tmp_path):
    line = command("model", simulated_store, "-o", "m.h5", "--name", "x", "--epochs", 1)
    line += ["--no-plots", "--feed", "memory", "--batch-size", "64"]
    run = tmp_path / "runs" / "x"
    for moment in MOMENTS:

        def is_there(name=moment):
            return any(run.glob(name)) if name else run.exists()

        with started(line, is_there, cwd=tmp_path) as process:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
        again = said(*line, cwd=tmp_path)
        if again.returncode:  # a step was taken, and that is kept
            assert any(run.glob("checkpoints/checkpoint-*[1-9]*.h5")), again.stderr
            again = said(*line, "--resume", cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        shutil.rmtree(run)
        (tmp_path / "m.h5").unlink()


def test_a_folder_that_was_there_is_not_removed(tmp_path):
    """Not even where the interrupt comes before it is found."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "settings.json").write_text("mine")
    files = {"runs": tmp_path, "name": "x", "output": tmp_path / "m.h5"}
    run = new_run(TrainSettings(**files, feed="memory", learning_rate=1e-3), data(), print)
    assert not run.remove_before_steps()
    assert (tmp_path / "x" / "settings.json").read_text() == "mine"
