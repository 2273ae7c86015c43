"""Functional models are read with the layers, activations and operations that Keras has."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from bcclone.model.foreign.stored import StoredModel, UnsupportedModel
from bcclone.model.foreign.weights import rebuild_model
from bcclone.model.model_file import open_model
from bcclone.system.errors import UserError
from tests.conftest import shared

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


def rebuilt(model):
    """Return the network that is rebuilt from what Keras stores of a model."""
    last = model.layers[-1]  # the only one with weights
    weights = {last.name: last.get_weights()}
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
        (lambda x: x[:, 6:20], "Cropping2D"),
        (lambda x: x[:, -20:-6, 2:], "Cropping2D"),
        (lambda x: x[..., 4:-4, :], "Cropping2D"),
        (lambda x: ops.cast(x, "float32"), "Rescaling"),
        (keras.activations.tanh, "Activation"),
        (keras.activations.leaky_relu, "Activation"),
        (lambda x: keras.activations.relu(x, max_value=6), "ReLU"),
    ],
)
def test_an_operation_computes_the_same(step, kind):
    check_same(network(step), kind)


@pytest.mark.parametrize(
    "step",
    [
        lambda x: 255 / (x + 1),
        lambda x: x[:, ::2, ::2],
        lambda x: x[..., ::-1],
        lambda x: x[..., 0],
        lambda x: x[..., :2],
        lambda x: ops.split(x, 3, axis=-1)[1],
        lambda x: ops.image.resize(x, (9, 20)),
        lambda x: ops.mean(x, axis=(1, 2)),
        lambda x: keras.activations.leaky_relu(x, 0.4),
        ops.arctan,
    ],
)
def test_other_operations_are_refused_with_the_remedy(step):
    with pytest.raises(UnsupportedModel, match="put a layer of Keras in its place|convert it"):
        rebuilt(network(step))


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
        (layers.RandomContrast(0.2), "Activation"),
        (layers.RandomPosterization(4), "Activation"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_layer_of_pictures_computes_the_same(layer, kind):
    found = check_same(network(layer), kind)
    acts_in_training = any("acts in training only" in note for note in found.notes)
    assert acts_in_training == (kind == "Activation")


def test_a_dropout_that_is_called_for_training_is_read_as_keras_predicts():
    check_same(network(lambda x: layers.Dropout(0.5)(x, training=True)), "Dropout")


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
    found = rebuild_model(StoredModel(texts, {last.name: last.get_weights()}))
    np.testing.assert_allclose(found.model(PICTURES), expected, rtol=1e-4, atol=1e-4)
    assert [layer.now for layer in found.layers[:3]] == ["Cropping2D", "Rescaling", "Activation"]


def test_a_branch_is_refused(tmp_path):
    model = network(lambda x: layers.Concatenate()([0.5 * x, 2 * x]))
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
