"""A training that begins with a model: --from, and which model is handed over."""

import json
import re
import shutil
import tomllib

import keras
import numpy as np
import pytest

from bcclone.dataset.conversion import convert
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.dataset.shards import open_store
from bcclone.model.model_file import load_model, save_model
from bcclone.model.network import build_network
from tests.conftest import calibrated
from tests.running import ROOT
from tests.training.trainings import history_of, train, train_apart, weights


@pytest.mark.long
def test_a_fine_tuned_model_begins_as_its_start_and_keeps_what_the_options_chose(
    trained, simulated_store, tmp_path
):
    """--from, a settings file and fewer straight rows at once."""
    folder, result, _ = trained
    (tmp_path / "s.toml").write_text("zero-fraction = 0.1\nlearning-rate = 1e-7\nepochs = 2\n")
    earlier = tmp_path / "earlier.h5"
    shutil.copy(folder / "model.h5", earlier)
    start = ("--from", earlier)
    options = ("--settings", tmp_path / "s.toml", "--name", "fine")
    done = train_apart(simulated_store, tmp_path, *start, *options, "--epochs", 1)
    fine = json.loads(done.stdout)
    run = tmp_path / "runs" / "fine"
    assert fine["val_mae"] == pytest.approx(result["val_mae"], rel=1e-3)
    assert fine["epochs"] == fine["epoch"] == 1  # no better and no worse than its start
    assert fine["drivers"]["start"] == {
        name: pytest.approx(value, rel=1e-3) for name, value in fine["drivers"]["trained"].items()
    }
    assert (run / "start.h5").read_bytes() == earlier.read_bytes()
    settings = tomllib.loads((run / "settings.toml").read_text())
    given = {"zero-fraction": 0.1, "epochs": 1}
    assert {name: settings[name] for name in given} == given
    earlier.write_bytes(simulated_store.read_bytes()[:1000])
    refused = train(simulated_store, tmp_path, *start, "--resume", code=1)
    assert "--from" in refused.stderr
    refused = train(simulated_store, tmp_path, "--from", earlier, "--force", code=1)
    assert str(earlier) in refused.stderr


@pytest.mark.slow
def test_a_start_model_that_is_better_than_the_trained_one_is_handed_over(
    winding_recording, tmp_path
):
    store = tmp_path / "data.h5"
    samples = {"block_seconds": 2.0, "cameras": ("center",)}
    convert(PreprocessSettings((str(winding_recording),), store, size=(64, 64), **samples))
    start = calibrated(ROOT / "models" / "any-road.h5", tmp_path / "start.h5", 0.8, 0.05)
    options = ("--epochs", 1, "--learning-rate", 0.05)
    done = train(store, tmp_path, "--from", start, *options)
    result = json.loads(done.stdout)
    (run,) = (tmp_path / "runs").iterdir()
    drivers = result["drivers"]
    assert [*drivers] == ["mean_steering", "start", "halfway", "trained"]
    assert drivers["start"]["correlation"] > 0.1 + (drivers["trained"]["correlation"] or 0)
    assert result["handed_over"] == "start"
    assert result["epoch"] == 0
    assert result["epochs"] == 1
    assert result["loss"] is None
    assert result["val_loss"] == drivers["start"]["loss"]
    assert result["val_mae"] == drivers["start"]["mae"]
    assert "start model" in result["note"]
    assert json.loads((run / "result.json").read_text()) == result
    assert (run / "model.h5").read_bytes() == (tmp_path / "model.h5").read_bytes()

    # the model has the start's calibration within its network
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    written, started_from, trained_to = [
        load_model(path).model.predict(images, verbose=0)
        for path in (tmp_path / "model.h5", start, run / "trained.h5")
    ]
    assert written == pytest.approx(0.8 * started_from + 0.05, abs=1e-5)
    assert abs(trained_to - written).max() > 0.01

    more = json.loads(train(store, tmp_path, "--resume", "--epochs", 2).stdout)
    assert more["epoch"] == 0
    assert more["epochs"] == 2
    assert more["drivers"]["start"] == drivers["start"]
    first, _ = history_of(run)
    assert float(first["val_loss"]) == drivers["trained"]["loss"]


def test_without_validation_samples_a_fine_tuned_model_is_halfway(simulated_recording, tmp_path):
    store = tmp_path / "data.h5"
    samples = {"validation": 0.0, "cameras": ("center",), "size": (64, 64)}
    convert(PreprocessSettings((str(simulated_recording),), store, **samples))
    start = ROOT / "models" / "any-road.h5"
    options = ("--from", start, "--epochs", 1)
    halfway = json.loads(train(store, tmp_path, *options, "--name", "one").stdout)
    assert halfway["handed_over"] == "halfway"
    assert halfway["drivers"] == {}
    assert "no validation samples" in halfway["note"]
    before, trained, written = (
        weights(path)
        for path in (start, tmp_path / "runs" / "one" / "trained.h5", tmp_path / "model.h5")
    )
    assert any((trained[name] != before[name]).any() for name in before)
    for name, values in written.items():
        np.testing.assert_allclose(values, (before[name] + trained[name]) / 2, atol=1e-6)

    # a start model that steers to the wrong side knows nothing of this place
    wrong = calibrated(start, tmp_path / "wrong.h5", gain=-1.0)
    asked = ("--from", wrong, "--epochs", 1, "--name", "three", "--force")
    other = json.loads(train(store, tmp_path, *asked).stdout)
    assert other["handed_over"] == "trained"
    assert re.search(r"start model does not read this place.* by -0\.\d", other["note"])

    asked = ("--hand-over", "trained", "--name", "two", "--force")
    whole = json.loads(train(store, tmp_path, *options, *asked).stdout)
    assert whole["handed_over"] == "trained"
    assert whole["note"] is None
    for name, values in weights(tmp_path / "model.h5").items():
        np.testing.assert_array_equal(values, trained[name])

    # a complete run hands over another model if asked, and trains no more
    again = ("--resume", "--name", "one", "--hand-over", "trained", "--force")
    resumed = json.loads(train(store, tmp_path, *options, *again).stdout)
    assert (resumed["handed_over"], resumed["epochs"]) == ("trained", 1)
    assert not (tmp_path / "runs" / "one" / "trained.h5").exists()
    kept = (tmp_path / "runs" / "one" / "model.h5").read_bytes()
    assert kept == (tmp_path / "model.h5").read_bytes()


def test_settings_of_a_fine_tuning_are_refused_where_they_mean_nothing(simulated_store, tmp_path):
    done = train(simulated_store, tmp_path, "--batch-norm", "fixed", code=1)
    assert re.search("--batch-norm fixed.*--from", done.stderr)
    start = tmp_path / "start.h5"
    with open_store(simulated_store) as data:
        network = build_network(data.preprocessing.shape, network="cnn")
        save_model(start, network, data.preprocessing, {})
        network.layers[-1].activation = keras.activations.tanh
        save_model(tmp_path / "tanh.h5", network, data.preprocessing, {})
    speed = ("--predict", "speed", "--epochs", 1)
    done = train(simulated_store, tmp_path, "--from", tmp_path / "tanh.h5", *speed, code=1)
    assert re.search(r"tanh\.h5.*--predict speed", done.stderr)
    learned = json.loads(train(simulated_store, tmp_path, "--from", start, *speed).stdout)
    assert learned["handed_over"] == "trained"
    assert "start" in learned["drivers"]
