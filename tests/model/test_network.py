"""The layers, parameters and initial weights of the networks."""

import hashlib

import keras
import numpy as np
import pytest

from bcclone.model.network import build_network
from bcclone.system.errors import UserError


def test_the_cnn_has_the_layers_of_the_source_design():
    network = build_network(network="cnn")
    assert network.count_params() == 252_219
    assert network.input_shape == (None, 128, 128, 3)
    assert [(layer.__class__.__name__, layer.output.shape[1:]) for layer in network.layers] == [
        ("Cropping2D", (73, 128, 3)),
        ("Rescaling", (73, 128, 3)),
        ("Conv2D", (35, 62, 24)),
        ("Conv2D", (16, 29, 36)),
        ("Conv2D", (6, 13, 48)),
        ("Conv2D", (4, 11, 64)),
        ("Conv2D", (2, 9, 64)),
        ("Dropout", (2, 9, 64)),
        ("Flatten", (1152,)),
        ("Dense", (100,)),
        ("Dropout", (100,)),
        ("Dense", (50,)),
        ("Dense", (10,)),
        ("Dense", (1,)),
    ]
    activations = {
        layer.activation.__name__ for layer in network.layers[:-1] if hasattr(layer, "activation")
    }
    assert activations == {"elu"}
    assert network.layers[-1].activation.__name__ == "linear"
    assert [layer.rate for layer in network.layers if hasattr(layer, "rate")] == [0.5, 0.5]
    assert network.layers[0].cropping == ((43, 12), (0, 0))


def test_pixels_are_scaled_in_float32_also_with_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaled = build_network(network="cnn").get_layer("normalize")(np.arange(256, dtype=np.uint8))
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.allclose(scaled, np.arange(256) / 127.5 - 1, atol=1e-6)


def test_the_weights_of_a_seed_are_those_of_every_release():
    """Digests taken before there was another network to choose."""
    digests = []
    for seq_length in (1, 3):
        keras.utils.set_random_seed(0)
        weights = build_network(seq_length=seq_length, network="cnn").get_weights()
        digests.append(
            hashlib.sha256(b"".join(part.tobytes() for part in weights)).hexdigest()[:16]
        )
    assert digests == ["44c306f0217a7fb9", "1c45e8456bf8fb3b"]


def test_images_that_are_too_small_are_refused():
    with pytest.raises(UserError, match="too small.*cnn.*29 columns"):
        build_network((48, 48, 3), network="cnn")
    assert build_network((160, 320, 3), network="cnn").output_shape == (None, 1)


def test_a_window_is_stacked_frame_after_frame():
    """The first convolution finds each frame's colours together, the newest last."""
    network = build_network(seq_length=3, network="cnn")
    window = np.random.default_rng(0).integers(0, 256, (2, 3, 128, 128, 3), dtype=np.uint8)
    stacked = network.get_layer("stack")(network.get_layer("frames_last")(window))
    assert (
        stacked.numpy() == np.concatenate([window[:, 0], window[:, 1], window[:, 2]], axis=-1)
    ).all()
