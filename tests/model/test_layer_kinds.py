"""Each type of layer is loaded as it is, and is exported to ONNX."""

import keras
import numpy as np
import pytest
from keras import layers

from bcclone.dataset.preprocessing import preprocessing_of
from bcclone.model import layer_kinds
from bcclone.model.foreign.stored import StoredModel
from bcclone.model.foreign.weights import rebuild_model
from bcclone.model.model_file import save_model
from bcclone.realcar.export import export_model
from bcclone.realcar.export_settings import ExportModelSettings
from tests.running import ROOT

# a layer of each type, which takes images, windows of images, or windows of vectors, by its number
# of axes
EXAMPLES = {
    "Conv2D": {
        "filters": 4,
        "kernel_size": 3,
        "dilation_rate": 2,
        "activation": "elu",
        "use_bias": False,
    },
    "Conv3D": {"filters": 2, "kernel_size": (1, 3, 3)},
    "SeparableConv2D": {"filters": 4, "kernel_size": 3, "padding": "same", "depth_multiplier": 2},
    "DepthwiseConv2D": {"kernel_size": 3, "padding": "same", "depth_multiplier": 2},
    "MaxPooling2D": {"pool_size": 3, "strides": 2, "padding": "same"},
    "AveragePooling2D": {"pool_size": 2},
    "MaxPooling3D": {"pool_size": (1, 2, 2)},
    "AveragePooling3D": {"pool_size": (1, 2, 2)},
    "GlobalAveragePooling2D": {},
    "GlobalMaxPooling2D": {},
    "Cropping2D": {"cropping": ((1, 2), (3, 4))},
    "Cropping3D": {"cropping": ((0, 0), (1, 2), (3, 4))},
    "ZeroPadding2D": {"padding": ((1, 2), (3, 4))},
    "UpSampling2D": {"size": 2},
    "Resizing": {"height": 5, "width": 9},
    "Dense": {"units": 4, "activation": "tanh"},
    "Flatten": {},
    "Reshape": {"target_shape": (7, -1)},
    "Permute": {"dims": (1, 3, 2)},
    "Rescaling": {"scale": 0.5, "offset": -1},
    "Normalization": {"mean": 90.0, "variance": 1600.0},
    "BatchNormalization": {"epsilon": 0.01},
    "GroupNormalization": {"groups": 1, "epsilon": 0.01},
    "LayerNormalization": {"axis": [1, 2, 3], "epsilon": 0.01},
    "Dropout": {"rate": 0.5},
    "SpatialDropout2D": {"rate": 0.5},
    "GaussianDropout": {"rate": 0.5},
    "AlphaDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.1},
    "Activation": {"activation": "softplus"},
    "ELU": {"alpha": 0.5},
    "LeakyReLU": {"negative_slope": 0.1},
    "ReLU": {"max_value": 0.6, "negative_slope": 0.1},
    "PReLU": {"shared_axes": [1, 2]},
    "Softmax": {},
    "GRU": {"units": 3, "return_sequences": True},
    "LSTM": {"units": 3},
    "SimpleRNN": {"units": 3},
}


def example(name):
    return layer_kinds.KINDS[name](**EXAMPLES[name])


def network(name, size=(66, 200)):
    """Return a network from a frame, or from a window of frames, to the steering, with a layer of
    the type in it.
    """
    axes = layer_kinds.axes_of(layer_kinds.KINDS[name])
    start = [keras.Input((*size, 3)), layers.Rescaling(1 / 255), layers.AveragePooling2D(9)]
    if axes in (3, 5):
        start = [
            keras.Input((3, *size, 3)),
            layers.Rescaling(1 / 255),
            layers.AveragePooling3D((1, 9, 9)),
        ]
    flat = [layers.Reshape((3, -1))] if axes == 3 else []
    model = keras.Sequential(
        [*start, *flat, example(name), layers.Flatten(), layers.Dense(1, "tanh")]
    )
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.001, 0.01, weight.shape) for weight in model.get_weights()])
    return model


def test_there_is_an_example_of_every_type_and_the_page_names_it():
    assert set(EXAMPLES) == set(layer_kinds.KINDS)
    page = (ROOT / "docs/reference/model-file.md").read_text(encoding="utf-8")
    assert [name for name in layer_kinds.KINDS if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_layer_is_rebuilt_from_what_keras_stores(name):
    model = network(name)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    found = rebuild_model(StoredModel({"model_config": model.to_json()}, weights)).model
    batch = np.random.default_rng(2).uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    layer = found.layers[-3]
    assert type(layer) is layer_kinds.KINDS[name]
    np.testing.assert_allclose(found(batch), model(batch), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EXAMPLES][::6])  # tf2onnx converts them; each takes seconds
def test_a_layer_computes_the_same_as_onnx(name, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    # whole frames, since an exported file resizes and converts colours by operations of its own
    frames = preprocessing_of("320x160, RGB")
    save_model(tmp_path / "model.h5", network(name, size=(160, 320)), frames)
    exported = export_model(ExportModelSettings(tmp_path / "model.h5", "onnx"))
    assert exported.greatest_difference <= 1e-5
