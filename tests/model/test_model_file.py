"""A model is saved and loaded unchanged; its file contains no code; invalid files are refused."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.model_file import TrainingInfo, load_model
from bcclone.system.errors import UserError

FIRST_MODEL = Path(__file__).parents[2] / "models" / "lake.h5"


@pytest.fixture
def model_copy(untrained_model, tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(untrained_model.read_bytes())
    return path


def images(count=4):
    return np.random.default_rng(0).integers(0, 256, (count, 128, 128, 3), dtype=np.uint8)


def test_plain_keras_opens_a_model_file_in_safe_mode(untrained_model):
    model = keras.models.load_model(untrained_model, safe_mode=True)
    loaded = load_model(untrained_model).model(images()).numpy()
    np.testing.assert_allclose(model.predict(images(), verbose=0), loaded, atol=1e-6)
    # and as many people feed it
    np.testing.assert_allclose(
        model.predict(images().astype("float32"), verbose=0), model.predict(images(), verbose=0)
    )


def test_the_file_holds_no_code_and_states_its_preprocessing(untrained_model):
    with h5py.File(untrained_model) as file:
        config = json.loads(file.attrs["model_config"])
        assert file.attrs["bcclone_preprocessing"] == Preprocessing().to_json()
        assert file.attrs["bcclone_preprocessing_hash"] == Preprocessing().digest
    assert "Lambda" not in [layer["class_name"] for layer in config["config"]["layers"]]


def test_plain_keras_opens_the_shipped_model_and_computes_the_same():
    model = load_model(FIRST_MODEL).model
    scaled = model.get_layer("normalize")(np.arange(256, dtype=np.uint8))
    # a Rescaling multiplies where its Lambda of before divided: the last bit of a few levels
    np.testing.assert_allclose(scaled, np.arange(256, dtype=np.float32) / 127.5 - 1, atol=2e-7)
    plain = keras.models.load_model(FIRST_MODEL, safe_mode=True)
    np.testing.assert_allclose(
        plain.predict(images(), verbose=0), model(images()).numpy(), atol=1e-6
    )


def edit_config(path, edit):
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)


def with_lambda(layers, function):
    """Make the layer that normalises a Lambda of a function."""
    (layer,) = (layer for layer in layers if layer["config"]["name"] == "normalize")
    layer["class_name"] = "Lambda"
    layer["config"] = {"name": "normalize", "trainable": True, "function": function}


def payload(layers):
    code = {"code": "4wEAAAA=", "defaults": None}
    with_lambda(layers, {"class_name": "__lambda__", "config": code})


def named_function(layers):
    with_lambda(
        layers,
        {
            "module": "builtins",
            "class_name": "function",
            "config": "os>system",
            "registered_name": "function",
        },
    )


def other_layer(layers):
    with_lambda(layers, "nn.erf")
    layers[2]["class_name"] = "TFOpLambda"


@pytest.mark.parametrize("edit", [payload, named_function, other_layer])
def test_code_and_unknown_layers_are_refused(tmp_path, edit):
    model_copy = tmp_path / "model.h5"
    model_copy.write_bytes(FIRST_MODEL.read_bytes())
    edit_config(model_copy, edit)
    with pytest.raises(
        UserError,
        match=r"layer 'normalize' \(Lambda\): .*(is not run|calls the function)"
        r"|TFOpLambda.*no layer or operation that is read; .*convert it",
    ):
        load_model(model_copy)


def test_a_file_states_how_it_was_trained_as_far_as_it_is_known(model_copy):
    assert load_model(model_copy).training == TrainingInfo()
    with h5py.File(model_copy, "r+") as file:
        file.attrs["bcclone_training"] = (
            '{"settings": {"network": "cnn"}, "epoch": 3, "of a later version": 1}'
        )
    assert load_model(model_copy).training == TrainingInfo(settings={"network": "cnn"}, epoch=3)


@pytest.mark.parametrize("wrong", ["[]", '{"settings": []}', "{"])
def test_a_training_that_is_no_json_object_is_refused(model_copy, wrong):
    with h5py.File(model_copy, "r+") as file:
        file.attrs["bcclone_training"] = wrong
    with pytest.raises(UserError, match="not a complete model file"):
        load_model(model_copy)


def test_a_truncated_file_is_refused(model_copy):
    model_copy.write_bytes(model_copy.read_bytes()[:500_000])
    with pytest.raises(UserError, match="not a complete model file"):
        load_model(model_copy)
