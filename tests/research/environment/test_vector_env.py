"""Several cars in one environment: each drives as it would alone, and a wrong action moves none."""

import gymnasium
import numpy as np
import pytest

import bcclone.research.environment  # noqa: F401
from bcclone.research.environment.vector_env import DrivingVectorEnv

SMALL = {"height": 32, "width": 48}


@pytest.fixture
def several():
    envs = gymnasium.make_vec(
        "bcclone/Lake-v0", num_envs=3, vectorization_mode="vector_entry_point", **SMALL
    )
    yield envs
    envs.close()


def test_cars_in_one_process_drive_as_each_would_alone(several):
    actions = np.array([[0.0], [0.2], [-0.4]], np.float32)
    observations, _ = several.reset(seed=5)
    rewards = None
    for _ in range(20):
        observations, rewards, _, _, infos = several.step(actions)
    for number in range(3):
        env = gymnasium.make("bcclone/Lake-v0", **SMALL)
        env.reset(seed=5 + number)
        for _ in range(20):
            observation, reward, _, _, info = env.step(actions[number])
        np.testing.assert_array_equal(observations[number], observation)
        assert rewards[number] == reward
        assert infos["cte"][number] == info["cte"]


def test_an_ended_episode_begins_anew_with_the_next_step(several):
    several.reset(seed=0)
    actions = np.array([[0.0], [1.0], [0.0]], np.float32)
    for _ in range(400):
        _, _, terminated, _, infos = several.step(actions)
        if terminated[1]:
            break
    assert terminated.tolist() == [False, True, False]
    _, rewards, terminated, _, infos = several.step(actions)
    assert (rewards[1], terminated[1], infos["sim_time"][1]) == (0.0, False, 0.0)
    assert infos["sim_time"][0] > 1


def test_the_options_of_a_reset_hold_for_the_episodes_that_follow(several):
    options = {"conditions": {"snow": 1.0}, "offset_m": 3.0, "turn_degrees": 60}
    snowy, _ = several.reset(seed=0, options=options)
    for _ in range(400):
        _, _, terminated, _, infos = several.step(np.ones((3, 1), np.float32))
        if terminated.all():
            break
    observations, _, _, _, infos = several.step(np.zeros((3, 1), np.float32))
    assert infos["cte"] == pytest.approx([3.0, 3.0, 3.0], abs=0.01)
    np.testing.assert_array_equal(observations, snowy)


def test_wrong_numbers_of_cars_and_actions_and_windows_are_refused(several):
    several.reset(seed=0)
    for actions in (np.zeros((4, 1), np.float32), np.zeros((3, 2), np.float32)):
        with pytest.raises(ValueError, match=r"expected \(3, 1\)"):
            several.step(actions)
    with pytest.raises(ValueError, match="expected one for each of 3 cars"):
        several.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="expected 1 or more"):
        DrivingVectorEnv(0, **SMALL)
    with pytest.raises(ValueError, match="expected rgb_array"):
        DrivingVectorEnv(1, "human", **SMALL)


def test_pictures_of_all_cars_are_rendered():
    envs = gymnasium.make_vec(
        "bcclone/Lake-v0", num_envs=2, vectorization_mode="vector_entry_point", render_mode="rgb_array",
        observations=("center", "depth"), **SMALL,
    )  # fmt: skip
    observations, _ = envs.reset(seed=[1, None])
    assert envs.observation_space.contains(observations)
    assert [picture.shape for picture in envs.render()] == [(32, 48, 3)] * 2
    assert observations["depth"].shape == (2, 32, 48)
    envs.close()


@pytest.mark.slow
def test_gymnasiums_own_processes_drive_the_same():
    envs = gymnasium.make_vec("bcclone/Lake-v0", num_envs=2, vectorization_mode="async", **SMALL)
    ours = gymnasium.make_vec(
        "bcclone/Lake-v0", num_envs=2, vectorization_mode="vector_entry_point", **SMALL
    )
    action = np.array([[0.1], [-0.1]], np.float32)
    try:
        assert (envs.reset(seed=1)[0] == ours.reset(seed=1)[0]).all()
        for _ in range(5):
            np.testing.assert_array_equal(envs.step(action)[0], ours.step(action)[0])
    finally:
        envs.close()
        ours.close()


@pytest.mark.parametrize("wrong", [np.nan, None, 10**400])
def test_one_wrong_action_moves_no_car(several, wrong):
    several.reset(seed=0)
    before = [car.info() for car in several.unwrapped._cars]
    with pytest.raises(ValueError, match="expected steering"):
        several.step(np.array([[0.5], [0.5], [wrong]], object))
    assert [car.info() for car in several.unwrapped._cars] == before
