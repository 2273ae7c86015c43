"""plots: which pictures a model and its samples do not give, and why."""

from pathlib import Path

from bcclone.pictures.plots.subject import NotDrawn
from tests.messages.refusals import checked, refusal


def subject(model, data=None):
    from bcclone.model.model_file import load_model_file
    from bcclone.pictures.plots.subject import Subject

    return Subject(load_model_file(model), data)


def drawn(name, model, data=None):
    from bcclone.pictures.plots.all_pictures import draw_pictures

    (picture,) = draw_pictures(subject(model, data), Path(), (name,))
    raise NotDrawn(picture.reason)


def history(text):
    from bcclone.train.training_state import read_history

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
]


test_a_mistake_is_refused_with_what_the_user_needs = checked(REFUSALS)
