"""Run folders are found for a resume, locked, never overwritten; what a result says."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from bcclone.pictures.reports import write_training
from bcclone.system.errors import UserError
from bcclone.training.held_out import HeldOut
from bcclone.training.plan import new_run, resumed_run
from bcclone.training.result import SampleCounts, TrainResult, best_model
from bcclone.training.score import ValidationScore
from bcclone.training.train_settings import RunFiles, TrainSettings, settings_as_text
from bcclone.training.training_state import (
    Epoch,
    TrainingState,
    best_epoch,
    read_history,
)
from tests.hostile import with_wrong_values
from tests.training.trainings import data

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


def begin(folder, name=None, output="model.h5", samples=None, **settings):
    """Return a new run in a folder of runs, trained from now on."""
    files = {"runs": folder, "name": name, "output": folder / output}
    run = new_run(replace(SETTINGS, **files, **settings), samples or data(), print)
    run.make_folder()
    run.begin(run.settings)
    return run


def resume(folder, output="model.h5", name=None, samples=None, notices=None):
    files = RunFiles(runs=folder, name=name, output=folder / output)
    note = print if notices is None else notices.append
    return resumed_run(files, {"feed": "hdf5-shuffle"}, samples or data(), note)


def test_a_run_of_other_samples_or_output_is_not_resumed(tmp_path):
    begin(tmp_path, "a")
    notices = []
    assert resume(tmp_path, "modle.h5", notices=notices).is_new
    assert str(tmp_path / "modle.h5") in notices[0]
    assert resume(tmp_path, samples=data(content_hash="another")).is_new
    assert not resume(tmp_path).is_new


def test_a_run_is_resumed_where_its_store_or_its_folder_was_moved(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    begin(before, "a")
    renamed = data("other.h5")
    assert not resume(before, samples=renamed).is_new
    before.rename(after)
    run = resume(after, samples=renamed)
    assert (run.is_new, run.path) == (False, after / "a")
    run.begin(run.settings)
    assert not resume(after).is_new
    # the folder of runs alone, with the same output
    elsewhere = tmp_path / "elsewhere"
    after.rename(elsewhere)
    files = RunFiles(runs=elsewhere, output=after / "model.h5")
    assert not resumed_run(files, {}, data(), print).is_new
    assert resume(elsewhere, samples=data(content_hash="another")).is_new


def test_a_run_that_is_named_is_resumed_for_another_output(tmp_path):
    begin(tmp_path, "a")
    assert resume(tmp_path, "other.h5").is_new
    run = resume(tmp_path, "other.h5", name="a")
    assert not run.is_new
    run.begin(run.settings)
    assert not resume(tmp_path, "other.h5").is_new
    assert resume(tmp_path, "other.h5", name="a", samples=data(content_hash="another")).is_new


def test_the_model_that_a_run_has_written_may_be_replaced_by_it_and_no_other(tmp_path):
    run = begin(tmp_path, "a")
    output = tmp_path / "model.h5"
    resumed = resume(tmp_path)
    resumed.model.write_text("best")
    output.write_text("best")  # copied, and killed before that was noted
    assert resumed.has_published(output)
    assert resumed.may_overwrite()
    resumed.begin(resumed.settings)
    resumed.publish(output, b"best")
    resumed.model.write_text("better")
    assert resumed.may_overwrite()
    output.write_text("another's")
    assert not resumed.may_overwrite()
    assert not run.may_overwrite()


def test_the_newest_run_of_the_same_store_and_output_is_resumed(tmp_path):
    assert resume(tmp_path).is_new
    for seed, name in enumerate(("b", "a", "c"), 1):
        begin(tmp_path, name, "other.h5" if name == "c" else "model.h5", seed=seed)
    for name, settings in (
        ("empty", ""),
        ("list", "[]"),
        ("foreign", "{}"),
        ("new", '{"store": {}, "settings": {}}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text(settings)
    newest = resume(tmp_path)
    assert (newest.path.name, newest.settings.seed, newest.result) == ("a", 2, None)
    newest.write_result(RESULT)
    assert resume(tmp_path).result.epochs == 10
    assert resume(tmp_path, name="b").path.name == "b"
    (newest.path / "result.json").write_text("half of")
    assert resume(tmp_path).result is None


def test_an_existing_folder_is_not_used(tmp_path):
    begin(tmp_path, "x")
    with pytest.raises(UserError, match="exists already"):
        begin(tmp_path, "x")


def test_a_run_folder_with_any_wrong_value_is_none_or_is_refused(tmp_path):
    run = begin(tmp_path, "a")
    run.write_result(RESULT)
    for name in ("result.json", "settings.json"):
        valid = (run.path / name).read_text()
        for wrong in islice(with_wrong_values(json.loads(valid)), 0, None, 7):
            (run.path / name).write_text(json.dumps(wrong))
            refused = ""
            try:
                found = resume(tmp_path)
            except UserError as error:
                refused = str(error)
            if refused:
                assert str(run.path / name) in refused
                continue
            assert settings_as_text(found.settings).encode()
            assert found.result is None or found.result.epochs
        (run.path / name).write_text(valid)


ERRORS = [(1, 0.5, 0.4, 0.3, 0.2), (2, 0.2, 0.2, 0.1, 0.1), (3, 0.1, 0.1, 0.1, 0.2)]
BY_EPOCH = [Epoch(*errors, 1e-3, 7.0, 100.0, 0.1) for errors in ERRORS]


def test_the_best_epoch_has_the_smallest_loss_if_possible_of_validation():
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
def test_the_loss_decides_between_models_of_similar_correlation(start, trained, is_better):
    first, other = (ValidationScore(loss, 0.1, r, 0.9) for loss, r in (start, trained))
    assert first.is_better_than(other) == is_better


# parts, spread, between, agreement and its error, harm and its error
HELD_OUT = {
    "learned": HeldOut(12, 0.1, 0.0, 0.8, 0.1, -0.05, 0.01),
    "not learned": HeldOut(12, 0.1, 0.0, 0.0, 0.1, 0.0, 0.01),
    "unknown": HeldOut(12, 0.1, 0.0, 0.4, 0.2, 0.0, 0.01),
}


@pytest.mark.parametrize("mean_loss", [0.2, 0.05])
@pytest.mark.parametrize("verdict", [*HELD_OUT, None])
def test_terminal_result_and_report_have_one_verdict_whatever_the_loss(
    mean_loss, verdict, tmp_path
):
    drivers = {"mean_steering": ValidationScore(mean_loss, 0.1, None, None)}
    result = result_of(tuple(BY_EPOCH), drivers, "trained", HELD_OUT.get(verdict))
    assert result.as_json()["verdict"] == (verdict or "unknown")
    says = {name: name in result.as_text() for name in ("has learned", "has not learned")}
    assert says == {
        "has learned": verdict == "learned",
        "has not learned": verdict == "not learned",
    }
    write_training(tmp_path, result, ["data.h5"], {}, {})
    assert f"<h1>{result.headline}</h1>" in (tmp_path / "report.html").read_text()
    # shuffled steering and pictures of another drive are found by the check
    check = "preprocess RECORDING --check"
    page = (tmp_path / "report.html").read_text()
    assert (check in result.as_text()) == (f"{check}</code>" in page) == (verdict != "learned")
    assert ("record" in " ".join(result.explanation)) == (verdict != "learned")


def result_of(epochs, drivers, handed_over, held_out=None):
    state = TrainingState(epochs, samples=4, elapsed=9.0, model_epoch=3)
    drivers = {**drivers, "trained": ValidationScore.of_epoch(epochs[2])}
    counts = SampleCounts(8, 2)
    return TrainResult.of(
        state, SETTINGS, counts, Path(), "--epochs 3", drivers, handed_over, held_out=held_out
    )


def test_a_mean_with_the_start_model_that_is_better_is_handed_over_and_said():
    epochs = tuple(replace(epoch, val_correlation=0.6, val_right_side=0.9) for epoch in BY_EPOCH)
    others = {
        "mean_steering": ValidationScore(0.5, 0.1, None, None),
        "start": ValidationScore(0.1605, 0.1, 0.837, 0.9),
        "halfway": ValidationScore(0.1610, 0.1, 0.799, 0.9),
    }
    assert best_model({**others, "trained": ValidationScore.of_epoch(epochs[2])}) == "halfway"
    result = result_of(epochs, others, "halfway")
    assert "halfway" in result.note
    assert "trained.h5" in result.note


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
