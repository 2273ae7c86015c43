"""Run folders are found for a resume, locked, never overwritten."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from bcclone.system.errors import UserError
from bcclone.training.result import SampleCounts, TrainResult
from bcclone.training.train_settings import TrainSettings
from bcclone.training.training_folder import RunFolder, RunIdentity, settings_as_text
from bcclone.training.training_state import (
    Epoch,
    TrainingState,
    ValidationScore,
    best_epoch,
    read_history,
)
from tests.hostile import with_wrong_values

SETTINGS = TrainSettings(seq_length=1, learning_rate=1e-3, feed="hdf5-shuffle")
RESULT = TrainResult(
    "model.h5",
    10,
    10,
    9,
    0.1,
    0.2,
    0.3,
    1000.0,
    0.0,
    9.5,
    SampleCounts(8, 2),
    "memory",
    "--epochs 10",
)


def begin(path, settings=SETTINGS):
    return RunFolder.create(path, RunIdentity("data.h5", "hash", "model.h5"), settings)


def test_a_run_of_the_same_store_for_another_output_is_found_only_when_asked_for(tmp_path):
    run = begin(tmp_path / "a")
    mistyped = RunIdentity("data.h5", "hash", "modle.h5")
    assert RunFolder.find(tmp_path, mistyped) is None
    other = RunFolder.find(tmp_path, mistyped, any_output=True)
    assert (other.path, other.output) == (run.path, "model.h5")
    of_another_store = RunIdentity("other.h5", "hash", "model.h5")
    assert RunFolder.find(tmp_path, of_another_store, any_output=True) is None


def test_force_permits_overwriting_only_once(tmp_path):
    run = begin(tmp_path / "a", replace(SETTINGS, force=True))
    run.model.write_text("best")
    assert run.forces_first_write
    (tmp_path / "model.h5").write_text("best")  # copied, and killed before that was noted
    assert run.has_published(tmp_path / "model.h5")
    run.record(SETTINGS, {})
    run.publish(tmp_path / "model.h5", b"best")
    assert not run.forces_first_write
    assert run.has_published(tmp_path / "model.h5")
    run.model.write_text("better")
    assert run.has_published(tmp_path / "model.h5")
    (tmp_path / "model.h5").write_text("another's")
    assert not run.has_published(tmp_path / "model.h5")


def test_the_newest_run_of_the_same_store_and_output_is_resumed(tmp_path):
    task = RunIdentity("data.h5", "hash", "model.h5")
    other = RunIdentity("data.h5", "hash", "other.h5")
    assert RunFolder.find(tmp_path, task) is None
    for seed, name in enumerate(("b", "a", "c"), 1):
        identity = other if name == "c" else task
        RunFolder.create(tmp_path / name, identity, replace(SETTINGS, seed=seed))
    for name, settings in (
        ("empty", ""),
        ("list", "[]"),
        ("foreign", "{}"),
        ("new", '{"identity": {}, "settings": {}}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text(settings)
    newest = RunFolder.find(tmp_path, task)
    assert newest.path.name == "a"
    assert newest.settings == replace(SETTINGS, seed=2)
    newest.write_result(RESULT)
    assert RunFolder.find(tmp_path, task).path.name == "a"
    assert RunFolder.find(tmp_path, task, "b").path.name == "b"
    assert RunFolder.find(tmp_path, task, "c") is None
    (newest.path / "result.json").write_text("half of")
    assert newest.read_result() is None


def test_an_existing_folder_is_not_used(tmp_path):
    begin(tmp_path / "x")
    with pytest.raises(UserError, match="exists already"):
        begin(tmp_path / "x")


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    folder = begin(tmp_path / "run")
    with (
        folder.locked(),
        pytest.raises(UserError, match="is writing it; wait until it ends, or begin a new run"),
        folder.locked(),
    ):
        pass
    with folder.locked():
        pass


def test_the_environment_of_a_resume_on_another_machine_is_appended(tmp_path):
    folder = begin(tmp_path / "run")
    for system, command in (("a", "train"), ("a", "resume"), ("b", "resume")):
        folder.record(SETTINGS, {"command": [command], "system": system})
    noted = json.loads((folder.path / "environment.json").read_text())
    assert [(found["system"], found["command"]) for found in noted] == [
        ("a", ["train"]),
        ("b", ["resume"]),
    ]


def test_a_run_folder_with_any_wrong_value_is_none_or_is_refused(tmp_path):
    run = begin(tmp_path / "runs/a")
    run.record(SETTINGS, {"command": "python model.py"})
    run.write_result(RESULT)
    identity = RunIdentity("data.h5", "hash", "model.h5")
    for name in ("result.json", "settings.json"):
        valid = (run.path / name).read_text()
        for wrong in islice(with_wrong_values(json.loads(valid)), 0, None, 7):
            (run.path / name).write_text(json.dumps(wrong))
            if found := RunFolder.find(tmp_path / "runs", identity):
                assert settings_as_text(found.settings).encode()
                result = found.read_result()
                assert result is None or result.epochs
        (run.path / name).write_text(valid)


ERRORS = [(1, 0.5, 0.4, 0.3, 0.2), (2, 0.2, 0.2, 0.1, 0.1), (3, 0.1, 0.1, 0.1, 0.2)]
BY_EPOCH = [Epoch(*errors, 1e-3, 7.0, 100.0, 0.1) for errors in ERRORS]


def test_the_best_epoch_has_the_smallest_validation_loss_or_without_one_the_smallest_loss():
    assert best_epoch(BY_EPOCH).epoch == 2
    assert best_epoch([replace(epoch, val_loss=None) for epoch in BY_EPOCH]).epoch == 3


@pytest.mark.parametrize(
    ("start", "trained", "is_better"),
    [
        ((0.02, 0.57), (0.01, -0.13), True),  # the loss fell while the network unlearned the bends
        ((0.02, 0.57), (0.01, None), True),
        ((0.02, 0.57), (0.01, 0.55), False),
        ((0.01, 0.57), (0.02, 0.55), True),
        ((0.01, 0.57), (0.02, 0.75), False),
        ((0.01, None), (0.02, None), True),  # labels that are all the same
        ((0.01, 0.57), (0.01, 0.57), False),
    ],
)
def test_a_clear_difference_in_correlation_decides_which_model_is_better_and_else_the_loss(
    start, trained, is_better
):
    first, other = (ValidationScore(loss, 0.1, r, 0.9) for loss, r in (start, trained))
    assert first.is_better_than(other) == is_better


@pytest.mark.parametrize(("mean_loss", "is_noted"), [(0.2, False), (0.05, True)])
def test_a_model_with_a_greater_loss_than_the_mean_is_noted_whatever_its_correlation(
    mean_loss, is_noted
):
    epochs = tuple(replace(epoch, val_correlation=0.6, val_right_side=0.9) for epoch in BY_EPOCH)
    mean = {"mean_steering": ValidationScore(mean_loss, 0.1, None, None)}
    state = TrainingState(epochs, samples=4, elapsed=9.0)
    result = TrainResult.of(state, SETTINGS, SampleCounts(8, 2), Path(), mean)
    assert (result.handed_over, "worse than always steering the mean" in (result.note or "")) == (
        "trained",
        is_noted,
    )


@pytest.mark.parametrize(("start_r", "adds"), [(0.591, True), (0.605, False)])
def test_a_training_that_adds_nothing_to_its_start_model_says_which_to_keep(start_r, adds):
    epochs = tuple(replace(epoch, val_correlation=0.6, val_right_side=0.9) for epoch in BY_EPOCH)
    # a start model for other cameras has a greater loss, because of the scale of its steering
    others = {
        "mean_steering": ValidationScore(0.5, 0.1, None, None),
        "start": ValidationScore(0.4, 0.1, start_r, 0.9),
    }
    settings = replace(SETTINGS, start=Path("any-camera.h5"))
    state = TrainingState(epochs, samples=4, elapsed=9.0)
    result = TrainResult.of(state, settings, SampleCounts(8, 2), Path(), others)
    assert result.handed_over == "trained"
    if adds:
        assert result.note is None
    else:
        assert "(r 0.600, 0.605), so keep any-camera.h5" in result.note


def test_a_mean_with_the_start_model_that_adds_nothing_says_so_too():
    epochs = tuple(replace(epoch, val_correlation=0.6, val_right_side=0.9) for epoch in BY_EPOCH)
    others = {
        "mean_steering": ValidationScore(0.5, 0.1, None, None),
        "start": ValidationScore(0.1605, 0.1, 0.837, 0.9),
        "halfway": ValidationScore(0.1610, 0.1, 0.799, 0.9),
    }
    settings = replace(SETTINGS, start=Path("any-camera.h5"))
    state = TrainingState(epochs, samples=4, elapsed=9.0)
    result = TrainResult.of(state, settings, SampleCounts(8, 2), Path(), others)
    assert result.handed_over == "halfway"
    assert "halfway, the mean of start and trained weights: on the validation" in result.note
    assert "(r 0.799, 0.837), so keep any-camera.h5" in result.note


def test_a_history_file_may_lack_validation_errors(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(
        "epoch,loss,mae,val_loss,val_mae,learning_rate,seconds,samples_per_second,data_wait_share,"
        "val_correlation,val_right_side\n1,0.5,0.4,0.3,0.2,0.001,7,100,0.1,0.7,\n2,0.25,0.2,,,0.001,7,100,0.1,,\n"
    )
    assert read_history(path) == [
        replace(BY_EPOCH[0], val_correlation=0.7),
        Epoch(2, 0.25, 0.2, None, None, 0.001, 7.0, 100.0, 0.1),
    ]
