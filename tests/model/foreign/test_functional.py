"""Functional models are read with the layers, activations and operations that Keras has."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from bcclone.model.foreign.rebuild import rebuild_model
from bcclone.model.foreign.stored import NamedArray, StoredModel
from bcclone.model.model_file import load_model, open_model
from bcclone.system.errors import UserError
from tests.conftest import shared
from tests.running import run_script

SHAPE = (24, 32, 3)
PICTURES = np.random.default_rng(2).integers(0, 256, (3, *SHAPE)).astype("float32")


def network(*steps):
    """Return a network that applies these steps to a picture, and then computes a number."""
    picture = keras.Input(SHAPE)
    values = picture
    for step in steps:
        values = step(values)
    if len(values.shape) > 2:
        values = layers.Flatten()(values)
    model = keras.Model(picture, layers.Dense(1)(values))
    random = np.random.default_rng(1)
    model.layers[-1].set_weights(
        [random.normal(0, 0.01, weight.shape) for weight in model.layers[-1].weights]
    )
    return model


def arrays_of(layer):
    return [NamedArray(f"{number}:0", array) for number, array in enumerate(layer.get_weights())]


def rebuilt(model):
    """Return the network that is rebuilt from what Keras stores of a model."""
    last = model.layers[-1]  # the only one with weights
    weights = {last.name: arrays_of(last)}
    texts = {"model_config": model.to_json(), "keras_version": keras.__version__}
    return rebuild_model(StoredModel(texts, weights))


def check_same(model, *kinds):
    """Check that a model answers as Keras says, and begins with layers of these classes."""
    found = rebuilt(model)
    expected = model.predict_on_batch(PICTURES)
    np.testing.assert_allclose(found.model(PICTURES), expected, rtol=1e-4, atol=1e-4)
    assert [layer.now for layer in found.layers[: len(kinds)]] == list(kinds)
    return found


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (lambda x: 0.5 * x, "Rescaling"),
        (lambda x: 1 - x, "Rescaling"),
        (lambda x: x / 255, "Rescaling"),
        (lambda x: x - np.array([103.9, 116.8, 123.7]), "Rescaling"),
        (lambda x: 255 / (x + 1), "Rescaling"),
        (lambda x: x[:, 6:20], "Cropping2D"),
        (lambda x: x[:, -20:-6, 2:], "Cropping2D"),
        (lambda x: x[..., 4:-4, :], "Cropping2D"),
        (lambda x: x[:, ::2, ::2], "Functional"),
        (lambda x: x[..., ::-1], "Functional"),
        (lambda x: x[..., 0], "Functional"),
        (lambda x: ops.split(x, 3, axis=-1)[1], "Functional"),
        (lambda x: ops.image.resize(x, (9, 20)), "Functional"),
        (lambda x: ops.image.rgb_to_grayscale(x), "Functional"),
        (lambda x: ops.mean(x, axis=(1, 2)), "Functional"),
        (ops.arctan, "Functional"),
        (keras.activations.tanh, "Activation"),
        (keras.activations.leaky_relu, "Activation"),
        (lambda x: keras.activations.leaky_relu(x, 0.4), "Functional"),
        (lambda x: keras.activations.relu(x, max_value=6), "Functional"),
    ],
)
def test_an_operation_computes_the_same(step, kind):
    check_same(network(step), kind)


def names_of_activations():
    ignored = {"deserialize", "get", "serialize"}
    # glu halves the channels, threshold needs two numbers
    ignored |= {"glu", "threshold"}
    return [name for name in dir(keras.activations) if name[0] != "_" and name not in ignored]


def test_every_activation_of_keras_is_read():
    names = names_of_activations()
    assert {"leaky_relu", "mish", "celu", "hard_silu", "log_softmax"} <= set(names)
    scaled = [layers.Rescaling(1 / 255, -0.5)]
    check_same(network(*scaled, *[layers.Activation(name) for name in names]), "Rescaling")


def test_hard_sigmoid_is_read_from_keras_3_alone():
    model = network(layers.Dense(2, activation="hard_sigmoid"))
    stored = StoredModel({"model_config": model.to_json(), "keras_version": "2.15.0"}, {})
    with pytest.raises(ValueError, match="another function since Keras 3"):
        rebuild_model(stored)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (layers.Resizing(9, 20, crop_to_aspect_ratio=True), "Resizing"),
        (layers.Resizing(9, 20, "bicubic", pad_to_aspect_ratio=True, fill_value=9.0), "Resizing"),
        (layers.CenterCrop(20, 30), "CenterCrop"),
        (layers.AutoContrast(), "AutoContrast"),
        (layers.RandomContrast(0.2), "Activation"),
        (layers.RandomPosterization(4), "Activation"),
        (layers.Solarization(0.5, 0.5), "Activation"),
        (layers.RandAugment(), "Activation"),
        (layers.ActivityRegularization(0.1), "Activation"),
        (layers.UnitNormalization(), "UnitNormalization"),
        (layers.AdaptiveMaxPooling2D(4), "AdaptiveMaxPooling2D"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_layer_of_pictures_computes_the_same(layer, kind):
    found = check_same(network(layer), kind)
    acts_in_training = any("acts in training only" in note for note in found.notes)
    assert acts_in_training == (kind == "Activation")


def test_a_dropout_that_is_called_for_training_is_read_as_keras_predicts():
    check_same(network(lambda x: layers.Dropout(0.5)(x, training=True)), "Dropout")


def test_a_layer_that_makes_another_shape_than_it_declares_is_refused():
    model = network(layers.RandomCrop(20, 30))
    with pytest.raises(ValueError, match="when it predicts, and declares .*leave it out"):
        rebuilt(model)


def test_calls_of_tf_keras_are_read():
    """The nodes are as tf.keras 2.21 writes them."""
    whole = {"start": None, "stop": None, "step": None}
    spec = [whole, {"start": 4, "stop": 20, "step": None}]
    model = network(lambda x: x[:, 4:20], lambda x: 0.5 * x, keras.activations.tanh)
    expected = model.predict_on_batch(PICTURES)
    config = json.loads(model.to_json())
    part, half, tanh = config["config"]["layers"][1:4]
    calls = [
        (part, "SlicingOpLambda", "__operators__.getitem", None, {"slice_spec": spec}),
        (half, "TFOpLambda", "math.multiply", 0.5, {"name": None}),
        (tanh, "TFOpLambda", "math.tanh", None, {"name": None}),
    ]
    before = config["config"]["layers"][0]["name"]
    for item, kind, function, number, keywords in calls:
        node = [before, 0, 0, keywords]
        if number is not None:
            node = ["_CONSTANT_VALUE", -1, number, {"y": [before, 0, 0], **keywords}]
        item |= {"class_name": kind, "module": "tf_keras", "inbound_nodes": [node]}
        item["config"]["function"] = function
        before = item["name"]
    last = model.layers[-1]
    texts = {"model_config": json.dumps(config), "keras_version": "2.21.0"}
    found = rebuild_model(StoredModel(texts, {last.name: arrays_of(last)}))
    np.testing.assert_allclose(found.model(PICTURES), expected, rtol=1e-4, atol=1e-4)
    assert [layer.now for layer in found.layers[:3]] == ["Cropping2D", "Rescaling", "Activation"]


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_an_imported_model_with_operations_is_opened_by_keras_alone(ending, tmp_path):
    model = network(lambda x: x[..., ::-1] / 127.5 - 1, ops.arctan)
    model.save(tmp_path / f"old.{ending}")
    new = tmp_path / "new.h5"
    run_script("import-model", tmp_path / f"old.{ending}", "-o", new, "--preprocess", "RGB")
    expected = model.predict_on_batch(PICTURES)
    np.testing.assert_allclose(load_model(new).model(PICTURES), expected, rtol=1e-4, atol=1e-4)
    opened = keras.models.load_model(new, compile=False)
    np.testing.assert_allclose(opened(PICTURES), expected, rtol=1e-4, atol=1e-4)


def test_a_branch_is_refused(tmp_path):
    model = network(lambda x: layers.Concatenate()([x[..., :1], x[..., 1:]]))
    model.save(tmp_path / "old.keras")
    with pytest.raises(
        UserError, match="takes 2 inputs; only chains of layers are rebuilt; convert it .*LiteRT"
    ):
        open_model(tmp_path / "old.keras")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("functional_with_augmentation", "Activation"),
        ("functional_with_a_slice", "Cropping2D"),
        ("activation_leaky_relu", "Rescaling"),
    ],
)
def test_the_shared_models_answer_as_in_keras(name, kind):
    path = shared("cases") / name / "model.keras"
    pictures = np.random.default_rng(3).integers(0, 256, (2, 160, 320, 3)).astype("float32")
    expected = keras.models.load_model(path, compile=False).predict_on_batch(pictures)
    found = open_model(path).rebuilt
    np.testing.assert_allclose(found.model(pictures), expected, rtol=1e-4, atol=1e-5)
    assert found.layers[0].now == kind
