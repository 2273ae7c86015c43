"""model_file, network, saliency, images: files and networks that cannot be used."""

from pathlib import Path

import keras
import numpy as np
import pytest

from bcclone.camera.images import BadImage, decode_jpeg, encode_jpeg
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.model_file import load_model, model_content
from bcclone.model.network import build_network
from bcclone.model.policy import load_policy
from bcclone.model.saliency import Saliency
from tests.dataset.test_store import some_frames, write_store
from tests.messages.refusals import refusal
from tests.model.foreign import old_models

NAMED = "nvidia-66x200-yuv"


def load(path, preprocessing=None):
    return load_model(Path(path), preprocessing)


def foreign():
    old_models.write(Path("old.h5"), old_models.keras2_config())
    return load("old.h5")


def of_other_images():
    Path("model.h5").write_bytes(model_content(build_network((128, 64, 3)), Preprocessing(), {}))
    return load("model.h5")


def mistyped(name):
    """Open a model whose name is mistyped, beside the model, a store and a file of text."""
    write_store(Path("data.h5"), some_frames(10))
    Path("models.txt").touch()
    Path("model.h5").write_bytes(model_content(build_network((128, 128, 3)), Preprocessing(), {}))
    return load_policy(Path(name))


def branched():
    given = keras.Input((160, 320, 3))
    branches = [keras.layers.Conv2D(2, 3)(given) for _ in range(2)]
    network = keras.Model(given, keras.layers.Add()(branches))
    return Saliency(network, Preprocessing(width=320, height=160))


REFUSALS = [
    refusal(
        lambda: Path("m.h5").write_text("a note") and load("m.h5"),
        "m.h5",
        "neither HDF5 nor .keras",
        "Keras saved",
    ),
    refusal(
        lambda: decode_jpeg(encode_jpeg(np.zeros((50, 100, 3), np.uint8))),
        "100x50",
        "320x160",
        by=(BadImage,),
    ),
    refusal(
        lambda: Path("driving_log.csv").touch() or load("."),
        "is a recording",
        "bcclone replay MODEL RECORDING",
    ),
    refusal(lambda: load("m.h5"), "m.h5", "no such model", "bcclone model data.h5 -o m.h5"),
    refusal(lambda: mistyped("modle.h5"), "modle.h5", "no such model; did you mean model.h5?"),
    refusal(lambda: mistyped("model.onnx"), "no such model; did you mean model.h5?"),
    refusal(lambda: mistyped("dtaa.h5"), "no such model; train one with: bcclone model"),
    refusal(of_other_images, "model.h5", "(None, 128, 64, 3)", "(None, 128, 128, 3)"),
    refusal(
        lambda untrained_model: load(untrained_model, NAMED),
        "untrained.h5",
        "128x128",
        "200x66",
        "--preprocess",
    ),
    refusal(foreign, "old.h5", "66 x 200 x 3", "--preprocess nvidia-66x200-yuv"),
    refusal(lambda: build_network(network="lstm"), "--network lstm", "--seq-length"),
    refusal(branched, "input_layer", "expected Conv2D"),
]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_file_that_is_no_usable_model_is_refused_with_what_would_be_one(mistake, check_refusal):
    check_refusal(mistake)
