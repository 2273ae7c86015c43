"""Policies give their network one frame, or the last frames of a drive."""

from dataclasses import asdict

import keras
import numpy as np
import pytest
from keras import layers

from bcclone.camera.framing import Framing
from bcclone.camera.images import BadImage
from bcclone.dataset.answer import OUTPUTS, Answer
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.model.model_file import ModelFile
from bcclone.model.network import build_network
from bcclone.model.policy import Policy, load_policy
from bcclone.model.recurrent import state_sizes_of, step

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)


@pytest.fixture
def policy(untrained_window_model):
    return load_policy(untrained_window_model)


def steering_of(policy, *numbers):
    """Return the network's steering for a window of these frames."""
    window = np.stack([Preprocessing().apply(FRAMES[number]) for number in numbers])[np.newaxis]
    return pytest.approx(float(policy.model(window)[0, 0]), abs=1e-5)


def test_the_first_frame_fills_the_window_and_the_next_push_it_out(policy):
    steering = [policy.answer(FRAMES[number]).steering for number in range(5)]
    windows = [(0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4)]
    assert steering == [steering_of(policy, *window) for window in windows]
    assert len(set(steering)) == 5


@pytest.fixture
def recurrent(untrained_recurrent_model):
    return load_policy(untrained_recurrent_model)


def drive(policy, *numbers):
    return [policy.answer(FRAMES[number]).steering for number in numbers]


def unrolled(policy, *numbers):
    """Return the steering of a network with the same weights for all these frames at once, from
    states of zero.
    """
    kind = policy.model.layers[2].name
    network = build_network(seq_length=len(numbers), network=kind)
    network.set_weights(policy.model.get_weights())
    window = np.stack([Preprocessing().apply(FRAMES[number]) for number in numbers])[np.newaxis]
    return pytest.approx(float(network(window)[0, 0]), abs=1e-5)


def test_a_recurrent_policy_carries_its_state_through_the_whole_drive(recurrent):
    steering = drive(recurrent, 0, 1, 2, 3, 4)
    standing = (0, 0)  # it begins as a car that has stood for the rest of a window
    assert steering[0] == steering_of(recurrent, 0, 0, 0)
    assert steering[4] == unrolled(recurrent, *standing, 0, 1, 2, 3, 4)
    assert steering[4] != steering_of(recurrent, 2, 3, 4)


def test_a_policy_of_windows_that_forgets_starts_again_and_can_drive_several_cars(policy):
    check_memory(policy)


def test_a_recurrent_policy_that_forgets_starts_again_and_can_drive_several_cars(recurrent):
    check_memory(recurrent)


def check_memory(policy):
    first = drive(policy, 0, 1, 2)
    assert drive(policy, 0, 1, 2) != first
    policy.forget()
    assert drive(policy, 0, 1, 2) == first
    memories = [(), ()]
    steering = [[], []]
    for number in range(3):
        for car in (0, 1):
            image = policy.preprocessing.apply(FRAMES[number + 3 * car])
            answer, memories[car] = policy.next_answer(image, memories[car])
            steering[car].append(answer.steering)
    policy.forget()
    assert steering == [first, drive(policy, 3, 4, 5)]


def test_a_policy_answers_pictures_of_its_camera_by_its_framing():
    network = build_network(network="cnn")
    framing = Framing(160, 120, rows=(40, 120))
    policy = Policy(ModelFile(network, Preprocessing(), framing=framing))
    of_frames = policy.without_framing()
    picture = FRAMES[0, :120, :160]
    frame = framing.apply(picture)
    assert policy.answer(picture) == policy.answer(frame) == of_frames.answer(frame)
    with pytest.raises(BadImage, match="160x80 pixels, expected 160x120"):
        policy.answer(picture[:80])
    with pytest.raises(BadImage, match="160x120 pixels, expected 320x160"):
        of_frames.answer(picture)


def test_an_answer_names_every_output_of_the_network(untrained_model):
    network = build_network(outputs=len(OUTPUTS), network="cnn")
    policy = Policy(ModelFile(network, Preprocessing()))
    numbers = network(Preprocessing().apply(FRAMES[0])[np.newaxis])[0].numpy()
    expected = {
        each.name: number * each.unit for each, number in zip(OUTPUTS, numbers, strict=True)
    }
    assert asdict(policy.answer(FRAMES[0])) == pytest.approx(expected, abs=1e-3)
    alone = load_policy(untrained_model).answer(FRAMES[0])
    assert alone == Answer(alone.steering)


def test_a_file_that_states_another_preprocessing_than_is_given_is_noted(untrained_model, caplog):
    for given in ("RGB", "YUV, 0..1"):
        assert not caplog.messages
        assert load_policy(untrained_model, given, must_agree=False).preprocessing.color == "RGB"
    assert str(untrained_model) in caplog.text


# ---- recurrent networks of your own

YUV = PRESETS["nvidia-66x200-yuv"]


def recurrent_network(*chain):
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((3, 66, 200, 3)), *chain, layers.Dense(1)])


def over_time():
    chain = (layers.Rescaling(1 / 255), layers.AveragePooling2D(30), layers.Flatten())
    return tuple(map(layers.TimeDistributed, chain))


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "SimpleRNN"])
def test_a_drive_by_states_begins_with_the_answer_for_a_window(kind):
    recurrent = getattr(layers, kind)
    model = recurrent_network(*over_time(), recurrent(4, return_sequences=True), recurrent(3))
    window = np.random.default_rng(1).uniform(0, 255, (2, 3, 66, 200, 3)).astype("float32")
    states = [np.zeros((2, size), np.float32) for size in state_sizes_of(model)]
    for number in range(3):
        steering, *states = step(model, window[:, number], states)
    assert np.allclose(steering, model(window), atol=1e-5)


def test_a_network_that_combines_frames_drives_by_windows():
    apart = layers.Conv3D(1, (3, 30, 30), padding="same", strides=(1, 30, 30))
    for chain in (
        (*over_time(), layers.GRU(2, return_sequences=True), layers.Flatten()),
        (layers.Rescaling(1 / 255), apart, layers.Reshape((3, -1)), layers.GRU(2)),
    ):
        policy = Policy(ModelFile(recurrent_network(*chain), YUV))
        steering = [policy.answer(frame).steering for frame in FRAMES[:4]]
        window = np.stack([YUV.apply(frame) for frame in FRAMES[1:4]])[np.newaxis].astype("float32")
        assert not policy.carries_states
        assert steering[-1] == pytest.approx(float(policy.model(window)[0, 0]), abs=1e-5)
