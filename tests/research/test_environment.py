"""The Gymnasium environments, driven as their users do."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from bcclone.research.environment import Simulator
from bcclone.simulator.expert import Expert
from bcclone.simulator.world_settings import ExpertSettings
from bcclone.system.errors import UserError

SMALL = {"height": 40, "width": 60}
AHEAD = np.array([0.0], np.float32)


@pytest.fixture
def make(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    opened = []

    def make(name="Lake", **values):
        opened.append(gymnasium.make(f"bcclone/{name}-v0", **(SMALL | values)))
        return opened[-1]

    yield make
    for env in opened:
        env.close()


def drive(env, steps, seed=0, action=AHEAD, options=None):
    env.reset(seed=seed, options=options)
    done = None
    for _ in range(steps):
        done = env.step(action)
        if done[2] or done[3]:
            break
    return done


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "values", [{}, {"observations": ("center", "depth"), "action": "steering-throttle"}]
)
def test_gymnasiums_checker_finds_nothing(make, values):
    check_env(make(**values).unwrapped)


def test_the_speed_is_held_and_the_reward_is_the_distance_driven(make):
    env = make(speed_mph=15.0)
    env.reset(seed=0, options={"speed_mph": 15.0})
    _, reward, _, _, info = env.step(AHEAD)
    assert info["speed"] == pytest.approx(15, abs=1)
    assert reward == pytest.approx(info["progress"] * (1 - abs(info["cte"]) / info["limit"]))
    assert info["sim_time"] == pytest.approx(0.04)


def test_an_episode_terminates_off_the_road(make):
    for limit_m, beyond in ((0.0, 3.65), (2.2, 2.2)):
        env = make(limit_m=limit_m, action="steering-throttle")
        turn = np.array([0.5, 1.0], np.float32)
        _, reward, terminated, truncated, info = drive(env, 500, action=turn)
        assert (terminated, truncated, info["cause"], info["tot_obes"]) == (
            True,
            False,
            "off road",
            1,
        )
        assert reward < -5
        assert beyond < abs(info["cte"]) < beyond + 1
        assert drive(env, 500, action=turn)[4]["tot_obes"] == 2


def test_an_episode_is_truncated_at_its_time_limit(make):
    _, _, terminated, truncated, info = drive(make(time_limit=0.4), 50)
    assert (terminated, truncated, info["cause"]) == (False, True, "time")
    assert info["sim_time"] == pytest.approx(0.4)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_crash_into_a_wall_of_the_bridge_ends_an_episode(make, reverse):
    env = make(reverse=reverse, limit_m=14.0)
    bridge_m = sum(env.unwrapped.track.road.bridge) / 2
    _, _, terminated, _, info = drive(env, 1, options={"start_m": bridge_m, "offset_m": 5.5})
    assert (terminated, info["cause"], info["crash"]) == (True, "crash", True)
    assert info["tot_crashes"] == 1
    elsewhere_m = env.unwrapped.track.lap_m - bridge_m
    info = drive(env, 1, options={"start_m": elsewhere_m, "offset_m": 5.5})[4]
    assert info["crash"] is False


def test_laps_driven_by_an_expert_end_an_episode(make):
    env = make("Road", road="random:2:length=300,hills=0", laps=0.5).unwrapped
    env.reset(seed=0)
    expert = None
    info = {}
    terminated = False
    for _ in range(2000):
        tracked = env.tracked
        expert = expert or Expert(tracked.track, ExpertSettings(recoveries=0, wander_m=0), 0)
        steering = expert.control(tracked.car, tracked.position)[0]
        _, _, terminated, _, info = env.step(np.array([steering], np.float32))
        if terminated:
            break
    assert (terminated, info["cause"]) == (True, "laps driven")


def test_options_place_the_car(make):
    env = make()
    _, info = env.reset(
        seed=0,
        options={"start_m": 200.0, "offset_m": -1.5, "turn_degrees": 10.0, "speed_mph": 12.0},
    )
    assert info["cte"] == pytest.approx(-1.5, abs=0.02)
    assert info["ang_diff"] == pytest.approx(10, abs=0.2)
    assert info["speed"] == pytest.approx(12)
    assert info["next_cte"] > info["cte"]
    assert [
        env.reset(options={"start_m": start_m})[1]["sector"] for start_m in (0.0, 49.0, 505.0)
    ] == [0, 0, 10]


def test_options_change_the_road_and_the_conditions_for_one_episode(make):
    env = make()
    plain, info = env.reset(seed=0)
    night, _ = env.reset(seed=0, options={"conditions": {"night": 1.0}})
    assert night.mean() < 0.7 * plain.mean()
    other, _ = env.reset(seed=0, options={"road": "random:3", "start_m": 9.0})
    assert (other != plain).any()
    again, same = env.reset(seed=0)
    assert (again == plain).all()
    assert same == info


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"light": 1}, "unknown option light; expected start_m"),
        ({"start_m": 5000}, "start 5000 m, expected at most the 1138 m of lake"),
        ({"offset_m": 99}, "offset_m 99.*-15"),
        ({"conditions": {"light": 0.2}, "start_m": "x"}, "start_m 'x', expected a number"),
        ([1], "options are .1., expected values by name"),
    ],
)
def test_wrong_options_are_refused_and_the_episode_goes_on(make, options, words):
    env = make()
    plain, _ = env.reset(seed=0)
    with pytest.raises(ValueError, match=words):
        env.reset(options=options)
    assert (env.unwrapped.observe() == plain).all()


@pytest.mark.parametrize("action", [[np.nan], [0.1, 0.2], "left"])
def test_wrong_actions_are_refused(make, action):
    env = make().unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="expected steering, each a number from -1 to 1"):
        env.step(action)


def test_a_step_after_the_end_is_refused(make):
    env = make(time_limit=0.08)
    drive(env, 2)
    with pytest.raises(gymnasium.error.ResetNeeded, match="has ended"):
        env.step(AHEAD)
    env.reset()
    env.step(AHEAD)


def test_impossible_settings_a_road_that_is_none_and_an_unknown_argument_are_refused(make):
    for values in ({"height": 2}, {"observations": ()}, {"action": "brake"}):
        with pytest.raises(ValueError, match="expected"):
            make(**values)
    with pytest.raises(UserError, match="random:SEED"):
        make(road="moon")
    with pytest.raises(TypeError, match="wind"):
        make(wind=3)


def test_gymnasiums_wrapper_shows_the_drive_in_a_window(make):
    env = make(render_mode="human")
    env.reset(seed=0)
    env.step(AHEAD)
    assert env.render() is None
    with pytest.raises(ValueError, match="render_mode is 'human', expected rgb_array"):
        Simulator("human")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_vector_environments_drive_each_car_as_it_would_alone(make, mode):
    actions = np.array([[0.1], [-0.4]], np.float32)
    several = gymnasium.make_vec("bcclone/Lake-v0", 2, mode, **SMALL)
    several.reset(seed=5)
    for _ in range(5):
        observations, rewards, *_ = several.step(actions)
    several.close()
    for number in range(2):
        env = make()
        env.reset(seed=5 + number)
        for _ in range(5):
            observation, reward, *_ = env.step(actions[number])
        np.testing.assert_array_equal(observations[number], observation)
        assert rewards[number] == reward


def test_figures_are_plain_numbers_that_json_takes(make):
    info = drive(make(), 3)[4]
    assert json.loads(json.dumps(info, allow_nan=False)) == info
    assert set(info) >= {
        "cte", "next_cte", "pos_x", "pos_y", "pos_z", "speed", "lap", "sector", "ang_diff", "crash",
        "tot_crashes", "tot_obes", "sim_time",
    }  # fmt: skip
