"""A model and how its input is made <-> one .h5 file, in which no code is stored and from which none is run.

The file is Keras's own HDF5 format, weights and JSON configuration, with three more attributes: see
docs/reference/model-file.md. Every file, ours or of others, is read and rebuilt by `rebuild`; Keras's own loading never
sees it.
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

from bcclone.atomic import replacing
from bcclone.errors import UserError
from bcclone.images import PRESETS, Preprocessing, PreprocessingMismatch
from bcclone.model_import import Refused
from bcclone.model_import.model import Rebuilt, rebuild
from bcclone.model_import.stored import StoredModel, read_stored

_PREPROCESSING, _HASH, _TRAINING = "bcclone_preprocessing", "bcclone_preprocessing_hash", "bcclone_training"
_DRIVABLE = "docs/reference/model-file.md for the networks that can drive"
_SHIPPED = Path("models", "lake.h5")  # where a clone has it
_LONGEST_TEXT = 1 << 20  # bytes of a configuration that lies beside its weights


@dataclass(frozen=True)
class ModelFile:
    """A loaded model, how its input is made of a frame, and how it was trained."""

    model: keras.Model
    preprocessing: Preprocessing
    training: Mapping[str, Any]

    @property
    def seq_length(self) -> int:
        """Return how many frames the network was trained on at a time: the second extent of a window, or 1."""
        shape = self.model.input_shape
        return int(shape[1]) if len(shape) == 5 else 1


@dataclass(frozen=True)
class ForeignModel:
    """A model of others: its network, and what was found in its file."""

    path: Path
    found: Rebuilt

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return rows, columns and channels of the network's input; windows of frames have their number before."""
        shape: tuple[int, ...] = self.found.model.input_shape[1:]
        return shape

    @property
    def fitting(self) -> tuple[str, ...]:
        """Return the names of the presets that make such input, or such frames of a window."""
        return tuple(name for name, preset in PRESETS.items() if _makes(preset) == self.input_shape[-3:])

    def declared(self, preprocessing: Preprocessing | None) -> ModelFile:
        """Return the model with its declared preprocessing; raises UserError unless that makes what it takes."""
        if preprocessing and self.input_shape[-3:] == _makes(preprocessing):
            return ModelFile(self.found.model, preprocessing, {})
        names = [f"--preprocess {name}" for name in self.fitting]
        advice = f"give the one it was trained with: {' or '.join(names)}" if names else "no preset makes that"
        takes = f"its network takes {_extents(self.input_shape)}"
        if preprocessing:
            made = _extents(_makes(preprocessing))
            raise UserError(f"{self.path}: {takes}, the given preprocessing makes {made}; {advice}")
        raise UserError(f"{self.path}: does not say how its input is made of a frame; {takes}; {advice}")


def save_model(
    path: Path | str, model: keras.Model, preprocessing: Preprocessing, training: Mapping[str, Any] | None = None
) -> None:
    """Write the model to `path` (.h5), the whole of it or nothing.

    training: what is noted of how it was trained. Raises UserError for a network that could not be loaded again, which
    has layers of a kind that is not rebuilt, branches, or several outputs.
    """
    try:
        content = model_content(model, preprocessing, training or {})
    except TypeError as error:  # a layer without a configuration
        raise UserError(f"{path}: Keras cannot write this network: {error}; see {_DRIVABLE}") from None
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)
        try:
            load_model_file(temporary)
        except UserError as error:
            reason = str(error).removeprefix(f"{temporary}: ")
            raise UserError(f"{path}: this network could not be loaded again: {reason}; see {_DRIVABLE}") from None


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


def load_model(path: Path, preprocessing: Preprocessing | str | None = None) -> keras.Model:
    """Load the network alone, of a file of ours or of others; raises UserError.

    preprocessing: as for load_model_file(); without it a network of others is given as it is, to be fed by whoever
    knows what it takes.
    """
    given = named_preprocessing(preprocessing)
    loaded = open_model(Path(path), given)
    if isinstance(loaded, ModelFile):
        return loaded.model
    return loaded.declared(given).model if given else loaded.found.model


def load_model_file(path: Path, preprocessing: Preprocessing | str | None = None) -> ModelFile:
    """Load what save_model() wrote, or a model of others: a chain of layers in a .h5 or .keras file of Keras 1 to 3.

    preprocessing: how the input is made, or a name of PRESETS; needed for the files of others, which do not say it.
    Raises UserError, one message saying what is the matter.
    """
    given = named_preprocessing(preprocessing)
    loaded = open_model(path, given)
    return loaded if isinstance(loaded, ModelFile) else loaded.declared(given)


def open_model(path: Path, given: Preprocessing | None = None) -> ModelFile | ForeignModel:
    """Load a file of ours, or one of others whose preprocessing is yet to be declared; raises UserError.

    given: refused when a file of ours carries another.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; a SavedModel holds code, save the model as .h5 or .keras instead")
    if not path.is_file():
        other = f", or take the one that comes with bcclone: {_SHIPPED}" if _SHIPPED.is_file() else ""
        raise UserError(f"{path}: there is no such model; train one with: python model.py data.h5 -o {path}{other}")
    try:
        stored = read_stored(path)
        if "model_config" not in stored.texts:
            stored = StoredModel({**stored.texts, "model_config": _config_beside(path)}, stored.weights)
        own = _read_preprocessing(path, stored.texts, given) if _PREPROCESSING in stored.texts else None
        found = rebuild(stored)
        training = json.loads(stored.texts.get(_TRAINING, "{}"))
    except Refused as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a whole model file: {reason[:200]}; save it again, or train the model anew"
        ) from None
    if own is None:
        return ForeignModel(path, found)
    loaded = ModelFile(found.model, own, training)
    expected = (*found.model.input_shape[:-3], *_makes(own))  # frames, before those three, may be any number
    if found.model.input_shape != expected:
        raise UserError(
            f"{path}: the network takes {found.model.input_shape}, its preprocessing makes {expected}; train it anew"
        )
    return loaded


def named_preprocessing(preprocessing: Preprocessing | str | None) -> Preprocessing | None:
    """Return the definition of a name; raises UserError for an unknown one."""
    if not isinstance(preprocessing, str):
        return preprocessing
    if preprocessing not in PRESETS:
        raise UserError(f"no preprocessing is called {preprocessing}; known are {', '.join(PRESETS)}")
    return PRESETS[preprocessing]


def _makes(preprocessing: Preprocessing) -> tuple[int, int, int]:
    return preprocessing.height, preprocessing.width, 3


def _extents(shape: tuple[int, ...]) -> str:
    names = "rows, columns and channels" if len(shape) == 3 else "frames, rows, columns and channels"
    return f"{names} {', '.join(map(str, shape))}"


def _config_beside(path: Path) -> str:
    """Return the configuration in NAME.json beside NAME.h5, as Keras 1's to_json() was kept beside save_weights()."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise Refused(f"holds weights only; put the network's configuration (model.to_json()) beside it, as {beside}")
    with beside.open("rb") as file:
        text = file.read(_LONGEST_TEXT + 1)
    if len(text) > _LONGEST_TEXT:
        raise Refused(f"{beside} has more than {_LONGEST_TEXT} bytes")
    config = json.loads(text)
    return config if isinstance(config, str) else text.decode()  # many wrote the JSON into JSON


def _read_preprocessing(path: Path, texts: Mapping[str, str], given: Preprocessing | None) -> Preprocessing:
    try:
        preprocessing = Preprocessing.from_json(texts[_PREPROCESSING])
    except PreprocessingMismatch as error:
        raise UserError(f"{path}: {error}\n  a newer bcclone may know it; or train the model anew") from None
    if texts.get(_HASH) != preprocessing.digest:
        raise UserError(
            f"{path}: its preprocessing does not belong to the hash beside it; train the model anew:\n"
            f"  definition: {preprocessing.to_json()} (hash {preprocessing.digest})\n"
            f"  hash:       {texts.get(_HASH)}"
        )
    if given and given != preprocessing:
        raise UserError(
            f"{path}: carries its own definition of preprocessing, and another is given; leave out --preprocess\n"
            f"  of the file: {preprocessing.to_json()}\n  given:       {given.to_json()}"
        )
    return preprocessing
