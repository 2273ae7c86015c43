"""Layers compute the same in an ONNX file as in Keras; what cannot be written is refused."""

import keras
import numpy as np
import pytest

from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.loaded_model import ModelFile
from bcclone.model.model_file import save_model
from bcclone.realcar.export_model.export_settings import ExportModelSettings
from bcclone.realcar.export_model.exported_files import differences, open_exported, write_exported
from bcclone.realcar.export_model.interface import frame_interface
from bcclone.realcar.export_model.model_export import export_model, road_pictures
from bcclone.system.errors import UserError

YUV = PRESETS["nvidia-66x200-yuv"]
pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")


def difference(model, tmp_path):
    """Write the network for the preset of its input, and return how far its answers are apart."""
    file, path = ModelFile(model, YUV), tmp_path / "model.onnx"
    interface = frame_interface(file)
    write_exported(path, ExportModelSettings(path, "onnx"), file, interface)
    frames = road_pictures(4, interface.camera)
    return differences(interface, open_exported(path, "onnx"), frames).from_graph.max()


def made(*layers, shape=(66, 200, 3)):
    model = keras.Sequential([keras.Input(shape), *layers])
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.01, 0.3, weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "relu",
        "elu",
        "selu",
        "tanh",
        "sigmoid",
        "softplus",
        "softsign",
        "exponential",
        "softmax",
        "silu",
    ],
)
def test_activations(name, tmp_path):
    of = keras.layers
    model = made(
        of.Rescaling(1 / 127.5, -1), of.Conv2D(3, 9, 9, activation="tanh"), of.Conv2D(4, 3, activation=name),
        of.GlobalMaxPooling2D(), of.Dense(1, "tanh"),
    )  # fmt: skip
    assert difference(model, tmp_path) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "SimpleRNN", "GRU of Keras 1"])
def test_recurrent_layers(kind, tmp_path):
    of = keras.layers
    options = {"reset_after": False} if kind == "GRU of Keras 1" else {}
    layer = getattr(of, kind.split()[0])
    each = keras.Sequential(
        [keras.Input((66, 200, 3)), of.Rescaling(1 / 255), of.Conv2D(3, 9, 9), of.Flatten()]
    )
    model = made(
        of.TimeDistributed(each), of.Dropout(0.1), of.Dense(5, "tanh"),
        layer(4, return_sequences=True, **options), layer(3, **options), of.Dense(1),
        shape=(3, 66, 200, 3),
    )  # fmt: skip
    assert difference(model, tmp_path) < 1e-5


@pytest.mark.parametrize("name", ["groups", pytest.param("gelu", marks=pytest.mark.slow)])
def test_what_cannot_be_written_is_refused_with_the_other_formats(name, tmp_path):
    of = keras.layers
    layer = of.Conv2D(2, 3, groups=2) if name == "groups" else of.Activation("gelu")
    model = made(of.Conv2D(4, 9, 9), layer, of.GlobalMaxPooling2D(), of.Dense(1))
    save_model(tmp_path / "model.h5", model, YUV)
    with pytest.raises(UserError, match=r"cannot be written as ONNX.*--to litert"):
        export_model(ExportModelSettings(tmp_path / "model.h5", "onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]
