"""Grey images: one channel in the store, in both kinds of augmentation and in the network, from recording to drive."""

import json

import numpy as np
import pytest

from bcclone.cluster.shards import open_store
from tests.conftest import made_once, run_script

SHAPE = (80, 120, 1)


@pytest.fixture(scope="session")
def grey_store(simulated_recording, tmp_path_factory):
    line = ("--preprocess", "gray-80x120", "--block-seconds", 2)
    folder = made_once(
        tmp_path_factory,
        "grey",
        lambda folder: run_script("preprocess.py", simulated_recording, "-o", folder / "data.h5", *line),
    )
    return folder / "data.h5"


def test_a_frame_takes_a_third_of_the_space(grey_store, simulated_recording, tmp_path):
    run_script("preprocess.py", simulated_recording, "-o", tmp_path / "rgb.h5", "--size", "120x80")
    with open_store(grey_store) as grey, open_store(tmp_path / "rgb.h5") as colored:
        assert grey.frames.shape == (360, *SHAPE)
        assert 3 * grey.frames.nbytes == colored.frames.nbytes


@pytest.mark.parametrize(
    ("augment_on", "options"),
    [
        ("cpu", ()),
        pytest.param("device", (), marks=pytest.mark.slow),
        pytest.param("cpu", ("--seq-length", 3), marks=pytest.mark.slow),
        pytest.param("cpu", ("--seq-length", 3, "--network", "gru"), marks=pytest.mark.slow),
    ],
)
def test_a_grey_model_trains_and_drives(grey_store, tmp_path, augment_on, options):
    model = tmp_path / "model.h5"
    places = ("-o", model, "--runs", tmp_path / "runs", "--no-plots", "--json")
    line = (*places, "--epochs", 1, "--augment-on", augment_on, *options)
    result = json.loads(run_script("model.py", grey_store, *line).stdout)
    assert np.isfinite(result["val_loss"])
    line = ("evaluate", model, "--laps", 0.02, "--in-process", "--json")
    assert json.loads(run_script(*line).stdout)["distance_m"] > 10


@pytest.mark.slow
def test_a_grey_model_is_replayed_explained_and_exported(grey_store, simulated_recording, tmp_path):
    model = tmp_path / "model.h5"
    run_script("model.py", grey_store, "-o", model, "--runs", tmp_path / "runs", "--epochs", 1, "--no-plots")
    run_script("replay", model, simulated_recording, "--json")
    pictures = run_script("plots", model, grey_store, "--output", tmp_path / "pictures", "--json")
    assert {"saliency", "activations", "crop", "samples"} <= set(json.loads(pictures.stdout)["drawn"])
    run_script("export", model, "--to", "onnx", "-o", tmp_path / "model.onnx")
