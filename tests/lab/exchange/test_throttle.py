"""The throttle of a tub is imported, learned, and given again by the file for a donkeycar; the tub has no speed."""

import numpy as np
import pytest

from bcclone.recording.log import read_log
from tests.conftest import run_script
from tests.lab.exchange.foreign_sources import make_tub

pytest.importorskip("ai_edge_litert")
BRIGHT, DARK, FAST, SLOW = 200, 60, 0.5, 0.1


def picture(brightness, noise):
    """A picture of donkeycar's camera, whose brightness tells how fast to drive."""
    pixels = np.full((120, 160, 3), brightness, np.int16) + noise.integers(-20, 21, (120, 160, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.mark.slow
def test_the_throttle_of_a_tub_drives_a_donkeycar(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    drawn = np.random.default_rng(0)
    make_tub(  # it drives fast where it is bright, and steers a little at random
        tmp_path / "tub",
        rows=400,
        pictures=lambda index: picture(DARK if index // 25 % 2 else BRIGHT, drawn),
        **{"user/angle": lambda index: float(drawn.uniform(-0.3, 0.3)),
           "user/throttle": lambda index: SLOW if index // 25 % 2 else FAST},
    )  # fmt: skip
    run_script("import", tmp_path / "tub", "-o", tmp_path / "made" / "tub")
    rows = read_log(tmp_path / "made" / "tub" / "driving_log.csv").rows
    assert set(rows["throttle"]) == {FAST, SLOW}
    assert not rows["speed_mph"].any()
    store, model, car = tmp_path / "data.h5", tmp_path / "model.h5", tmp_path / "car.tflite"
    run_script("preprocess.py", tmp_path / "made" / "tub", "-o", store, "--size", 64)
    train = ("model.py", store, "-o", model, "--runs", tmp_path / "runs", "--no-plots", "--epochs", 4)
    assert "the same speed_mph, 0" in run_script(*train, "--predict", "speed", code=1).stderr
    run_script(*train, "--predict", "throttle", "--appearance", 0, "--shadows", 0, "--batch-size", 16)
    printed = run_script("export", model, "--to", "donkeycar", "-o", car).stdout
    assert "throttle: as the model predicts it" in printed
    run = Interpreter(str(car), num_threads=1).get_signature_runner()
    noise = np.random.default_rng(1)

    def throttle(brightness):
        answer = run(img_in=(picture(brightness, noise) / 255.0)[np.newaxis].astype(np.float32))
        return float(answer["n_outputs1"][0, 0])

    assert throttle(BRIGHT) == pytest.approx(FAST, abs=0.1)
    assert throttle(DARK) == pytest.approx(SLOW, abs=0.1)
