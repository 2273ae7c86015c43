"""Models that cannot be rebuilt are refused with one line that gives the reason, and none of their
code is run.
"""

import json
import re

import h5py
import numpy as np
import pytest

from bcclone.model.model_file import load_model
from bcclone.system.errors import UserError
from tests.model.foreign.old_models import (
    NORMALIZE,
    keras1_config,
    keras2_config,
    layer,
    stored,
    write,
)


def refusal(path):
    with pytest.raises(UserError) as caught:
        load_model(path, "nvidia-66x200-yuv")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def changed(place, **config):
    """Return a network of Keras 1, with other arguments of one of its layers."""
    layers = keras1_config()["config"]
    layers[place]["config"].update(config)
    return {"class_name": "Sequential", "config": layers}


def with_layer(kind, **config):
    """Return a network of Keras 2 with one more layer."""
    network = keras2_config()
    network["config"]["layers"].insert(2, layer(kind, "more", **config))
    return network


def nested(depth):
    config = keras2_config()
    for _ in range(depth):
        config = {"class_name": "Sequential", "config": {"name": "inner", "layers": [config]}}
    return config


def graph(*items, end, inputs=("input",)):
    """Return a network of Keras 1 to 3 from layers with what they take."""
    shape = [None, 66, 200, 3]
    starts = [layer("InputLayer", name, batch_shape=shape) | {"name": name} for name in inputs]
    ends = {"input_layers": [[name, 0, 0] for name in inputs], "output_layers": [[end, 0, 0]]}
    config = {"name": "model", "layers": [*starts, *items], **ends}
    return {"class_name": "Functional", "config": config}


def branching(*inputs):
    """Return a network of two branches, from one input or from two."""
    dense = {
        name: layer("Dense", name, units=1) | {"inbound_nodes": [[[before, 0, 0, {}]]]}
        for name, before in (("left", inputs[0]), ("right", inputs[-1]))
    }
    both = layer("Add", "add") | {"inbound_nodes": [[["left", 0, 0, {}], ["right", 0, 0, {}]]]}
    return graph(*dense.values(), both, end="add", inputs=inputs)


def operation(kind, *arguments, module="keras.src.ops.core", **config):
    """Return a network of one operation, which is called with the input and these arguments."""
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["input", 0, 0]}}
    item = {
        "class_name": kind,
        "module": module,
        "config": {"name": "part", **config},
        "name": "part",
        "inbound_nodes": [{"args": [tensor, *arguments], "kwargs": {}}],
    }
    return graph(item, end="part")


def own_class():
    config = keras2_config()
    config["config"]["layers"][2]["registered_name"] = "mine>Conv2D"
    return config


CODE = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None}}
REVERSED = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": -1}}
NO_LAYER = r"\): is no layer or operation that is read; .*--preprocess.*; or convert it"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (changed(1, dim_ordering="th"), "dim_ordering is 'th', .*; expected 'tf': save the model"),
        (operation("GetItem", [REVERSED]), r"'part' \(GetItem\): takes slice.*rows 60-140"),
        (operation("Map", CODE), r"'part' \(Map\) is called with .*which is not read; convert it"),
        (operation("Cast", "/etc/passwd"), NO_LAYER),
        (operation("Arctan", module="mine"), r"'part' \(Arctan\): a custom class, 'mine'"),
        (with_layer("Conv1D", filters=2), NO_LAYER),
        (with_layer("TFOpLambda"), r"'more' \(TFOpLambda\): 'function'"),
        (with_layer("Normalization", axis=0, mean=1.0, variance=4.0), "axis is 0, expected"),
        (changed(1, activation="glu"), "activation is 'glu'; expected a function of keras.activ"),
        (changed(1, activation="hard_sigmoid"), "activation is 'hard_sigmoid'"),
        (own_class(), r"layer 'conv2d' \(Conv2D\): a custom class, 'mine>Conv2D'"),
        (branching("input"), r"'add' \(Add\) takes 2 inputs; .*convert it .*LiteRT"),
        (branching("input", "speed"), r"takes the inputs \['input', 'speed'\], expected pictures"),
        (nested(60), "weights"),
        (changed(1, nb_filter=3), r"'convolution2d_1'.*\(5, 3, 3, 2\).*expected \(5, 3, 3, 3\)"),
        (changed(1, subsample=[0, 1]), r"'convolution2d_1' .*strides"),
        (changed(1, unheard_of=3), "its argument 'unheard_of' is unknown"),
        (changed(1, nb_filter=1 << 40), "filters is 1099511627776, expected a number up to"),
        (changed(1, bias="yes"), "use_bias is 'yes', expected True or False"),
        (changed(1, nb_filter=60_000, nb_row=60, nb_col=60), "numbers|weights"),
        (changed(4, output_dim=60_000), "more weights than the file"),
        (changed(4, output_dim=60), "shape .60,., expected 1"),
        (changed(0, function="normalize"), "calls the function 'normalize'.*--rescale"),
        (changed(0, function=[NORMALIZE["3.8"], [1.0], None]), "outer values.*--rescale"),
        (changed(0, input_dtype="uint8"), "input_dtype is 'uint8'"),
        (changed(0, batch_input_shape=[None, 66, 200, None]), "its input has the shape"),
        (changed(1, name="renamed"), "'renamed' .*: its weights have the shapes none"),
        ({"class_name": "Driver", "config": {"layers": []}}, "type 'Driver'"),
        ({"class_name": "Sequential", "config": []}, "0 layers"),
        ("no json", "not a complete model file"),
        ("[" * 100_000, "not a complete model file"),
    ],
)
def test_unsupported_networks_are_refused_with_the_reason(tmp_path, config, expected):
    text = json.dumps(config) if isinstance(config, dict) else config
    path = write(tmp_path / "old.h5", keras1_config())
    with h5py.File(path, "r+") as file:
        file.attrs.create("model_config", text, dtype=h5py.string_dtype())
    assert re.search(expected, refusal(path))


def test_a_lambda_that_would_write_a_file_is_refused_and_not_run(tmp_path):
    victim = tmp_path / "victim"
    code = stored(eval(f"lambda x: open({str(victim)!r}, 'w').write('run') and x"))
    message = refusal(write(tmp_path / "old.h5", changed(0, function=[code, None, None])))
    assert "layer 'lambda_1' (Lambda)" in message
    assert "is not run" in message
    assert not victim.exists()


# ---- weights that are not there, or not ours to read

DENSE = "model_weights/dense_1"


def without_names(file):
    del file[DENSE].attrs["weight_names"]


def linked_out(file):
    del file[DENSE]["dense_1_W:0"]
    file[DENSE]["dense_1_W:0"] = h5py.ExternalLink("/etc/other.h5", f"{DENSE}/dense_1_W:0")


def not_finite(file):
    file[DENSE]["dense_1_W:0"][0] = np.nan


def of_theano(file):
    file.attrs["backend"] = "theano"


def of_theano_in_keras_1(file):
    """Its backend is not named, but the names of its arrays tell it."""
    for folder in file["model_weights"].values():
        names = [name.decode().removesuffix(":0") for name in folder.attrs["weight_names"]]
        for name in names:
            folder.move(f"{name}:0", name)
        folder.attrs["weight_names"] = [name.encode() for name in names]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (without_names, "lacks its list weight_names"),
        (linked_out, "is a link, which is not followed"),
        (not_finite, "not all finite"),
        (of_theano, "backend 'theano', .*: train it again.*KERAS_BACKEND=tensorflow"),
        (of_theano_in_keras_1, "backend 'theano', .*: train it again.*KERAS_BACKEND=tensorflow"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_weights_that_cannot_be_used_are_refused(tmp_path, damage, expected):
    path = write(tmp_path / "old.h5", keras1_config())
    with h5py.File(path, "r+") as file:
        damage(file)
    assert re.search(expected, refusal(path))
