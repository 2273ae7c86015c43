"""What Keras writes into the files of others is read with the same answers, or named as what it
is.
"""

import io
import json
import pickle
import zipfile

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from bcclone.model.model_file import load_model, open_model
from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError
from tests.model.foreign.written_models import FRAME, network
from tests.running import run_script


def same_answers(path, model, shape=(48, 64, 3)):
    values = np.random.default_rng(2).integers(0, 256, (3, *shape)).astype("float32")
    answers = open_model(path).rebuilt.model(values)
    np.testing.assert_allclose(answers, model(values, training=False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_layers_of_training_alone_change_nothing(ending, tmp_path):
    inner = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]
    first = [keras.Sequential(inner, name="augment")]
    if ending == "keras":  # Keras itself cannot save it as .h5
        first.append(layers.RandomBrightness(0.2))
    first += [
        layers.RandomContrast(0.2),
        layers.RandomZoom(0.1, fill_mode="nearest"),
        layers.RandomErasing(),
        layers.Rescaling(1 / 127.5, -1),
    ]
    model = network(48, 64, 3, first=first)
    path = tmp_path / f"old.{ending}"
    model.save(path)
    same_answers(path, model)
    assert any("acts in training only" in note for note in open_model(path).rebuilt.notes)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_a_normalization_is_read_as_it_was_adapted_or_given(ending, tmp_path):
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(3).normal([90, 100, 110], [40, 50, 60], (5, 48, 64, 3)))
    whole = layers.Normalization(axis=None)
    whole.adapt(np.random.default_rng(3).normal(90, 40, (5, 48, 64, 3)))
    normalizations = [
        adapted,
        whole,
        layers.Normalization(mean=[90.0, 100, 110], variance=[1600.0, 2500, 3600]),
        layers.Normalization(mean=90.0, variance=1600.0),
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


@pytest.mark.parametrize("weights", ["m.h5", "m.weights.h5", "m.hdf5"])
@pytest.mark.parametrize("config", ["m.json", "network.json"])
def test_weights_are_read_with_the_configuration_of_their_name(weights, config, tmp_path):
    model = network(48, 64, 3, first=[layers.Rescaling(1 / 255)])
    model.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.weights.h5").rename(tmp_path / weights)
    (tmp_path / config).write_text(model.to_json())
    if config == "network.json":
        with pytest.raises(
            UserError, match="holds weights only; put the .* beside it, as .*m.json"
        ):
            open_model(tmp_path / weights)
        with pytest.raises(UserError, match="without its weights; put them beside it, as .*k.h5"):
            open_model(tmp_path / config)
        return
    same_answers(tmp_path / weights, model)
    same_answers(tmp_path / config, model)
    # as many programs wrote it
    (tmp_path / config).write_text(json.dumps(model.to_json()))
    same_answers(tmp_path / weights, model)


def small_values(image):
    """Return a few values of an image, whatever its size."""
    scaled = layers.Rescaling(1 / 255)(image)
    return layers.GlobalAveragePooling2D()(layers.Conv2D(2, 5, 4)(scaled))


def test_a_network_for_any_size_takes_the_size_that_is_given(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Dense(1)(small_values(image)))
    path = tmp_path / "old.keras"
    model.save(path)
    with pytest.raises(
        UserError, match="its input has the shape .* by --preprocess, such as 200x66"
    ):
        load_policy(path, "YUV")
    resized = cv2.resize(FRAME, (64, 48)).astype("float32")
    expected = float(model(resized[np.newaxis])[0, 0])
    for must_agree in (True, False):
        answer = load_policy(path, "64x48, RGB", must_agree).answer(FRAME)
        assert answer.steering == pytest.approx(expected, abs=1e-5)


def archive(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return content.getvalue()


@pytest.mark.parametrize("name", ["old.onnx", "old.tflite"])
def test_a_page_of_a_web_site_is_no_onnx_or_litert_file(name, tmp_path):
    (tmp_path / name).write_bytes(b"\n<!DOCTYPE html>")
    with pytest.raises(UserError, match="a page of a web site; download the file itself"):
        load_policy(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (archive("archive/data.pkl", "archive/version"), "no complete model.*archive/data.pkl"),
        (pickle.dumps({"a": 1}), "a pickle"),
        (b"<!DOCTYPE html>", "a page of a web site"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x20\x00\x00\x00TFL3", "a LiteRT file"),
        (b"\x1f\x8b\x08\x00", "an archive; unpack it"),
        (b"\x08\x07\x12\x07pytorch\x1a", "an ONNX file; call it .onnx"),
        (b"nothing", "neither HDF5 nor .keras"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is(content, kind, tmp_path):
    (tmp_path / "old.h5").write_bytes(content)
    with pytest.raises(UserError, match=kind):
        open_model(tmp_path / "old.h5")


@pytest.mark.parametrize(
    ("names", "steering"),
    [
        (("throttle_x", "other"), "other"),
        (("a", "b"), "a"),
        (("b", "the_angle"), "the_angle"),
        (("accel", "brake", "wheel"), "wheel"),
        (("confidence", "control"), "control"),
        (("features", "steer", "wheel_2"), "steer"),
    ],
)
@pytest.mark.parametrize("in_a_dict", [False, True])
def test_an_output_that_is_no_steering_is_not_taken_for_it(names, steering, in_a_dict, tmp_path):
    image = keras.Input((48, 64, 3))
    values = small_values(image)
    if in_a_dict:
        # the keys of the outputs are the names, and not those of their layers
        outputs = {
            name: layers.Dense(1, name=f"of_{number}")(values) for number, name in enumerate(names)
        }
        place = steering
    else:
        outputs = [layers.Dense(1, name=name)(values) for name in names]
        place = names.index(steering)
    model = keras.Model(image, outputs)
    path = tmp_path / "old.keras"
    model.save(path)

    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3)).astype("float32")
    answers = open_model(path).rebuilt.model(pixels)
    np.testing.assert_allclose(answers, model(pixels)[place], atol=1e-5)

    (note,) = open_model(path).rebuilt.notes
    assert "is taken as the steering; left out: " in note


def test_a_saved_model_and_a_folder_are_named_as_what_they_are(tmp_path):
    folder = tmp_path / "pilot.savedmodel"
    folder.mkdir()
    with pytest.raises(UserError, match="is a folder, expected a model file"):
        load_model(folder)
    (folder / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"a SavedModel.*\.save\('pilot\.h5'\).*SAVE_MODEL_AS_H5"):
        load_model(folder)
