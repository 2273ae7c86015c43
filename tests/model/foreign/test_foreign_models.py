"""Models of other programs answer as their authors' programs let them, whatever prepared their
frames.
"""

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

from bcclone.evaluation.predict import read_steering
from bcclone.model.model_file import load_model, open_model
from bcclone.model.policy import load_one_of_several, load_policy
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.conftest import result_of, run_script
from tests.messages.refusals import run_command

FRAME = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)


def network(*shape, first=(), name=None, gain=0.05):
    """A small network with weights of a seed, whose answers to values of -1 to 1 are of a car's
    size.
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
    learned = [weight for layer in model.layers[-3:] for weight in layer.weights]
    for weight in learned:
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


AUTHORS = {  # --preprocess -> what the author's program does to a frame
    "rows 60-140, 64x64, RGB, 0..1": lambda frame: cv2.resize(frame[60:140], (64, 64)) / 255,
    "80x80, BGR, area, -0.5..0.5": lambda frame: (
        cv2.resize(frame, (80, 80), interpolation=3)[..., ::-1] / 255 - 0.5
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
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("text", AUTHORS)
def test_a_text_prepares_frames_as_the_author_did_and_is_stored(text, tmp_path):
    values = np.asarray(AUTHORS[text](FRAME), np.float32)
    model = network(*values.shape)
    model.save(tmp_path / "old.h5")
    expected = float(model(values[np.newaxis])[0, 0])
    assert load_policy(tmp_path / "old.h5", text).answer(FRAME).steering == pytest.approx(
        expected, abs=1e-5
    )
    new = tmp_path / "new.h5"
    imported = result_of("import-model", tmp_path / "old.h5", "-o", new, "--preprocess", text)
    policy = load_policy(new)
    assert policy.answer(FRAME).steering == pytest.approx(expected, abs=1e-5)
    stated = policy.preprocessing.describe()
    bare = stated.removesuffix(f", {policy.preprocessing.scale}")
    assert imported["preprocessing"] == stated != bare
    for same in (text, stated, bare):
        load_policy(new, same)
    with pytest.raises(UserError, match="states its own preprocessing.*import its old file again"):
        load_policy(new, f"{bare}, {'0..1' if 'raw' in text else 'raw'}")


@pytest.fixture
def unscaled(tmp_path):
    """A model whose author divides the pixels by 255, and twelve frames."""
    model, folder = network(66, 200, 3, gain=0.15), tmp_path / "frames"
    model.save(tmp_path / "old.h5")
    folder.mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (160, 320, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "old.h5"


def test_pixels_that_nothing_scales_are_said_and_no_answer_is_beyond_full_steering(
    unscaled, tmp_path
):
    words = unscaled, tmp_path / "frames", "-o", tmp_path / "p.csv", "--json", "--preprocess"
    done = run_script("predict", *words, "nvidia-66x200-yuv")
    assert "no layer scales the pixels" in done.stderr
    assert "--preprocess 'rows 60-135, 200x66, YUV, 0..1'" in done.stderr
    result, steering = json.loads(done.stdout), read_steering(tmp_path / "p.csv")
    assert result["clipped"] > 6
    assert (
        f"{result['clipped']} of 12 answers are beyond -1 to 1, written as -1 or 1" in done.stderr
    )
    assert "pixels / 255" in result["advice"]
    assert max(map(abs, steering.values())) == 1
    done = run_script("predict", *words, "nvidia-66x200-yuv, 0..1", "--force")
    assert ("note" in done.stderr, json.loads(done.stdout)["clipped"]) == (False, 0)
    assert (
        run_script("predict", *words, "nvidia-66x200-yuv, raw", "--force").stderr.count(
            "no layer scales"
        )
        == 0
    )
    network(66, 200, 3, first=[layers.Rescaling(1 / 255)]).save(unscaled)
    twice = (
        "its own layer .* scales the pixels again after 0..1; leave that out.*"
        "'rows 60-135, 200x66, YUV'"
    )
    assert re.search(
        twice, run_script("predict", *words, "nvidia-66x200-yuv, 0..1", "--force").stderr
    )
    for number, (mean, variance) in enumerate(
        [(0.4, 0.1), (0.0, 1.0), (110.0, 3000.0)]
    ):  # a note is given once
        for layer in (
            layers.Normalization(mean=mean, variance=variance),
            layers.BatchNormalization(),
        ):
            model = network(66, 200, 3, first=[layer])
            if "batch" in layer.name:
                layer.set_weights([np.full(3, value) for value in (1, 0, mean, variance)])
            path = tmp_path / f"{layer.name}_{number}.h5"
            model.save(path)
            done = run_script("predict", path, *words[1:], "nvidia-66x200-yuv", "--force")
            assert ("no layer scales the pixels" in done.stderr) == (mean < 1)
            done = run_script("predict", path, *words[1:], "nvidia-66x200-yuv, 0..1", "--force")
            assert bool(re.search(twice, done.stderr)) == (mean > 1)


@pytest.mark.slow
@pytest.mark.parametrize("way", [(), ("--in-process",)], ids=["served", "in process"])
def test_a_drive_says_what_does_not_fit(way, tmp_path):
    network(66, 200, 3, gain=0.5).save(tmp_path / "old.h5")
    words = "--preprocess", "nvidia-66x200-yuv", "--laps", "0.04", *way
    done = run_script("evaluate", tmp_path / "old.h5", *words)
    assert re.search(r"full steering in \d+ % of the answers", done.stdout)
    if way:
        assert (
            "full steering in"
            in result_of("evaluate", tmp_path / "old.h5", *words, "--quiet")["notes"][0]
        )
        words = "--preprocess", words[1], "--laps", "0.01", "--rows", "lake-30", "--jobs", "1"
        assert (
            "old in lake-30: full steering"
            in run_script("suite", tmp_path / "old.h5", *words).stdout
        )
    assert "no layer scales the pixels" in done.stderr
    assert (
        "answers are beyond -1 to 1, full steering: was it trained on pixels / 255" in done.stderr
    )


def test_a_missing_or_unfit_preprocessing_is_refused_with_what_fits(tmp_path):
    network(64, 64, 3).save(tmp_path / "old.h5")
    with pytest.raises(
        UserError, match=r"'rows 60-140, 64x64, RGB, 0..1', or find it.*import-model .* --recording"
    ):
        load_model(tmp_path / "old.h5")
    network(64, 64, 6).save(tmp_path / "stacked.h5")
    with pytest.raises(
        UserError, match="takes 64 x 64 x 6 .* stacked as channels.* are not supported$"
    ):
        load_model(tmp_path / "stacked.h5", "64x64, RGB")
    network(66, 200, 3).save(tmp_path / "yuv.h5")
    with pytest.raises(
        UserError,
        match=r"--preprocess 'nvidia-66x200-yuv, 0..1' or .* --preprocess course-66x200-yuv",
    ):
        load_model(tmp_path / "yuv.h5")
    with pytest.raises(
        UserError,
        match="64 x 64 x 3 .*, and rows 60-135, 200x66, YUV makes 66 x 200 x 3; give .*64x64",
    ):
        load_model(tmp_path / "old.h5", "nvidia-66x200-yuv")
    with pytest.raises(UserError, match="--preprocess foo: 'foo', expected a preset"):
        load_model(tmp_path / "old.h5", "foo")


@pytest.mark.slow
def test_the_preprocessing_is_found_with_a_recording(simulated_recording, tmp_path):
    rows = read_log(simulated_recording / "driving_log.csv").rows
    model = network(20, 40, 1)
    frames = [
        cv2.imread(str(simulated_recording / "IMG" / name))[..., ::-1] for name in rows["center"]
    ]
    values = np.stack(
        [
            cv2.resize(hsv(np.ascontiguousarray(frame))[60:140], (40, 20))[..., 1:2]
            for frame in frames
        ]
    )
    inputs = np.reshape(model.layers[0](values / np.float32(255)), (len(values), -1))
    solved = np.linalg.lstsq(np.c_[inputs, np.ones(len(inputs))], rows["steering"], rcond=1e-3)[0]
    model.layers[-1].set_weights([solved[:-1, np.newaxis], solved[-1:]])
    model.save(tmp_path / "old.h5")
    looked = result_of(
        "import-model", tmp_path / "old.h5", "--recording", simulated_recording, cwd=tmp_path
    )
    assert looked["model"] is None
    assert not (tmp_path / "model.h5").exists()
    best = looked["candidates"][0]
    assert best["preprocess"] == "rows 60-140, 40x20, HSV-S, 0..1"
    assert best["correlation"] > 0.8
    text = run_script(
        "import-model", tmp_path / "old.h5", "--recording", simulated_recording
    ).stdout
    assert "'rows 60-140, 40x20, HSV-S, 0..1'" in text
    new = tmp_path / "new.h5"
    written = result_of(
        "import-model", tmp_path / "old.h5", "--recording", simulated_recording, "-o", new
    )
    assert (written["model"], written["preprocessing"]) == (
        str(new),
        "rows 60-140, 40x20, HSV-S, 0..1",
    )
    words = "--recording", simulated_recording, "-o", new, "--force", "--preprocess"
    judged = result_of("import-model", tmp_path / "old.h5", *words, "rows 60-140, HSV-S, 0..1")
    assert judged["candidates"] == [best]
    (worse,) = result_of("import-model", tmp_path / "old.h5", *words, "HSV-S, raw")["candidates"]
    assert worse["correlation"] < best["correlation"]
    network(20, 40, 3).save(tmp_path / "untrained.h5")
    with pytest.raises(UserError, match="none is clearly the best.*\n.*--preprocess\n.* 'rows"):
        run_command(
            "import-model",
            tmp_path / "untrained.h5",
            "--recording",
            simulated_recording,
            "-o",
            tmp_path / "x.h5",
        )


# ---- what Keras writes


def same_answers(path, model, shape=(48, 64, 3)):
    values = np.random.default_rng(2).integers(0, 256, (3, *shape)).astype("float32")
    found = open_model(path).rebuilt.model(values)
    np.testing.assert_allclose(found, model(values, training=False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_layers_of_training_alone_change_nothing(ending, tmp_path):
    inner = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], name="augment"
    )
    brightness = (
        [layers.RandomBrightness(0.2)] if ending == "keras" else []
    )  # Keras itself cannot save it as .h5
    first = [
        inner, *brightness, layers.RandomContrast(0.2), layers.RandomZoom(0.1, fill_mode="nearest"),
        layers.RandomErasing(), layers.MixUp(), layers.Rescaling(1 / 127.5, -1),
    ]  # fmt: skip
    model = network(48, 64, 3, first=first)
    model.save(tmp_path / f"old.{ending}")
    same_answers(tmp_path / f"old.{ending}", model)
    assert any(
        "acts in training only" in note
        for note in open_model(tmp_path / f"old.{ending}").rebuilt.notes
    )


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
    run_script("import-model", path, "-o", tmp_path / "new.h5", "--preprocess", "RGB")
    values = np.random.default_rng(2).integers(0, 256, (3, 48, 64, 3)).astype("float32")
    np.testing.assert_allclose(
        load_model(tmp_path / "new.h5").model(values), model(values), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "config", ["m.json", "m.weights.json", "model.json", "config.json", "network.json"]
)
def test_weights_of_keras_3_are_read_with_the_configuration_beside_them(config, tmp_path, caplog):
    model = network(48, 64, 3, first=[layers.Rescaling(1 / 255)])
    model.save_weights(tmp_path / "m.weights.h5")
    for other in ("", "history.json"):
        if other:
            (tmp_path / other).write_text('{"loss": [1.0]}')
        with pytest.raises(UserError, match="holds weights only; put the network's configuration"):
            open_model(tmp_path / "m.weights.h5")
    (tmp_path / other).unlink()
    (tmp_path / config).write_text(model.to_json())
    same_answers(tmp_path / "m.weights.h5", model)
    same_answers(tmp_path / config, model)
    assert (f"its network is read from {tmp_path / config}" in caplog.text) == (
        config == "network.json"
    )
    (tmp_path / "m.weights.h5").unlink()
    with pytest.raises(
        UserError, match="is the network's configuration, without its weights; put them beside it"
    ):
        open_model(tmp_path / config)


def test_a_lambda_that_resizes_becomes_a_resizing_layer(tmp_path):
    first = [layers.Lambda(lambda x: tf.image.resize(x, (24, 32))), layers.Rescaling(1 / 127.5, -1)]
    model = network(48, 64, 3, first=first)
    model.save(tmp_path / "old.h5")
    same_answers(tmp_path / "old.h5", model)


def test_a_network_for_any_size_takes_the_size_that_is_given(tmp_path):
    image = keras.Input((None, None, 3))
    values = layers.GlobalAveragePooling2D()(
        layers.Conv2D(2, 5, 4)(layers.Rescaling(1 / 255)(image))
    )
    model = keras.Model(image, layers.Dense(1)(values))
    model.save(tmp_path / "old.keras")
    with pytest.raises(
        UserError, match="its input has the shape .* by --preprocess, such as 200x66"
    ):
        load_policy(tmp_path / "old.keras", "YUV")
    expected = float(model(cv2.resize(FRAME, (64, 48))[np.newaxis].astype("float32"))[0, 0])
    for load in (load_policy, load_one_of_several):
        answer = load(tmp_path / "old.keras", "64x48, RGB").answer(FRAME).steering
        assert answer == pytest.approx(expected, abs=1e-5)


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


def pilot(outputs, shape=(120, 160, 3)):
    # with some weights no unit is active, so all angles are equally likely and none is the answer
    keras.utils.set_random_seed(1)
    image = keras.Input(shape, name="img_in")
    first = {
        "raw": layers.Cropping2D(((10, 0), (0, 0))),
        "scaled": layers.Rescaling(1 / 127.5, -1),
    }.get(outputs)
    values = first(image) if first else image  # as in donkeycar 2
    values = layers.Flatten()(layers.Conv2D(4, 5, 8, activation="relu")(values))
    values = layers.Dropout(0.2)(layers.Dense(8, activation="relu")(values))
    if outputs in ("linear", "raw", "scaled"):
        heads = [layers.Dense(1, name=f"n_outputs{number}")(values) for number in (0, 1)]
    elif outputs in ("categorical", "localizer"):
        heads = [
            layers.Dense(15, "softmax", name="angle_out" if outputs == "categorical" else "angle")(
                values
            )
        ]
        heads.append(layers.Dense(20, "softmax", name="throttle_out")(values))
    else:
        heads = layers.Dense(2, name="outputs" if outputs == "3D" else "model_outputs")(values)
    return keras.Model(image, heads, name=outputs)


def donkeycars(model, picture):
    """The angle as donkeycar computes it (parts/keras.py and utils.py), cut to what a car can
    steer.
    """
    outputs = model(
        (picture / (1 if model.name in ("raw", "scaled") else 255))[np.newaxis].astype("float32"),
        training=False,
    )
    first = np.ravel(outputs[0])
    return np.argmax(first) * 2 / 14 - 1 if len(first) == 15 else np.clip(first[0], -1, 1)


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize(
    "outputs", ["linear", "categorical", "localizer", "both in one", "3D", "raw", "scaled"]
)
def test_pilots_of_donkeycar_steer_pictures_of_a_tub_as_there(
    outputs, ending, untrained_model, tmp_path
):
    tub, expected = tmp_path / "tub" / "images", {}
    tub.mkdir(parents=True)
    model = pilot(outputs)
    for number in range(4):
        picture = cv2.resize(
            np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8), (160, 120)
        )
        PIL.Image.fromarray(picture).save(tub / f"{number}_cam.png")
        expected[f"{number}_cam"] = donkeycars(model, picture)
    path = tmp_path / f"pilot.{ending}"
    model.save(path)
    done = run_script("predict", path, tub, "-o", tmp_path / "p.csv", "--json")
    kind = "KerasCategorical" if outputs in ("categorical", "localizer") else "KerasLinear"
    scale = {"raw": ", raw", "scaled": ""}.get(outputs, ", 0..1")
    assert (
        f"a pilot of donkeycar ({kind}); its pictures are prepared as 160x120, RGB{scale}\n"
        in done.stderr
    )
    result = json.loads(done.stdout)
    assert read_steering(tmp_path / "p.csv") == pytest.approx(expected, abs=1e-5)
    assert result["input_size"] == "160x120"
    new = tmp_path / "pilot-imported.h5"
    imported = result_of("import-model", path, "-o", new)
    assert imported["preprocessing"] == f"160x120, RGB{scale}"
    result_of("predict", new, tub, "-o", tmp_path / "p.csv", "--force")
    assert read_steering(tmp_path / "p.csv") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("throttle_x", "other"), 1), (("a", "b"), 0), (("b", "the_angle"), 1),
        (("accel", "brake", "wheel"), 2), (("confidence", "control"), 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_a_dict", [False, True])
def test_an_output_that_is_no_steering_is_not_taken_for_it(
    names, taken, in_a_dict, tmp_path, caplog
):
    image = keras.Input((48, 64, 3))
    values = layers.GlobalAveragePooling2D()(
        layers.Conv2D(2, 5, 4)(layers.Rescaling(1 / 255)(image))
    )
    dense = {
        name: layers.Dense(1, name=f"of_{number}" if in_a_dict else name)(values)
        for number, name in enumerate(names)
    }
    model = keras.Model(image, dense if in_a_dict else [*dense.values()])
    model.save(tmp_path / "old.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3)).astype("float32")
    rebuilt = open_model(tmp_path / "old.keras").rebuilt.model
    expected = model(pixels)[names[taken] if in_a_dict else taken]
    np.testing.assert_allclose(rebuilt(pixels), expected, atol=1e-5)
    open_model(tmp_path / "old.keras").declared("RGB")
    is_named = names[taken] in ("wheel", "the_angle")
    assert (
        f"no name of its outputs says which is the steering: '{names[taken]}'" in caplog.text
    ) == (not is_named)


def test_the_class_of_a_left_out_layer_is_no_pattern_that_folders_are_searched_with(tmp_path):
    image = keras.Input((48, 64, 3))
    values = layers.GlobalAveragePooling2D()(image)
    outputs = [layers.Dense(1, name=name)(values) for name in ("steering", "other")]
    keras.Model(image, outputs).save(tmp_path / "old.keras")
    with (
        zipfile.ZipFile(tmp_path / "old.keras") as old,
        zipfile.ZipFile(tmp_path / "new.keras", "w") as new,
    ):
        config = json.loads(old.read("config.json"))
        config["config"]["layers"][-1]["class_name"] = "("
        new.writestr("config.json", json.dumps(config))
        for name in ("metadata.json", "model.weights.h5"):
            new.writestr(name, old.read(name))
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
@pytest.mark.parametrize("outputs", ["linear", "categorical", "int8", "uint8"])
def test_a_pilot_in_a_litert_file_steers_as_the_one_of_keras(outputs, tmp_path):
    is_whole = "int8" in outputs
    tub, model = tmp_path / "tub", pilot("linear" if is_whole else outputs)
    tub.mkdir()
    picture = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    PIL.Image.fromarray(picture).save(tub / "1.png")
    model.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    if is_whole:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [(picture / np.float32(255))[np.newaxis] * x] for x in (0.2, 1)
        )
        converter.inference_input_type = converter.inference_output_type = getattr(tf, outputs)
    (tmp_path / "pilot.tflite").write_bytes(converter.convert())
    result_of("predict", tmp_path / "pilot.tflite", tub, "-o", tmp_path / "p.csv")
    steering = read_steering(tmp_path / "p.csv")["1"]
    assert steering == pytest.approx(donkeycars(model, picture), abs=0.02 if is_whole else 1e-5)
    with pytest.raises(UserError, match="no longer a network of Keras"):
        run_command("import-model", tmp_path / "pilot.tflite", "-o", tmp_path / "new.h5")


def test_a_saved_model_and_a_folder_are_named_as_what_they_are(tmp_path):
    folder = tmp_path / "pilot.savedmodel"
    folder.mkdir()
    with pytest.raises(UserError, match="is a folder, expected a model file"):
        load_model(folder)
    (folder / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"a SavedModel.*\.save\('pilot\.h5'\).*SAVE_MODEL_AS_H5"):
        load_model(folder)
