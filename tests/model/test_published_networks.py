"""The published networks have the layers and parameters of their publications, learn, and can be
saved and exported.
"""

from functools import cache

import keras
import numpy as np
import pytest

from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.model_file import load_model
from bcclone.model.network import build_network
from bcclone.system.errors import UserError
from tests.running import run_script

NAMES = [name for name, each in ARCHITECTURES.items() if each.preset]
# kernel area x channels x filters + filters of each convolution, then the dense layers, by hand
# from the publications
CONVOLUTIONS = {
    "dave-2": [
        25 * 3 * 24 + 24, 25 * 24 * 36 + 36, 25 * 36 * 48 + 48, 9 * 48 * 64 + 64, 9 * 64 * 64 + 64,
    ],
    "chauffeur": [
        25 * 3 * 16 + 16, 25 * 16 * 20 + 20, 9 * 20 * 40 + 40, 9 * 40 * 60 + 60, 4 * 60 * 80 + 80,
        4 * 80 * 128 + 128,
    ],
    "epoch": [9 * 3 * 32 + 32, 9 * 32 * 64 + 64, 9 * 64 * 128 + 128],
}  # fmt: skip
DENSE = {
    "dave-2": [1 * 18 * 64 * 100 + 100, 100 * 50 + 50, 50 * 10 + 10, 10 + 1],
    "chauffeur": [3 * 10 * 128 + 1],
    "epoch": [16 * 16 * 128 * 1024 + 1024, 1024 + 1],
}
TOTAL = {"dave-2": 252_219, "chauffeur": 102_345, "epoch": 33_649_729}


@cache
def build(name):
    takes = PRESETS[ARCHITECTURES[name].preset]
    return build_network(takes.shape, network=name)


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_has_the_published_number_of_parameters(name):
    network = build(name)
    for kind, counts in (
        (keras.layers.Conv2D, CONVOLUTIONS[name]),
        (keras.layers.Dense, DENSE[name]),
    ):
        assert [layer.count_params() for layer in network.layers if type(layer) is kind] == counts
    assert network.count_params() == sum(CONVOLUTIONS[name] + DENSE[name]) == TOTAL[name]
    assert network.output_shape == (None, 1)


def test_dave_2_has_the_maps_of_the_papers_figure():
    network = build("dave-2")
    assert network.input_shape == (None, 66, 200, 3)
    maps = [layer.output.shape[1:] for layer in network.layers if layer.name.startswith("conv")]
    assert maps == [(31, 98, 24), (14, 47, 36), (5, 22, 48), (3, 20, 64), (1, 18, 64)]
    assert not [layer for layer in network.layers if hasattr(layer, "rate")]


@pytest.mark.parametrize(
    ("name", "least", "greatest"), [("dave-2", -1, 1), ("chauffeur", -0.5, 0.5), ("epoch", 0, 1)]
)
def test_pixels_are_scaled_as_published(name, least, greatest):
    scaled = build(name).get_layer("normalize")(np.array([0, 255], np.uint8))
    assert np.allclose(scaled, [least, greatest], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_another_size_and_windows_are_refused(name):
    takes = PRESETS[ARCHITECTURES[name].preset]
    with pytest.raises(
        UserError,
        match=f"have 64x64; make the store with: .*--preprocess {ARCHITECTURES[name].preset}",
    ):
        build_network((64, 64, 3), network=name)
    with pytest.raises(UserError, match="takes single frames"):
        build_network(takes.shape, 3, name)


@pytest.mark.slow
def test_model_py_trains_it_on_a_store_of_its_preset(simulated_recording, tmp_path):
    name = "dave-2"
    preset = ARCHITECTURES[name].preset
    run_script(
        "preprocess.py", simulated_recording, "-o", tmp_path / "data.h5", "--preprocess", preset
    )
    options = ("--network", name, "--epochs", 1, "--no-plots", "--runs", tmp_path / "runs")
    run_script("model.py", tmp_path / "data.h5", "-o", tmp_path / "model.h5", *options)
    assert load_model(tmp_path / "model.h5").training.network == name
