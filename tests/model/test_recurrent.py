"""Recurrent networks that run frame by frame give the output of the whole network."""

import keras
import numpy as np
import pytest
from keras import layers

from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.model_file import ModelFile
from bcclone.model.policy import Policy
from bcclone.model.recurrent import steps_of

YUV = PRESETS["nvidia-66x200-yuv"]
FRAMES = np.random.default_rng(0).integers(0, 256, (4, 160, 320, 3), dtype=np.uint8)


def network(*chain):
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [keras.Input((3, 66, 200, 3)), layers.Rescaling(1 / 255), *chain, layers.Dense(1)]
    )


def over_time():
    each = layers.TimeDistributed
    return each(layers.AveragePooling2D(30)), each(layers.Flatten())


def convolved():
    """Convolutions of single frames without a TimeDistributed, as some networks have them."""
    return (
        layers.Cropping3D((0, (3, 3), 4)), layers.Conv3D(2, (1, 20, 20), strides=(1, 20, 20)),
        layers.MaxPooling3D((1, 2, 2)), layers.Permute((1, 3, 2, 4)), layers.Reshape((3, -1)),
        layers.BatchNormalization(), layers.Dense(4, activation="tanh"), layers.Dropout(0.2),
    )  # fmt: skip


@pytest.mark.parametrize("begin", [over_time, convolved])
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "SimpleRNN"])
def test_steps_give_the_output_of_the_network_for_the_window(begin, kind):
    recurrent = getattr(layers, kind)
    model = network(*begin(), recurrent(4, return_sequences=True), recurrent(3))
    steps = steps_of(model)
    window = np.random.default_rng(1).uniform(0, 255, (2, 3, 66, 200, 3)).astype("float32")
    states = [np.zeros((2, size), np.float32) for size in steps.state_sizes]
    for number in range(3):
        steering, states = steps.step(window[:, number], states)
    assert np.allclose(steering, model(window), atol=1e-5)


def test_a_network_that_combines_frames_drives_by_windows():
    apart = layers.Conv3D(1, (3, 30, 30), padding="same", strides=(1, 30, 30))
    for chain in (
        (*over_time(), layers.GRU(2, return_sequences=True), layers.Flatten()),
        (apart, layers.Reshape((3, -1)), layers.GRU(2)),
    ):
        model = network(*chain)
        assert steps_of(model) is None
        policy = Policy(ModelFile(model, YUV))
        steering = [policy.answer(frame).steering for frame in FRAMES]
        window = np.stack([YUV.apply(frame) for frame in FRAMES[1:]])[np.newaxis].astype("float32")
        assert not policy.carries_states
        assert steering[-1] == pytest.approx(float(model(window)[0, 0]), abs=1e-5)
