"""Pilots of donkeycar steer the pictures of a tub as they do there."""

import cv2
import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from keras import layers

from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError
from tests.messages.refusals import run_command
from tests.running import read_steering, result_of, run_script

PILOTS = ["linear", "categorical", "localizer", "both in one", "3D", "raw", "scaled"]
OF_CLASSES = ("categorical", "localizer")  # their angle is one of 15 classes


def pilot(outputs, shape=(120, 160, 3)):
    """Return a network as donkeycar writes it; its name is `outputs`, one of PILOTS."""
    # with some weights no unit is active, so all angles are equally likely and none is the answer
    keras.utils.set_random_seed(1)
    image = keras.Input(shape, name="img_in")
    values = image
    # donkeycar 2 did not divide the pixels by 255
    if outputs == "raw":
        values = layers.Cropping2D(((10, 0), (0, 0)))(image)
    if outputs == "scaled":
        values = layers.Rescaling(1 / 127.5, -1)(image)
    values = layers.Flatten()(layers.Conv2D(4, 5, 8, activation="relu")(values))
    values = layers.Dropout(0.2)(layers.Dense(8, activation="relu")(values))

    if outputs == "3D":
        heads = layers.Dense(2, name="outputs")(values)
    elif outputs == "both in one":
        heads = layers.Dense(2, name="model_outputs")(values)
    elif outputs in OF_CLASSES:
        angle_name = "angle_out" if outputs == "categorical" else "angle"
        angle = layers.Dense(15, "softmax", name=angle_name)(values)
        throttle = layers.Dense(20, "softmax", name="throttle_out")(values)
        heads = [angle, throttle]
    else:
        heads = [layers.Dense(1, name=f"n_outputs{number}")(values) for number in (0, 1)]
    return keras.Model(image, heads, name=outputs)


def angle_in_donkeycar(model, picture):
    """Return the angle as donkeycar computes it (parts/keras.py and utils.py), from -1 to 1."""
    divisor = 1 if model.name in ("raw", "scaled") else 255
    values = (picture / divisor)[np.newaxis].astype("float32")
    first_output, *_ = model(values, training=False)
    angle = np.ravel(first_output)
    if model.name in OF_CLASSES:
        return np.argmax(angle) * 2 / 14 - 1
    return np.clip(angle[0], -1, 1)


@pytest.mark.parametrize(
    ("outputs", "ending"),
    [*((outputs, "h5") for outputs in PILOTS), ("linear", "keras"), ("categorical", "keras")],
)
def test_pilots_of_donkeycar_steer_pictures_of_a_tub_as_there(outputs, ending, tmp_path):
    images = tmp_path / "tub" / "images"
    images.mkdir(parents=True)
    model = pilot(outputs)
    path = tmp_path / f"pilot.{ending}"
    model.save(path)
    expected = {}
    for number in range(4):
        blocks = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = cv2.resize(blocks, (160, 120))
        PIL.Image.fromarray(picture).save(images / f"{number}_cam.png")
        expected[f"{number}_cam"] = angle_in_donkeycar(model, picture)

    done = run_script("predict", path, images, "-o", tmp_path / "p.csv")
    kind = "KerasCategorical" if outputs in OF_CLASSES else "KerasLinear"
    scale = {"raw": ", raw", "scaled": ""}.get(outputs, ", 0..1")
    assert (
        f"a pilot of donkeycar ({kind}); its pictures are prepared as 160x120, RGB{scale}\n"
    ) in done.stderr
    assert read_steering(tmp_path / "p.csv") == pytest.approx(expected, abs=1e-5)

    new = tmp_path / "pilot-imported.h5"
    imported = result_of("import-model", path, "-o", new)
    assert imported["preprocessing"] == f"160x120, RGB{scale}"
    result_of("predict", new, images, "-o", tmp_path / "p.csv", "--force")
    assert read_steering(tmp_path / "p.csv") == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outputs", "number_type"),
    [
        pytest.param("linear", "float32", id="linear"),
        pytest.param("categorical", "float32", id="categorical"),
        pytest.param("linear", "", id="linear of donkeycar 5.4"),
        pytest.param("categorical", "", id="categorical of donkeycar 5.4"),
        pytest.param("linear", "int8", id="int8"),
        pytest.param("linear", "uint8", id="uint8"),
    ],
)
def test_a_pilot_in_a_litert_file_steers_as_the_one_of_keras(outputs, number_type, tmp_path):
    tub = tmp_path / "tub"
    tub.mkdir()
    picture = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    PIL.Image.fromarray(picture).save(tub / "1.png")
    model = pilot(outputs)
    path = tmp_path / "pilot.tflite"
    path.write_bytes(litert_content(model, number_type, picture, tmp_path))

    result_of("predict", path, tub, "-o", tmp_path / "p.csv")
    steering = read_steering(tmp_path / "p.csv")["1"]
    tolerance = 0.02 if "int8" in number_type else 1e-5
    assert steering == pytest.approx(angle_in_donkeycar(model, picture), abs=tolerance)
    with pytest.raises(UserError, match="not a network of Keras"):
        run_command("import-model", path, "-o", tmp_path / "new.h5")


@pytest.mark.slow
def test_the_first_of_several_outputs_of_a_litert_file_is_noted_with_the_others(tmp_path, caplog):
    image = keras.Input((12, 16, 3), name="picture")
    values = layers.Flatten()(image)
    heads = [layers.Dense(1, name=name)(values) for name in ("right", "left")]
    model = keras.Model(image, heads)
    path = tmp_path / "other.tflite"
    path.write_bytes(litert_content(model, "float32", None, tmp_path))
    policy = load_policy(path, "16x12, RGB, 0..1")
    assert "output 'output_0' is taken as the steering, and not 'output_1'" in caplog.text
    picture = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    expected, _ = model(picture[np.newaxis] / np.float32(255), training=False)
    assert policy.next_answer(picture, ())[0].steering == pytest.approx(
        expected.numpy().item(), abs=1e-5
    )


def litert_content(model, number_type, picture, folder):
    """Return a LiteRT file of a pilot, whose inputs and outputs are numbers of a type.

    number_type: "" for float32, converted as donkeycar 5.4 does (keras_to_tflite)
    picture: one that the pilot will see, from which the ranges of whole numbers are measured
    folder: for a temporary file
    """
    if not number_type:
        given = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="img_in")
        called = tf.function(model, input_signature=[given])
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [called.get_concrete_function()], called
        )
        return converter.convert()
    model.export(folder / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    if number_type != "float32":
        values = (picture / np.float32(255))[np.newaxis]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([values * gain] for gain in (0.2, 1))
        converter.inference_input_type = getattr(tf, number_type)
        converter.inference_output_type = getattr(tf, number_type)
    return converter.convert()
