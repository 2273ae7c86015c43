"""Models that cannot be rebuilt are refused with one line that gives the reason, and none of their
code is run.
"""

import json
import re

import h5py
import numpy as np
import pytest

from bcclone.model.foreign.stored import UnsupportedModel
from bcclone.model.foreign.stored_reader import read_layers
from bcclone.model.model_file import load_model
from bcclone.system.errors import UserError
from bcclone.system.hdf5_file import UnfitContent
from tests.model.foreign.old_models import (
    NORMALIZE,
    keras1_config,
    keras2_config,
    layer,
    stored,
    write,
)

YUV = "nvidia-66x200-yuv"


def refusal(path, preprocessing=YUV):
    with pytest.raises(UserError) as caught:
        load_model(path, preprocessing)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def changed(place, **config):
    layers = keras1_config()["config"]
    layers[place]["config"].update(config)
    return {"class_name": "Sequential", "config": layers}


def other_kind(kind):
    layers = keras1_config()["config"]
    layers[2]["class_name"] = kind
    return {"class_name": "Sequential", "config": layers}


def nested(depth):
    config = keras2_config()
    for _ in range(depth):
        config = {"class_name": "Sequential", "config": {"name": "inner", "layers": [config]}}
    return config


def graph(*layers, end):
    """Return a network of Keras 1 to 3 from layers with what they take."""
    start = layer("InputLayer", "input", batch_shape=[None, 66, 200, 3]) | {"inbound_nodes": []}
    ends = {"input_layers": [["input", 0, 0]], "output_layers": [[end, 0, 0]]}
    return {
        "class_name": "Functional",
        "config": {"name": "model", "layers": [start, *layers], **ends},
    }


def dense(name, before):
    return layer("Dense", name, units=1, use_bias=True) | {"inbound_nodes": [[[before, 0, 0, {}]]]}


def tensor(name):
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


def branching():
    both = layer("Add", "add") | {"inbound_nodes": [[["left", 0, 0, {}], ["right", 0, 0, {}]]]}
    return graph(dense("left", "input"), dense("right", "input"), both, end="add")


def operation(*arguments, kind="GetItem", module="keras.src.ops.numpy", **config):
    """Return a network of one operation, which is called with these arguments."""
    item = {
        "class_name": kind,
        "module": module,
        "config": {"name": "part", **config},
        "name": "part",
        "inbound_nodes": [{"args": list(arguments), "kwargs": {}}],
    }
    return graph(item, end="part")


def slice_of_the_batch():
    part = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": -1}}
    return operation(tensor("input"), [part])


def operation_with_code():
    code = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None}}
    return operation(tensor("input"), code, kind="Map", module="keras.src.ops.core")


def operation_with_a_path():
    return operation(tensor("input"), "/etc/passwd", kind="Cast", module="keras.src.ops.core")


def operation_of_another_program():
    return operation(tensor("input"), kind="Arctan", module="mine")


def operation_of_many_numbers():
    return operation(tensor("input"), kind="Repeat", repeats=1 << 30, axis=1)


def layer_that_reads_a_file():
    config = keras2_config()
    config["config"]["layers"].insert(2, layer("TFSMLayer", "saved", filepath="model"))
    return config


def two_inputs():
    config = branching()
    speed = layer("InputLayer", "speed", batch_shape=[None, 1]) | {"inbound_nodes": []}
    config["config"]["input_layers"] += [["speed", 0, 0]]
    config["config"]["layers"].append(speed)
    return config


def normalization_of_the_batch():
    config = keras2_config()
    values = {"axis": 0, "mean": 1.0, "variance": 4.0}
    config["config"]["layers"].insert(2, layer("Normalization", "norm", **values))
    return config


def own_class():
    config = keras2_config()
    config["config"]["layers"][2]["registered_name"] = "mine>Conv2D"
    return config


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (changed(1, dim_ordering="th"), "dim_ordering is 'th', .*; expected 'tf': save the model"),
        (slice_of_the_batch(), r"'part' \(GetItem\): takes slice.*rows 60-140"),
        (operation_with_code(), r"'part' \(Map\) is called with .*which is not read; convert it"),
        (operation_with_a_path(), r"'part' \(Cast\): is no layer or operation"),
        (operation_of_another_program(), r"'part' \(Arctan\): a custom class, 'mine'"),
        (operation_of_many_numbers(), r"'part' \(Repeat\): is no layer or operation"),
        (layer_that_reads_a_file(), r"'saved' \(TFSMLayer\): is no layer or operation"),
        (changed(1, activation="glu"), "activation is 'glu'; expected a function of keras.activ"),
        (changed(1, activation="mine>relu"), "activation is 'mine>relu'; expected"),
        (two_inputs(), r"takes the inputs \['input', 'speed'\], expected pictures alone"),
        (own_class(), r"layer 'conv2d' \(Conv2D\): a custom class, 'mine>Conv2D'"),
        (normalization_of_the_batch(), "axis is 0, expected the numbers of axes"),
        (branching(), "branches after layer 'input'|takes 2 inputs"),
        (nested(60), "weights"),
        (
            changed(1, nb_filter=3),
            r"'convolution2d_1'.*\(5, 3, 3, 2\), \(2,\), expected \(5, 3, 3, 3\), \(3,\)",
        ),
        (changed(1, activation="hard_sigmoid"), "activation is 'hard_sigmoid'"),
        (changed(1, subsample=[0, 1]), "strides"),
        (changed(1, unheard_of=3), "its argument 'unheard_of' is unknown"),
        (changed(1, nb_filter=1 << 40), "filters is 1099511627776, expected a number up to"),
        (changed(1, nb_filter=60_000, nb_row=60, nb_col=60), "numbers|weights"),
        (changed(4, output_dim=60_000), "more than 4194304 weights, more than the file"),
        (changed(4, output_dim=60), "shape .60,., expected 1"),
        (changed(4, bias=False), r"'dense_1'.*expected \(3168, 1\)"),
        (
            changed(0, function="normalize", function_type="function"),
            "calls the function 'normalize'.*--rescale",
        ),
        (
            changed(0, function=[NORMALIZE["3.8"], [1.0], None]),
            "outer values.*--rescale",
        ),
        (changed(0, arguments={"a": 1}), "arguments"),
        (changed(0, input_dtype="uint8"), "input_dtype is 'uint8'"),
        (changed(0, batch_input_shape=[None, 66, 200, None]), "its input has the shape"),
        (other_kind("TFOpLambda"), r"layer 'dropout_1' \(TFOpLambda\): 'function'"),
        (other_kind("Conv1D"), r"layer 'dropout_1' \(Conv1D\): is no layer .*; or convert it"),
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


def without_names(file, folder):
    del file[DENSE].attrs["weight_names"]


def linked_out(file, folder):
    write(folder / "other.h5", keras1_config())
    del file[DENSE]["dense_1_W:0"]
    file[DENSE]["dense_1_W:0"] = h5py.ExternalLink(str(folder / "other.h5"), f"{DENSE}/dense_1_W:0")


def not_finite(file, folder):
    file[DENSE]["dense_1_W:0"][0] = np.nan


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (without_names, "lacks its list weight_names"),
        (linked_out, "is a link, which is not followed"),
        (not_finite, "not all finite"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_missing_external_and_damaged_weights_are_refused(tmp_path, damage, expected):
    with h5py.File(write(tmp_path / "old.h5", keras1_config()), "r+") as file:
        damage(file, tmp_path)
        with pytest.raises((UnsupportedModel, UnfitContent), match=re.escape(expected)):
            read_layers(file, {})


def test_kernels_of_theano_are_refused_with_the_remedy(tmp_path):
    path = write(tmp_path / "old.h5", keras1_config())
    with h5py.File(path, "r+") as file:
        file.attrs["backend"] = "theano"
    assert re.search("backend 'theano', .*KERAS_BACKEND=tensorflow", refusal(path))
    # a file of Keras 1 does not name its backend, but the names of its arrays tell it
    write(path, keras1_config())
    with h5py.File(path, "r+") as file:
        for folder in file["model_weights"].values():
            names = [name.decode().removesuffix(":0") for name in folder.attrs["weight_names"]]
            for name in names:
                folder.move(f"{name}:0", name)
            folder.attrs["weight_names"] = [name.encode() for name in names]
    assert "backend 'theano'" in refusal(path)


def test_weights_of_no_layer_are_refused(tmp_path):
    path = write(tmp_path / "old.h5", keras1_config())
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(changed(1, name="renamed"))
    assert "layer 'renamed' (Convolution2D): its weights have the shapes none" in refusal(path)
