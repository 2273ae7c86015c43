"""train, model.py: settings files, runs that are resumed, models to train on, and trainings that cannot go on."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from bcclone.commands.model import Task
from bcclone.feed.settings import FeedSettings
from bcclone.store import Store
from bcclone.train.run_folder import Plan, RunFolder
from bcclone.train.settings import TrainSettings
from tests.messages.made import make_recording
from tests.messages.told import Message, run_command, tabled
from tests.rebuild import old_models

SMALL = ("--epochs", 1, "--feed", "memory", "--no-plots", "--no-augment")


def model(*line):
    return run_command("model", *line)


def store(**recorded):
    """Make data.h5 of a few rows."""
    run_command("preprocess", make_recording("rec", **recorded), "--force")
    return Path("data.h5")


def settings(text):
    Path("mine.toml").write_bytes(text)
    return model("--settings", "mine.toml")


def begun(output="model.h5", start=None):
    """A run of data.h5 that was begun, as far as its folder tells."""
    with Store(store()) as data:
        task = Task(str(data.path.resolve()), data.content_hash, str(Path(output).resolve()))
    return RunFolder.create(Path("runs/one"), task, Plan(TrainSettings(), FeedSettings(), start))


def resumed(*line, output="model.h5"):
    begun(output)
    return model("--resume", "--name", "one", *line)


def not_from(untrained_model):
    return resumed("--from", untrained_model)


def existing_run():
    begun()
    return begun()


def without_room():
    Path("runs").touch()
    return begun()


def in_use():
    folder = begun()
    with folder.locked(), RunFolder(folder.path).locked():
        pass


def prepared(samples, start=None, **values):
    from bcclone.train.trainer import prepare

    with Store(samples) as data:
        return prepare(data, TrainSettings(**values), start)


def of_no_training_samples():
    samples = store()
    with h5py.File(samples, "r+") as file:
        table = file["samples"][()]
        table["validation"] = True
        file["samples"][...] = table
    return prepared(samples)


def from_an_older_model(untrained_model):
    old_models.write(Path("old.h5"), old_models.keras2_config())
    return prepared(store(), Path("old.h5"))


def from_other_images(untrained_model):
    run_command("preprocess", make_recording("rec"), "--size", 64)
    return prepared(Path("data.h5"), untrained_model)


def from_another_kind(untrained_model):
    from bcclone.model_file import load_model_file, save_model

    file = load_model_file(untrained_model)
    save_model(Path("padded.h5"), file.model, file.preprocessing, {"settings": {"network": "cnn-padded"}})
    return prepared(store(), Path("padded.h5"))


def from_checkpoint(damage):
    def provoke(untrained_model):
        from bcclone.train.checkpoint import Checkpoints
        from bcclone.train.state import Progress

        trainer, kept = prepared(store()), Checkpoints(Path("kept"))
        kept.save(trainer, Progress(), b"")
        with h5py.File(kept.paths()[0], "r+") as file:
            damage(file)
        return kept.load(trainer, print)

    return provoke


def diverged(untrained_model):
    samples = store()
    with h5py.File(samples, "r+") as file:
        table = file["samples"][()]
        table["steering"] = np.nan
        file["samples"][...] = table
    return model(samples, *SMALL)


def without_tensorboard(untrained_model, monkeypatch):
    from bcclone.train.tensorboard import TensorBoard

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    return TensorBoard(Path("figures"), print)


MESSAGES = [
    Message("commands/model.py", "…: a model's name must end in .h5; name another -o",
            lambda: model("-o", "m.keras"), ("m.keras: ",)),
    Message("commands/model.py", "… is the store itself; name another -o", lambda: model("x.h5", "-o", "x.h5"),
            ("x.h5 is",)),
    Message("commands/model.py", "…: there is no such model to begin with; name another, or leave --from out",
            lambda: model("--from", "no.h5"), ("no.h5: ",)),
    Message("commands/model.py", "… is written beside the model; copy it to another name to train with it, or change "
            "-o", lambda: model("--settings", "model.settings.toml"), ("model.settings.toml is",)),
    Message("commands/model.py", "… is a store; name another -o",
            lambda: store().rename("other.h5") and store() and model("-o", "other.h5"), ("other.h5 is",)),
    Message("commands/model.py", "… was not begun --from …; leave that out to resume it", not_from,
            ("runs/one was", "untrained.h5")),
    Message("commands/model.py", "… is a run of something else; resume it with the store, its content and the output "
            "that it was begun with:…", lambda: resumed(output="other.h5"), ("runs/one is", "other.h5, and /")),
    Message("commands/train_settings.py", "…: cannot read the settings: …; name another --settings",
            lambda: model("--settings", "no.toml"), ("no.toml: ", "No such file")),
    Message("commands/train_settings.py", "…: not a settings file: …; expected lines such as learning-rate = 0.001",
            lambda: settings(b"epochs 3"), ("mine.toml: ", "line 1")),
    Message("commands/train_settings.py", "…: … is there twice, with dashes and with underscores",
            lambda: settings(b"batch-size = 8\nbatch_size = 8"), ("mine.toml: batch_size",)),
    Message("commands/train_settings.py", "(_read) …: …", lambda: settings(b"batch-size = 0"),
            ("mine.toml: batch size 0, expected 1 or more",)),
    Message("commands/train_settings.py", "…: no setting is called …; …", lambda: settings(b"epoch = 3"),
            ("mine.toml: ", "'epoch'", "did you mean 'epochs'?")),
    Message("commands/train_settings.py", "…: no setting is called …; …", lambda: settings(b"xyz = 3"),
            ("mine.toml: ", "known are ")),
    Message("commands/train_settings.py", "(_checked) …: …: …", lambda: settings(b'time = "soon"'),
            ("mine.toml: time: time 'soon', expected one such as",)),
    Message("commands/train_settings.py", "…: … is …, expected …", lambda: settings(b'epochs = "3"'),
            ("mine.toml: epochs is '3', expected a whole number",)),
    Message("commands/train_options.py", "(_duration) …", lambda: model("--time", "soon"), ("--time: time 'soon'",)),
    Message("commands/train_options.py", "…, expected a number or all", lambda: model("--gpus", "some"),
            ("--gpus: 'some'",)),
    Message("commands/train_settings.py", "… was begun with --feed … --chunk-size …; --feed … --chunk-size … gives the "
            "samples in another order: leave them out to resume the run, or leave out --resume",
            lambda: resumed("--feed", "hdf5"), ("runs/one was begun with --feed hdf5-shuffle", "; --feed hdf5 ")),
    Message("commands/train_settings.py", "… was begun with other options; leave them out to resume it, or leave out "
            "--resume:…", lambda: resumed("--batch-size", 5), ("runs/one was", "  batch size: 32, and 5 is given")),
    Message("train/run_folder.py", "--name …, expected the name of a folder in …",
            lambda: model("--name", "../one"), ("'../one'", "in runs")),
    Message("train/run_folder.py", "…: cannot make the run folder: …; choose other --runs", without_room,
            ("runs/one: ", "Not a directory")),
    Message("train/run_folder.py", "…: this run exists already; choose another --name, or continue it with --resume "
            "and the store and the output that it was begun with", existing_run, ("runs/one: ",)),
    Message("train/run_folder.py", "…: another process is training this run; wait for its end, or begin a new run "
            "without --resume", in_use, ("runs/one: ",)),
    Message("train/trainer.py", "…: holds no training samples; make it with more driving or less --validation",
            of_no_training_samples, ("data.h5: ",)),
    Message("train/trainer.py", "…: an older model; first make one of ours of it: bcclone import-model … -o NEW.h5",
            from_an_older_model, ("old.h5: ", "import-model old.h5")),
    Message("train/trainer.py", "… takes … frames at a time; train on from it with --seq-length …",
            lambda untrained_window_model: prepared(store(), untrained_window_model),
            ("windows.h5 takes 3 frames", "--seq-length 3")),
    Message("train/trainer.py", "… is a network of another kind; train on from it with --network …", from_another_kind,
            ("padded.h5 is", "--network cnn-padded")),
    Message("train/trainer.py", "… takes other images than … holds; make the store anew as the model wants them:\n  "
            "the model: …\n  the store: …", from_other_images,
            ("untrained.h5 takes", "data.h5 holds", "model: 320x160 -> 128x128 RGB", "store: 320x160 -> 64x64 RGB")),
    Message("train/trainer.py", "--gpus …, but TensorFlow sees …; see bcclone doctor --full",
            lambda untrained_model: prepared(store(), gpus=64), ("--gpus 64, but",)),
    Message("train/checkpoint.py", "the weights have other shapes",
            from_checkpoint(lambda file: file["variables"].__delitem__("0000")),
            ("kept/checkpoint-000000000.h5: not a whole checkpoint of this network: the weights", "train anew")),
    Message("train/checkpoint.py", "…; train anew without --resume",
            from_checkpoint(lambda file: file.__delitem__("progress")), ("kept/checkpoint-000000000.h5: ",)),
    Message("train/loop.py", "training diverged in epoch …: its loss is no number; try a smaller --learning-rate…",
            diverged, ("in epoch 1:",)),
    Message("train/tensorboard.py", "--tensorboard needs a package that is missing: pip install tensorboard",
            without_tensorboard),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
