"""Run folders are found for a resume, locked, never overwritten."""

import json
from dataclasses import replace
from itertools import islice

import pytest

from bcclone.system.errors import UserError
from bcclone.train.train_settings import TrainSettings
from bcclone.train.training_folder import RunFolder, RunIdentity, new_path, settings_as_text
from bcclone.train.training_state import SampleCounts, TrainResult
from tests.hostile import with_wrong_values

SETTINGS = TrainSettings(seq_length=1, learning_rate=1e-3, feed="hdf5-shuffle")
RESULT = TrainResult(
    "model.h5", 10, 10, 9, 0.1, 0.2, 0.3, 1000.0, 0.0, 9.5, SampleCounts(8, 2), "memory", "--epochs 10"
)


def begin(path, settings=SETTINGS):
    return RunFolder.create(path, RunIdentity("data.h5", "hash", "model.h5"), settings)


def test_force_permits_overwriting_only_once(tmp_path):
    run = begin(tmp_path / "a", replace(SETTINGS, force=True))
    run.model.write_text("best")
    assert run.may_overwrite
    (tmp_path / "model.h5").write_text("best")  # copied, and killed before that was noted
    assert run.has_published(tmp_path / "model.h5")
    run.publish(tmp_path / "model.h5", b"best")
    assert run.may_overwrite  # without settings.toml nothing is noted
    run.record(SETTINGS, {})
    run.publish(tmp_path / "model.h5", b"best")
    assert not run.may_overwrite
    assert run.has_published(tmp_path / "model.h5")
    run.model.write_text("better")
    assert run.has_published(tmp_path / "model.h5")
    (tmp_path / "model.h5").write_text("another's")
    assert not run.has_published(tmp_path / "model.h5")


def test_the_newest_run_of_the_same_store_and_output_is_resumed(tmp_path):
    task, other = RunIdentity("data.h5", "hash", "model.h5"), RunIdentity("data.h5", "hash", "other.h5")
    assert RunFolder.find(tmp_path, task) is None
    for seed, name in enumerate(("b", "a", "c"), 1):
        RunFolder.create(tmp_path / name, other if name == "c" else task, replace(SETTINGS, seed=seed))
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
    for damaged in ("half of", json.dumps(RESULT.as_json() | {"epoch": 11})):
        (newest.path / "result.json").write_text(damaged)
        assert newest.result is None
    record = json.loads((newest.path / "settings.json").read_text())
    (newest.path / "settings.json").write_text(json.dumps(record | {"started": "yesterday"}))
    assert RunFolder.find(tmp_path, task).path.name == "b"


def test_a_run_killed_at_its_beginning_leaves_its_name_free(tmp_path):
    task = RunIdentity("data.h5", "hash", "model.h5")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "start.h5").write_text("a model")
    (tmp_path / "x" / ".settings.12-abc.partial.json").write_text("{")
    RunFolder.create(tmp_path / "x", task, SETTINGS)
    with pytest.raises(UserError, match="exists already"):
        RunFolder.create(tmp_path / "x", task, SETTINGS)


def test_runs_begun_in_the_same_second_get_folders_of_their_own(tmp_path):
    task = RunIdentity("data.h5", "hash", "model.h5")
    runs = [RunFolder.create(new_path(tmp_path, None), task, SETTINGS) for _ in range(3)]
    assert len({run.path for run in runs}) == 3


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    folder = begin(tmp_path / "run")
    with folder.locked(), pytest.raises(UserError, match="another process is training this run"), folder.locked():
        pass
    with folder.locked():
        pass


def test_the_environment_of_a_resume_on_another_machine_is_appended(tmp_path):
    folder = begin(tmp_path / "run")
    (folder.path / "environment.json").write_text("half of")
    for system, command in (("a", "train"), ("a", "resume"), ("b", "resume")):
        folder.record(SETTINGS, {"command": [command], "system": system})
    noted = json.loads((folder.path / "environment.json").read_text())
    assert [(found["system"], found["command"]) for found in noted] == [("a", ["train"]), ("b", ["resume"])]


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
                assert found.result is None or found.result.epochs
        (run.path / name).write_text(valid)
    for wrong in ([7], [[]], {"a": 1}, None, [{"command": 1}]):
        (run.path / "environment.json").write_text(json.dumps(wrong))
        run.record(SETTINGS, {"command": "python model.py --resume"})
