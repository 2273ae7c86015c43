"""The demo: its steps, which are skipped, what it refuses to remove, and the lap at its end."""

import json
import re

import pytest

from bcclone.commands.demo import outcome
from bcclone.system.files import locked
from tests.processes import said
from tests.running import command, run_process, run_script


def demo(folder, *options):
    line = (
        "demo",
        "--folder",
        folder,
        "--record-laps",
        0.3,
        "--epochs",
        1,
        "--laps",
        0.04,
        *options,
        "--json",
    )
    done = said(*command(*line))
    assert done.returncode in (0, 1), done.stderr  # after one epoch the car may leave the road
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.long
def test_the_demo_runs_every_step_and_skips_complete_ones(tmp_path):
    first = demo(tmp_path / "demo")
    result = json.loads(first.stdout)
    names = [
        "first look",
        "clip of the recording",
        *(f"record lap{number}" for number in range(1, 7)),
    ]
    names += ["preprocess", "train", "drive and score"]
    assert [step["step"] for step in result["steps"]] == names
    seconds = [step["seconds"] for step in result["steps"]]
    assert (
        seconds[0] + seconds[1]
        <= result["seconds_to_first_picture"]
        < result["seconds_to_trained_lap"]
    )
    # several are recorded at once
    assert sum(seconds[8:11]) < result["seconds_to_trained_lap"] < sum(seconds[:11])
    kept = result["drive"]["autonomy_percent"] == 100 and result["drive"]["ended"] == "laps driven"
    assert first.returncode == int(not kept)
    logs = [f"lap{number}/driving_log.csv" for number in range(1, 7)]
    made = (*logs, "data.h5", "model.h5", "run1.mp4", "drive/map.png", "drive/clip.mp4")
    for name in (*made, "first.mp4"):
        assert (tmp_path / "demo" / name).exists()
    times = {name: (tmp_path / "demo" / name).stat().st_mtime_ns for name in made}
    (tmp_path / "demo" / "first.mp4").unlink()
    second = demo(tmp_path / "demo")
    assert second.stderr.count("is complete already") == 10  # only the removed clip is made again
    assert json.loads(second.stdout)["drive"] == result["drive"]
    assert json.loads(second.stdout)["seconds_to_trained_lap"] is None
    assert {name: (tmp_path / "demo" / name).stat().st_mtime_ns for name in made} == times


@pytest.mark.slow
def test_the_demo_removes_only_what_a_demo_made(tmp_path):
    (tmp_path / "demo" / "first").mkdir(parents=True)
    (tmp_path / "demo" / "first" / "mine.txt").write_text("mine")
    assert "is no folder of results" in demo(tmp_path / "demo").stderr
    (tmp_path / "demo" / "steps").mkdir()  # a demo has begun here
    assert "first exists, but not from a demo" in demo(tmp_path / "demo").stderr
    assert (tmp_path / "demo" / "first" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("ended", "interventions", "words"),
    [
        ("laps driven", 0, "stayed on the road"),
        ("laps driven", 2, "left the road"),
        ("the car has stood still for 20 s", 0, "did not complete.*stood still"),
    ],
)
def test_the_last_line_says_whether_the_car_stayed_on_the_road(ended, interventions, words):
    assert re.search(words, outcome({"ended": ended, "interventions": interventions}))


@pytest.mark.long
def test_the_demo_ends_with_a_lap_without_an_intervention(tmp_path):
    done = run_process("demo", "--folder", tmp_path / "demo")
    assert "autonomy 100.0 %, 0 interventions in 1.00 laps" in done.stdout


@pytest.mark.slow
def test_links_in_a_demo_of_somebody_else_lead_nowhere(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "docs").mkdir()
    steps = tmp_path / "demo" / "steps"
    steps.mkdir(parents=True)
    (steps / "first look.json").symlink_to(tmp_path / "precious")
    (tmp_path / "demo" / "first").symlink_to(tmp_path / "docs")
    assert "first exists, but not from a demo" in demo(tmp_path / "demo").stderr
    (steps / "first look.json").unlink()
    (steps / "first look.json").write_text("[]")
    (tmp_path / "demo" / "first.mp4").write_text("mine")  # ends the demo at its second step
    demo(tmp_path / "demo")
    assert list((tmp_path / "docs").iterdir()) == []
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "steps").symlink_to(tmp_path / "docs")
    assert "is no folder of results" in demo(tmp_path / "linked").stderr
    assert (tmp_path / "precious").read_text() == "mine"


def test_two_demos_do_not_run_in_one_folder(tmp_path):
    with locked(tmp_path / "demo", "wait"):
        assert (
            "is writing it; wait until it ends"
            in run_script("demo", "--folder", tmp_path / "demo", code=1).stderr
        )
    assert not list(tmp_path.iterdir())
