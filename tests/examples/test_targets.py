"""examples/next_frame.py and examples/steering_classes.py: other targets than the steering, and
what they give.
"""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.running import ROOT, run_script

EXAMPLES = ROOT / "examples"


def run(script, *arguments):
    line = [sys.executable, EXAMPLES / script, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_next_frame_is_predicted_better_than_by_the_same_frame_again(tmp_path):
    folder = tmp_path / "sequences"
    out = run("next_frame.py", folder, "--sequences", 20, "--epochs", 6)
    words = out[out.index("mean absolute error") :].replace(",", "").split()
    network = float(words[words.index("network") + 1])
    same = float(words[words.index("again") + 1])
    assert network < 0.75 * same
    picture = cv2.imread(str(folder / "next_frame.png"))
    assert picture.shape == (4 * 80, 6 * 120, 3)
    assert np.ptp(picture) > 100


@pytest.mark.slow
@pytest.mark.parametrize("head", ["classes", "number"])
def test_a_network_of_classes_drives_like_one_of_a_number(simulated_store, tmp_path, head):
    model = tmp_path / "model.h5"
    out = run("steering_classes.py", simulated_store, model, "--head", head, "--epochs", 1)
    assert str(model) in out
    driven = json.loads(run_script("evaluate", model, "--laps", 0.01, "--json").stdout)
    assert driven["distance_m"] > 5


def test_classes_become_the_mean_of_their_middles(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import keras
    import steering_classes
    from keras import layers

    network = keras.Sequential(
        [keras.Input((8, 8, 1), dtype="uint8"), layers.Flatten(), layers.Dense(15)]
    )
    network.layers[-1].set_weights(
        [np.zeros((64, 15), np.float32), np.eye(15, dtype=np.float32)[11]]
    )
    steering = steering_classes.with_mean_of_classes(network)(np.zeros((1, 8, 8, 1), np.uint8))
    assert float(steering[0, 0]) == pytest.approx(steering_classes.MIDDLES[11])
    samples = np.array([(-1.0,), (0.06,), (0.08,), (1.0,)], [("steering", np.float32)])
    assert steering_classes.bin_of(samples, None).tolist() == [0, 7, 8, 14]
