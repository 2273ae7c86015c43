"""plots: which pictures a model and its samples do not give, and why."""

from dataclasses import replace
from pathlib import Path

import h5py

from bcclone.dataset.store import Store
from bcclone.pictures.plots.subject import NotDrawn
from tests.messages.refusals import checked, refusal, run_command
from tests.messages.small_recording import make_recording


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
    from bcclone.model.model_file import load_model_file
    from bcclone.pictures.plots.subject import Subject

    return Subject(load_model_file(model), data)


def drawn(name, model, data=None):
    from bcclone.pictures.plots.all_pictures import draw_pictures

    (picture,) = draw_pictures(subject(model, data), Path(), (name,))
    raise NotDrawn(picture.reason)


def predicted_by_a_broken_one(untrained_model):
    import keras

    from bcclone.pictures.plots.predictions import predictions

    whole = subject(untrained_model, store(validation=True))
    broken = keras.models.clone_model(whole.file.model)
    broken.get_layer("steering").bias.assign([float("nan")])
    return predictions(replace(whole, file=replace(whole.file, model=broken)))


def history(text):
    from bcclone.train.history import read_history

    Path("history.csv").write_text(text)
    return read_history(Path("history.csv"))


REFUSALS = [
    refusal(lambda untrained_model: drawn("crop", untrained_model), "samples", "store", "recordings", by=(NotDrawn,)),
    refusal(
        lambda untrained_model: history("epoch,loss,mae,val_loss,val_mae\n1,x,0,0,0\n"),
        "history.csv",
        "expected names of columns",
        "remove",
    ),
    refusal(predicted_by_a_broken_one, "steering", "3", by=(NotDrawn,)),
]


test_a_mistake_is_refused_with_what_the_user_needs = checked(REFUSALS)
