"""A run is resumed: to the same weights, with the same settings, and to its own model."""

import json
import re
import shutil

import pytest

from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.model_file import load_model
from bcclone.model.policy import load_policy
from tests.processes import started
from tests.running import ROOT, command
from tests.training.trainings import QUICK, assert_same_weights, state_of, train, train_apart

BATCH_NORM = [name for name, architecture in ARCHITECTURES.items() if architecture.is_normalized]


def killed_training(store, folder, *options, after):
    """Train until a checkpoint of step `after` is there, and kill it; return its run."""
    places = ("-o", folder / "model.h5", "--runs", folder / "runs")
    line = command("model.py", store, *places, *options)

    def checkpoints():
        return [*(folder / "runs").glob("*/checkpoints/*[0-9].h5")]

    def is_there():
        return any(int(path.stem[-9:]) >= after for path in checkpoints())

    with started(line, is_there):
        return checkpoints()[0].parents[1]


@pytest.mark.slow
def test_a_training_killed_within_an_epoch_resumes_at_its_step_to_the_same_weights(
    trained, simulated_store, tmp_path
):
    options = (*QUICK, "--checkpoint-minutes", "0.0001")
    run = killed_training(simulated_store, tmp_path, *options, after=70)
    assert not (tmp_path / "model.h5").exists()
    epochs_done = len((run / "history.csv").read_text().splitlines()) - 1
    done = train_apart(simulated_store, tmp_path, *QUICK, "--resume")
    assert "resuming" in done.stderr
    assert "epoch 1: loss" not in done.stderr
    assert 1 <= epochs_done < 3
    folder, result, _ = trained
    for name in ("loss", "val_loss", "val_mae", "epoch", "best_epoch", "drivers"):
        assert json.loads(done.stdout)[name] == result[name]
    assert_same_weights(tmp_path / "model.h5", folder / "model.h5")
    # moments of Adam and states of the dropouts, too
    assert state_of(run) == state_of(folder / "runs" / "whole")
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert not list(run.rglob("*.partial*"))


def test_resuming_a_complete_run_trains_nothing(trained, simulated_store):
    folder, result, _ = trained
    done = train(simulated_store, folder, *QUICK, "--resume")
    assert json.loads(done.stdout) == result
    other = ("--batch-size", 8, "--augment-on", "device")  # which was decided when the run began
    refused = train(simulated_store, folder, "--resume", *other, code=1)
    assert re.search("batch size.*16.*8", refused.stderr)
    assert re.search("augment on.*cpu.*device", refused.stderr)
    options = ("--resume", "--name", "whole", "-o", folder / "other.h5")
    # a run that is named is continued for another output
    elsewhere = train(simulated_store, folder, *options)
    assert str(folder / "runs" / "whole") in elsewhere.stderr
    assert_same_weights(folder / "model.h5", folder / "other.h5")
    (folder / "other.h5").unlink()


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"store": 1}', b"\xff\xfe\xfd", b"[]", b'{"settings": {}}', None]
)
def test_a_run_whose_settings_are_damaged_is_named_and_its_settings_are_used_anew(
    trained, simulated_store, tmp_path, content
):
    copy = shutil.copytree(trained[0], tmp_path / "copy")
    damaged = copy / "runs" / "whole" / "settings.json"
    damaged.unlink()
    if content is None:
        damaged.mkdir()
    else:
        damaged.write_bytes(content)
    refused = train(simulated_store, copy, *QUICK, "--resume", code=1).stderr
    assert str(damaged) in refused
    assert "expected" in refused or "cannot be read" in refused or "not the settings" in refused
    options = ("--settings", copy / "runs" / "whole" / "settings.toml")
    assert options[0] in refused
    assert str(options[1]) in refused
    if content == b"":  # the remedy, to its end
        again = train(simulated_store, copy, *options, "--force", "--name", "again")
        assert json.loads(again.stdout)["loss"] == trained[1]["loss"]
        resumed = train(simulated_store, copy, "--resume")
        assert str(damaged) in resumed.stderr


def test_a_run_is_resumed_with_a_feed_of_the_same_order_only(trained, simulated_store):
    folder, result, notices = trained
    assert "feed: hdf5-shuffle" in notices
    assert result["feed"] == "hdf5-shuffle"
    other_order = ("--resume", "--epochs", 4, "--feed", "hdf5-chunks")
    refused = train(simulated_store, folder, *other_order, code=1)
    assert re.search("feed.*hdf5-shuffle.*hdf5-chunks", refused.stderr)
    same_order = train(simulated_store, folder, "--resume", "--feed", "memory")
    assert json.loads(same_order.stdout) == result


def test_resuming_never_overwrites_the_model_of_another_run(trained, simulated_store, tmp_path):
    folder, result, _ = trained
    copy = shutil.copytree(folder, tmp_path / "copy")
    settings = copy / "runs" / "whole" / "settings.json"
    settings.write_text(settings.read_text().replace(str(folder), str(copy)))
    (copy / "model.h5").write_text("mine")
    for force in ((), ("--force",)):
        refused = train(simulated_store, copy, "--resume", *force, code=1)
        assert str(copy / "model.h5") in refused.stderr
    assert (copy / "model.h5").read_text() == "mine"
    shutil.copy(ROOT / "models" / "lake.h5", copy / "model.h5")
    assert "--force" in train(simulated_store, copy, "--resume", code=1).stderr
    train(simulated_store, copy, "--resume", "--force")
    assert (copy / "model.h5").read_bytes() == (folder / "model.h5").read_bytes()
    (copy / "model.h5").unlink()
    assert json.loads(train(simulated_store, copy, "--resume").stdout) == result
    assert (copy / "model.h5").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("network", "frames", "optimizer"),
    [("gru", 3, "adamw"), ("gru", 3, "muon"), *((name, 1, "muon") for name in BATCH_NORM)],
)
def test_a_network_with_states_is_trained_and_resumed_to_the_same_weights(
    simulated_store, tmp_path, network, frames, optimizer
):
    options = ("--network", network, "--seq-length", frames, "--optimizer", optimizer)
    options += ("--epochs", 1, "--batch-size", 32)
    whole = tmp_path / "whole"
    killed = tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    done = train_apart(simulated_store, whole, *options)
    killed_training(simulated_store, killed, *options, "--checkpoint-minutes", "0.0001", after=6)
    resumed = train_apart(simulated_store, killed, *options, "--resume")
    assert "resuming" in resumed.stderr
    assert_same_weights(whole / "model.h5", killed / "model.h5")
    assert json.loads(resumed.stdout)["val_loss"] == json.loads(done.stdout)["val_loss"]
    file = load_model(whole / "model.h5")
    assert file.training.settings["network"] == network
    assert load_policy(whole / "model.h5").carries_states == (network == "gru")
    other_network = ("--from", whole / "model.h5", "--seq-length", frames, "--network", "cnn")
    again = train(simulated_store, tmp_path, *other_network, code=1)
    assert f"is a network {network}; leave out --network cnn" in again.stderr
