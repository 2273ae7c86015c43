"""A model and how its input is made <-> one .h5 file, in which no code is stored and from which none is run.

The file is Keras's own HDF5 format, weights and JSON configuration, with three more attributes: see
docs/model-file.md. Files of others, without these attributes, are rebuilt by `foreign`.
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
from bcclone.atomic import write_bytes
from bcclone.errors import UserError
from bcclone.foreign import Refused
from bcclone.foreign.model import ForeignModel
from bcclone.images import PRESETS, Preprocessing, PreprocessingMismatch

_PREPROCESSING, _HASH, _TRAINING = "bcclone_preprocessing", "bcclone_preprocessing_hash", "bcclone_training"
_NORMALIZE = keras.saving.get_registered_name(network.normalize)
_LAYERS = {"InputLayer", "Permute", "Reshape", "Cropping2D", "Lambda", "Conv2D", "Dropout", "Flatten", "Dense"}


@dataclass(frozen=True)
class ModelFile:
    """A loaded model, how its input is made of a frame, and how it was trained."""

    model: keras.Model
    preprocessing: Preprocessing
    training: Mapping[str, Any]

    @property
    def seq_length(self) -> int:
        """Return how many frames in a row the network takes; 1 for single frames."""
        shape = self.model.input_shape
        return int(shape[1]) if len(shape) == 5 else 1


def save_model(path: Path, model: keras.Model, preprocessing: Preprocessing, training: Mapping[str, Any]) -> None:
    """Write the model to `path` (.h5), the whole of it or nothing."""
    write_bytes(path, model_content(model, preprocessing, training))


def model_content(model: keras.Model, preprocessing: Preprocessing, training: Mapping[str, Any]) -> bytes:
    """Return what a model file holds."""
    content = io.BytesIO()  # HDF5 does not survive a disk that fills while it closes a file
    with h5py.File(content, "w") as file:
        # what model.save() calls; only this takes an open file
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs[_PREPROCESSING] = preprocessing.to_json()
        file.attrs[_HASH] = preprocessing.digest
        file.attrs[_TRAINING] = json.dumps(training)
    return content.getvalue()


def load_model_file(path: Path, preprocessing: Preprocessing | str | None = None) -> ModelFile:
    """Load what save_model() wrote, or a Sequential .h5 of others. Raises UserError, saying what is the matter.

    preprocessing: how the input is made, or a name of PRESETS; needed for the files of others, which do not say it.
    """
    given = _named(preprocessing)
    if not path.is_file():
        raise UserError(f"{path}: there is no such model; train one with: python model.py data.h5 -o {path}")
    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise UserError(f"{path}: not a model file: it holds no Keras model")
            if _PREPROCESSING not in file.attrs:
                return _load_foreign(path, file, given)
            stored = _read_preprocessing(path, file, given)
            _refuse_code(path, json.loads(file.attrs["model_config"]))
            training = json.loads(file.attrs.get(_TRAINING, "{}"))
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except UserError:
        raise
    except Refused as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a whole model file: {reason}; train the model anew") from None
    expected = (None, stored.height, stored.width, 3)
    taken = model.input_shape
    if expected not in (taken, (*taken[:1], *taken[2:])):  # one frame, or a window of them
        raise UserError(f"{path}: the network takes {model.input_shape}, its preprocessing makes {expected}")
    return ModelFile(model, stored, training)


def _named(preprocessing: Preprocessing | str | None) -> Preprocessing | None:
    if not isinstance(preprocessing, str):
        return preprocessing
    if preprocessing not in PRESETS:
        raise UserError(f"no preprocessing is called {preprocessing}; known are {', '.join(PRESETS)}")
    return PRESETS[preprocessing]


def _load_foreign(path: Path, file: h5py.File, given: Preprocessing | None) -> ModelFile:
    """Load a model of others; `given` must make what its network takes."""
    foreign = ForeignModel(file)
    if given and foreign.input_shape == (given.height, given.width, 3):
        return ModelFile(foreign.load_weights(), given, {})
    fitting = [
        f"--preprocess {name}"
        for name, preset in PRESETS.items()
        if foreign.input_shape == (preset.height, preset.width, 3)
    ]
    advice = f"give the one it was trained with: {' or '.join(fitting)}" if fitting else "no preset makes that"
    takes = "its network takes rows, columns and channels {}, {}, {}".format(*foreign.input_shape)
    if given:
        raise UserError(f"{path}: {takes}, the given preprocessing makes {given.height}, {given.width}, 3; {advice}")
    raise UserError(f"{path}: does not say how its input is made of a frame; {takes}; {advice}")


def _read_preprocessing(path: Path, file: h5py.File, given: Preprocessing | None) -> Preprocessing:
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
    if given and given != preprocessing:
        raise UserError(
            f"{path}: carries its own definition of preprocessing, and another is given; leave out --preprocess\n"
            f"  of the file: {preprocessing.to_json()}\n  given:       {given.to_json()}"
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
