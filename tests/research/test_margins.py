"""Maps of model files: the same in any number of processes and after a kill, and what the command
refuses.
"""

import json

import numpy as np
import pytest

from bcclone.camera.vehicle import MPH
from bcclone.model.policy import load_policy
from bcclone.research.margins import ModelOnRoad
from bcclone.system.errors import UserError
from tests.conftest import calibrated
from tests.processes import started
from tests.running import ROOT, command, result_of, run_script

ROAD = {"points": [[0, 0, 8], [0, 30, 8], [4, 60, 8]]}
MODEL = ROOT / "models" / "any-road.h5"


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    path = tmp_path_factory.mktemp("margin") / "road.json"
    path.write_text(json.dumps(ROAD))
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_map_is_the_same_in_any_number_of_processes_and_after_a_kill(road, tmp_path):
    def line(folder, jobs):
        output = ("-o", tmp_path / folder, "--jobs", jobs)
        return ["margin", MODEL, "--road", road, *output]

    result_of(*line("one", 1))
    finished = f"answer-{'?' * 24}.json"  # not the temporary file of one
    parts = tmp_path / "two" / "parts"
    with started(command(*line("two", 2)), lambda: list(parts.glob(finished))):
        pass  # it is killed
    kept = len(list(parts.glob(finished)))
    done = run_script(*line("two", 2))
    assert f"{kept} of 2 parts are finished already" in done.stderr
    for name in ("figures.json", "margins.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert {each.name for each in (tmp_path / "one" / "parts").iterdir()} == {
        each.name for each in (tmp_path / "two" / "parts").iterdir()
    }
    assert "The margin is how far" in (tmp_path / "two" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 0.4])
def test_batches_answer_as_a_drive_does_but_for_rounding(road, gain, tmp_path):
    model = calibrated(MODEL, tmp_path / "calibrated.h5", gain, 0.1 * (1 - gain))
    policy = load_policy(model)
    model_on_road = ModelOnRoad(policy, "model", str(road), False, 20 * MPH)
    cars = [
        model_on_road.car(70.0 + place, offset, 0.1)
        for place in range(0, 20, 5)
        for offset in (-2.0, 0.0, 1.5)
    ]
    single = np.array(
        [policy.next_answer(model_on_road.image(car), ())[0].steering for car in cars]
    )
    assert np.abs(model_on_road.steering(cars) - single).max() < 1e-6


def test_a_network_of_several_frames_is_refused(untrained_window_model, road):
    policy = load_policy(untrained_window_model)
    with pytest.raises(UserError, match="several frames, expected.*single"):
        ModelOnRoad(policy, "model", str(road), False, 9.0)
