"""What a policy gives its network: one frame, or the last ones of a drive."""

import numpy as np
import pytest

from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import Driver
from bcclone.images import BadImage, Preprocessing, encode_jpeg
from bcclone.protocol import Telemetry

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)


@pytest.fixture
def policy(untrained_window_model):
    from bcclone.policy import load_policy

    return load_policy(untrained_window_model)


def steering_of(policy, *numbers):
    """What the network says of a window of these frames."""
    window = np.stack([Preprocessing().apply(FRAMES[number]) for number in numbers])[np.newaxis]
    return pytest.approx(float(policy.model(window)[0, 0]), abs=1e-6)


def test_the_first_frame_fills_the_window_and_the_next_push_it_out(policy):
    said = [policy.act(FRAMES[number]) for number in range(5)]
    windows = [(0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4)]
    assert said == [steering_of(policy, *window) for window in windows]
    assert len(set(said)) == 5


def test_a_policy_that_forgets_begins_anew(policy):
    first = [policy.act(frame) for frame in FRAMES[:3]]
    policy.act(FRAMES[5])
    policy.forget()
    assert [policy.act(frame) for frame in FRAMES[:3]] == first


def test_several_windows_are_answered_in_one_call_as_each_alone(policy):
    images = [policy.preprocessing.apply(frame) for frame in FRAMES]
    begun = policy.window_after((), images[0])
    later = policy.window_after(policy.window_after(begun, images[1]), images[2])
    answers = policy.steer([begun, later])
    assert [float(answer) for answer in answers] == [steering_of(policy, 0, 0, 0), steering_of(policy, 0, 1, 2)]


def test_two_policies_do_not_mix_their_frames(policy, untrained_window_model):
    from bcclone.policy import load_policy

    other = load_policy(untrained_window_model)
    for number in range(3):
        policy.act(FRAMES[number])
        other.act(FRAMES[number + 3])
    assert policy.act(FRAMES[3]) == steering_of(policy, 1, 2, 3)


def test_a_frame_of_another_size_does_not_get_into_the_window(policy):
    policy.act(FRAMES[0])
    with pytest.raises(BadImage):
        policy.act(FRAMES[1][:80])
    assert policy.act(FRAMES[2]) == steering_of(policy, 0, 0, 2)


def test_a_frame_that_cannot_be_read_does_not_get_into_the_window(policy):
    driver = Driver(policy, SpeedController(10.0))
    jpegs = [encode_jpeg(FRAMES[0]), b"broken", encode_jpeg(FRAMES[1])]
    said = [driver.decide(Telemetry(0.0, 0.0, 10.0, jpeg)).steering for jpeg in jpegs]
    driver.forget()
    assert [driver.decide(Telemetry(0.0, 0.0, 10.0, jpeg)).steering for jpeg in (jpegs[0], jpegs[2])] == said[::2]


def test_a_policy_of_single_frames_keeps_none(untrained_model):
    from bcclone.policy import load_policy

    policy = load_policy(untrained_model)
    first = policy.act(FRAMES[0])
    policy.act(FRAMES[1])
    assert policy.act(FRAMES[0]) == first
