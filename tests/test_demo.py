"""The demo: its steps, the lap at its end, and what it refuses to write into."""

import json

import pytest

from bcclone.system.files import locked
from tests.pictures.test_words import undefined
from tests.processes import said
from tests.running import command, run_process, run_script

SHORT = ("--record-laps", 0.3, "--epochs", 1, "--laps", 0.04)


@pytest.mark.long
def test_the_demo_runs_every_step_and_several_at_once(tmp_path):
    folder = tmp_path / "demo"
    done = said(*command("demo", "--folder", folder, *SHORT, "--json"))
    assert done.returncode in (0, 1), done.stderr  # after one epoch the car may leave the road
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout)
    names = ["first look", "clip of the recording", *(f"record lap{lap}" for lap in range(1, 7))]
    names += ["preprocess", "train", "drive and score"]
    assert [step["step"] for step in result["steps"]] == names
    seconds = [step["seconds"] for step in result["steps"]]
    first = result["seconds_to_first_picture"]
    assert seconds[0] + seconds[1] <= first < result["seconds_to_trained_lap"]
    assert sum(seconds[8:11]) < result["seconds_to_trained_lap"] < sum(seconds[:11])
    kept = result["drive"]["autonomy_percent"] == 100 and result["drive"]["ended"] == "laps driven"
    assert done.returncode == int(not kept)
    logs = [f"lap{number}/driving_log.csv" for number in range(1, 7)]
    for name in (*logs, "data.h5", "model.h5", "drive/clip.mp4", "drive/map.png", "first.mp4"):
        assert (folder / name).exists()
    assert undefined(folder / "index.html") == {"step", "seconds", *names}
    assert "no empty folder" in run_script("demo", "--folder", folder, code=1).stderr


def test_the_demo_writes_only_into_a_new_folder_that_no_other_demo_writes(tmp_path):
    folder = tmp_path / "demo"
    (folder / "first").mkdir(parents=True)
    (folder / "first" / "mine.txt").write_text("mine")
    refused = run_script("demo", "--folder", folder, code=1).stderr
    assert f"{folder} exists, and is no empty folder" in refused
    assert [path.name for path in folder.rglob("*")] == ["first", "mine.txt"]
    with locked(tmp_path / "other", "wait"):
        refused = run_script("demo", "--folder", tmp_path / "other", code=1).stderr
    assert "is writing it; wait until it ends" in refused
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.long
def test_the_demo_ends_with_a_lap_without_an_intervention(tmp_path):
    done = run_process("demo", "--folder", tmp_path / "demo")
    assert "autonomy 100.0 %, 0 interventions in 1.00 laps" in done.stdout
