"""The four commands, from a recording to a clip, with the car's side played over the wire."""

import json
import subprocess

import numpy as np
import pytest

from bcclone.recording import read_log
from bcclone.simulator.replay import Replay
from tests.conftest import command, run_script, shared
from tests.drive_server import drive, serving


def run_chain(recordings, folder, preprocess_options, train_options, frames):
    """Run all four as a user would; return what each reported."""
    store, model, run = folder / "data.h5", folder / "model.h5", folder / "run1"
    made = json.loads(run_script("preprocess.py", *recordings, "-o", store, *preprocess_options, "--json").stdout)
    line = ("model.py", store, "-o", model, "--runs", folder / "runs", *train_options, "--json")
    trained = json.loads(run_script(*line).stdout)
    world = Replay(recordings[0] / "driving_log.csv", frames)
    with serving(model, run) as server:
        report = drive(server.port, world)
        assert server.end() == 0
    clip = json.loads(run_script("video.py", run, "--json").stdout)
    assert (folder / "run1.mp4").stat().st_size > 1000
    return made, trained, report, clip, world


@pytest.mark.slow
def test_the_whole_chain_on_a_simulated_recording(simulated_recording, tmp_path):
    made, trained, report, clip, world = run_chain(
        [simulated_recording], tmp_path, ("--block-seconds", 2, "--previous", 0), ("--epochs", 4), frames=0
    )
    assert made["frames"] == 360
    assert trained["epochs"] == 4
    assert report.steers == 119
    assert clip["frames"] == 120
    again = json.loads(run_script("preprocess.py", tmp_path / "run1", "--check", "--json").stdout)
    assert (again[0]["rows"], again[0]["images"]["corrupt"]) == (120, 0)
    assert len(world.controls) == 119


@pytest.mark.long
@pytest.mark.parametrize(
    ("names", "rows", "frames"),
    [
        (("lake_linux",), 1572, 4716),
        (("mountain_windows",), 1084, 3252),
        (("lake_linux", "mountain_windows"), 2656, 7968),
    ],
    ids=["lake", "mountain", "both"],
)
def test_the_whole_chain_on_real_recordings(tmp_path, names, rows, frames):
    recordings = [shared("recordings") / name for name in names]
    made, trained, report, clip, world = run_chain(recordings, tmp_path, (), ("--epochs", 2), frames=600)
    print(json.dumps([made, trained]))
    assert (made["recordings"], made["rows"], made["frames"], made["skipped"]) == (len(names), rows, frames, 0)
    assert trained["val_loss"] < 0.2
    assert report.steers == 599
    assert clip["frames"] == 600
    human = read_log(recordings[0] / "driving_log.csv").rows["steering"].to_numpy()[:599]
    steering = [steering for steering, _ in world.controls]
    correlation = np.corrcoef(human, steering)[0, 1]
    print(f"correlation with the human: {correlation:.2f}")
    assert correlation > 0.2


def demo(folder, *options):
    line = ("demo", "--folder", folder, "--record-laps", 0.08, "--epochs", 1, "--laps", 0.04, *options, "--json")
    done = subprocess.run(command(*line), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # after one epoch the car may leave the road; that is told
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
def test_the_demo_runs_every_step_and_is_used_again(tmp_path):
    first = demo(tmp_path / "demo")
    result = json.loads(first.stdout)
    names = ["record", "clip of the recording", "record the other way"]
    names += ["preprocess", "train", "drive and score", "clip of the lap"]
    assert [step["step"] for step in result["steps"]] == names
    seconds = [step["seconds"] for step in result["steps"]]
    assert result["seconds_to_first_picture"] == pytest.approx(sum(seconds[:2]), abs=0.1)
    assert result["seconds_to_trained_lap"] == pytest.approx(sum(seconds[:6]), abs=0.1)
    kept = result["drive"]["autonomy_percent"] == 100 and result["drive"]["ended"] == "laps driven"
    assert first.returncode == int(not kept)
    made = ("forward/driving_log.csv", "reverse/driving_log.csv", "data.h5", "model.h5", "run1.mp4", "drive/map.png")
    for name in (*made, "forward.mp4"):
        assert (tmp_path / "demo" / name).exists()
    times = {name: (tmp_path / "demo" / name).stat().st_mtime_ns for name in made}
    (tmp_path / "demo" / "forward.mp4").unlink()
    second = demo(tmp_path / "demo")
    assert second.stderr.count("is there already") == 6  # what was only to be looked at is made again, and no more
    assert json.loads(second.stdout)["drive"] == result["drive"]
    assert json.loads(second.stdout)["seconds_to_trained_lap"] is None
    assert {name: (tmp_path / "demo" / name).stat().st_mtime_ns for name in made} == times
    third = demo(tmp_path / "demo", "--speed", 15)
    assert third.stderr.count("is there already") == 5  # another drive and its clip


def test_the_demo_does_not_take_what_is_not_its_own(tmp_path):
    (tmp_path / "demo" / "forward").mkdir(parents=True)
    (tmp_path / "demo" / "forward" / "mine.txt").write_text("mine")
    assert "not from a demo" in demo(tmp_path / "demo").stderr
    assert (tmp_path / "demo" / "forward" / "mine.txt").read_text() == "mine"


@pytest.mark.long
def test_the_demo_ends_with_a_lap_without_an_intervention(tmp_path):
    done = subprocess.run(
        command("demo", "--folder", tmp_path / "demo"), capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "autonomy 100.0 %, 0 interventions in 1.00 laps" in done.stdout
    line = ("evaluate", tmp_path / "demo" / "model.h5", "--in-process", "--laps", 0.2, "--road-visibility", 0, "--json")
    assert json.loads(run_script(*line).stdout)["first_off_road_m"] < 150  # it looked at the road


@pytest.mark.long
def test_the_simulators_measurements_are_reported():
    done = subprocess.run(command("bench", "simulator", "--frames", 30, "--json"), capture_output=True, check=False)
    measures = json.loads(done.stdout)["measures"]
    assert {measure["bar"] for measure in measures} >= {60, 25, 3, 10, 150}
    assert done.returncode == int(any(measure["reached"] is False for measure in measures))
