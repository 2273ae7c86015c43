"""What Keras writes today is read with the same answers, or named as what it is."""

import io
import json
import pickle
import re
import zipfile

import cv2
import keras
import numpy as np
import pytest
from keras import layers, ops

from bcclone.model.foreign.stored import StoredModel
from bcclone.model.foreign.weights import rebuild_model
from bcclone.model.model_file import load_model, open_model
from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError
from tests.conftest import shared
from tests.model.foreign.written_models import FRAME, network
from tests.running import run_script


def same_answers(path, model):
    """Check that a file answers as its model, and return it as it was rebuilt."""
    shape = (3, *model.input_shape[1:])
    values = np.random.default_rng(2).integers(0, 256, shape).astype("float32")
    found = open_model(path)
    expected = model.predict_on_batch(values)
    np.testing.assert_allclose(found.model(values), expected, rtol=1e-4, atol=1e-5)
    return found


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_layers_of_training_alone_change_nothing(ending, tmp_path):
    inner = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]
    first = [keras.Sequential(inner, name="augment")]
    if ending == "keras":  # Keras itself cannot save it as .h5
        first.append(layers.RandomBrightness(0.2))
    first += [layers.RandomContrast(0.2), layers.RandomZoom(0.1), layers.Rescaling(1 / 127.5, -1)]
    model = network(48, 64, 3, first=first)
    path = tmp_path / f"old.{ending}"
    model.save(path)
    found = same_answers(path, model)
    assert any("acts in training only" in note for note in found.notes)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_a_normalization_is_read_as_it_was_adapted_or_given(ending, tmp_path):
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(3).normal([90, 100, 110], [40, 50, 60], (5, 48, 64, 3)))
    whole = layers.Normalization(axis=None)
    whole.adapt(np.random.default_rng(3).normal(90, 40, (5, 48, 64, 3)))
    normalizations = [
        whole,
        layers.Normalization(mean=[90.0, 100, 110], variance=[1600.0, 2500, 3600]),
        keras.Sequential([adapted, layers.Conv2D(3, 1)]),
    ]
    for number, layer in enumerate(normalizations):
        path = tmp_path / f"{number}.{ending}"
        model = network(48, 64, 3, first=[layer])
        model.save(path)
        same_answers(path, model)

    # the last one, imported
    run_script("import-model", path, "-o", tmp_path / "new.h5", "--preprocess", "RGB")
    imported = load_model(tmp_path / "new.h5").model
    values = np.random.default_rng(2).integers(0, 256, (3, 48, 64, 3)).astype("float32")
    np.testing.assert_allclose(imported(values), model(values), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_a_network_over_time_is_read(ending, tmp_path):
    over_time = layers.TimeDistributed
    cnn = [layers.Conv2D(2, 5, 8), layers.BatchNormalization(), layers.Flatten()]
    chain = [
        over_time(keras.Sequential([keras.Input((48, 64, 3)), *cnn])),
        layers.LSTM(4, return_sequences=True),
        over_time(layers.Dense(5, activation="tanh")),
        layers.GRU(3),
        layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((3, 48, 64, 3)), *chain])
    model.save(tmp_path / f"old.{ending}")
    same_answers(tmp_path / f"old.{ending}", model)


@pytest.mark.parametrize("weights", ["m.h5", "m.weights.h5", "m.hdf5"])
def test_weights_are_read_with_the_configuration_of_their_name(weights, tmp_path):
    model = network(48, 64, 3, first=[layers.Rescaling(1 / 255)])
    model.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.weights.h5").rename(tmp_path / weights)
    with pytest.raises(UserError, match="weights only.*m.json"):
        open_model(tmp_path / weights)
    # many programs write the text as JSON once more
    for config in (model.to_json(), json.dumps(model.to_json())):
        (tmp_path / "m.json").write_text(config)
        same_answers(tmp_path / weights, model)
    # who names the configuration is told the file that has just been read
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'm.json'}: ")) as refused:
        open_model(tmp_path / "m.json")
    assert str(refused.value).endswith(str(tmp_path / weights))


def small_values(image):
    """Return a few values of an image, whatever its size."""
    scaled = layers.Rescaling(1 / 255)(image)
    return layers.GlobalAveragePooling2D()(layers.Conv2D(2, 5, 4)(scaled))


def test_a_network_for_any_size_takes_the_size_that_is_given(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Dense(1)(small_values(image)))
    path = tmp_path / "old.keras"
    model.save(path)
    with pytest.raises(UserError, match="shape.*--preprocess.*200x"):
        load_policy(path, "YUV")
    resized = cv2.resize(FRAME, (64, 48)).astype("float32")
    expected = float(model(resized[np.newaxis])[0, 0])
    answer = load_policy(path, "64x48, RGB").answer(FRAME)
    assert answer.steering == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("names", "steering"),
    [(("throttle_x", "other"), "other"), (("features", "steer", "wheel_2"), "steer")],
)
@pytest.mark.parametrize("in_a_dict", [False, True])
def test_an_output_that_is_no_steering_is_not_taken_for_it(names, steering, in_a_dict, tmp_path):
    image = keras.Input((48, 64, 3))
    values = small_values(image)
    outputs = [layers.Dense(1, name=name)(values) for name in names]
    place = names.index(steering)
    if in_a_dict:
        # the keys of the outputs are the names, and not those of their layers
        outputs = {name: layers.Dense(1, name=f"of_{name[::-1]}")(values) for name in names}
        place = steering
    model = keras.Model(image, outputs)
    path = tmp_path / "old.keras"
    model.save(path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3)).astype("float32")
    found = open_model(path)
    np.testing.assert_allclose(found.model(pixels), model(pixels)[place], atol=1e-5)
    assert "is taken as the steering; left out: " in found.notes[-1]


# ---- operations between the layers


def applying(*steps):
    """Return a network that applies these steps to a picture, and then computes a number."""
    picture = keras.Input((24, 32, 3))
    values = picture
    for step in steps:
        values = step(values)
    if len(values.shape) > 2:
        values = layers.Flatten()(values)
    last = layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(0, 0.01, seed=1))
    return keras.Model(picture, last(values))


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (lambda x: 0.5 * x, "Rescaling"),
        (lambda x: 1 - x, "Rescaling"),
        (lambda x: x / 255, "Rescaling"),
        (lambda x: ops.cast(x, "float32"), "Rescaling"),
        (lambda x: x[:, 6:20], "Cropping2D"),
        (lambda x: x[:, -20:-6, 2:], "Cropping2D"),
        (lambda x: x[..., 4:-4, :], "Cropping2D"),
        (keras.activations.tanh, "Activation"),
        (keras.activations.leaky_relu, "Activation"),
        (lambda x: keras.activations.relu(x, max_value=6), "ReLU"),
        (lambda x: layers.Dropout(0.5)(x, training=True), "Dropout"),
        (layers.Resizing(9, 20, crop_to_aspect_ratio=True), "Resizing"),
        (layers.Resizing(9, 20, "bicubic", pad_to_aspect_ratio=True, fill_value=9.0), "Resizing"),
    ],
)
def test_a_layer_computes_the_same_as_an_operation(step, kind, tmp_path):
    model = applying(step)
    model.save(tmp_path / "old.keras")
    assert same_answers(tmp_path / "old.keras", model).layers[0]["now"] == kind


@pytest.mark.parametrize(
    "step",
    [
        lambda x: 255 / (x + 1),
        lambda x: x - np.array([103.9, 116.8, 123.7]),
        lambda x: x[:, ::2, ::2],
        lambda x: x[..., ::-1],
        lambda x: x[..., 0],
        lambda x: x[..., :2],
        lambda x: ops.split(x, 3, axis=-1)[1],
        lambda x: ops.image.resize(x, (9, 20)),
        lambda x: keras.activations.leaky_relu(x, 0.4),
        ops.arctan,
    ],
)
def test_other_operations_are_refused_with_the_remedy(step, tmp_path):
    applying(step).save(tmp_path / "old.keras")
    with pytest.raises(UserError, match="put a layer of Keras in its place|convert it"):
        open_model(tmp_path / "old.keras")


def test_every_activation_of_keras_is_read(tmp_path):
    # glu halves the channels, threshold needs two numbers
    ignored = {"deserialize", "get", "serialize", "glu", "threshold"}
    names = [name for name in dir(keras.activations) if name[0] != "_" and name not in ignored]
    assert {"leaky_relu", "mish", "celu", "hard_silu", "log_softmax", "hard_sigmoid"} <= set(names)
    model = applying(layers.Rescaling(1 / 255, -0.5), *map(layers.Activation, names))
    model.save(tmp_path / "old.keras")
    same_answers(tmp_path / "old.keras", model)


def test_calls_of_tf_keras_are_read():
    """The nodes are as tf.keras 2.21 writes them."""
    whole = {"start": None, "stop": None, "step": None}
    spec = [whole, {"start": 4, "stop": 20, "step": None}]
    model = applying(lambda x: x[:, 4:20], lambda x: 0.5 * x, keras.activations.tanh)
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
    pictures = np.random.default_rng(2).integers(0, 256, (3, 24, 32, 3)).astype("float32")
    expected = model.predict_on_batch(pictures)
    np.testing.assert_allclose(found.model(pictures), expected, rtol=1e-4, atol=1e-4)
    kinds = [layer["now"] for layer in found.layers[:3]]
    assert kinds == ["Cropping2D", "Rescaling", "Activation"]


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
    found = same_answers(path, keras.models.load_model(path, compile=False))
    assert found.layers[0]["now"] == kind


# ---- files of other kinds


def archive(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("old.h5", archive("archive/data.pkl"), "not a complete model of Keras.*archive/data.pkl"),
        ("old.h5", pickle.dumps({"a": 1}), "a pickle"),
        ("old.h5", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        ("old.h5", b"\x20\x00\x00\x00TFL3", "a LiteRT file"),
        ("old.h5", b"\x08\x07\x12\x07pytorch\x1a", "an ONNX file; call it .onnx"),
        ("old.h5", b"nothing", "neither HDF5 nor .keras"),
        ("old.onnx", b"\n<!DOCTYPE html>", "a page of a web site; download the file itself"),
        ("old.tflite", b"\n<!DOCTYPE html>", "a page of a web site; download the file itself"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is(name, content, kind, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=kind):
        load_policy(tmp_path / name)


def test_a_saved_model_is_named_as_what_it_is(tmp_path):
    folder = tmp_path / "pilot.savedmodel"
    folder.mkdir()
    (folder / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"a SavedModel.*\.save\('pilot\.h5'\).*SAVE_MODEL_AS_H5"):
        load_model(folder)
