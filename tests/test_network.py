"""The network is the source design's, exactly."""

import numpy as np
import pytest

from bcclone.errors import UserError
from bcclone.tensorflow_quietly import load_tensorflow


@pytest.fixture(scope="module")
def build_network():
    load_tensorflow()
    from bcclone.network import build_network

    return build_network


def test_it_has_252219_parameters_and_the_layers_of_the_source(build_network):
    network = build_network()
    assert network.count_params() == 252_219
    assert network.input_shape == (None, 128, 128, 3)
    assert [(layer.__class__.__name__, layer.output.shape[1:]) for layer in network.layers] == [
        ("Cropping2D", (73, 128, 3)),
        ("Lambda", (73, 128, 3)),
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
    activations = {layer.activation.__name__ for layer in network.layers[:-1] if hasattr(layer, "activation")}
    assert activations == {"elu"}
    assert network.layers[-1].activation.__name__ == "linear"
    assert [layer.rate for layer in network.layers if hasattr(layer, "rate")] == [0.5, 0.5]
    assert network.layers[0].cropping == ((43, 12), (0, 0))


def test_pixels_are_brought_to_minus_one_to_one(build_network):
    from bcclone.network import normalize

    assert np.allclose(normalize(np.array([0, 255], np.uint8)), [-1, 1])


def test_the_cropped_rows_do_not_matter_and_the_others_do(build_network):
    network = build_network()
    image = np.full((1, 128, 128, 3), 100, np.uint8)
    sky, road = image.copy(), image.copy()
    sky[:, :43] = sky[:, 116:] = 255
    road[:, 80:90, 40:60] = 255
    outputs = [float(network(picture)[0, 0]) for picture in (image, sky, road)]
    assert outputs[0] == outputs[1] != outputs[2]


def test_images_that_are_too_small_are_refused(build_network):
    with pytest.raises(UserError, match="too small for the network"):
        build_network(64, 64)
    assert build_network(160, 320).output_shape == (None, 1)


def test_a_window_goes_through_the_same_layers_with_its_frames_as_channels(build_network):
    plain, windowed = build_network(), build_network(seq_length=3)
    assert windowed.input_shape == (None, 3, 128, 128, 3)
    assert windowed.count_params() == plain.count_params() + 2 * 3 * 25 * 24
    assert [layer.name for layer in windowed.layers] == [
        "frames_last",
        "stack",
        *(layer.name for layer in plain.layers),
    ]


def test_a_window_is_stacked_frame_after_frame(build_network):
    """The first convolution finds each frame's colours together, the newest last."""
    network = build_network(seq_length=3)
    window = np.random.default_rng(0).integers(0, 256, (2, 3, 128, 128, 3), dtype=np.uint8)
    stacked = network.get_layer("stack")(network.get_layer("frames_last")(window))
    assert (stacked.numpy() == np.concatenate([window[:, 0], window[:, 1], window[:, 2]], axis=-1)).all()
