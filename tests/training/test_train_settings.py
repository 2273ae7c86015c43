"""Settings of a training from options, settings files and run folders; the schedule."""

import json
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import pytest

from bcclone.commands.command import parse
from bcclone.commands.main_job import chosen_settings, model
from bcclone.system.errors import UserError
from bcclone.system.settings import read_settings_file
from bcclone.training.loop import fraction_done, learning_rate
from bcclone.training.plan import (
    fit_to_samples,
    may_compile,
    new_run,
    resumed_run,
    steps_left,
)
from bcclone.training.train_settings import (
    RunFiles,
    TrainSettings,
    parse_duration,
    settings_as_text,
)
from bcclone.training.training_state import Epoch, TrainingState
from tests.running import ROOT
from tests.training.trainings import data

DEFAULT = TrainSettings(
    network="cnn-small",
    seq_length=1,
    optimizer="muon",
    batch_norm="learned",
    learning_rate=5e-3,
    epochs=10,
    feed="hdf5-shuffle",
    window_streams=1,
    onednn="on",
)


def parsed(*options, file=None, text=""):
    if file:
        file.write_text(text)
        options = (*options, "--settings", str(file))
    return parse(model, ["model"], [str(option) for option in options])


def chosen(given):
    return chosen_settings(given, given.get("file"))


def new(*options, stored_seq_length=1, **file):
    """Return the settings of a new run of a command line of model.py."""
    values = chosen(parsed("--feed", "hdf5-shuffle", *options, **file))
    return fit_to_samples(TrainSettings(**values), data(seq_length=stored_seq_length))


def begin(path, settings=DEFAULT):
    run = new_run(replace(settings, runs=path.parent, name=path.name), data(), print)
    run.make_folder()
    run.begin(run.settings)
    return run


def resume(folder, *options):
    """Return the settings with which a command line resumes a run."""
    return resumed(folder, chosen(parsed("--resume", *options)))


def resumed(folder, changes):
    files = RunFiles(runs=folder.path.parent, name=folder.path.name)
    settings = resumed_run(files, changes, data(), print).settings
    return replace(settings, runs=DEFAULT.runs, name=None)


def test_options_override_the_settings_file_which_overrides_the_defaults(tmp_path):
    text = "epochs = 3\nlearning-rate = 0.01\nbatch-size = 8\n"
    text += 'feed = "memory"\ncheckpoint-minutes = 2\naugment = true\n'
    values = chosen(parsed("--batch-size", 64, "--no-augment", file=tmp_path / "a.toml", text=text))
    settings = TrainSettings(**values)
    assert (settings.epochs, settings.learning_rate, settings.batch_size, settings.seed) == (
        3,
        0.01,
        64,
        0,
    )
    assert not settings.augment
    assert (settings.feed, settings.checkpoint_minutes) == ("memory", 2)
    assert chosen(parsed()) == {}


@pytest.mark.parametrize(
    ("given", "optimizer", "rate", "epochs"),
    [
        ({}, "muon", 5e-3, 10),
        ({"epochs": 3, "learning_rate": 3e-4}, "muon", 3e-4, 3),
        ({"network": "cnn"}, "adamw", 1e-3, 40),
        ({"network": "cnn", "optimizer": "muon"}, "muon", 5e-3, 10),
        ({"optimizer": "adamw"}, "adamw", 1e-3, 40),
        ({"start": Path("start.h5")}, "adamw", 1e-4, 40),
        ({"start": Path("start.h5"), "optimizer": "muon"}, "muon", 1e-4, 10),
    ],
)
def test_optimizer_rate_and_epochs_suit_the_network(given, optimizer, rate, epochs):
    settings = fit_to_samples(TrainSettings(feed="memory", **given), data())
    assert settings.optimizer == optimizer
    assert settings.learning_rate == rate
    assert settings.epochs == epochs


def test_the_settings_written_by_a_run_give_the_same_training_again(tmp_path):
    settings = replace(
        DEFAULT, epochs=4, time=90.0, dropout=0.15, feed="memory", feed_workers=3,
    )  # fmt: skip
    folder = begin(tmp_path / "run", settings)
    values = chosen(parsed("--settings", folder.path / "settings.toml"))
    assert fit_to_samples(TrainSettings(**values), data()) == settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learnin-rate = 0.1", "no setting is called 'learnin-rate'; did you mean learning-rate"),
        ('epochs = "ten"', "epochs 'ten', expected a whole number"),
        ("epochs: 3", "not a settings file"),
        ("epochs = -1", "a.toml: epochs -1, expected 1 or more"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_file_key_and_remedy(tmp_path, text, expected):
    with pytest.raises(UserError) as refusal:
        chosen(parsed(file=tmp_path / "a.toml", text=text))
    assert expected in str(refusal.value)


VALUES = (
    "1", "-1", "1.5", "'x'", "true", "[]", "[1]", "['a']", "[[]]", "{}", "{a = 1}", "1979-05-27",
    "07:32:00", "nan", "inf", "0x" + "f" * 300, "9" * 30, "9" * 5000, "1e400", '"\\u0000"', '""',
    "1979-05-27T07:32:00Z", "[" * 5000,
)  # fmt: skip


def test_a_value_that_does_not_fit_its_setting_is_refused_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "settings.toml"
    lines = settings_as_text(TrainSettings()).splitlines()
    keys = [line.partition("=")[0].strip("# ") for line in lines if "=" in line]
    refused = 0
    for key, value in islice(product(keys, VALUES), 0, None, 5):
        path.write_text(f"{key} = {value}\n")
        try:
            read_settings_file(path, TrainSettings)
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017 most values fit some of the settings
            refused += 1
    assert refused > len(keys)


def test_time_is_a_limit_besides_or_instead_of_epochs():
    assert new("--time", "10m") == replace(DEFAULT, time=600.0)
    assert new("--time", "10m", "--epochs", 0) == replace(DEFAULT, time=600.0, epochs=0)
    with pytest.raises(ValueError, match="epochs 0 .* set time"):
        new("--epochs", 0)


def test_the_window_length_follows_the_option_then_the_store_then_the_network():
    assert new().seq_length == 1
    assert new("--network", "gru").seq_length == 5
    assert new("--network", "gru", stored_seq_length=3).seq_length == 3
    assert new(stored_seq_length=20).seq_length == 20
    assert new("--seq-length", 2, stored_seq_length=20).seq_length == 2


def test_a_resumed_run_keeps_its_settings_and_only_its_limits_may_change(tmp_path):
    stored = replace(DEFAULT, epochs=5, batch_size=8, seq_length=4, blur=0.1)
    folder = begin(tmp_path / "run", stored)
    left_open = {"learning_rate": 0.0, "seq_length": 0, "augment_on": "auto", "feed": "auto"}
    assert resume(folder) == resumed(folder, left_open) == stored
    assert resume(folder, "--time", "5m", "--patience", 2) == replace(
        stored, time=300.0, patience=2
    )
    with pytest.raises(UserError, match="batch size: 8, but 9 is given"):
        resume(folder, "--batch-size", 9)
    timed = begin(tmp_path / "timed", replace(DEFAULT, epochs=0, time=9.0))
    assert resume(timed, "--time", 0, "--epochs", 3) == replace(DEFAULT, epochs=3)
    both = begin(tmp_path / "both", replace(DEFAULT, epochs=3, time=9.0))
    assert resume(both, "--epochs", 0) == replace(DEFAULT, epochs=0, time=9.0)
    with pytest.raises(ValueError, match="epochs 0 .* set time"):
        resume(timed, "--time", 0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("1H1m1s", 3661)],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "ten", "5m1h", "-3s", "1e3", "1h30"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="expected one such as 90s, 10m or 1h30m"):
        parse_duration(text)


def test_the_learning_rate_rises_and_falls_to_a_hundredth():
    assert learning_rate(0.001, 0.0) < 0.0001
    assert learning_rate(0.001, 0.02) == pytest.approx(0.001)
    assert learning_rate(0.001, 0.51) == pytest.approx(0.001 * (0.01 + 0.99 / 2))
    assert learning_rate(0.001, 1.0) == pytest.approx(0.00001)
    falling = [learning_rate(0.001, percent / 100) for percent in range(2, 101)]
    assert falling == sorted(falling, reverse=True)


def test_the_fraction_done_follows_steps_or_seconds():
    def done(steps, seconds, step, elapsed):
        state = TrainingState(step=step, elapsed=elapsed, begun=2.0)
        return fraction_done(state, steps, seconds)

    assert done(200, 0.0, 50, 1e9) == 0.25
    assert done(0, 12.0, 50, 6.0) == 0.4
    assert done(200, 12.0, 150, 6.0) == 0.75
    assert done(200, 12.0, 500, 6.0) == 1.0
    assert [done(0, 12.0, 20, elapsed) for elapsed in (2.0, 4.5, 12.0)] == [0.0, 0.25, 1.0]


# ---- whether compiling pays


def test_may_compile_for_as_many_steps_as_the_measured_seconds_say():
    """The seconds are those of an H100, in docs/results/gpu.json."""
    steps = json.loads((ROOT / "docs" / "results" / "gpu.json").read_text())["steps"]
    ways = {
        name: 256 / way["samples_per_second"]
        for name, way in steps["ways to train"]["ways"].items()
    }
    stepwise = ways["step by step, not augmented"]
    saved = {
        "device": stepwise - ways["a program of 20 steps, frames on the device"],
        "memory": stepwise - ways["a program"],
    }
    first, *later = (epoch["seconds"] for epoch in steps["train batches of 256"]["history"])
    compiling = first - max(later)
    for feed, seconds in saved.items():
        settings = replace(DEFAULT, feed=feed, batch_size=256)
        measured = compiling / seconds
        assert not may_compile(settings, 0.85 * measured)
        assert may_compile(settings, 1.15 * measured)


def test_steps_left_are_those_until_the_first_limit():
    of_64 = replace(DEFAULT, batch_size=64, epochs=10)
    assert steps_left(of_64, data(samples=129)) == 30
    in_a_minute = steps_left(replace(of_64, epochs=0, time=60.0), data(samples=129))
    assert 2_000 < in_a_minute < 10_000
    assert steps_left(replace(of_64, time=60.0), data(samples=129)) == 30
    assert steps_left(replace(of_64, time=60.0), data(samples=10**6)) == in_a_minute


def test_a_resumed_run_counts_the_steps_of_the_epochs_that_it_lacks(tmp_path):
    run = begin(tmp_path / "run")
    assert steps_left(DEFAULT, data(), run) == steps_left(DEFAULT, data())
    epoch = Epoch(1, 0.1, 0.1, None, None, 1e-3, 1.0, 1.0, 0.0)
    run.write_history([epoch, replace(epoch, epoch=2)])
    assert steps_left(DEFAULT, data(), run) == 0.8 * steps_left(DEFAULT, data())


def test_the_choice_of_the_user_pays_for_any_steps():
    assert not may_compile(DEFAULT, 10)
    assert may_compile(replace(DEFAULT, jit_compile="on"), 10)
    assert may_compile(replace(DEFAULT, jit_compile="off"), 10)
