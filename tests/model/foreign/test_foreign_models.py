"""Models of other programs answer as in their authors' programs, whatever prepared their frames."""

import io
import json
import pickle
import re
import zipfile

import cv2
import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from keras import layers

from bcclone.evaluation.steering_table import read_steering
from bcclone.model.model_file import load_model, open_model
from bcclone.model.policy import load_one_of_several, load_policy
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.conftest import result_of, run_script
from tests.messages.refusals import run_command

FRAME = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)


def network(*shape, first=(), name=None, gain=0.05):
    """Return a small network whose weights are random but for a fixed seed.

    For values of -1 to 1, it answers as a car steers.

    first: layers before the convolution
    gain: standard deviation of the weights
    """
    stride = 8 if min(shape[:2]) > 40 else 4
    model = keras.Sequential(
        [
            keras.Input(shape),
            *first,
            layers.Conv2D(2, 5, stride, "valid", activation="relu"),
            layers.Flatten(),
            layers.Dense(1),
        ],
        name=name,
    )
    random = np.random.default_rng(1)
    for layer in model.layers[-3:]:
        for weight in layer.weights:
            weight.assign(random.normal(0, gain, weight.shape))
    return model


def hsv(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)


def grey(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def standardized(image):
    return (image - image.mean()) / image.std()


def blurred_yuv(frame):
    return cv2.GaussianBlur(cv2.cvtColor(frame[60:135], cv2.COLOR_RGB2YUV), (3, 3), 0)


# --preprocess -> what the author's program does to a frame
AUTHORS = {
    "rows 60-140, 64x64, RGB, 0..1": lambda frame: cv2.resize(frame[60:140], (64, 64)) / 255,
    "80x80, BGR, area, -0.5..0.5": lambda frame: (
        cv2.resize(frame, (80, 80), interpolation=cv2.INTER_AREA)[..., ::-1] / 255 - 0.5
    ),
    "rows 50-140, grey, 128x32, x / 127.5 - 1": lambda frame: (
        cv2.resize(grey(frame[50:140]), (128, 32))[..., None] / 127.5 - 1
    ),
    "32x16, S of HSV, 0..1": lambda frame: hsv(cv2.resize(frame, (32, 16)))[..., 1:2] / 255,
    "mean 123.7 116.8 103.9 deviation 58": lambda frame: (
        (cv2.resize(frame, (64, 64)) - [123.7, 116.8, 103.9]) / 58
    ),
    "course-66x200-yuv": lambda frame: cv2.resize(blurred_yuv(frame), (200, 66)) / 255,
    "mean and deviation": lambda frame: standardized(cv2.resize(frame, (64, 64))),
    "64x64, raw": lambda frame: cv2.resize(frame, (64, 64)),
}


@pytest.mark.slow
@pytest.mark.parametrize("text", AUTHORS)
def test_a_text_prepares_frames_as_the_author_did_and_is_stored(text, tmp_path):
    values = np.asarray(AUTHORS[text](FRAME), np.float32)
    model = network(*values.shape)
    old = tmp_path / "old.h5"
    model.save(old)
    expected = pytest.approx(float(model(values[np.newaxis])[0, 0]), abs=1e-5)
    assert load_policy(old, text).answer(FRAME).steering == expected

    new = tmp_path / "new.h5"
    imported = result_of("import-model", old, "-o", new, "--preprocess", text)
    policy = load_policy(new)
    assert policy.answer(FRAME).steering == expected
    stated = policy.preprocessing.describe()
    without_scale = stated.removesuffix(f", {policy.preprocessing.scale}")
    assert imported["preprocessing"] == stated
    assert without_scale != stated

    for same in (text, stated, without_scale):
        load_policy(new, same)
    other_scale = "0..1" if "raw" in text else "raw"
    with pytest.raises(UserError, match="states its own preprocessing.*import its old file again"):
        load_policy(new, f"{without_scale}, {other_scale}")


@pytest.fixture
def unscaled(tmp_path):
    """A model whose author divides the pixels by 255, and twelve frames in a folder beside it."""
    path = tmp_path / "old.h5"
    network(66, 200, 3, gain=0.15).save(path)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (160, 320, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(frames / f"{number}.png")
    return path


SCALED_BY_NOTHING = "no layer scales the pixels"
SCALED_TWICE = (
    "its own layer .* scales the pixels again after 0..1; leave that out.*"
    "'rows 60-135, 200x66, YUV'"
)


def predict(model, preprocess):
    """Predict the frames beside a model, into p.csv; return what the command prints."""
    folder = model.parent
    options = ("-o", folder / "p.csv", "--json", "--force", "--preprocess", preprocess)
    return run_script("predict", model, folder / "frames", *options)


def test_pixels_that_nothing_scales_are_said_and_no_answer_is_beyond_full_steering(unscaled):
    done = predict(unscaled, "nvidia-66x200-yuv")
    assert SCALED_BY_NOTHING in done.stderr
    assert "--preprocess 'rows 60-135, 200x66, YUV, 0..1'" in done.stderr
    result = json.loads(done.stdout)
    clipped = result["clipped"]
    assert clipped > 6
    assert f"{clipped} of 12 answers are beyond -1 to 1, written as -1 or 1" in done.stderr
    assert "pixels / 255" in result["advice"]
    steering = read_steering(unscaled.with_name("p.csv"))
    assert max(map(abs, steering.values())) == 1

    done = predict(unscaled, "nvidia-66x200-yuv, 0..1")
    assert "note" not in done.stderr
    assert json.loads(done.stdout)["clipped"] == 0

    done = predict(unscaled, "nvidia-66x200-yuv, raw")
    assert "no layer scales" not in done.stderr


def test_pixels_that_are_scaled_twice_are_said(unscaled):
    network(66, 200, 3, first=[layers.Rescaling(1 / 255)]).save(unscaled)
    done = predict(unscaled, "nvidia-66x200-yuv, 0..1")
    assert re.search(SCALED_TWICE, done.stderr)


@pytest.mark.parametrize("kind", ["Normalization", "BatchNormalization"])
@pytest.mark.parametrize(("mean", "variance"), [(0.4, 0.1), (0.0, 1.0), (110.0, 3000.0)])
def test_a_normalization_scales_pixels_if_its_mean_is_that_of_pixels(
    kind, mean, variance, unscaled, tmp_path
):
    if kind == "Normalization":
        layer = layers.Normalization(mean=mean, variance=variance)
    else:
        layer = layers.BatchNormalization()
    model = network(66, 200, 3, first=[layer])
    if kind == "BatchNormalization":
        gamma = 1
        beta = 0
        layer.set_weights([np.full(3, value) for value in (gamma, beta, mean, variance)])
    path = tmp_path / "normalized.h5"
    model.save(path)

    done = predict(path, "nvidia-66x200-yuv")
    assert (SCALED_BY_NOTHING in done.stderr) == (mean < 1)
    done = predict(path, "nvidia-66x200-yuv, 0..1")
    assert bool(re.search(SCALED_TWICE, done.stderr)) == (mean > 1)


BEYOND_FULL_STEERING = "answers are beyond -1 to 1, full steering: was it trained on pixels / 255"


@pytest.fixture
def oversteering(tmp_path):
    """A model whose author divides the pixels by 255, and whose answers are large without that."""
    network(66, 200, 3, gain=0.5).save(tmp_path / "old.h5")
    return tmp_path / "old.h5"


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--in-process",)], ids=["served", "in process"])
def test_a_drive_says_what_does_not_fit(options, oversteering):
    line = (oversteering, "--preprocess", "nvidia-66x200-yuv", "--laps", "0.04", *options)
    done = run_script("evaluate", *line)
    assert re.search(r"full steering in \d+ % of the answers", done.stdout)
    assert SCALED_BY_NOTHING in done.stderr
    assert BEYOND_FULL_STEERING in done.stderr


@pytest.mark.slow
def test_scores_say_what_does_not_fit(oversteering):
    line = (oversteering, "--preprocess", "nvidia-66x200-yuv")
    scores = result_of("evaluate", *line, "--laps", "0.04", "--in-process", "--quiet")
    assert "full steering in" in scores["notes"][0]
    row = ("--laps", "0.01", "--rows", "lake-30", "--jobs", "1")
    assert "old in lake-30: full steering" in run_script("suite", *line, *row).stdout


@pytest.mark.parametrize(
    ("shape", "preprocess", "message"),
    [
        (
            (64, 64, 3),
            None,
            r"'rows 60-140, 64x64, RGB, 0..1', or find it.*import-model .* --recording",
        ),
        (
            (64, 64, 6),
            "64x64, RGB",
            "takes 64 x 64 x 6 .* stacked as channels.* are not supported$",
        ),
        (
            (66, 200, 3),
            None,
            r"--preprocess 'nvidia-66x200-yuv, 0..1' or .* --preprocess course-66x200-yuv",
        ),
        (
            (64, 64, 3),
            "nvidia-66x200-yuv",
            "64 x 64 x 3 .*, and rows 60-135, 200x66, YUV makes 66 x 200 x 3; give .*64x64",
        ),
        ((64, 64, 3), "foo", "--preprocess foo: 'foo', expected a preset"),
    ],
)
def test_a_missing_or_unfit_preprocessing_is_refused_with_what_fits(
    shape, preprocess, message, tmp_path
):
    network(*shape).save(tmp_path / "old.h5")
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "old.h5", preprocess)


def solve(model, inputs, answers):
    """Give the last layer the weights with which the network answers best.

    inputs: of all rows, in the form of the network's input
    """
    features = np.reshape(model.layers[0](inputs), (len(inputs), -1))
    with_one = np.c_[features, np.ones(len(features))]
    solved, *_ = np.linalg.lstsq(with_one, answers, rcond=1e-3)
    model.layers[-1].set_weights([solved[:-1, np.newaxis], solved[-1:]])


@pytest.fixture
def solved(simulated_recording, tmp_path):
    """A model that steers as the driver did, if it sees the saturation of part of the frame."""
    rows = read_log(simulated_recording / "driving_log.csv").rows
    inputs = []
    for name in rows["center"]:
        frame = cv2.imread(str(simulated_recording / "IMG" / name))[..., ::-1]
        image = cv2.resize(hsv(np.ascontiguousarray(frame))[60:140], (40, 20))
        inputs.append(image[..., 1:2])
    model = network(20, 40, 1)
    solve(model, np.stack(inputs) / np.float32(255), rows["steering"])
    model.save(tmp_path / "old.h5")
    return tmp_path / "old.h5"


@pytest.mark.slow
def test_the_preprocessing_is_found_with_a_recording(solved, simulated_recording, tmp_path):
    line = (solved, "--recording", simulated_recording)
    listed = result_of("import-model", *line, cwd=tmp_path)
    assert listed["model"] is None
    assert not (tmp_path / "model.h5").exists()
    best = listed["candidates"][0]
    assert best["preprocess"] == "rows 60-140, 40x20, HSV-S, 0..1"
    assert best["correlation"] > 0.8
    text = run_script("import-model", *line).stdout
    assert "'rows 60-140, 40x20, HSV-S, 0..1'" in text

    new = tmp_path / "new.h5"
    written = result_of("import-model", *line, "-o", new)
    assert written["model"] == str(new)
    assert written["preprocessing"] == "rows 60-140, 40x20, HSV-S, 0..1"

    # a preprocessing that is given is judged alone
    given = ("-o", new, "--force", "--preprocess")
    judged = result_of("import-model", *line, *given, "rows 60-140, HSV-S, 0..1")
    assert judged["candidates"] == [best]
    (worse,) = result_of("import-model", *line, *given, "HSV-S, raw")["candidates"]
    assert worse["correlation"] < best["correlation"]


@pytest.mark.slow
def test_a_preprocessing_that_is_not_clearly_the_best_must_be_given(simulated_recording, tmp_path):
    untrained = tmp_path / "untrained.h5"
    network(20, 40, 3).save(untrained)
    line = (untrained, "--recording", simulated_recording, "-o", tmp_path / "x.h5")
    with pytest.raises(UserError, match="none is clearly the best.*\n.*--preprocess\n.* 'rows"):
        run_command("import-model", *line)


# ---- what Keras writes


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
        layers.MixUp(),
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


@pytest.mark.parametrize(
    "config", ["m.json", "m.weights.json", "model.json", "config.json", "network.json"]
)
def test_weights_of_keras_3_are_read_with_the_configuration_beside_them(config, tmp_path, caplog):
    model = network(48, 64, 3, first=[layers.Rescaling(1 / 255)])
    weights = tmp_path / "m.weights.h5"
    model.save_weights(weights)
    without_config = "holds weights only; put the network's configuration"
    with pytest.raises(UserError, match=without_config):
        open_model(weights)
    history = tmp_path / "history.json"
    history.write_text('{"loss": [1.0]}')
    with pytest.raises(UserError, match=without_config):
        open_model(weights)
    history.unlink()

    (tmp_path / config).write_text(model.to_json())
    same_answers(weights, model)
    same_answers(tmp_path / config, model)
    # a name that could be another file's is said
    is_said = f"its network is read from {tmp_path / config}" in caplog.text
    assert is_said == (config == "network.json")

    weights.unlink()
    without_weights = "is the network's configuration, without its weights; put them beside it"
    with pytest.raises(UserError, match=without_weights):
        open_model(tmp_path / config)


def test_a_lambda_that_resizes_becomes_a_resizing_layer(tmp_path):
    first = [layers.Lambda(lambda x: tf.image.resize(x, (24, 32))), layers.Rescaling(1 / 127.5, -1)]
    model = network(48, 64, 3, first=first)
    model.save(tmp_path / "old.h5")
    same_answers(tmp_path / "old.h5", model)


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
    for load in (load_policy, load_one_of_several):
        answer = load(path, "64x48, RGB").answer(FRAME)
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
        (archive("archive/data.pkl", "archive/version"), "a model of PyTorch"),
        (archive("export/saved_model.pb"), "a SavedModel in an archive"),
        (
            archive("run/model.h5", "readme.txt"),
            "an archive of 2 files.*unpack it, and name 'run/model.h5' in it",
        ),
        (archive("driving_log.csv"), "an archive of 1 files"),
        (pickle.dumps({"a": 1}), "a pickle"),
        (b"<!DOCTYPE html>", "a page of a web site"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x20\x00\x00\x00TFL3", "a LiteRT file"),
        (b"\x1f\x8b\x08\x00", "a compressed file"),
        (b"\x08\x07\x12\x07pytorch\x1a", "an ONNX file; call it .onnx"),
        (b"nothing", "neither HDF5 nor .keras"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is(content, kind, tmp_path):
    (tmp_path / "old.h5").write_bytes(content)
    with pytest.raises(UserError, match=kind):
        open_model(tmp_path / "old.h5")


# ---- donkeycar


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


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize("outputs", PILOTS)
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

    done = run_script("predict", path, images, "-o", tmp_path / "p.csv", "--json")
    kind = "KerasCategorical" if outputs in OF_CLASSES else "KerasLinear"
    scale = {"raw": ", raw", "scaled": ""}.get(outputs, ", 0..1")
    assert (
        f"a pilot of donkeycar ({kind}); its pictures are prepared as 160x120, RGB{scale}\n"
    ) in done.stderr
    assert read_steering(tmp_path / "p.csv") == pytest.approx(expected, abs=1e-5)
    assert json.loads(done.stdout)["input_size"] == "160x120"

    new = tmp_path / "pilot-imported.h5"
    imported = result_of("import-model", path, "-o", new)
    assert imported["preprocessing"] == f"160x120, RGB{scale}"
    result_of("predict", new, images, "-o", tmp_path / "p.csv", "--force")
    assert read_steering(tmp_path / "p.csv") == pytest.approx(expected, abs=1e-5)


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
def test_an_output_that_is_no_steering_is_not_taken_for_it(
    names, steering, in_a_dict, tmp_path, caplog
):
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

    open_model(path).declared("RGB")
    is_guessed = f"no name of its outputs says which is the steering: '{steering}'" in caplog.text
    assert is_guessed == (steering not in ("wheel", "the_angle"))


def test_the_class_of_a_left_out_layer_is_no_pattern_that_folders_are_searched_with(tmp_path):
    image = keras.Input((48, 64, 3))
    values = layers.GlobalAveragePooling2D()(image)
    outputs = [layers.Dense(1, name=name)(values) for name in ("steering", "other")]
    keras.Model(image, outputs).save(tmp_path / "old.keras")
    with zipfile.ZipFile(tmp_path / "old.keras") as old:
        members = {name: old.read(name) for name in old.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][-1]["class_name"] = "("
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(tmp_path / "new.keras", "w") as new:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            new.writestr(name, members[name])
    with pytest.raises(UserError, match="for which its network has no layer"):
        open_model(tmp_path / "new.keras")


@pytest.mark.slow
def test_a_pilot_and_a_model_of_ours_are_replayed_side_by_side(
    untrained_model, simulated_recording, tmp_path
):
    pilot("linear").save(tmp_path / "pilot.keras")
    network(64, 64, 3, first=[layers.Rescaling(1 / 255)]).save(tmp_path / "other.h5")
    part = simulated_recording, "--fraction", "0:0.2"
    assert result_of("replay", untrained_model, tmp_path / "pilot.keras", *part)
    assert result_of("replay", untrained_model, tmp_path / "other.h5", *part, "--preprocess", "RGB")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outputs", "number_type"),
    [
        pytest.param("linear", "float32", id="linear"),
        pytest.param("categorical", "float32", id="categorical"),
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
    tolerance = 1e-5 if number_type == "float32" else 0.02
    assert steering == pytest.approx(angle_in_donkeycar(model, picture), abs=tolerance)
    with pytest.raises(UserError, match="no longer a network of Keras"):
        run_command("import-model", path, "-o", tmp_path / "new.h5")


def litert_content(model, number_type, picture, folder):
    """Return a LiteRT file of a pilot, whose inputs and outputs are numbers of a type.

    picture: one that the pilot will see, from which the ranges of whole numbers are measured
    folder: for a temporary file
    """
    model.export(folder / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    if number_type != "float32":
        values = (picture / np.float32(255))[np.newaxis]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([values * gain] for gain in (0.2, 1))
        converter.inference_input_type = getattr(tf, number_type)
        converter.inference_output_type = getattr(tf, number_type)
    return converter.convert()


def test_a_saved_model_and_a_folder_are_named_as_what_they_are(tmp_path):
    folder = tmp_path / "pilot.savedmodel"
    folder.mkdir()
    with pytest.raises(UserError, match="is a folder, expected a model file"):
        load_model(folder)
    (folder / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"a SavedModel.*\.save\('pilot\.h5'\).*SAVE_MODEL_AS_H5"):
        load_model(folder)
