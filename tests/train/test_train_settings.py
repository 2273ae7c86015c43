"""Options, settings file and schedule: what a training is told, from where, and what it refuses."""

import argparse
import json
import math
from dataclasses import replace

import pytest

from bcclone.commands.train_options import add_training_options
from bcclone.commands.train_settings import Wanted, resolved
from bcclone.errors import UserError
from bcclone.feed.settings import FeedSettings
from bcclone.train.run_folder import Plan, RunFolder, Task
from bcclone.train.settings import CheckpointSettings, TrainSettings, parse_duration
from bcclone.train.state import learning_rate, share_done


def wanted(*options, file=None, text=""):
    parser = argparse.ArgumentParser()
    add_training_options(parser)
    if file:
        file.write_text(text)
        options = (*options, "--settings", str(file))
    return Wanted.of(parser.parse_args([str(option) for option in options]))


def test_options_override_the_settings_file_which_overrides_the_defaults(tmp_path):
    text = "epochs = 3\nlearning_rate = 0.01\nbatch-size = 8\n"
    text += 'feed = "memory"\ncheckpoint-minutes = 2\ndeterministic = true\n'
    asked = wanted("--batch-size", 64, "--no-deterministic", file=tmp_path / "a.toml", text=text)
    settings = asked.new()
    assert (settings.epochs, settings.learning_rate, settings.batch_size, settings.seed) == (3, 0.01, 64, 0)
    assert not settings.deterministic
    assert asked.feed("hdf5").feed == "memory"
    assert wanted().feed("hdf5").feed == "hdf5"
    assert asked.checkpointing == CheckpointSettings(checkpoint_minutes=2)


def test_what_a_run_writes_is_a_settings_file_that_gives_the_same(tmp_path):
    settings = TrainSettings(epochs=4, time=90.0, loss="huber", clip_norm=0.5)
    feed, checkpointing = FeedSettings("workers", workers=3), CheckpointSettings(tensorboard=True)
    folder = RunFolder.create(tmp_path / "run", Task("", "", ""), Plan(settings, feed))
    folder.write_settings(resolved(settings, feed, checkpointing))
    folder.publish(tmp_path / "model.h5", b"model")
    asked = wanted("--settings", tmp_path / "model.settings.toml")
    assert asked.new() == settings
    assert asked.feed("files") == feed
    assert asked.checkpointing == checkpointing


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("learnin-rate = 0.1", "no setting is called 'learnin-rate'; did you mean 'learning-rate'"),
        ("batchsize = 1", "did you mean 'batch-size'"),
        ("zzz = 1", "known are augment, shift-m"),
        ('epochs = "ten"', "epochs is 'ten', expected a whole number"),
        ("epochs = true", "expected a whole number"),
        ("epochs = 2.0", "expected a whole number"),
        ('learning-rate = "fast"', "expected a number"),
        ('time = "soon"', "expected one such as 90s, 10m"),
        ("[train]\nepochs = 1", "no setting is called 'train'"),
        ("epochs: 3", "not a settings file"),
        ("a = " + "[" * 9999, "not a settings file"),
        ("epochs = " + "9" * 400, "epochs 999999"),
        ("learning-rate = 1" + "0" * 400, "learning-rate: int too large"),
        ("batch-size = 8\nbatch_size = 16", "there twice"),
        ("epochs = -1", "a.toml: epochs -1, expected 1 or more"),
        ("time = true", 'or a text such as "10m"'),
        ('gpus = "many"', "expected a number or all"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_file_key_and_remedy(tmp_path, text, told):
    with pytest.raises(UserError) as refusal:
        wanted(file=tmp_path / "a.toml", text=text)
    assert told in str(refusal.value)


def test_a_settings_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot read the settings: No such file"):
        wanted("--settings", tmp_path / "none.toml")


def test_a_time_is_a_limit_beside_the_epochs_or_in_their_place():
    assert wanted("--time", "10m").new() == TrainSettings(time=600.0)
    assert wanted("--time", "10m", "--epochs", 0).new() == TrainSettings(time=600.0, epochs=0)
    with pytest.raises(UserError, match="no time is given"):
        wanted("--epochs", 0).new()


def test_windows_are_as_long_as_asked_for_then_as_the_store_says_then_as_the_network_needs():
    assert wanted().new().seq_length == 1
    assert wanted("--network", "gru").new().seq_length == 5
    assert wanted("--network", "gru").new(stored_seq_length=3).seq_length == 3
    assert wanted().new(stored_seq_length=20).seq_length == 20
    assert wanted("--seq-length", 2).new(stored_seq_length=20).seq_length == 2


def test_what_a_store_says_of_windows_does_not_change_a_run_that_is_resumed(tmp_path):
    stored = TrainSettings(seq_length=4)
    folder = RunFolder.create(tmp_path / "run", Task("", "", ""), Plan(stored, FeedSettings()))
    assert wanted().resumed(folder).seq_length == 4
    with pytest.raises(UserError, match="network"):
        wanted("--network", "gru").resumed(folder)


def test_of_a_resumed_run_only_the_limits_may_change(tmp_path):
    stored = TrainSettings(epochs=5, batch_size=8)
    folder = RunFolder.create(tmp_path / "run", Task("", "", ""), Plan(stored, FeedSettings()))
    assert wanted().resumed(folder) == stored
    assert wanted("--epochs", 9).resumed(folder).epochs == 9
    assert wanted("--time", "5m", "--patience", 2).resumed(folder) == replace(stored, time=300.0, patience=2)
    with pytest.raises(UserError, match="begun with other options"):
        wanted("--batch-size", 9).resumed(folder)
    timed = RunFolder.create(
        tmp_path / "timed", Task("", "", ""), Plan(TrainSettings(epochs=0, time=9.0), FeedSettings())
    )
    assert wanted("--time", 0, "--epochs", 3).resumed(timed) == TrainSettings(epochs=3)
    with pytest.raises(UserError, match="no time is given"):
        wanted("--time", 0).resumed(timed)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("1H1m1s", 3661)]
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5", "1d", "ten", "5m1h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="expected one such as"):
        parse_duration(text)


def test_the_learning_rate_rises_and_falls_to_a_hundredth():
    settings = TrainSettings(learning_rate=0.001, warmup=0.1)
    assert learning_rate(settings, 0.0) < 0.00002
    assert learning_rate(settings, 0.1) == pytest.approx(0.001)
    assert learning_rate(settings, 0.55) == pytest.approx(0.001 * (0.01 + 0.99 / 2))
    assert learning_rate(settings, 1.0) == pytest.approx(0.00001)
    falling = [learning_rate(settings, share / 100) for share in range(10, 101)]
    assert falling == sorted(falling, reverse=True)
    linear = TrainSettings(learning_rate=0.001, warmup=0.0, schedule="linear")
    assert learning_rate(linear, 0.5) == pytest.approx(0.001 * (0.01 + 0.99 / 2))
    constant = TrainSettings(learning_rate=0.001, warmup=0.0, schedule="constant")
    assert {learning_rate(constant, share) for share in (0.0, 0.5, 1.0)} == {0.001}


def test_a_training_is_as_far_as_its_steps_or_its_seconds_say():
    assert share_done(TrainSettings(epochs=2), 50, 100, 1e9) == 0.25
    assert share_done(TrainSettings(epochs=0, time=10.0), 50, 100, 4.0) == 0.4
    assert share_done(TrainSettings(epochs=2, time=10.0), 150, 100, 4.0) == 0.75
    assert share_done(TrainSettings(epochs=2, time=10.0), 500, 100, 4.0) == 1.0
    assert math.isclose(share_done(TrainSettings(epochs=0, time=10.0), 1, 1, 5.0), 0.5)


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    folder = RunFolder.create(tmp_path / "run", Task("", "", ""), Plan(TrainSettings(), FeedSettings()))
    with folder.locked(), pytest.raises(UserError, match="another process is training this run"), folder.locked():
        pass
    with folder.locked():
        pass


def test_the_environment_of_a_resume_elsewhere_is_added_to_that_of_the_beginning(tmp_path):
    folder = RunFolder.create(tmp_path / "run", Task("", "", ""), Plan(TrainSettings(), FeedSettings()))
    (folder.path / "environment.json").write_text("half of")
    for machine, command in (("a", "train"), ("a", "resume"), ("b", "resume")):
        folder.note_environment({"machine": machine, "command": command})
    assert [found["machine"] for found in json.loads((folder.path / "environment.json").read_text())] == ["a", "b"]


def test_a_run_from_before_there_was_a_choice_goes_on_as_it_began(tmp_path):
    folder = RunFolder.create(tmp_path / "run", Task("", "", ""), Plan(TrainSettings(seed=4), FeedSettings()))
    stored = json.loads((folder.path / "settings.json").read_text())
    for name in ("augment", "weight_decay", "keep"):
        del stored["settings"][name]
    (folder.path / "settings.json").write_text(json.dumps(stored))
    assert folder.settings == TrainSettings(seed=4, augment=False, weight_decay=0.0, keep="best")
