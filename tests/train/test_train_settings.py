"""Settings of a training from options, settings files and run folders; the schedule."""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from bcclone.commands.model import add_arguments, run_settings
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed_settings import FeedSettings
from bcclone.system.errors import UserError
from bcclone.train.run_folder import RunFolder, RunIdentity, RunPlan
from bcclone.train.run_plan import new_settings, resumed_settings
from bcclone.train.run_settings import RunSettings, describe_settings
from bcclone.train.train_settings import CheckpointSettings, TrainSettings, parse_duration
from bcclone.train.training_state import fraction_done, learning_rate

DEFAULT, DEFAULT_FEED = TrainSettings(seq_length=1, learning_rate=1e-3), FeedSettings("hdf5-shuffle")


def chosen(*options, file=None, text=""):
    """Return the settings that a command line of model.py chooses."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    if file:
        file.write_text(text)
        options = (*options, "--settings", str(file))
    return run_settings(parser.parse_args([str(option) for option in options]))


def new(*options, stored_seq_length=1, **file):
    return new_settings(chosen(*options, **file), stored_seq_length)


def begin(path, settings=DEFAULT, feed=DEFAULT_FEED):
    return RunFolder.create(path, RunIdentity("", "", ""), RunPlan(settings, feed))


def resume(folder, *options):
    return resumed_settings(chosen("--resume", *options), folder)


def test_options_override_the_settings_file_which_overrides_the_defaults(tmp_path):
    text = "epochs = 3\nlearning_rate = 0.01\nbatch-size = 8\n"
    text += 'feed = "memory"\ncheckpoint-minutes = 2\ndeterministic = true\n'
    asked = chosen("--batch-size", 64, "--no-deterministic", file=tmp_path / "a.toml", text=text)
    settings = new_settings(asked)
    assert (settings.epochs, settings.learning_rate, settings.batch_size, settings.seed) == (3, 0.01, 64, 0)
    assert not settings.deterministic
    assert asked.chosen["feed"] == "memory"
    assert "feed" not in chosen().chosen
    assert asked.checkpointing == CheckpointSettings(checkpoint_minutes=2)


def test_a_program_trains_on_windows_of_the_stores_length_unless_it_chooses_another():
    asked = RunSettings(training=TrainSettings(epochs=5))
    assert new_settings(asked, stored_seq_length=5) == replace(DEFAULT, epochs=5, seq_length=5)
    assert new_settings(RunSettings(training=TrainSettings(seq_length=1)), stored_seq_length=5).seq_length == 1
    assert new_settings(RunSettings(), stored_seq_length=5).seq_length == 5


def test_a_fine_tuning_has_a_tenth_of_the_usual_learning_rate_unless_one_is_given():
    given, start = TrainSettings(learning_rate=3e-4), Path("start.h5")
    rates = [
        new_settings(RunSettings(start=start, training=one)).learning_rate for one in (None, TrainSettings(), given)
    ]
    assert rates == [1e-4, 1e-4, 3e-4]
    assert new_settings(RunSettings()).learning_rate == 1e-3


def test_a_program_resumes_a_run_with_its_settings_and_may_extend_it(tmp_path):
    stored = replace(DEFAULT, epochs=80, batch_size=8, seq_length=4, augmentation=AugmentSettings(blur=0.1))
    folder = begin(tmp_path / "run", stored)
    assert resumed_settings(RunSettings(resume=True), folder) == stored
    longer = RunSettings.from_values({"epochs": 90}, resume=True)
    assert resumed_settings(longer, folder) == replace(stored, epochs=90)
    follows = RunSettings.from_values(
        {"learning_rate": 0.0, "seq_length": 0, "augment_on": "auto", "feed": "auto"}, resume=True
    )
    assert resumed_settings(follows, folder) == stored
    assert follows.chosen == {}
    assert resumed_settings(RunSettings(training=replace(stored, epochs=40), resume=True), folder).epochs == 40
    with pytest.raises(UserError, match="batch size: 8, and 32 is given"):
        resumed_settings(RunSettings(training=TrainSettings(), resume=True), folder)


@pytest.mark.parametrize(
    ("training", "feed"),
    [
        (DEFAULT, FeedSettings()),
        (replace(DEFAULT, seq_length=0), DEFAULT_FEED),
        (replace(DEFAULT, learning_rate=0.0), DEFAULT_FEED),
    ],
)
def test_the_plan_of_a_run_has_no_open_setting(training, feed):
    with pytest.raises(ValueError, match="chosen for the start and the samples"):
        RunPlan(training, feed)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"data": ()}, "expected a store or recordings"),
        ({"output": Path("model.bin")}, r"must end in \.h5"),
        *(({"name": name}, "expected the name of a folder in runs") for name in ("../out", "a/b", "", ".")),
        ({"given": frozenset({"epoch"})}, "no setting is called 'epoch'"),
    ],
)
def test_wrong_settings_of_a_run_are_refused_when_they_are_made(wrong, expected):
    with pytest.raises(ValueError, match=expected):
        RunSettings(**wrong)


def test_the_settings_written_by_a_run_give_the_same_training_again(tmp_path):
    settings = replace(DEFAULT, epochs=4, time=90.0, loss="huber", clip_norm=0.5, dropout=0.15)
    feed, checkpointing = FeedSettings("workers", feed_workers=3), CheckpointSettings(tensorboard=True)
    folder = begin(tmp_path / "run", settings, feed)
    folder.write_settings(describe_settings(settings, feed, checkpointing))
    folder.publish(tmp_path / "model.h5", b"model")
    asked = chosen("--settings", tmp_path / "model.settings.toml", "-o", tmp_path / "other.h5")
    assert new_settings(asked) == settings
    assert (asked.feed, asked.checkpointing) == (feed, checkpointing)


def test_settings_of_older_versions_are_read_by_their_old_names(tmp_path):
    settings = new(file=tmp_path / "a.toml", text="look = 1.5\nzero-share = 0.25\n")
    assert (settings.augmentation.appearance, settings.zero_fraction) == (1.5, 0.25)
    folder = begin(tmp_path / "run")
    stored = json.loads((folder.path / "settings.json").read_text())
    stored["settings"]["look"] = stored["settings"].pop("appearance") / 2
    stored["settings"]["zero_share"] = stored["settings"].pop("zero_fraction") / 2
    stored["feed"]["start_method"] = "spawn"
    del stored["settings"]["seq_length"], stored["feed"]["feed"]
    (folder.path / "settings.json").write_text(json.dumps(stored))
    assert (folder.settings.augmentation.appearance, folder.settings.zero_fraction) == (1.0, 0.5)
    assert (folder.settings.seq_length, folder.feed) == (1, DEFAULT_FEED)


@pytest.mark.parametrize(
    ("text", "expected"),
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
        ("batch-size = 8\nbatch_size = 16", "set twice"),
        ("epochs = -1", "a.toml: epochs -1, expected 1 or more"),
        ('dropout = "none"', "dropout is 'none', expected a number"),
        ("time = true", 'or a text such as "10m"'),
        ('gpus = "many"', "expected a number or all"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_file_key_and_remedy(tmp_path, text, expected):
    with pytest.raises(UserError) as refusal:
        chosen(file=tmp_path / "a.toml", text=text)
    assert expected in str(refusal.value)


def test_a_missing_settings_file_is_reported(tmp_path):
    with pytest.raises(UserError, match="none.toml: cannot read the settings"):
        chosen("--settings", tmp_path / "none.toml")


def test_time_is_a_limit_besides_or_instead_of_epochs():
    assert new("--time", "10m") == replace(DEFAULT, time=600.0)
    assert new("--time", "10m", "--epochs", 0) == replace(DEFAULT, time=600.0, epochs=0)
    with pytest.raises(UserError, match="no time is given"):
        new("--epochs", 0)


def test_the_window_length_follows_the_option_then_the_store_then_the_network():
    assert new().seq_length == 1
    assert new("--network", "gru").seq_length == 5
    assert new("--network", "gru", stored_seq_length=3).seq_length == 3
    assert new(stored_seq_length=20).seq_length == 20
    assert new("--seq-length", 2, stored_seq_length=20).seq_length == 2


def test_a_resumed_run_keeps_its_settings_and_only_its_limits_may_change(tmp_path):
    stored = replace(DEFAULT, epochs=5, batch_size=8, seq_length=4)
    folder = begin(tmp_path / "run", stored)
    assert resume(folder) == stored
    assert resume(folder, "--epochs", 9).epochs == 9
    assert resume(folder, "--time", "5m", "--patience", 2) == replace(stored, time=300.0, patience=2)
    with pytest.raises(UserError, match="batch size: 8, and 9 is given"):
        resume(folder, "--batch-size", 9)
    with pytest.raises(UserError, match="network"):
        resume(folder, "--network", "gru")
    timed = begin(tmp_path / "timed", replace(DEFAULT, epochs=0, time=9.0))
    assert resume(timed, "--time", 0, "--epochs", 3) == replace(DEFAULT, epochs=3)
    both = begin(tmp_path / "both", replace(DEFAULT, epochs=3, time=9.0))
    assert resume(both, "--epochs", 0) == replace(DEFAULT, epochs=0, time=9.0)
    with pytest.raises(UserError, match="no time is given"):
        resume(timed, "--time", 0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("1H1m1s", 3661)]
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5", "1d", "ten", "5m1h"])
def test_invalid_durations_are_refused(text):
    with pytest.raises(ValueError, match="expected one such as"):
        parse_duration(text)


def test_the_learning_rate_rises_and_falls_to_a_hundredth():
    settings = TrainSettings(learning_rate=0.001, warmup=0.1)
    assert learning_rate(settings, 0.0) < 0.00002
    assert learning_rate(settings, 0.1) == pytest.approx(0.001)
    assert learning_rate(settings, 0.55) == pytest.approx(0.001 * (0.01 + 0.99 / 2))
    assert learning_rate(settings, 1.0) == pytest.approx(0.00001)
    falling = [learning_rate(settings, percent / 100) for percent in range(10, 101)]
    assert falling == sorted(falling, reverse=True)
    linear = TrainSettings(learning_rate=0.001, warmup=0.0, schedule="linear")
    assert learning_rate(linear, 0.5) == pytest.approx(0.001 * (0.01 + 0.99 / 2))
    constant = TrainSettings(learning_rate=0.001, warmup=0.0, schedule="constant")
    assert {learning_rate(constant, done) for done in (0.0, 0.5, 1.0)} == {0.001}


def test_the_fraction_done_follows_steps_or_seconds():
    assert fraction_done(TrainSettings(epochs=2), 50, 100, 1e9) == 0.25
    assert fraction_done(TrainSettings(epochs=0, time=10.0), 50, 100, 4.0) == 0.4
    assert fraction_done(TrainSettings(epochs=2, time=10.0), 150, 100, 4.0) == 0.75
    assert fraction_done(TrainSettings(epochs=2, time=10.0), 500, 100, 4.0) == 1.0
    assert math.isclose(fraction_done(TrainSettings(epochs=0, time=10.0), 1, 1, 5.0), 0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"epochs": -1},
        {"learning_rate": -0.1},
        {"patience": -1},
        {"seed": -1},
        {"seed": 2**32},
        {"schedule": "step"},
        {"loss": "l1"},
        {"warmup": 0.9},
        {"clip_norm": float("nan")},
        {"zero_fraction": 0.0},
        {"gpus": -1},
        {"time": -1.0},
        {"seq_length": -1},
        {"seq_length": 21},
    ],  # fmt: skip
    ids=str,
)
def test_settings_are_checked_when_they_are_made(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("_", " ")):
        TrainSettings(**wrong)
