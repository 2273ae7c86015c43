"""model.py as a user runs it: its files, resuming, and refused options."""

import csv
import json
import re
import shutil
import signal
import time
import tomllib

import h5py
import keras
import numpy as np
import pytest

from bcclone.dataset.conversion import convert
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed_in_order
from bcclone.feed.selection import select
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.model_file import load_model, save_model
from bcclone.model.network import build_network
from bcclone.model.policy import load_policy
from tests.conftest import calibrated, made_once
from tests.processes import started, wait_for
from tests.running import ROOT, command, run_process, run_script
from tests.training.trainings import assert_same_weights, state_of, weights

BATCH_NORM = [name for name, architecture in ARCHITECTURES.items() if architecture.is_normalized]
QUICK = ("--epochs", 3, "--batch-size", 16)


def train(store, folder, *options, code=0, run=run_script):
    """Run model.py without pictures, which take as long as all the rest."""
    places = ("-o", folder / "model.h5", "--runs", folder / "runs")
    return run("model.py", store, *places, "--no-plots", *options, "--json", code=code)


def train_apart(store, folder, *options):
    """Train in a process of its own.

    Weights are only the same to the bit with the same number of threads.
    """
    return train(store, folder, *options, run=run_process)


def history_of(run):
    """Return the epochs in the history of a run folder."""
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def small_store(simulated_recording, tmp_path_factory):
    """A store of a tenth of the samples, where an epoch takes no time.

    One camera, not flipped, no earlier frames.
    """
    samples = {"block_seconds": 2.0, "frame_offsets": 0, "flip": False, "cameras": ("center",)}

    def make(folder):
        recordings = (str(simulated_recording),)
        convert(PreprocessSettings(recordings, folder / "data.h5", **samples))

    return made_once(tmp_path_factory, "small_store", make) / "data.h5"


@pytest.fixture(scope="module")
def trained(simulated_store, tmp_path_factory):
    """A folder in which an uninterrupted training ran, and what it printed."""

    def make(folder):
        (folder / "whole").mkdir()
        done = train_apart(simulated_store, folder / "whole", *QUICK, "--name", "whole")
        (folder / "result.json").write_text(done.stdout)
        (folder / "notices.txt").write_text(done.stderr)

    made = made_once(tmp_path_factory, "training", make)
    # a copy, since tests resume it
    folder = shutil.copytree(made / "whole", tmp_path_factory.mktemp("trained") / "whole")

    def moved(path):
        return path.read_text().replace(str(made / "whole"), str(folder))

    run = folder / "runs" / "whole"
    for path in (run / "settings.json", run / "result.json"):
        path.write_text(moved(path))
    result = json.loads(moved(made / "result.json"))
    return folder, result, (made / "notices.txt").read_text()


def test_standard_output_holds_only_the_result(trained):
    folder, result, notices = trained
    assert result["ended"] == "--epochs 3"
    assert result["model"] == str(folder / "model.h5")
    assert result["epochs"] == 3
    assert 0 <= result["data_wait_share"] < 1
    assert result["samples_per_second"] > 0
    assert "epoch 3: loss" in notices


def test_the_run_folder_holds_everything(trained):
    folder, result, _ = trained
    run = folder / "runs" / "whole"
    assert {path.name for path in run.iterdir()} == {
        "settings.json", "settings.toml", "history.csv", "checkpoints",
        "model.h5", "result.json",
    }  # fmt: skip
    assert len(list((run / "checkpoints").iterdir())) == 2
    history = history_of(run)
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    best = min(history, key=lambda row: float(row["val_loss"]))
    assert int(best["epoch"]) == result["best_epoch"]
    assert result["epoch"] == 3
    assert float(history[-1]["val_loss"]) == result["val_loss"]
    assert float(history[-1]["loss"]) == result["loss"]
    assert (run / "model.h5").read_bytes() == (folder / "model.h5").read_bytes()
    assert json.loads((run / "settings.json").read_text())["settings"]["batch_size"] == 16


def test_the_losses_are_means_over_all_samples_and_not_of_the_last_batch(trained, simulated_store):
    folder, result, _ = trained
    answers, labels, _, _ = validation_of(folder / "model.h5", simulated_store)
    errors = answers - labels
    assert result["val_loss"] == pytest.approx(float((errors**2).mean()), rel=1e-3)
    assert result["val_mae"] == pytest.approx(float(abs(errors).mean()), rel=1e-3)
    assert result["drivers"]["trained"]["loss"] == result["val_loss"]


def test_the_trained_driver_is_scored_beside_one_that_answers_the_mean(trained, simulated_store):
    folder, result, _ = trained
    answers, _, training, validation = validation_of(folder / "model.h5", simulated_store)
    mean = training["steering"][as_recorded(training)].mean()
    mean_answers = np.where(validation["flipped"], -1, 1) * mean
    drivers = result["drivers"]
    assert [*drivers] == ["mean_steering", "trained"]

    expected = scores_of(mean_answers, validation)
    del expected["correlation"]  # there is none for a constant
    assert without_none(drivers["mean_steering"]) == pytest.approx(expected, rel=1e-3)
    expected = scores_of(answers[:, 0], validation)
    assert without_none(drivers["trained"]) == pytest.approx(expected, rel=1e-3)


def validation_of(model, path):
    """Return a model's answers and the labels, (samples, 1) each, and the samples of two sides."""
    with (
        open_store(path) as store,
        open_feed_in_order(select(store, "validation"), 10_000) as feed,
        feed.epoch(1) as batches,
    ):
        (batch,) = batches
        training = store.samples[store.split_indices("training")]
        validation = store.samples[store.split_indices("validation")]
    answers = load_model(model).model.predict(batch.images, verbose=0)
    return answers, batch.labels, training, validation


def as_recorded(samples):
    """Return which samples are of the centre camera, not earlier and not flipped, (samples,)."""
    return (samples["camera"] == 0) & (samples["frame_offset"] == 0) & ~samples["flipped"]


def scores_of(answers, samples):
    """Return the scores of a driver's answers, (samples,)."""
    errors = answers - samples["steering"]
    recorded = as_recorded(samples)
    steering = answers[recorded]
    labels = samples["steering"][recorded]
    in_bends = abs(labels) > 0.05
    with np.errstate(invalid="ignore"):  # nothing correlates with a constant
        correlation = np.corrcoef(steering, labels)[0, 1]
    return {
        "loss": (errors**2).mean(),
        "mae": abs(errors).mean(),
        "right_side": (steering * labels > 0)[in_bends].mean(),
        "correlation": correlation,
    }


def without_none(scores):
    return {name: score for name, score in scores.items() if score is not None}


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


def test_a_run_is_resumed_with_a_feed_of_the_same_order_only(trained, simulated_store):
    folder, result, notices = trained
    assert "feed: hdf5-shuffle" in notices
    assert result["feed"] == "hdf5-shuffle"
    other_order = ("--resume", "--epochs", 4, "--feed", "hdf5-chunks")
    refused = train(simulated_store, folder, *other_order, code=1)
    assert re.search("feed.*hdf5-shuffle.*hdf5-chunks", refused.stderr)
    same_order = train(simulated_store, folder, "--resume", "--feed", "memory")
    assert json.loads(same_order.stdout) == result


@pytest.mark.long
def test_a_fine_tuned_model_begins_as_its_start_and_keeps_what_the_options_chose(
    trained, simulated_store, tmp_path
):
    """--from, a settings file and fewer straight rows at once."""
    folder, result, _ = trained
    (tmp_path / "s.toml").write_text("zero-fraction = 0.1\nlearning-rate = 1e-7\nepochs = 2\n")
    earlier = tmp_path / "earlier.h5"
    shutil.copy(folder / "model.h5", earlier)
    start = ("--from", earlier)
    options = ("--settings", tmp_path / "s.toml", "--name", "fine")
    done = train_apart(simulated_store, tmp_path, *start, *options, "--epochs", 1)
    fine = json.loads(done.stdout)
    run = tmp_path / "runs" / "fine"
    assert fine["val_mae"] == pytest.approx(result["val_mae"], rel=1e-3)
    assert fine["epochs"] == fine["epoch"] == 1  # no better and no worse than its start
    assert fine["drivers"]["start"] == {
        name: pytest.approx(value, rel=1e-3) for name, value in fine["drivers"]["trained"].items()
    }
    assert (run / "start.h5").read_bytes() == earlier.read_bytes()
    settings = tomllib.loads((run / "settings.toml").read_text())
    given = {"zero-fraction": 0.1, "epochs": 1}
    assert {name: settings[name] for name in given} == given
    earlier.write_bytes(simulated_store.read_bytes()[:1000])
    refused = train(simulated_store, tmp_path, *start, "--resume", code=1)
    assert "--from" in refused.stderr
    refused = train(simulated_store, tmp_path, "--from", earlier, "--force", code=1)
    assert str(earlier) in refused.stderr


@pytest.mark.slow
def test_a_start_model_that_is_better_than_the_trained_one_is_handed_over(
    winding_recording, tmp_path
):
    store = tmp_path / "data.h5"
    samples = {"block_seconds": 2.0, "cameras": ("center",)}
    convert(PreprocessSettings((str(winding_recording),), store, size=(64, 64), **samples))
    start = calibrated(ROOT / "models" / "any-road.h5", tmp_path / "start.h5", 0.8, 0.05)
    options = ("--epochs", 1, "--learning-rate", 0.05)
    done = train(store, tmp_path, "--from", start, *options)
    result = json.loads(done.stdout)
    (run,) = (tmp_path / "runs").iterdir()
    drivers = result["drivers"]
    assert [*drivers] == ["mean_steering", "start", "halfway", "trained"]
    assert drivers["start"]["correlation"] > 0.1 + (drivers["trained"]["correlation"] or 0)
    assert result["handed_over"] == "start"
    assert result["epoch"] == 0
    assert result["epochs"] == 1
    assert result["loss"] is None
    assert result["val_loss"] == drivers["start"]["loss"]
    assert result["val_mae"] == drivers["start"]["mae"]
    assert "start model" in result["note"]
    assert json.loads((run / "result.json").read_text()) == result
    assert (run / "model.h5").read_bytes() == (tmp_path / "model.h5").read_bytes()

    # the model has the start's calibration within its network
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    written, started_from, trained_to = [
        load_model(path).model.predict(images, verbose=0)
        for path in (tmp_path / "model.h5", start, run / "trained.h5")
    ]
    assert written == pytest.approx(0.8 * started_from + 0.05, abs=1e-5)
    assert abs(trained_to - written).max() > 0.01

    more = json.loads(train(store, tmp_path, "--resume", "--epochs", 2).stdout)
    assert more["epoch"] == 0
    assert more["epochs"] == 2
    assert more["drivers"]["start"] == drivers["start"]
    first, _ = history_of(run)
    assert float(first["val_loss"]) == drivers["trained"]["loss"]


def test_without_validation_samples_a_fine_tuned_model_is_halfway(simulated_recording, tmp_path):
    store = tmp_path / "data.h5"
    samples = {"validation": 0.0, "cameras": ("center",), "size": (64, 64)}
    convert(PreprocessSettings((str(simulated_recording),), store, **samples))
    start = ROOT / "models" / "any-road.h5"
    options = ("--from", start, "--epochs", 1)
    halfway = json.loads(train(store, tmp_path, *options, "--name", "one").stdout)
    assert halfway["handed_over"] == "halfway"
    assert halfway["drivers"] == {}
    assert "no validation samples" in halfway["note"]
    before, trained, written = (
        weights(path)
        for path in (start, tmp_path / "runs" / "one" / "trained.h5", tmp_path / "model.h5")
    )
    assert any((trained[name] != before[name]).any() for name in before)
    for name, values in written.items():
        np.testing.assert_allclose(values, (before[name] + trained[name]) / 2, atol=1e-6)

    # a start model that steers to the wrong side knows nothing of this place
    wrong = calibrated(start, tmp_path / "wrong.h5", gain=-1.0)
    asked = ("--from", wrong, "--epochs", 1, "--name", "three", "--force")
    other = json.loads(train(store, tmp_path, *asked).stdout)
    assert other["handed_over"] == "trained"
    assert re.search(r"start model does not read this place.* by -0\.\d", other["note"])

    asked = ("--hand-over", "trained", "--name", "two", "--force")
    whole = json.loads(train(store, tmp_path, *options, *asked).stdout)
    assert whole["handed_over"] == "trained"
    assert whole["note"] is None
    for name, values in weights(tmp_path / "model.h5").items():
        np.testing.assert_array_equal(values, trained[name])

    # a complete run hands over another model if asked, and trains no more
    again = ("--resume", "--name", "one", "--hand-over", "trained", "--force")
    resumed = json.loads(train(store, tmp_path, *options, *again).stdout)
    assert (resumed["handed_over"], resumed["epochs"]) == ("trained", 1)
    assert not (tmp_path / "runs" / "one" / "trained.h5").exists()
    kept = (tmp_path / "runs" / "one" / "model.h5").read_bytes()
    assert kept == (tmp_path / "model.h5").read_bytes()


def test_settings_of_a_fine_tuning_are_refused_where_they_mean_nothing(simulated_store, tmp_path):
    done = train(simulated_store, tmp_path, "--batch-norm", "fixed", code=1)
    assert re.search("--batch-norm fixed.*--from", done.stderr)
    start = tmp_path / "start.h5"
    with open_store(simulated_store) as data:
        network = build_network(data.preprocessing.shape, network="cnn")
        save_model(start, network, data.preprocessing, {})
        network.layers[-1].activation = keras.activations.tanh
        save_model(tmp_path / "tanh.h5", network, data.preprocessing, {})
    speed = ("--predict", "speed", "--epochs", 1)
    done = train(simulated_store, tmp_path, "--from", tmp_path / "tanh.h5", *speed, code=1)
    assert re.search(r"tanh\.h5.*--predict speed", done.stderr)
    learned = json.loads(train(simulated_store, tmp_path, "--from", start, *speed).stdout)
    assert learned["handed_over"] == "trained"
    assert "start" in learned["drivers"]


@pytest.mark.slow
def test_a_training_ends_when_its_time_is_up(simulated_store, tmp_path):
    done = train(simulated_store, tmp_path, "--time", "10s", "--epochs", 0)
    (run,) = tmp_path.glob("runs/*")
    *_, last = history_of(run)
    assert float(last["learning_rate"]) < 0.1 * 1e-3
    result = json.loads(done.stdout)
    assert result["ended"] == "--time 10s"
    assert 9 <= result["seconds"] < 300
    longer = train(simulated_store, tmp_path, "--epochs", 1, "--time", 0, "--resume")
    assert "--epochs 1" in longer.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM]
)
def test_ctrl_c_saves_the_state_and_reports_the_model_and_how_to_resume(
    simulated_store, tmp_path, how
):
    options = ("-o", tmp_path / "model.h5", "--runs", tmp_path / "runs", "--epochs", 500)
    line = command("model.py", simulated_store, *options, "--checkpoint-minutes", "0")
    with started(line, "epoch 1: loss") as run:
        time.sleep(0.3)  # into the next epoch
        run.send_signal(how)
        _, notices = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "model.h5" in notices
    assert "--resume" in notices
    assert "Traceback" not in notices
    newest = max(tmp_path.glob("runs/*/checkpoints/*[0-9].h5"))
    with h5py.File(newest) as file:
        progress = json.loads(file["progress"].asstr()[()])
    steps_of_epoch = progress["step"] - 34 * len(progress["history"])
    assert progress["samples"] == 32 * steps_of_epoch
    assert steps_of_epoch > 0


@pytest.mark.long
def test_a_model_that_another_program_writes_meanwhile_is_left_as_it_is(
    small_store, untrained_model, tmp_path
):
    output = tmp_path / "model.h5"
    options = ("-o", output, "--runs", tmp_path / "runs", "--epochs", 2, "--no-plots")
    line = command("model.py", small_store, *options)
    with started(line, "training on") as run:
        shutil.copyfile(untrained_model, output)
        _, notices = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "another program" in notices
    assert output.read_bytes() == untrained_model.read_bytes()
    (model,) = tmp_path.glob("runs/*/model.h5")
    assert str(model) in notices
    train(small_store, tmp_path, "--epochs", 2, "--resume", "--force")
    assert output.read_bytes() == model.read_bytes()


@pytest.mark.slow
def test_patience_ends_a_training_with_the_model_of_the_best_epoch(simulated_recording, tmp_path):
    """Without validation, the training loss decides; patience 1 stops at the first worse epoch."""
    store = tmp_path / "data.h5"
    samples = {"validation": 0.0, "frame_offsets": 0, "flip": False, "cameras": ("center",)}
    convert(PreprocessSettings((str(simulated_recording),), store, **samples))
    wild = ("--learning-rate", 0.05)
    done = train(store, tmp_path, "--epochs", 60, "--patience", 1, *wild)
    result = json.loads(done.stdout)
    assert result["epoch"] == result["best_epoch"]
    described = load_model(tmp_path / "model.h5").training
    assert described.epoch == result["best_epoch"]
    assert "no validation samples" in done.stderr
    assert result["val_loss"] is None
    assert result["epochs"] < 60
    assert result["epochs"] == result["best_epoch"] + 1
    assert result["ended"] == "--patience 1"
    longer = ("--patience", 2, "--epochs", result["epochs"] + 1)
    more = json.loads(train(store, tmp_path, *longer, "--resume").stdout)
    assert more["epochs"] == result["epochs"] + 1


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


@pytest.mark.slow
def test_steps_of_one_program_give_the_weights_of_single_ones_also_after_a_resume(
    small_store, tmp_path
):
    """Augmented and with dropout: the same samples in the same order, the same random numbers.

    For the resume, the last checkpoint is taken away, as if the training had been killed before it.
    """
    options = ("--batch-size", 7, "--augment-on", "device", "--jit-compile", "on", "--epochs", 2)
    single = tmp_path / "single"
    program = tmp_path / "program"
    single.mkdir()
    program.mkdir()
    train_apart(small_store, single, *options, "--feed", "memory")
    expected = weights(single / "model.h5")

    def assert_near():
        arrays = weights(program / "model.h5")
        for name, array in expected.items():
            np.testing.assert_allclose(arrays[name], array, atol=1e-5, err_msg=name)

    train_apart(small_store, program, *options, "--feed", "device")
    assert_near()
    (run,) = (program / "runs").iterdir()
    max((run / "checkpoints").glob("*.h5")).unlink()
    for path in (run / "result.json", run / "model.h5", program / "model.h5"):
        path.unlink()
    train_apart(small_store, program, "--resume", "--feed", "memory")
    assert_near()


@pytest.mark.long
def test_ctrl_c_after_the_training_says_that_the_model_is_written(small_store, tmp_path):
    output = tmp_path / "model.h5"
    options = ("-o", output, "--runs", tmp_path / "runs", "--epochs", 1)
    with started(command("model.py", small_store, *options), "epoch 1: loss") as run:
        wait_for(output.exists)
        run.send_signal(signal.SIGINT)
        _, notices = run.communicate(timeout=120)
    assert run.returncode == 130
    said = notices.splitlines()[-1]
    assert "nothing" not in said
    assert "model.h5" in said
