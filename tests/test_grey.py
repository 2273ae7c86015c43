"""Grey images: one channel in the store, in both kinds of augmentation and in the network, from
recording to drive.
"""

import numpy as np
import pytest

from tests.conftest import made_once
from tests.running import result_of, run_script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def grey_store(simulated_recording, tmp_path_factory):
    line = ("--preprocess", "gray-80x120", "--block-seconds", 2)
    folder = made_once(
        tmp_path_factory,
        "grey",
        lambda folder: run_script(
            "preprocess.py", simulated_recording, "-o", folder / "data.h5", *line
        ),
    )
    return folder / "data.h5"


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--augment-on", "device"),
        ("--seq-length", "3"),
        ("--seq-length", "3", "--network", "gru"),
    ],
    ids=" ".join,
)
def test_a_grey_model_trains_and_drives(grey_store, tmp_path, options):
    model = tmp_path / "model.h5"
    line = ("-o", model, "--runs", tmp_path / "runs", "--no-plots", "--epochs", 1, *options)
    assert np.isfinite(result_of("model.py", grey_store, *line)["val_loss"])
    assert result_of("evaluate", model, "--laps", 0.02)["distance_m"] > 10


def test_a_grey_model_is_replayed_explained_and_exported(grey_store, simulated_recording, tmp_path):
    model = tmp_path / "model.h5"
    run_script(
        "model.py",
        grey_store,
        "-o",
        model,
        "--runs",
        tmp_path / "runs",
        "--epochs",
        1,
        "--no-plots",
    )
    run_script("replay", model, simulated_recording)
    pictures = result_of("plots", model, grey_store, "--output", tmp_path / "pictures")
    assert {"saliency", "activations", "crop", "samples"} <= set(pictures["drawn"])
    run_script("export", model, "--to", "onnx", "-o", tmp_path / "model.onnx")
