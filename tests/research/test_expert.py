"""Learning from the built-in expert: its labels, drives that differ, rounds that survive a kill."""

import json

import numpy as np
import pytest

from bcclone.evaluation.settings import EvaluateSettings
from bcclone.recording.log import read_log
from bcclone.recording.row import time_of
from bcclone.research.expert_drives import ExpertDriveTask, draw_drive, record_drive
from tests.conftest import made_once
from tests.evaluation.blind import Blind
from tests.processes import started
from tests.recordings import images_of
from tests.running import command, run_script
from tests.training.trainings import assert_same_weights

# an untrained network leaves the road here
ROUNDS = ("--expert", "--rounds", 1, "--epochs", 1, "--jobs", 1)
SUITE = ("--rows", "start-turned", "--laps", 0.03)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A drive by a policy that always steers to the right, and the rows that were recorded of
    it.
    """
    folder = tmp_path_factory.mktemp("drive") / "drive"
    settings = EvaluateSettings(speed_mph=20.0, laps=0.06, set_back=False)
    task = ExpertDriveTask(folder, 3, settings, push_m=0.3, push_every_m=8.0)
    return record_drive(Blind(0.2), task), folder


@pytest.mark.slow
def test_a_drive_that_leaves_the_road_is_labelled_with_the_way_back_and_rescued(drive):
    figures, folder = drive
    rows = read_log(folder / "driving_log.csv").rows
    assert figures.rescues > 0
    assert figures.distance_m > 60
    assert figures.rows == len(rows) == len(images_of(folder, "left"))
    # to the left again, where the model steered to the right all the time
    assert rows["steering"].min() < -0.1
    assert not np.isclose(rows["steering"], 0.2).any()
    # another one begins where the car was pushed
    assert read_log(folder / "driving_log.csv").episodes > 1
    # drives share no time: this is the fourth one
    assert (rows["time_ms"] - time_of("center_2026_01_01_00_00_00_000.jpg")).between(3e8, 4e8).all()


def test_drives_are_random_but_for_their_seed_in_both_directions():
    def draw(seed, number):
        return draw_drive("folder", "lake", 1.0, seed, number)

    drives = [draw(0, number).settings for number in range(4)]
    assert [drive.reverse for drive in drives] == [False, True, False, True]
    assert len({drive.speed_mph for drive in drives}) == 4
    assert len({drive.texture_seed for drive in drives}) == 4
    assert draw(0, 3) == draw(0, 3) != draw(1, 3)


@pytest.fixture(scope="module")
def improved(untrained_model, tmp_path_factory):
    """A folder with the result of a round, its JSON and its work folder. Not to be changed."""

    def make(folder):
        done = run_script(
            "improve", untrained_model, *ROUNDS, *SUITE, "-o", folder / "better.h5", "--json"
        )
        (folder / "result.json").write_text(done.stdout)

    return made_once(tmp_path_factory, "improved", make)


@pytest.mark.slow
def test_each_round_adds_its_rows_to_all_earlier_ones_and_is_scored(improved):
    result = json.loads((improved / "result.json").read_text())
    rounds = result["rounds"]
    assert [one["number"] for one in rounds] == list(range(len(rounds)))
    assert len(rounds) == 2
    assert [one["all_rows"] for one in rounds] == np.cumsum(
        [one["rows"] for one in rounds]
    ).tolist()
    for one in rounds:
        (score,) = one["scores"]
        assert score["row"] == "start-turned"
        assert one["interventions"] == score["interventions"]
    assert rounds[0]["interventions"] > 0
    work = improved / "better-improve"
    chosen = min(rounds, key=lambda one: (one["interventions"], -one["number"]))
    assert (improved / "better.h5").read_bytes() == (work / chosen["model"]).read_bytes()
    (compared,) = result["compared"]
    assert {"row": compared["row"], **compared["after"]} == chosen["scores"][0]


@pytest.mark.long
def test_a_killed_improvement_is_resumed_and_gives_the_same_model(
    improved, untrained_model, tmp_path
):
    line = ("improve", untrained_model, *ROUNDS, *SUITE, "-o", tmp_path / "better.h5")
    work = tmp_path / "better-improve"
    with started(command(*line), (work / "recordings" / "01-0" / "driving_log.csv").exists):
        pass  # it is killed
    assert not (tmp_path / "better.h5").exists()
    refused = run_script(*line, code=1)
    assert "--resume" in refused.stderr
    other = run_script(*line, "--resume", "--seed", 1, code=1)
    assert "seed: 0, but now 1" in other.stderr
    run_script(*line, "--resume")
    assert_same_weights(tmp_path / "better.h5", improved / "better.h5")
    assert rounds_of(work) == rounds_of(improved / "better-improve")
    run_script(*line, "--seed", 1, "--force")
    assert json.loads((work / "options.json").read_text())["seed"] == 1
    assert len(rounds_of(work)) == 2


def rounds_of(work):
    stored = [json.loads(path.read_text()) for path in sorted((work / "rounds").glob("*.json"))]
    return [{name: value for name, value in one.items() if name != "seconds"} for one in stored]
