"""Model files as the old versions of Keras wrote them, put together by hand."""

import base64
import json
import marshal

import h5py
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

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
_OLD = bytes.fromhex("0c000000 7c00 6401 1b00 6402 1800 5300")
_WIDE = bytes.fromhex("0c0000007c00006401001b6402001853")
NORMALIZE["3.5"] = base64.b64encode(
    base64.b64decode(NORMALIZE["3.6"]).replace(_OLD, _WIDE)
).decode()


def stored(function):
    return base64.b64encode(marshal.dumps(function.__code__)).decode()


def arrays():
    random = np.random.default_rng(5)
    shapes = [(5, 3, 3, 2), (2,), (16 * 99 * 2, 1), (1,)]
    return [random.uniform(-0.05, 0.05, shape).astype("float32") for shape in shapes]


def images():
    return np.random.default_rng(0).integers(0, 256, (4, 66, 200, 3), dtype=np.uint8)


def expected_output():
    """The network in numpy: normalised, a convolution of strides 4 and 2, relu, a dense layer."""
    kernel, kernel_bias, dense, dense_bias = arrays()
    windows = sliding_window_view(images() / 127.5 - 1, (5, 3), axis=(1, 2))[:, ::4, ::2]
    maps = np.maximum(np.einsum("nrcikl,klio->nrco", windows, kernel) + kernel_bias, 0)
    return (maps.reshape(len(maps), -1) @ dense + dense_bias)[:, 0]


def keras1_config():
    code = base64.b64decode(NORMALIZE["3.5"]).decode("latin-1")
    function = {
        "function": [code, None, None],
        "function_type": "lambda",
        "arguments": {},
        "output_shape": None,
    }
    convolution = {
        "nb_filter": 2, "nb_row": 5, "nb_col": 3, "subsample": [4, 2], "border_mode": "valid",
        "dim_ordering": "tf", "activation": "relu", "bias": True, "init": "glorot_uniform",
        "W_regularizer": None,
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
    function = {
        "function": [NORMALIZE["3.8"], None, None],
        "function_type": "lambda",
        "arguments": {},
    }
    convolution = {
        "filters": 2, "kernel_size": [5, 3], "strides": [4, 2], "padding": "valid",
        "data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1,
        "activation": "linear", "use_bias": True, "kernel_regularizer": None,
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
    """Write the model as Keras does.

    config: a value for JSON, or the text itself
    """
    text = config if isinstance(config, str) else json.dumps(config)
    names = []
    if isinstance(config, dict):
        names = [item["config"]["name"] for item in layers_of(config)]
    if weights is None:
        weights = arrays()
    left = list(weights)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = text.encode()
        group = file.create_group("model_weights") if nested else file
        group.attrs["layer_names"] = np.array([name.encode() for name in names])
        for name in names:
            folder = group.create_group(name)
            has_some = name.startswith(("conv", "dense"))
            own = [f"{name}_W:0", f"{name}/bias:0"] if has_some else []
            folder.attrs["weight_names"] = np.array([item.encode() for item in own])
            for item in own:
                folder[item] = left.pop(0)
    return path
