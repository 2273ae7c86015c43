"""Layers compute the same in an ONNX file as in Keras; what cannot be written is refused."""

import keras
import numpy as np
import pytest
from keras import layers

from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.model_file import ModelFile, save_model
from bcclone.realcar.export_model.export_settings import ExportModelSettings
from bcclone.realcar.export_model.exported_files import differences, open_exported, write_exported
from bcclone.realcar.export_model.interface import exported_camera, picture_interface
from bcclone.realcar.export_model.model_export import export_model, road_pictures
from bcclone.system.errors import UserError

YUV = PRESETS["nvidia-66x200-yuv"]
pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")


def difference(model, tmp_path):
    """Write the network for the preset of its input, and return how far its answers are apart."""
    file = ModelFile(model, YUV)
    path = tmp_path / "model.onnx"
    settings = ExportModelSettings(path, "onnx")
    interface = picture_interface(file, exported_camera(file, settings))
    write_exported(path, settings, file, interface)
    frames = road_pictures(4, interface.camera.size)
    return differences(interface, open_exported(path, "onnx"), frames).from_graph.max()


def made(*members, shape=(66, 200, 3)):
    model = keras.Sequential([keras.Input(shape), *members])
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.01, 0.3, weight.shape) for weight in model.get_weights()])
    return model


ACTIVATIONS = ["relu", "elu", "selu", "tanh", "sigmoid", "softplus", "softsign"]
ACTIVATIONS += ["exponential", "softmax", "silu"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_computes_the_same_in_onnx(name, tmp_path):
    model = made(
        layers.Rescaling(1 / 127.5, -1),
        layers.Conv2D(3, 9, 9, activation="tanh"),
        layers.Conv2D(4, 3, activation=name),
        layers.GlobalMaxPooling2D(),
        layers.Dense(1, "tanh"),
    )
    assert difference(model, tmp_path) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        pytest.param(layers.GRU, {}, id="GRU"),
        pytest.param(layers.LSTM, {}, id="LSTM"),
        pytest.param(layers.SimpleRNN, {}, id="SimpleRNN"),
        pytest.param(layers.GRU, {"reset_after": False}, id="GRU of Keras 1"),
    ],
)
def test_a_recurrent_layer_computes_the_same_in_onnx(layer, options, tmp_path):
    of_a_frame = keras.Sequential(
        [
            keras.Input((66, 200, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(3, 9, 9),
            layers.Flatten(),
        ]
    )
    model = made(
        layers.TimeDistributed(of_a_frame),
        layers.Dropout(0.1),
        layers.Dense(5, "tanh"),
        layer(4, return_sequences=True, **options),
        layer(3, **options),
        layers.Dense(1),
        shape=(3, 66, 200, 3),
    )
    assert difference(model, tmp_path) < 1e-5


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("Conv2D", {"filters": 2, "kernel_size": 3, "groups": 2}, id="groups"),
        pytest.param("Activation", {"activation": "gelu"}, id="gelu", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_written_is_refused_with_the_other_formats(kind, options, tmp_path):
    layer = getattr(layers, kind)(**options)
    model = made(layers.Conv2D(4, 9, 9), layer, layers.GlobalMaxPooling2D(), layers.Dense(1))
    save_model(tmp_path / "model.h5", model, YUV)
    with pytest.raises(UserError, match=r"cannot be written as ONNX.*--to litert"):
        export_model(ExportModelSettings(tmp_path / "model.h5", "onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]
