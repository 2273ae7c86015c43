"""The scripts in examples/ run as they are, and the adapters drive.

Where the project of an adapter is installed, its own classes are used; else the names that it reads
are checked.
"""

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bcclone.dataset.answer import Answer

EXAMPLES = Path(__file__).parents[2] / "examples"
STRAIGHT = [(20.0, 20.0), (20.0, 50.0), (20.0, 80.0)]


class Straight:
    """A policy that never steers."""

    def answer(self, frame):
        assert frame.shape == (160, 320, 3)
        return Answer(0.0)

    def forget(self):
        pass


@pytest.fixture
def example(monkeypatch):
    """Return a function that imports an example."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return pytest.importorskip


def run(script, *arguments):
    command = [sys.executable, EXAMPLES / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


WITH_OWN_TESTS = ("one_file", "next_frame", "steering_classes")
OF_ENVIRONMENTS = sorted(
    set(EXAMPLES.glob("*.py")) - {EXAMPLES / f"{name}.py" for name in WITH_OWN_TESTS}
)


@pytest.mark.parametrize("path", OF_ENVIRONMENTS, ids=lambda path: path.name)
def test_an_example_has_a_line_on_the_page(path):
    page = EXAMPLES.parent / "docs" / "how-to" / "environment.md"
    assert f"examples/{path.name}" in page.read_text()


@pytest.mark.slow
def test_a_model_drives_the_environment(untrained_model):
    assert run("drive_with_a_model.py", untrained_model, "random:7:length=400").startswith(
        "random:7:length=400: "
    )


@pytest.mark.slow
def test_ppo_prints_a_curve_and_drives(tmp_path):
    pytest.importorskip("stable_baselines3", reason="pip install stable-baselines3")
    lines = run("ppo.py", "--steps", "2048", "--output", tmp_path / "policy.zip").splitlines()
    assert int(lines[1].split()[0]) == 2048
    assert lines[-1].startswith("lap: ")
    assert (tmp_path / "policy.zip").exists()


class Generator:
    """A test generator as in the tool competitions: roads of a list, until the time is over."""

    roads = (
        STRAIGHT,
        [(20, 20), (20, 60), (60, 60), (60, 20)],  # bends more sharply than the rules allow
        [(30, 20), (30, 60), (45, 95), (80, 110)],  # bends away from who goes straight on
    )

    def __init__(self, executor, map_size):
        self.executor = executor
        self.map_size = map_size
        self.results = []

    def start(self):
        for road in self.roads:
            assert not self.executor.is_over()
            self.results.append(self.executor.execute_test(SimpleNamespace(road_points=road)))


@pytest.mark.slow
def test_the_executor_judges_the_roads_of_a_generator(example):
    executor = example("sbft_executor").RoadTestExecutor(Straight(), time_budget=600)
    generator = Generator(executor=executor, map_size=200)
    generator.start()
    (passed, _, straight), (invalid, fault, none), (failed, reason, bend) = generator.results
    assert (passed, invalid, failed) == ("PASS", "INVALID", "FAIL")
    assert "radius" in fault
    assert none == []
    assert straight[-1].max_oob_percentage == 0.0
    assert bend[-1].is_oob
    assert bend[-1].oob_percentage == bend[-1].max_oob_percentage >= 0.95
    assert "off road" in reason
    assert straight[-1].timer == pytest.approx(60 / straight[-1].vel_kmh * 3.6, rel=0.4)


def test_an_executor_is_over_when_its_time_is_spent(example):
    executor = example("sbft_executor").RoadTestExecutor(Straight(), time_budget=0)
    assert executor.is_over()
    assert executor.get_remaining_time()["time-budget"] <= 0


@pytest.mark.slow
def test_the_opensbt_simulator_gives_an_output_for_each_individual(example):
    module = example("opensbt_simulator")
    straight, bend = module.RoadSimulator(Straight()).simulate(
        [[0, 0], [40, 40]], ["a", "b"], "", 30, 0.2
    )
    assert straight.otherParams["cause"] == "laps driven"
    assert bend.otherParams["cause"] == "off road"
    assert (
        max(map(abs, bend.otherParams["xte"]))
        > 3.5
        > 0.1
        > max(map(abs, straight.otherParams["xte"]))
    )
    for each in (straight, bend):
        lengths = {
            len(values["ego"]) for values in (each.location, each.velocity, each.speed, each.yaw)
        }
        assert lengths == {len(each.times)} == {len(each.otherParams["xte"])}
        assert each.times[1] - each.times[0] == pytest.approx(0.2)
    assert straight.yaw["ego"][5] == pytest.approx(math.pi / 2)
    x, z = straight.location["ego"][-1]
    _, first_z = straight.location["ego"][0]
    assert x == pytest.approx(0, abs=0.2)
    assert z - first_z == pytest.approx(75, abs=3)


def test_positive_angles_turn_to_the_left(example):
    *_, (x, z) = example("opensbt_simulator").road_points([90])
    assert (x, z) == pytest.approx((-25, 25))


@pytest.mark.slow
def test_the_perturbation_simulator_drives_perturbed_frames(example):
    module = example("perturbation_drive_simulator")
    seen = []

    def perturbation(image, name, scale):
        seen.append((image.shape, name, scale))
        return image

    points = "@".join(f"{x},0.0,{z}" for x, z in STRAIGHT)
    scenario = SimpleNamespace(
        waypoints=points, perturbation_function="contrast", perturbation_scale=2
    )
    controller = SimpleNamespace(perturbation=perturbation)
    simulator = module.RoadSimulator()
    simulator.connect()
    outcome = simulator.simulate_scanario(module.LaneKeeping(Straight()), scenario, controller)
    simulator.tear_down()
    assert set(seen) == {((240, 320, 3), "contrast", 2)}
    assert outcome.isSuccess
    assert not outcome.timeout
    assert outcome.scenario is scenario
    assert (
        len(outcome.frames)
        == len(outcome.pos)
        == len(outcome.xte)
        == len(outcome.speeds)
        == len(outcome.actions)
    )
    assert outcome.pos[-1][2] > 78


@pytest.mark.slow
def test_the_udacity_gym_simulator_drives_with_its_names(example):
    module = example("udacity_gym_simulator")
    simulator = module.RoadSimulator(limit_m=2.0)
    simulator.start()
    night, _ = simulator.reset("lake", "rainy", "night")
    day, _ = simulator.reset()
    assert night.input_image.size == night.semantic_segmentation.size == (320, 160)
    assert max(night.input_image.convert("L").histogram()[200:]) < max(
        day.input_image.convert("L").histogram()[200:]
    )
    for _ in range(200):
        observation = simulator.step(module.UdacityAction(steering_angle=1.0, throttle=1.0))
        assert simulator.observe() is observation
        if simulator.sim_state["events"]:
            break
    assert simulator.sim_state["events"][0]["key"] == "off road"
    assert simulator.sim_state["episode_metrics"]["tot_obes"] == 1
    assert observation.time == 0  # it has begun again
    assert observation.lap == 1
    simulator.close()
