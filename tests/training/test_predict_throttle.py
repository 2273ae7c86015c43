"""model.py --predict throttle: the network learns how fast to drive beside the steering, and drives
so.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from bcclone.dataset.shards import open_store
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.feed.selection import select
from bcclone.model.model_file import load_model
from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError
from bcclone.training.train import select_samples
from bcclone.training.train_settings import TrainSettings
from tests.conftest import made_once
from tests.running import result_of, run_script

STRENGTHS = AugmentSettings(augment_on="cpu")


@pytest.fixture(scope="module")
def trained(simulated_store, tmp_path_factory):
    """A folder with a model that has learned the speed, and what its training printed."""

    def make(folder):
        line = (
            "-o",
            folder / "model.h5",
            "--runs",
            folder / "runs",
            "--no-plots",
            "--epochs",
            3,
            "--batch-size",
            16,
        )
        result = result_of("model.py", simulated_store, *line, "--predict", "throttle")
        (folder / "result.json").write_text(json.dumps(result))

    folder = made_once(tmp_path_factory, "throttle", make)
    return folder / "model.h5", json.loads((folder / "result.json").read_text())


def test_what_cannot_be_learned_since_it_never_changes_is_told_or_refused(simulated_store):
    lines = []
    with open_store(simulated_store) as store:
        rows = store.rows.copy()
        rows["steering"] = 0.25
        rows["throttle"] = 0.0
        constant = replace(store, rows=rows)
        settings = TrainSettings(predict="speed", feed="hdf5-shuffle")
        select_samples(constant, settings, lines.append)
        with pytest.raises(UserError, match="same throttle.*--predict throttle"):
            select_samples(constant, replace(settings, predict="throttle"), print)
    assert [line.partition(",")[0] for line in lines] == ["note: the steering is 0.25 in every row"]


@pytest.mark.slow
def test_the_model_has_further_outputs_that_near_the_recorded_speed_and_throttle(
    trained, simulated_store
):
    path, result = trained
    file = load_model(path)
    assert file.model.output_shape == (None, 3)
    assert file.training.settings["predict"] == "throttle"
    with open_store(simulated_store) as store:
        selection = select(store, "validation", predict="throttle")
        images = np.stack([store.frames[frame] for frame in selection.frame[::4]])
        labels = selection.labels[::4]
        every = selection.labels[:, 0]
    predicted = file.model.predict(images, verbose=0)
    errors = np.abs(predicted - labels)
    assert errors[:, 1].mean() < 0.5 * np.abs(labels[:, 1]).mean()  # than of a network that says 0
    # the error of the steering alone, which is far smaller
    assert result["val_mae"] < 2 * np.abs(every).mean() + 0.05


@pytest.mark.slow
def test_it_drives_as_fast_as_it_has_learned_and_no_faster_than_asked(trained):
    path, _ = trained
    line = ("evaluate", path, "--predicted-speed", "--laps", 0.05)
    slow, fast = (result_of(*line, "--speed", mph)["mean_speed_mph"] for mph in (12, 30))
    assert slow < 12.5
    assert fast > slow


def test_a_policy_without_a_speed_is_refused(untrained_model):
    with pytest.raises(UserError, match="predicted_speed.*--predict speed"):
        Driver(load_policy(untrained_model), SpeedSettings(predicted_speed=True))


@pytest.mark.long
def test_a_network_that_knows_the_steering_learns_the_speed(
    untrained_model, simulated_store, tmp_path
):
    frame = np.random.default_rng(0).integers(0, 256, (160, 320, 3), np.uint8)
    knew = load_policy(untrained_model).answer(frame).steering
    line = ("-o", tmp_path / "m.h5", "--runs", tmp_path / "runs", "--no-plots", "--epochs", 1)
    line = (*line, "--from", untrained_model, "--predict", "throttle", "--learning-rate", 1e-9)
    printed = run_script("model.py", simulated_store, *line).stderr
    assert f"from {untrained_model}, by adamw at a learning rate of 1e-09, for " in printed
    policy = load_policy(tmp_path / "m.h5")
    answer = policy.answer(frame)
    assert answer.steering == pytest.approx(knew, abs=1e-3)
    with open_store(simulated_store) as store:
        # it is the speed half a second later
        assert answer.predicted_speed_mph == pytest.approx(store.rows["speed_mph"].mean(), abs=2)
