"""Models of Keras 1 to 3 are rebuilt from what they say, and give what they gave."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.foreign.stored import StoredModel, UnsupportedModel
from bcclone.model.foreign.weights import rebuild_model
from bcclone.model.model_file import load_model, open_model, save_model
from bcclone.model.policy import Policy, load_policy
from bcclone.system.errors import UserError
from tests.conftest import shared
from tests.model.foreign.old_models import (
    arrays,
    expected_output,
    images,
    keras1_config,
    keras2_config,
    layer,
    write,
)
from tests.running import result_of

YUV = "nvidia-66x200-yuv"


def check_output(model):
    answers = model(images().astype("float32"))[:, 0]
    np.testing.assert_allclose(answers, expected_output(), atol=1e-5)


def rebuilt(config, weights, **texts):
    """Return the network of a configuration and arrays by layer, without a file."""
    texts = {"model_config": json.dumps(config), **texts}
    return rebuild_model(StoredModel(texts, weights)).model


def weights_of_keras2(convolution="conv2d"):
    first, bias, second, second_bias = arrays()
    return {convolution: [first, bias], "dense": [second, second_bias]}


@pytest.mark.parametrize("config", [keras1_config, keras2_config])
@pytest.mark.parametrize("nested", [True, False])
def test_a_model_of_old_keras_gives_the_output_of_its_network(tmp_path, config, nested):
    loaded = load_model(write(tmp_path / "old.h5", config(), nested=nested), YUV)
    check_output(loaded.model)
    assert loaded.preprocessing == PRESETS[YUV]
    assert loaded.seq_length == 1


def test_the_shared_old_models_give_their_recorded_outputs():
    folder = shared("legacy_models")
    batch = np.random.default_rng(0).integers(0, 256, (8, 66, 200, 3), dtype=np.uint8)
    for name, record in json.loads((folder / "expected.json").read_text()).items():
        model = load_model(folder / name, YUV).model
        answers = model(batch.astype("float32"))[:, 0]
        np.testing.assert_allclose(answers, record["output"], atol=1e-5)
        assert model.count_params() == record["params"]


def of_tensorflow_2_12(new, old):
    """Write an archive of Keras 3 with the folders of another version."""
    with zipfile.ZipFile(new) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    with zipfile.ZipFile(old, "w") as archive:
        for name, content in (parts | {"model.weights.h5": weights.getvalue()}).items():
            archive.writestr(name, content)


def test_a_network_in_a_file_of_keras_computes_the_same_and_is_saved_again(tmp_path):
    made = keras.Sequential(
        [
            keras.Input((66, 200, 3)), layers.Rescaling(1 / 127.5, -1),
            layers.Cropping2D(((3, 4), (1, 2))),
            layers.Conv2D(4, 5, strides=4, activation="elu"), layers.BatchNormalization(),
            layers.Conv2D(6, 3, strides=3, groups=2, use_bias=False),
            keras.Sequential([layers.Conv2D(4, 3), layers.BatchNormalization()]),
            layers.Reshape((7, -1)), layers.GRU(3, return_sequences=True), layers.LSTM(4),
            layers.Dropout(0.3), layers.Flatten(), layers.Dense(5, layers.ELU(0.3)),
            layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )  # fmt: skip
    random = np.random.default_rng(1)
    made.set_weights([random.uniform(0.01, 0.3, weight.shape) for weight in made.get_weights()])
    made.layers[2].trainable = False
    batch = images().astype("float32")
    for name in ("new.h5", "new.keras"):
        made.save(tmp_path / name)
    of_tensorflow_2_12(tmp_path / "new.keras", tmp_path / "old.keras")
    for name in ("new.h5", "new.keras", "old.keras"):
        found = open_model(tmp_path / name)
        np.testing.assert_allclose(found.model(batch), made(batch), rtol=1e-4, atol=1e-5)
        assert [layer.trainable for layer in found.model.layers].count(False) == 1
    save_model(tmp_path / "ours.h5", found.model, PRESETS[YUV], {})
    again = load_model(tmp_path / "ours.h5").model
    assert (again(batch).numpy() == found.model(batch).numpy()).all()
    assert [layer.rate for layer in again.layers if hasattr(layer, "rate")] == [0.3, 0.5]


def graph(config, dialect):
    """Return a Sequential model as the graph that Keras 1, 2 or 3 would write.

    Its layers are in another order.
    """
    items = config["config"]["layers"]
    before = None
    for item in items:
        name = item["config"]["name"]
        tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [before, 0, 0]}}
        call = {
            1: [[[before, 0, 0]]],
            2: [[[before, 0, 0, {}]]],
            3: [{"args": [tensor], "kwargs": {"mask": None}}],
        }
        item |= {"name": name, "inbound_nodes": call[dialect] if before else []}
        before = name
    ends = {"input_layers": [[items[0]["name"], 0, 0]], "output_layers": [[before, 0, 0]]}
    inner = {"name": "model", "layers": [*items[1:], items[0]], **ends}
    return {"class_name": "Model" if dialect == 1 else "Functional", "config": inner}


@pytest.mark.parametrize("dialect", [1, 2, 3])
def test_a_functional_chain_is_rebuilt_in_every_dialect(dialect):
    config = graph(keras2_config(), dialect)
    check_output(rebuilt(config, weights_of_keras2(), backend="tensorflow"))


@pytest.mark.parametrize("name", ["inner", ""])  # Keras 1 does not state the name
@pytest.mark.parametrize("together", [False, True])
def test_nested_models_are_flattened_with_their_weights(name, together):
    config = keras2_config()
    items = config["config"]["layers"]
    inner = {"class_name": "Sequential", "config": {"name": name, "layers": items[1:4]}}
    config["config"]["layers"] = [items[0], inner, *items[4:]]
    if together:  # in the order of the file, as all layers of the file
        has = weights_of_keras2("inner")
        names = ("lambda_input", "inner", "dropout", "flatten", "dense")
        check_output(rebuilt(config, {name: has.get(name, []) for name in names}))
    else:
        check_output(rebuilt(config, weights_of_keras2()))


# ---- recurrent networks, which see a window frame by frame

KERAS2 = Path(__file__).parent / "keras2"  # files of Keras 2.15, and its answers to windows()


def windows():
    """Return two windows of three frames, the second one darker."""
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 66, 200, 3))
    return (images // np.array([1, 3]).reshape(2, 1, 1, 1, 1)).astype("float32")


def test_recurrent_models_give_the_outputs_of_keras_2():
    for name, outputs in json.loads((KERAS2 / "outputs.json").read_text()).items():
        with pytest.raises(UserError, match="takes [0-9]+ x 66 x 200 x 3 .*such as --preprocess"):
            load_model(KERAS2 / name)
        answers = open_model(KERAS2 / name).model(windows())[:, 0]
        np.testing.assert_allclose(answers, outputs, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru.h5", "lstm.keras"])
def test_a_foreign_recurrent_model_gets_a_window_for_each_frame(name, tmp_path):
    policy = Policy(load_model(KERAS2 / name, YUV))
    assert not policy.carries_states
    frames = np.random.default_rng(0).integers(0, 256, (4, 160, 320, 3), dtype=np.uint8)
    images = [PRESETS[YUV].apply(frame) for frame in frames]
    windows = np.stack(
        [[images[max(last - back, 0)] for back in (2, 1, 0)] for last in range(4)]
    ).astype("float32")
    expected = pytest.approx(np.ravel(policy.model(windows)), abs=1e-5)
    assert [policy.answer(frame).steering for frame in frames] == expected
    new = tmp_path / "new.h5"
    result_of("import-model", KERAS2 / name, "-o", new, "--preprocess", YUV)
    policy = load_policy(new)
    assert [policy.answer(frame).steering for frame in frames] == expected


@pytest.mark.parametrize(
    ("shape", "inner", "reason"),
    [
        ([13200], layer("Flatten", "flat"), "is applied to each frame of a window"),
        ([200, 66, 1], layer("Flatten", "flat"), "200, 66, 1.*, expected 1 to 100 frames"),
        (
            [66, 200, 1],
            layer("TimeDistributed", "inner", layer=layer("Flatten", "flat")),
            "within another TimeDistributed",
        ),
    ],
)
def test_time_distributed_layers_without_windows_are_refused(shape, inner, reason):
    first = layer("Dense", "dense", units=1, batch_input_shape=[None, 66, 200, 3])
    reshaped = layer("Reshape", "many", target_shape=shape)
    items = [first, reshaped, layer("TimeDistributed", "each", layer=inner)]
    with pytest.raises(UnsupportedModel, match=reason):
        rebuilt({"class_name": "Sequential", "config": items}, {})
