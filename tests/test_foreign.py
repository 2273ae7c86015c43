"""Keras models of others are rebuilt from what they say, give what they gave, and nothing in them is run."""

import base64
import json
import marshal
import re
import socket
from contextlib import suppress

import h5py
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from bcclone.commands.options import PRESET_NAMES
from bcclone.errors import UserError
from bcclone.images import PRESETS, Preprocessing
from bcclone.rebuild import Refused
from bcclone.rebuild.lambda_code import affine_of
from tests.conftest import run_script, shared

YUV = "nvidia-66x200-yuv"
INPUT = [None, 66, 200, 3]

# base64 of marshal.dumps(eval("lambda x: x/127.5 - 1.").__code__), by the Python that said it
NORMALIZE = {
    "2.7, marshal 0": (
        "YwEAAAABAAAAAgAAAEMAAQBzDAAAAHwAAGQBABVkAgAYUygDAAAATmYFMTI3LjVmATEoAAAAACgBAAAAcwEAAAB4KAAAAAAoAAAAAHMIAAAA"
        "PHN0cmluZz5zCAAAADxsYW1iZGE+AQAAAHMAAAAA"
    ),
    "2.7": (
        "YwEAAAABAAAAAgAAAEMAAQBzDAAAAHwAAGQBABVkAgAYUygDAAAATmcAAAAAAOBfQGcAAAAAAADwPygAAAAAKAEAAAB0AQAAAHgoAAAAACgA"
        "AAAAcwgAAAA8c3RyaW5nPnQIAAAAPGxhbWJkYT4BAAAAdAAAAAA="
    ),
    "3.6": (
        "4wEAAAAAAAAAAQAAAAIAAABDAAAAcwwAAAB8AGQBGwBkAhgAUwApA05nAAAAAADgX0BnAAAAAAAA8D+pACkB2gF4cgEAAAByAQAAANoIPHN0"
        "cmluZz7aCDxsYW1iZGE+AQAAAHMAAAAA"
    ),
    "3.8": (
        "4wEAAAAAAAAAAAAAAAEAAAACAAAAQwAAAHMMAAAAfABkARsAZAIYAFMAKQNOZwAAAAAA4F9AZwAAAAAAAPA/qQApAdoBeHIBAAAAcgEAAADa"
        "CDxzdHJpbmc+2gg8bGFtYmRhPgEAAADzAAAAAA=="
    ),
    "3.11": (
        "4wEAAAAAAAAAAAAAAAIAAAADAAAA8xIAAACXAHwAZAF6CwAAZAJ6CgAAUwApA05nAAAAAADgX0BnAAAAAAAA8D+pACkB2gF4cwEAAAAg+gg8"
        "c3RyaW5nPvoIPGxhbWJkYT5yBQAAAAEAAABzDgAAAIAAiCGIRYknkEKJLIAA8wAAAAA="
    ),
    "3.13": (
        "4wEAAAAAAAAAAAAAAAIAAAADAAAA8xIAAACVAFUAUwEtCwAAUwItCgAAJAApA05nAAAAAADgX0BnAAAAAAAA8D+pACkB2gF4cwEAAAAg2gg8"
        "c3RyaW5nPtoIPGxhbWJkYT5yBQAAAAEAAABzDAAAAIAAiCGIRYknkEKKLPMAAAAA"
    ),
}
# as Python 3.5 has it: instructions of one and three bytes; put together by hand from that of 3.6
_OLD, _WIDE = bytes.fromhex("0c000000 7c00 6401 1b00 6402 1800 5300"), bytes.fromhex("0c0000007c00006401001b6402001853")
NORMALIZE["3.5"] = base64.b64encode(base64.b64decode(NORMALIZE["3.6"]).replace(_OLD, _WIDE)).decode()


def stored(function):
    return base64.b64encode(marshal.dumps(function.__code__)).decode()


# ---- what byte code says


@pytest.mark.parametrize("python", NORMALIZE)
@pytest.mark.parametrize("as_text", [False, True], ids=["base64", "text"])
def test_byte_code_of_every_python_is_read(python, as_text):
    data = base64.b64decode(NORMALIZE[python])
    affine = affine_of(data.decode("latin-1") if as_text else NORMALIZE[python])
    assert (affine.scale, affine.offset) == (pytest.approx(1 / 127.5), -1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / 255,
        lambda x: x / 255.0 - 0.5,
        lambda x: (x - 128) / 128,
        lambda x: 2 * x / 255 - 1,
        lambda x: 1 - x / 127.5,
        lambda x: -x * 3,
        lambda x: x,
        lambda x: x - x / 2 + 12345678901,
    ],
)
def test_arithmetic_on_the_argument_is_read(function):
    affine = affine_of(stored(function))
    for x in (0.0, 1.0, 200.0):
        assert affine.scale * x + affine.offset == pytest.approx(function(x))


@pytest.mark.parametrize(
    ("function", "read"),
    [
        (lambda x: x * x, "BINARY_MULTIPLY"),
        (lambda x: 1 / x, "BINARY_TRUE_DIVIDE"),
        (lambda x: x / 0, "LOAD_CONST 0"),
        (lambda x: x - x, "BINARY_SUBTRACT"),
        (lambda x: np.arctan(x) * 2, "names: 'np', 'arctan'"),
        (lambda x: x["steering"], "LOAD_CONST 'steering'"),
        (lambda x, y: x + y, "LOAD_FAST"),
        (lambda x: x / 1e400, "LOAD_CONST inf"),
    ],
)
def test_anything_else_is_refused_with_the_instructions_read(function, read):
    with pytest.raises(Refused, match="is not run") as refusal:
        affine_of(stored(function))
    assert read in str(refusal.value)
    assert "Rescaling" in str(refusal.value)


def test_byte_code_that_is_cut_short_changed_or_hostile_is_refused():
    whole = base64.b64decode(NORMALIZE["3.11"])
    cut = [whole[:size] for size in range(len(whole))]
    nested = [b"(\x01\0\0\0" * 10_000, b"c" * 5000, b"(\xff\xff\xff\x7f", b"\xa9\x01r\0\0\0\0", b"N" * 100_000]
    for data in [*cut, *nested, whole + b"N"]:
        with pytest.raises(Refused, match="cannot be read"):
            affine_of(base64.b64encode(data).decode())
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(whole)
            data[place] ^= flip
            with suppress(Refused):
                affine_of(base64.b64encode(data).decode())


# ---- files as the old versions wrote them, put together by hand


def arrays():
    random = np.random.default_rng(5)
    shapes = [(5, 3, 3, 2), (2,), (16 * 99 * 2, 1), (1,)]
    return [random.uniform(-0.05, 0.05, shape).astype("float32") for shape in shapes]


def images():
    return np.random.default_rng(0).integers(0, 256, (4, 66, 200, 3), dtype=np.uint8)


def expected_output():
    """The network in numpy: normalised, one convolution of strides 4 and 2, relu, one dense layer."""
    kernel, kernel_bias, dense, dense_bias = arrays()
    windows = sliding_window_view(images() / 127.5 - 1, (5, 3), axis=(1, 2))[:, ::4, ::2]
    maps = np.maximum(np.einsum("nrcikl,klio->nrco", windows, kernel) + kernel_bias, 0)
    return (maps.reshape(len(maps), -1) @ dense + dense_bias)[:, 0]


def keras1_config():
    code = base64.b64decode(NORMALIZE["3.5"]).decode("latin-1")
    function = {"function": [code, None, None], "function_type": "lambda", "arguments": {}, "output_shape": None}
    convolution = {
        "nb_filter": 2, "nb_row": 5, "nb_col": 3, "subsample": [4, 2], "border_mode": "valid", "dim_ordering": "tf",
        "activation": "relu", "bias": True, "init": "glorot_uniform", "W_regularizer": None,
    }  # fmt: skip
    return {
        "class_name": "Sequential",
        "config": [
            layer("Lambda", "lambda_1", **function, batch_input_shape=INPUT, input_dtype="float32"),
            layer("Convolution2D", "convolution2d_1", **convolution),
            layer("Dropout", "dropout_1", p=0.5),
            layer("Flatten", "flatten_1"),
            layer("Dense", "dense_1", output_dim=1, activation="linear", bias=True, input_dim=3168),
        ],
    }


def keras2_config():
    function = {"function": [NORMALIZE["3.8"], None, None], "function_type": "lambda", "arguments": {}}
    convolution = {
        "filters": 2, "kernel_size": [5, 3], "strides": [4, 2], "padding": "valid", "data_format": "channels_last",
        "dilation_rate": [1, 1], "groups": 1, "activation": "linear", "use_bias": True, "kernel_regularizer": None,
        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
    }  # fmt: skip
    layers = [
        layer("InputLayer", "lambda_input", batch_input_shape=INPUT, dtype="float32", sparse=False),
        layer("Lambda", "lambda", **function),
        layer("Conv2D", "conv2d", **convolution),
        layer("ReLU", "re_lu", max_value=None, negative_slope=0.0, threshold=0.0),
        layer("SpatialDropout2D", "dropout", rate=0.5, data_format="channels_last"),
        layer("Flatten", "flatten", data_format="channels_last"),
        layer("Dense", "dense", units=1, activation="linear", use_bias=True, dtype="float32"),
    ]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def layers_of(config):
    return config["config"] if isinstance(config["config"], list) else config["config"]["layers"]


def write(path, config, *, nested=True, weights=None):
    """Write the model as Keras does; config: a value for JSON, or the text itself."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = (config if isinstance(config, str) else json.dumps(config)).encode()
        group = file.create_group("model_weights") if nested else file
        names = [item["config"]["name"] for item in layers_of(config)] if isinstance(config, dict) else []
        group.attrs["layer_names"] = np.array([name.encode() for name in names])
        left = list(arrays() if weights is None else weights)
        for name in names:
            folder = group.create_group(name)
            has_some = name.startswith(("conv", "dense"))
            own = [f"{name}_W:0", f"{name}/bias:0"] if has_some else []
            folder.attrs["weight_names"] = np.array([item.encode() for item in own])
            for item in own:
                folder[item] = left.pop(0)
    return path


@pytest.fixture
def load(untrained_model):
    from bcclone.model_file import load_model_file

    return load_model_file


def refusal(load, path, preprocessing=YUV):
    with pytest.raises(UserError) as caught:
        load(path, preprocessing)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("config", [keras1_config, keras2_config])
@pytest.mark.parametrize("nested", [True, False])
def test_a_model_of_old_keras_gives_what_its_network_says(load, tmp_path, config, nested):
    loaded = load(write(tmp_path / "old.h5", config(), nested=nested), YUV)
    np.testing.assert_allclose(loaded.model(images().astype("float32"))[:, 0], expected_output(), atol=1e-5)
    assert loaded.preprocessing == PRESETS[YUV]


def test_the_shared_old_models_give_their_recorded_outputs(load):
    folder = shared("legacy_models")
    for name, record in json.loads((folder / "expected.json").read_text()).items():
        batch = np.random.default_rng(0).integers(0, 256, (8, 66, 200, 3), dtype=np.uint8)
        model = load(folder / name, YUV).model
        np.testing.assert_allclose(model(batch.astype("float32"))[:, 0], record["output"], atol=1e-5)
        assert model.count_params() == record["params"]


def test_every_known_layer_means_what_keras_means_by_it(load, tmp_path):
    import keras
    from keras import layers

    made = keras.Sequential(
        [
            keras.Input((66, 200, 3)), layers.Rescaling(1 / 127.5, -1), layers.Cropping2D(((3, 4), (1, 2))),
            layers.Conv2D(4, 5, strides=4, activation="elu"), layers.BatchNormalization(), layers.LeakyReLU(0.1),
            layers.ReLU(6.0), layers.PReLU(shared_axes=[1, 2]), layers.ELU(0.5), layers.MaxPooling2D(2),
            layers.AveragePooling2D(2, padding="same"), layers.ZeroPadding2D(((1, 2), (3, 4))),
            layers.Conv2D(6, 3, padding="same", dilation_rate=2, groups=2, use_bias=False),
            layers.SpatialDropout2D(0.3), layers.Flatten(), layers.Dense(5), layers.BatchNormalization(),
            layers.Activation("relu"), layers.Dropout(0.5), layers.Dense(1),
        ]
    )  # fmt: skip
    random = np.random.default_rng(1)
    made.set_weights([random.uniform(0.01, 0.3, weight.shape) for weight in made.get_weights()])
    made.save(tmp_path / "new.h5")
    batch = images().astype("float32")
    np.testing.assert_allclose(load(tmp_path / "new.h5", YUV).model(batch), made(batch), rtol=1e-4, atol=1e-5)


def test_the_policy_prepares_the_frame_by_the_preset(tmp_path, untrained_model):
    from bcclone.policy import load_policy

    path = write(tmp_path / "old.h5", keras1_config())
    frame = np.random.default_rng(1).integers(0, 256, (160, 320, 3), dtype=np.uint8)
    swapped = load_policy(path, "nvidia-66x200-yuv-bgr").act(frame)
    assert swapped == pytest.approx(load_policy(path, PRESETS[YUV]).act(frame[..., ::-1]), abs=1e-5)
    assert swapped != pytest.approx(load_policy(path, YUV).act(frame), abs=1e-5)


# ---- what must be said


def test_without_a_preset_the_error_names_those_that_fit(load, tmp_path):
    message = refusal(load, write(tmp_path / "old.h5", keras1_config()), None)
    assert "does not say how its input is made" in message
    assert "66, 200, 3" in message
    assert "--preprocess nvidia-66x200-yuv or --preprocess nvidia-66x200-yuv-bgr" in message
    assert "carnd" not in message


def test_a_preset_of_another_shape_is_refused_with_both(load, tmp_path):
    message = refusal(load, write(tmp_path / "old.h5", keras1_config()), "carnd-128-rgb")
    assert "66, 200, 3" in message
    assert "128, 128, 3" in message
    with pytest.raises(UserError, match="no preprocessing is called"):
        load(tmp_path / "old.h5", "nvidia")


def test_a_model_of_ours_carries_its_own_definition(load, untrained_model):
    assert load(untrained_model, "carnd-128-rgb").preprocessing == Preprocessing()
    with pytest.raises(UserError, match="carries its own definition"):
        load(untrained_model, YUV)


def test_drive_says_how_frames_are_prepared_and_asks_when_the_model_does_not(tmp_path):
    path = write(tmp_path / "old.h5", keras1_config())
    with socket.create_server(("127.0.0.1", 0)) as taken:  # the port is in use, so it ends after loading
        port = taken.getsockname()[1]
        done = run_script("drive.py", path, "--preprocess", YUV, "--port", port, code=1)
    assert "frames are prepared as" in done.stderr
    assert "200x66 YUV" in done.stderr
    assert "in use" in done.stderr
    assert f"--preprocess {YUV}" in run_script("drive.py", path, code=1).stderr
    assert "nvidia-66x200-yuv-bgr" in run_script("drive.py", path, "--preprocess", "nvidia", code=2).stderr


def test_the_options_offer_all_presets():
    assert tuple(PRESETS) == PRESET_NAMES


# ---- what is refused


def changed(place, **config):
    layers = keras1_config()["config"]
    layers[place]["config"].update(config)
    return {"class_name": "Sequential", "config": layers}


def other_kind(kind):
    layers = keras1_config()["config"]
    layers[2]["class_name"] = kind
    return {"class_name": "Sequential", "config": layers}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (changed(1, dim_ordering="th"), r"layer 'convolution2d_1' \(Convolution2D\): .*channels first"),
        (changed(1, data_format="channels_first"), "channels first"),
        (changed(1, nb_filter=3), r"'convolution2d_1'.*\(5, 3, 3, 2\), \(2,\), expected \(5, 3, 3, 3\), \(3,\)"),
        (changed(1, activation="hard_sigmoid"), "activation is 'hard_sigmoid'"),
        (changed(1, border_mode="full"), "padding is 'full'"),
        (changed(1, subsample=[0, 1]), "strides is 0, expected a whole number from 1"),
        (changed(1, unheard_of=3), "its argument 'unheard_of' is not known"),
        (changed(1, nb_filter=60_000, nb_row=60, nb_col=60), "numbers|weights"),
        (changed(4, output_dim=60_000), "more than 67108864 weights"),
        (changed(4, output_dim=60), "gives .60,. numbers, expected 1"),
        (changed(4, bias=False), r"'dense_1'.*expected \(3168, 1\)"),
        (changed(0, function="normalize", function_type="function"), "calls the function|function_type"),
        (changed(0, function=[NORMALIZE["3.8"], [1.0], None]), "default or outer values"),
        (changed(0, arguments={"a": 1}), "arguments"),
        (changed(0, input_dtype="uint8"), "input_dtype is 'uint8'"),
        (changed(0, batch_input_shape=[None, None, 200, 3]), "its input has the shape"),
        (changed(0, batch_input_shape=[None, 1 << 40, 200, 3]), "its input has the shape"),
        (other_kind("GRU"), r"layer 'dropout_1' \(GRU\): layers of this kind are not rebuilt"),
        ({"class_name": "Model", "config": {"layers": []}}, "kind 'Model'"),
        ({"class_name": "Sequential", "config": []}, "0 layers"),
        ({"class_name": "Sequential"}, "not a whole model file"),
        ("no json", "not a whole model file"),
        ("[" * 100_000, "not a whole model file"),
        ('{"class_name": "Sequential", "config": ' + "[" * 100_000, "not a whole model file"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_with_the_reason(load, tmp_path, config, says):
    text = json.dumps(config) if isinstance(config, dict) else config
    path = write(tmp_path / "old.h5", keras1_config())
    with h5py.File(path, "r+") as file:
        file.attrs.create("model_config", text, dtype=h5py.string_dtype())
    assert re.search(says, refusal(load, path))


def test_a_lambda_that_would_write_a_file_is_refused_and_not_run(load, tmp_path):
    victim = tmp_path / "victim"
    source = f"lambda x: open({str(victim)!r}, 'w').write('run') and x"
    code = base64.b64encode(marshal.dumps(eval(source).__code__)).decode()
    path = write(tmp_path / "old.h5", changed(0, function=[code, None, None]))
    message = refusal(load, path)
    assert "layer 'lambda_1' (Lambda)" in message
    assert "is not run" in message
    assert "'open'" in message
    assert not victim.exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(load, tmp_path, share):
    path = write(tmp_path / "old.h5", keras1_config())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refusal(load, path)


DENSE = "model_weights/dense_1"


def without_weights(file, folder):
    del file["model_weights"]


def without_one(file, folder):
    del file[DENSE]["dense_1_W:0"]


def without_names(file, folder):
    del file[DENSE].attrs["weight_names"]


def enormous(file, folder):
    without_one(file, folder)
    file[DENSE].create_dataset("dense_1_W:0", (1 << 24, 1 << 24), "float32", chunks=(64, 64))[0, 0] = 1


def never_written(file, folder):
    without_one(file, folder)
    file[DENSE].create_dataset("dense_1_W:0", (3168, 1), "float32")


def linked_out(file, folder):
    write(folder / "other.h5", keras1_config())
    without_one(file, folder)
    file[DENSE]["dense_1_W:0"] = h5py.ExternalLink(str(folder / "other.h5"), f"{DENSE}/dense_1_W:0")


def folder_linked_out(file, folder):
    write(folder / "other.h5", keras1_config())
    del file["model_weights"]
    file["model_weights"] = h5py.ExternalLink(str(folder / "other.h5"), "model_weights")


def stored_outside(file, folder):
    (folder / "secret").write_bytes(bytes(3168 * 4))
    without_one(file, folder)
    file[DENSE].create_dataset("dense_1_W:0", (3168, 1), "float32", external=str(folder / "secret"))


def reference(file, folder):
    without_one(file, folder)
    file[DENSE].create_dataset("dense_1_W:0", data=[file.ref] * 3168, dtype=h5py.ref_dtype)


def not_finite(file, folder):
    file[DENSE]["dense_1_W:0"][0] = np.nan


def of_theano(file, folder):
    file.attrs["backend"] = "theano"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without_weights, "has no weights"),
        (without_one, "has no weights at 'dense_1_W:0'"),
        (without_names, "lacks its list weight_names"),
        (enormous, r"(16777216, 16777216), (1,), expected (3168, 1), (1,)"),
        (never_written, "were never written"),
        (linked_out, "is a link, which is not followed"),
        (folder_linked_out, "is a link, which is not followed"),
        (stored_outside, "lie in another file, which is not read"),
        (reference, "is no array of floats"),
        (not_finite, "not all finite"),
        (of_theano, "Theano"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_weights_that_are_not_there_or_not_ours_to_read_are_refused(load, tmp_path, damage, says):
    path = write(tmp_path / "old.h5", keras1_config())
    with h5py.File(path, "r+") as file:
        damage(file, tmp_path)
    assert says in refusal(load, path)
