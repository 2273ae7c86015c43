"""A model and how its input is made <-> one .h5 file, in which no code is stored and from which none is run.

The file is Keras's own HDF5 format, weights and JSON configuration, with three more attributes: see
docs/model-file.md.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.legacy.saving import legacy_h5_format

from bcclone import network
from bcclone.atomic import replacing
from bcclone.errors import UserError
from bcclone.images import Preprocessing, PreprocessingMismatch

_PREPROCESSING, _HASH, _TRAINING = "bcclone_preprocessing", "bcclone_preprocessing_hash", "bcclone_training"
_NORMALIZE = keras.saving.get_registered_name(network.normalize)
_LAYERS = {"InputLayer", "Cropping2D", "Lambda", "Conv2D", "Dropout", "Flatten", "Dense"}


@dataclass(frozen=True)
class ModelFile:
    """A loaded model, how its input is made of a frame, and how it was trained."""

    model: keras.Model
    preprocessing: Preprocessing
    training: Mapping[str, Any]


def save_model(path: Path, model: keras.Model, preprocessing: Preprocessing, training: Mapping[str, Any]) -> None:
    """Write the model to `path` (.h5), the whole of it or nothing."""
    content = io.BytesIO()  # HDF5 does not survive a disk that fills while it closes a file
    with h5py.File(content, "w") as file:
        # what model.save() calls; only this takes an open file
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs[_PREPROCESSING] = preprocessing.to_json()
        file.attrs[_HASH] = preprocessing.digest
        file.attrs[_TRAINING] = json.dumps(training)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def load_model_file(path: Path) -> ModelFile:
    """Load what save_model() wrote. Raises UserError for anything else, saying what is the matter."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such model; train one with: python model.py data.h5 -o {path}")
    try:
        with h5py.File(path, "r") as file:
            preprocessing = _read_preprocessing(path, file)
            _refuse_code(path, json.loads(file.attrs["model_config"]))
            training = json.loads(file.attrs.get(_TRAINING, "{}"))
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except UserError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not a whole model file: {str(error).splitlines()[0]}; train the model anew") from None
    expected = (None, preprocessing.height, preprocessing.width, 3)
    if model.input_shape != expected:
        raise UserError(f"{path}: the network takes {model.input_shape}, its preprocessing makes {expected}")
    return ModelFile(model, preprocessing, training)


def _read_preprocessing(path: Path, file: h5py.File) -> Preprocessing:
    if "model_config" not in file.attrs:
        raise UserError(f"{path}: not a model file: it holds no Keras model")
    if _PREPROCESSING not in file.attrs:
        raise UserError(
            f"{path}: does not say how its input is made of a frame; only models that model.py wrote can be driven"
        )
    try:
        preprocessing = Preprocessing.from_json(file.attrs[_PREPROCESSING])
    except PreprocessingMismatch as error:
        raise UserError(f"{path}: {error}") from None
    if file.attrs.get(_HASH) != preprocessing.digest:
        raise UserError(
            f"{path}: its preprocessing does not belong to the hash beside it; the file was changed:\n"
            f"  definition: {preprocessing.to_json()} (hash {preprocessing.digest})\n"
            f"  hash:       {file.attrs.get(_HASH)}"
        )
    return preprocessing


def _refuse_code(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UserError unless the configuration names only our layers and our one function."""
    for layer in config["config"]["layers"]:
        kind, function = layer["class_name"], layer["config"].get("function")
        if kind not in _LAYERS:
            raise UserError(f"{path}: holds a layer of kind {kind}; only models that model.py wrote can be driven")
        named = isinstance(function, dict) and function.get("config") == _NORMALIZE
        if kind == "Lambda" and not (named and function["class_name"] == "function"):
            raise UserError(
                f"{path}: holds a function of its own, which is never run; only bcclone's normalize is known"
            )
