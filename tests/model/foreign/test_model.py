"""Models of others are rebuilt from what they say and give what they gave, in every dialect of
Keras.
"""

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
from tests.model.foreign import recurrent_models
from tests.model.foreign.old_models import (  # fmt: skip
    arrays,
    expected_output,
    images,
    keras1_config,
    keras2_config,
    layer,
    layers_of,
    write,
)
from tests.running import result_of

YUV = "nvidia-66x200-yuv"


@pytest.fixture(scope="module")
def rebuild(untrained_model):
    """Return the outputs of the model of a configuration and arrays by layer, without a file."""

    def rebuilt(config, weights, **texts):
        return rebuild_model(StoredModel({"model_config": json.dumps(config), **texts}, weights))

    return rebuilt


def weights_of(config):
    convolution, dense = (
        item["config"]["name"] for item in layers_of(config) if named_as(item, "conv", "dense")
    )
    first, bias, second, second_bias = arrays()
    return {convolution: [first, bias], dense: [second, second_bias]}


def named_as(item, *beginnings):
    return item["config"]["name"].startswith(beginnings)


def outputs(found):
    return found.model(images().astype("float32"))[:, 0]


@pytest.mark.parametrize("config", [keras1_config, keras2_config])
@pytest.mark.parametrize("nested", [True, False])
def test_a_model_of_old_keras_gives_the_output_of_its_network(tmp_path, config, nested):
    loaded = load_model(write(tmp_path / "old.h5", config(), nested=nested), YUV)
    np.testing.assert_allclose(
        loaded.model(images().astype("float32"))[:, 0], expected_output(), atol=1e-5
    )
    assert loaded.preprocessing == PRESETS[YUV]
    assert loaded.seq_length == 1


def test_the_shared_old_models_give_their_recorded_outputs():
    folder = shared("legacy_models")
    for name, record in json.loads((folder / "expected.json").read_text()).items():
        batch = np.random.default_rng(0).integers(0, 256, (8, 66, 200, 3), dtype=np.uint8)
        model = load_model(folder / name, YUV).model
        np.testing.assert_allclose(
            model(batch.astype("float32"))[:, 0], record["output"], atol=1e-5
        )
        assert model.count_params() == record["params"]


@pytest.fixture(scope="module")
def made(untrained_model):
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
    return made


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


def test_a_network_in_a_file_of_keras_computes_the_same_and_is_saved_again(made, tmp_path):
    batch = images().astype("float32")
    for name in ("new.h5", "new.keras"):
        made.save(tmp_path / name)
    of_tensorflow_2_12(tmp_path / "new.keras", tmp_path / "old.keras")
    for name in ("new.h5", "new.keras", "old.keras"):
        found = open_model(tmp_path / name).rebuilt
        np.testing.assert_allclose(found.model(batch), made(batch), rtol=1e-4, atol=1e-5)
        assert [layer.trainable for layer in found.model.layers].count(False) == 1
    save_model(tmp_path / "ours.h5", found.model, PRESETS[YUV], {})
    again = load_model(tmp_path / "ours.h5").model
    assert (again(batch).numpy() == found.model(batch).numpy()).all()
    assert [layer.rate for layer in again.layers if hasattr(layer, "rate")] == [0.3, 0.5]


# ---- recurrent networks, which see a window frame by frame

KERAS2 = Path(__file__).parent / "keras2"


@pytest.fixture(scope="module")
def keras3(untrained_model, tmp_path_factory):
    """A folder of the same networks as the current Keras writes them."""
    folder = tmp_path_factory.mktemp("keras3")
    recurrent_models.write_models(keras, folder, ["gru.h5", "lstm.h5", "lstm.keras"])
    return folder


def check_outputs(folder, version):
    expected = json.loads((folder / "outputs.json").read_text())
    assert expected
    for name, outputs in expected.items():
        loaded = open_model(folder / name)
        assert loaded.rebuilt.keras_version.startswith(version)
        with pytest.raises(
            UserError,
            match="takes [0-9]+ x 66 x 200 x 3 .*such as --preprocess '?nvidia-66x200-yuv",
        ):
            loaded.declared(None)
        np.testing.assert_allclose(
            loaded.rebuilt.model(recurrent_models.windows())[:, 0], outputs, atol=1e-5
        )


@pytest.mark.slow
def test_recurrent_models_of_keras_2_give_the_same_outputs():
    check_outputs(KERAS2, "2.15")


@pytest.mark.slow
def test_recurrent_models_of_keras_3_give_the_same_outputs(keras3):
    check_outputs(keras3, "3.")


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


def test_layers_of_one_name_get_names_that_no_other_layer_of_the_file_has(rebuild):
    config = keras2_config()
    same = [layer("Activation", name, activation="linear") for name in ("same_4", "same", "same")]
    config["config"]["layers"][2:2] = same
    names = [built.name for built in rebuild(config, weights_of(config)).model.layers]
    assert names[1:4] == ["same_4", "same", "same_5"]


def test_time_distributed_layers_without_windows_are_refused(rebuild):
    inner = layer("Flatten", "flatten")
    dense = layer(
        "Dense",
        "dense",
        units=1,
        activation="linear",
        use_bias=True,
        batch_input_shape=[None, 66, 200, 3],
    )
    distributed = layer("TimeDistributed", "each", layer=inner)
    config = {"class_name": "Sequential", "config": [dense, layer("Flatten", "first"), distributed]}
    with pytest.raises(UnsupportedModel, match="is applied to each frame of a window"):
        rebuild(config, {})
    config["config"][1:] = [layer("Reshape", "many", target_shape=[200, 66, 1]), distributed]
    with pytest.raises(UnsupportedModel, match="200, 66, 1.*, expected 1 to 100 frames"):
        rebuild(config, {})
    twice = layer("TimeDistributed", "outer", layer=layer("TimeDistributed", "each", layer=inner))
    config["config"][2] = twice
    with pytest.raises(UnsupportedModel, match="within another TimeDistributed"):
        rebuild(config, {})


# ---- functional chains


def graph(config, dialect):
    """Return the Sequential model as the graph that Keras 1, 2 or 3 would write.

    Its layers are in another order.
    """
    layers = config["config"]["layers"] if isinstance(config["config"], dict) else config["config"]
    before = None
    for item in layers:
        name = item["config"]["name"]
        tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [before, 0, 0]}}
        call = {
            1: [[[before, 0, 0]]],
            2: [[[before, 0, 0, {}]]],
            3: [{"args": [tensor], "kwargs": {"mask": None}}],
        }
        nodes = [] if before is None else call[dialect]
        item |= {"name": name, "inbound_nodes": nodes}
        before = name
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [[before, 0, 0]]}
    inner = {"name": "model", "layers": [*layers[1:], layers[0]], **ends}
    kind = "Model" if dialect == 1 else "Functional"
    return {"class_name": kind, "config": inner}


@pytest.mark.parametrize("dialect", [1, 2, 3])
def test_a_functional_chain_is_rebuilt_in_every_dialect(rebuild, dialect):
    config = graph(keras2_config(), dialect)
    found = rebuild(config, weights_of(keras2_config()), backend="tensorflow")
    np.testing.assert_allclose(outputs(found), expected_output(), atol=1e-5)


def test_arithmetic_in_a_graph_is_a_rescaling(rebuild):
    config = keras2_config()
    layers = config["config"]["layers"]
    layers[1:2] = [
        layer("TFOpLambda", f"tf.math.{word}", function=f"math.{word}")
        for word in ("truediv", "subtract")
    ]
    config = graph(config, 2)
    for item, number in zip(config["config"]["layers"], (127.5, 1.0), strict=False):
        item["inbound_nodes"] = [[*item["inbound_nodes"][0][0][:3], {"y": number, "name": None}]]
    np.testing.assert_allclose(
        outputs(rebuild(config, weights_of(keras2_config()))), expected_output(), atol=1e-5
    )


def test_nested_models_are_flattened_with_their_weights(rebuild):
    config = keras2_config()
    layers = config["config"]["layers"]
    inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": layers[1:4]}}
    config["config"]["layers"] = [layers[0], inner, *layers[4:]]
    weights = weights_of(keras2_config())
    np.testing.assert_allclose(outputs(rebuild(config, weights)), expected_output(), atol=1e-5)
    weights["inner"] = weights.pop("conv2d")
    np.testing.assert_allclose(outputs(rebuild(config, weights)), expected_output(), atol=1e-5)


def test_weights_alone_are_read_with_the_configuration_beside_them(tmp_path):
    path = write(tmp_path / "model.h5", keras1_config(), nested=False)
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(UserError, match="holds weights only; put the network's configuration"):
        load_model(path, YUV)
    # as most programs wrote it
    (tmp_path / "model.json").write_text(json.dumps(json.dumps(keras1_config())))
    np.testing.assert_allclose(
        load_model(path, YUV).model(images().astype("float32"))[:, 0], expected_output(), atol=1e-5
    )
