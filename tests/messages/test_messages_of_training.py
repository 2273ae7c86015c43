"""train, model.py: models to train on, and trainings that cannot go on."""

import shutil
from pathlib import Path

import h5py
import pytest

from bcclone.camera.framing import Framing
from bcclone.dataset.store import Store
from bcclone.training.prepare import make_trainer
from bcclone.training.several import strategy_of_gpus
from bcclone.training.train_settings import TrainSettings
from bcclone.training.training_state import read_history
from tests.conftest import calibrated
from tests.messages.refusals import refusal, run_command
from tests.messages.small_recording import make_recording
from tests.running import ROOT

SMALL = ("--epochs", 1, "--feed", "memory", "--no-plots", "--no-augment")


def store():
    """Make data.h5 of a few rows."""
    run_command("preprocess", make_recording("rec"), "--force")
    return Path("data.h5")


def going_on_from(model):
    with Store(store()) as data:
        return make_trainer(data, TrainSettings(seq_length=1, learning_rate=1e-3, start=model))


def of_no_training_samples():
    with h5py.File(store(), "r+") as file:
        table = file["samples"][()]
        table["validation"] = True
        file["samples"][...] = table
    return run_command("model")


def from_another_camera(untrained_model):
    framing = Framing(160, 120, rows=(40, 120))
    return going_on_from(calibrated(untrained_model, Path("car.h5"), framing=framing))


def diverged():
    start = Path(shutil.copy(ROOT / "models" / "lake.h5", "huge.h5"))

    def enlarge(name, member):
        if isinstance(member, h5py.Dataset):
            member[...] = member[()] * 1e30

    with h5py.File(start, "r+") as file:
        file["model_weights"].visititems(enlarge)
    return run_command("model", store(), *SMALL, "--from", start)


def history(text):
    Path("history.csv").write_text(text)
    return read_history(Path("history.csv"))


REFUSALS = [
    refusal(
        lambda: history("epoch,loss,mae,val_loss,val_mae\n1,x,0,0,0\n"),
        "history.csv",
        "expected names of columns",
        "remove",
    ),
    refusal(
        lambda untrained_window_model: going_on_from(untrained_window_model),
        "windows.h5",
        "3 frames",
        "--seq-length 3",
    ),
    refusal(of_no_training_samples, "data.h5", "no training samples", "--validation"),
    refusal(
        from_another_camera,
        "car.h5",
        "rows 40 to 120",
        "data.h5",
        "bcclone import SOURCE --framing",
    ),
    refusal(
        lambda: strategy_of_gpus(64),
        "--gpus 64",
        "0",
        "bcclone doctor",
    ),
    refusal(diverged, "epoch 1", "--learning-rate"),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_training_that_cannot_run_is_refused_with_the_option_that_helps(mistake, check_refusal):
    check_refusal(mistake)
