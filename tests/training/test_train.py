"""A training as a user starts it: its files, its scores, and what ends it."""

import json
import shutil
import signal
import time

import h5py
import numpy as np
import pytest

from bcclone.dataset.conversion import convert
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.dataset.shards import open_store
from bcclone.feed.feed import open_feed_in_order
from bcclone.feed.selection import select
from bcclone.model.model_file import load_model
from tests.conftest import made_once
from tests.processes import started, wait_for
from tests.running import command
from tests.training.trainings import history_of, train, train_apart, weights


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


def test_standard_output_holds_only_the_result(trained):
    folder, result, notices = trained
    assert result["ended"] == "--epochs 3"
    assert result["model"] == str(folder / "model.h5")
    assert result["epochs"] == 3
    assert 0 <= result["data_wait_share"] < 1
    assert result["samples_per_second"] > 0
    assert "epoch 3: loss" in notices
    assert "in batches of 16" in notices


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
    "how",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, marks=pytest.mark.long),
        getattr(signal, "SIGHUP", signal.SIGTERM),
    ],
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
    assert run.returncode == 128 + how
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
