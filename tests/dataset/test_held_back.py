"""Recordings that are the validation set or the test set, whole: in stores of a file and of shards,
and in training.
"""

import json

import pytest

from bcclone.dataset.sample_settings import PARTS, TEST, TRAINING, VALIDATION
from bcclone.dataset.shards import open_store
from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from tests.conftest import made_once
from tests.running import result_of, run_script


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Return a folder with four recordings, a to d, each of another seed."""

    def make(parent):
        for seed, name in enumerate("abcd"):
            record(parent / name, RecordSettings(laps=0.02, seed=seed, recoveries=0))

    return made_once(tmp_path_factory, "four-recordings", make)


def preprocess(*arguments, code=0):
    done = run_script("preprocess.py", *arguments, "--json", code=code)
    return json.loads(done.stdout) if code == 0 else done.stderr


def recordings_of(path):
    """Return the names of the recordings that the samples of each part come from."""
    with open_store(path) as store:
        names = [recording.path.parent.name for recording in store.recordings]
        of_part = {}
        for part in PARTS:
            rows = store.samples["row"][store.split_indices(part)]
            of_part[part] = {names[number] for number in store.rows["recording"][rows]}
        return of_part


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data.h5", "data"])
def test_a_recording_is_the_validation_set_and_another_one_for_tests(recordings, tmp_path, name):
    inputs = [recordings / "[ab]", recordings / "c"]  # named twice
    options = ["--validation-recording", recordings / "c", "--test-recording", recordings / "d"]
    made = preprocess(*inputs, *options, "-o", tmp_path / name)
    assert recordings_of(tmp_path / name) == {TRAINING: {"a", "b"}, VALIDATION: {"c"}, TEST: {"d"}}
    assert [log["part"] for log in made["logs"]] == [TEST, VALIDATION, "", ""]
    with open_store(tmp_path / name) as store:
        counts = {part: len(store.split_indices(part)) for part in PARTS}
    assert made["samples"] == {
        "train": counts[TRAINING],
        "validation": counts[VALIDATION],
        "test": counts[TEST],
    }
    assert sum(counts.values()) == 6 * made["rows"]


@pytest.mark.parametrize("name", ["data.h5", pytest.param("data", marks=pytest.mark.slow)])
def test_recordings_for_validation_and_tests_are_added_to_a_store(recordings, tmp_path, name):
    store = tmp_path / name
    preprocess(recordings / "a", "--validation", 0, "-o", store)
    preprocess("--validation-recording", recordings / "c", "--add", "-o", store)
    assert recordings_of(store) == {TRAINING: {"a"}, VALIDATION: {"c"}, TEST: set()}
    preprocess(recordings / "b", "--test-recording", recordings / "d", "--add", "-o", store)
    assert recordings_of(store) == {TRAINING: {"a", "b"}, VALIDATION: {"c"}, TEST: {"d"}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--validation-recording", "c", "--test-recording", "c"),
            "named both for test and for validation",
        ),
        (("--validation-recording", "c", "--validation", 0.3), "leave out --validation"),
    ],
)
def test_recordings_that_cannot_be_held_back_are_refused(recordings, tmp_path, options, expected):
    words = [recordings / word if word == "c" else word for word in options]
    assert expected in preprocess(recordings / "a", *words, "-o", tmp_path / "data.h5", code=1)
    assert not (tmp_path / "data.h5").exists()


@pytest.mark.slow
def test_a_training_scores_its_model_on_the_test_recording_alone(recordings, tmp_path):
    held_back = ("--validation-recording", recordings / "c", "--test-recording", recordings / "d")
    preprocess(recordings / "a", *held_back, "--size", 64, "-o", tmp_path / "data.h5")
    preprocess(
        recordings / "a",
        "--validation-recording",
        recordings / "d",
        "--size",
        64,
        "-o",
        tmp_path / "other.h5",
    )
    results = {}
    for name in ("data", "other"):
        places = ("-o", tmp_path / f"{name}-model.h5", "--runs", tmp_path / "runs", "--name", name)
        line = (tmp_path / f"{name}.h5", *places, "--epochs", 1, "--no-plots", "--no-augment")
        results[name] = result_of("model.py", *line)
    with_test = results["data"]
    other = results["other"]
    assert other["test_loss"] is None
    assert other["samples"]["test"] == 0
    assert with_test["samples"]["test"] == other["samples"]["validation"]
    # the same training samples and seed: the model is the same, and its errors on d are those of a
    # validation on d
    assert with_test["test_loss"] == pytest.approx(other["val_loss"], rel=1e-4)
    assert with_test["test_mae"] == pytest.approx(other["val_mae"], rel=1e-4)
    assert with_test["val_loss"] != other["val_loss"]
