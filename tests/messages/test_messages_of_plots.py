"""plots: which pictures a model and its samples do not give, and why."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from bcclone.images import Preprocessing
from bcclone.preprocess import open_in_place
from bcclone.samples import SampleSettings
from bcclone.store import Store
from tests.messages.made import make_recording
from tests.messages.told import Message, run_command, tabled


def store(*options, validation=None, rows=3):
    """Make a store of a few rows, all of which may be for validation."""
    run_command("preprocess", make_recording("rec", rows), *options)
    if validation is not None:
        with h5py.File("data.h5", "r+") as file:
            table = file["samples"][()]
            table["validation"] = validation
            file["samples"][...] = table
    return Store(Path("data.h5"))


def subject(model, data=None):
    from bcclone.model_file import load_model_file
    from bcclone.plots.subject import Subject

    return Subject(load_model_file(model), data)


def drawn(name, model, data=None):
    from bcclone.plots.draw_all import PICTURES

    return PICTURES[name](subject(model, data), Path("picture.png"))


def predicted(model, data):
    from bcclone.plots.predictions import predictions

    return predictions(subject(model, data))


def predicted_by_a_broken_one(untrained_model):
    import keras

    from bcclone.plots.predictions import predictions

    whole = subject(untrained_model, store(validation=True))
    broken = keras.models.clone_model(whole.file.model)
    broken.get_layer("steering").bias.assign([float("nan")])
    return predictions(replace(whole, file=replace(whole.file, model=broken)))


def activations_of_none(untrained_model):
    import keras

    from bcclone.plots.activations import activations

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    return activations(model, np.zeros((8, 8, 3), np.uint8))


def frame_that_is_gone(untrained_model):
    samples, _ = open_in_place((str(make_recording("rec")),), Preprocessing(), SampleSettings())
    shutil.rmtree("rec")
    return subject(untrained_model, samples).scenes.frame(0)


def frame_that_is_not_kept_in_rgb(untrained_model):
    data = store("--preprocess", "nvidia-66x200-yuv")
    shutil.rmtree("rec")
    return subject(untrained_model, data).scenes.frame(0)


def recovery_of_none(untrained_model):
    data = store()
    names = sorted(path.name for path in Path("rec").glob("*.jpg"))
    rows = "".join(f"{name},{number}.0,lake,0.0,0.0,0.1\n" for number, name in enumerate(names))
    Path("rec/trace.csv").write_text("image,seconds,track,x_m,z_m,cross_track_m\n" + rows)
    return drawn("recovery-frames", untrained_model, data)


def history(text):
    from bcclone.history import read_history

    Path("history.csv").write_text(text)
    return read_history(Path("history.csv"))


MESSAGES = [
    Message("plots/subject.py", "there are no samples; name the store or the recordings that it was trained on",
            lambda untrained_model: drawn("crop", untrained_model)),
    Message("plots/subject.py", "…; and nothing is stored in its place", frame_that_is_gone,
            ("rec/2026_01_01_00_00_00_000.jpg: cannot be read: No such file",)),
    Message("plots/subject.py", "it is not there any more", frame_that_is_not_kept_in_rgb,
            ("an image: it is not there any more; and nothing",)),
    Message("plots/activations.py", "the network has no convolution (Conv2D)", activations_of_none),
    Message("history.py", "…: row …: …; it is not the history of a run: remove it, and it is left out",
            lambda untrained_model: history("epoch,loss\n1,0.5\n"),
            ("history.csv: row 2: it has no column 'val_loss'",)),
    Message("history.py", "…: row …: …; it is not the history of a run: remove it, and it is left out",
            lambda untrained_model: history("epoch,loss,mae,val_loss,val_mae,learning_rate\n1,x,0,0,0,0\n"),
            ("history.csv: row 2: a number is missing, or is none",)),
    Message("plots/predictions.py", "there are no validation samples",
            lambda untrained_model: predicted(untrained_model, store())),
    Message("plots/predictions.py", "there are no … validation frames in a row",
            lambda untrained_window_model: predicted(untrained_window_model, store(validation=True, rows=2)),
            ("no 3 validation",)),
    Message("plots/predictions.py", "the network's steering is no number at … instants", predicted_by_a_broken_one,
            ("at 3 instants",)),
    Message("plots/recovery_frames.py",
            "where the car was is not known: only `bcclone simulate record` writes a trace.csv",
            lambda untrained_model: drawn("recovery-frames", untrained_model, store())),
    Message("plots/recovery_frames.py", "there is no recovery from … m and more beside the middle",
            recovery_of_none, ("from 1 m and more",)),
    Message("plots/steering.py", "there are no training samples",
            lambda untrained_model: drawn("steering", untrained_model, store(validation=True))),
    Message("plots/samples.py", "there are no training samples",
            lambda untrained_model: drawn("samples", untrained_model, store(validation=True))),
    Message("plots/subject.py", "there are no … frames in a row",
            lambda untrained_window_model: drawn("saliency", untrained_window_model, store(rows=2)), ("no 3 frames",)),
    Message("plots/subject.py", "there are no … frames in a row",
            lambda untrained_window_model: drawn("samples", untrained_window_model, store(rows=2)), ("no 3 frames",)),
    Message("plots/draw_all.py", "there is no history: no run folder is known to hold this model",
            lambda untrained_model: drawn("history", untrained_model)),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
