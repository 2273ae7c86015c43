"""A model file answers in plain Keras as it does in bcclone; one that does not is an error."""

from contextlib import nullcontext
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

from bcclone import open_store
from bcclone.dataset.answer import OUTPUTS
from bcclone.dataset.preprocessing import Preprocessing, preprocessing_of
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.foreign.stored import StoredModel
from bcclone.model.foreign.weights import rebuild_model
from bcclone.model.model_file import load_model, model_content, save_model
from bcclone.model.network import build_network
from bcclone.model.plain_keras import OtherAnswers, check_plain_keras
from tests.running import ROOT, run_script

FRAMES = preprocessing_of("64x64, RGB")
SHIPPED = sorted(path.name for path in (ROOT / "models").glob("*.h5"))


def images(network, count=4):
    shape = (count, *network.input_shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def answers_of_keras(path, frames):
    """Return what a stranger gets, who knows nothing of bcclone."""
    return keras.models.load_model(path, safe_mode=True).predict(frames, verbose=0)


def softmax_of_rows_and_columns(size):
    """Return a network that Keras reads from a .h5 file as one of another softmax."""
    return keras.Sequential(
        [
            keras.Input((*size, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.AveragePooling2D(8),
            layers.Softmax(axis=[1, 2]),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


@pytest.mark.parametrize("outputs", [1, len(OUTPUTS)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_answers_in_plain_keras_as_in_bcclone(name, outputs, tmp_path):
    seq_length = 3 if ARCHITECTURES[name].recurrent else 1
    network = build_network(FRAMES.shape, seq_length, network=name, outputs=outputs)
    weights = network.get_weights()
    random = np.random.default_rng(1)
    network.set_weights(
        # trained means, variances and biases are not 0 or 1
        [random.uniform(0.1, 0.5, each.shape) if each.ndim == 1 else each for each in weights]
    )
    path = tmp_path / "model.h5"
    path.write_bytes(model_content(network, FRAMES, {}))
    ours = np.asarray(load_model(path).model(images(network)))
    assert ours.shape == (4, outputs)
    # a sum that is nearly 0 has the rounding errors of its parts
    close = partial(np.testing.assert_allclose, desired=ours, rtol=1e-5, atol=1e-6)
    close(np.asarray(network(images(network))))
    close(answers_of_keras(path, images(network)))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_answers_in_plain_keras_as_in_bcclone(name):
    path = ROOT / "models" / name
    network = load_model(path).model
    ours = np.asarray(network(images(network)))
    np.testing.assert_allclose(answers_of_keras(path, images(network)), ours, atol=1e-6)


def test_each_image_scaled_by_its_own_mean_is_so_in_plain_keras(tmp_path):
    network = keras.Sequential(
        [keras.Input((64, 64, 3)), layers.Conv2D(4, 5, 5), layers.Flatten(), layers.Dense(1)]
    )
    network.save(tmp_path / "old.keras")
    definition = "64x64, RGB, mean and deviation"
    made = run_script(
        "import-model",
        tmp_path / "old.keras",
        "-o",
        tmp_path / "new.h5",
        "--preprocess",
        definition,
    )
    assert made.returncode == 0
    file = load_model(tmp_path / "new.h5")
    frames = images(file.model)
    ours = np.asarray(file.model(frames))
    np.testing.assert_allclose(answers_of_keras(tmp_path / "new.h5", frames), ours, atol=1e-6)
    assert np.ptp(ours) > 1e-3


def test_an_older_file_of_the_usual_network_drives_as_before_and_is_written_anew(tmp_path):
    of_image = layers.LayerNormalization(
        axis=[1, 2, 3], epsilon=1e-4, center=False, scale=False, dtype="float32", name="image_norm"
    )
    network = build_network(FRAMES.shape, network="cnn-small")
    chain = [of_image if each.name == "image_norm" else each for each in network.layers]
    before = keras.Sequential([keras.Input(FRAMES.shape, dtype="uint8"), *chain])
    weights = {layer.name: layer.get_weights() for layer in before.layers}
    found = rebuild_model(StoredModel({"model_config": before.to_json()}, weights)).model
    frames = images(found)
    np.testing.assert_allclose(np.asarray(found(frames)), np.asarray(before(frames)), atol=1e-6)
    save_model(tmp_path / "new.h5", found, FRAMES)
    np.testing.assert_allclose(
        answers_of_keras(tmp_path / "new.h5", frames), np.asarray(found(frames)), atol=1e-6
    )


def test_a_network_that_plain_keras_reads_otherwise_is_not_written(tmp_path):
    network = softmax_of_rows_and_columns((64, 64))
    with pytest.raises(OtherAnswers, match=r"model\.h5: plain Keras .* Softmax"):
        save_model(tmp_path / "model.h5", network, FRAMES)
    assert not (tmp_path / "model.h5").exists()
    network.save(tmp_path / "old.keras")
    line = ["import-model", tmp_path / "old.keras", "-o", tmp_path / "new.h5"]
    refused = run_script(*line, "--preprocess", "64x64, RGB, raw", code=1)
    assert "drive" in refused.stderr
    assert "old.keras --preprocess" in refused.stderr
    assert not (tmp_path / "new.h5").exists()


def test_outputs_with_large_answers_are_compared_by_their_size(tmp_path):
    network = build_network(FRAMES.shape, network="cnn-small", outputs=2)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * [[1, 1000]], np.float32([0, 1000])])
    path = tmp_path / "model.h5"
    for speed, is_other in ((1000.05, False), (1001.0, True)):
        other = keras.models.clone_model(network)
        other.set_weights([*network.get_weights()[:-1], np.float32([0, speed])])
        path.write_bytes(model_content(other, FRAMES, {}))
        with pytest.raises(OtherAnswers) if is_other else nullcontext():
            check_plain_keras(path, network)
    # the steering has its own measure, however large another output is
    other.set_weights([*network.get_weights()[:-1], np.float32([0.01, 1000])])
    path.write_bytes(model_content(other, FRAMES, {}))
    with pytest.raises(OtherAnswers):
        check_plain_keras(path, network)


def test_a_file_that_is_not_compared_is_written_and_said_in_one_line(tmp_path, caplog):
    network = keras.Sequential(
        [
            keras.Input(FRAMES.shape),
            layers.Lambda(lambda frames: frames / 127.5 - 1),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    save_model(tmp_path / "model.h5", network, FRAMES)
    (line,) = caplog.messages
    assert str(tmp_path / "model.h5") in line
    assert "not compared" in line
    frames = images(network).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(load_model(tmp_path / "model.h5").model(frames)),
        np.asarray(network(frames)),
        atol=1e-4,
    )


def test_a_training_is_refused_before_its_first_step_if_plain_keras_answers_otherwise(
    simulated_store, tmp_path
):
    with open_store(simulated_store) as store:
        preprocessing: Preprocessing = store.preprocessing
    network = softmax_of_rows_and_columns((preprocessing.height, preprocessing.width))
    start = tmp_path / "start.h5"
    start.write_bytes(model_content(network, preprocessing, {}))
    line = ["model", simulated_store, "-o", tmp_path / "m.h5", "--from", start, "--epochs", 1]
    failed = run_script(*line, "--no-plots", "--runs", tmp_path / "runs", code=1)
    assert "plain Keras" in failed.stderr
    assert "epoch 1" not in failed.stderr
    assert not (tmp_path / "m.h5").exists()
    assert not [*tmp_path.glob("runs/*/checkpoints/*")]
