"""Save and load models: a network and the preprocessing of its input in one .h5 file, which contains no code.

The file has Keras's HDF5 format, weights and a JSON configuration, with three more attributes, and two for the camera
and the steering of a car: see docs/reference/model-file.md. All files, also those of other programs, are loaded by
`keras_files` and never by Keras.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import h5py
import keras
from keras.src.legacy.saving import legacy_h5_format

from bcclone.dataset.answer import OUTPUTS, Output
from bcclone.dataset.framing import Framing
from bcclone.dataset.preprocessing import PRESETS, Preprocessing, PreprocessingMismatch
from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.arguments import Scaling
from bcclone.model.keras_files.rebuild import RebuiltModel, rebuild_model
from bcclone.model.keras_files.stored import read_stored
from bcclone.model.model_path import check_keras_path
from bcclone.model.onnx_model import FRAMING
from bcclone.model.policy import SteeringCalibration
from bcclone.system.atomic import replacing
from bcclone.system.codec import explained, from_text, parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, names_of, to_json

_PREPROCESSING, _HASH, _TRAINING = "bcclone_preprocessing", "bcclone_preprocessing_hash", "bcclone_training"
_CALIBRATION = "bcclone_calibration"
_DRIVABLE = "docs/reference/model-file.md for the networks that can drive"
# setting in model files of older versions, models/lake.h5 among them -> its name now
_RENAMED = {"look": "appearance", "zero_share": "zero_fraction", "workers": "feed_workers"}


@dataclass(frozen=True)
class TrainingInfo:
    """How a model was trained, as far as its file states it.

    settings, samples: values of TrainSettings and SampleSettings by name; store_content_hash: of the samples; epoch,
    val_loss: of the weights; imported: the origin of an imported model.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, Any] = field(default_factory=dict)
    store_content_hash: str | None = None
    epoch: int | None = None
    val_loss: float | None = None
    imported: Mapping[str, Any] | None = None

    @property
    def network(self) -> str | None:
        return self.settings.get("network")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a JSON object, whose other values are left out; raises ValueError for anything else."""
        stored = parse_json(text)
        if isinstance(stored, dict):
            stored = {name: stored[name] for name in names_of(cls) if name in stored}
        training = from_json(cls, stored)
        return replace(
            training, settings={_RENAMED.get(name, name): value for name, value in training.settings.items()}
        )


@dataclass(frozen=True)
class ModelFile:
    """A loaded model, the preprocessing of its input, and how it was trained.

    framing: how pictures of the camera that it drives with become frames, None for the simulator's; calibration: of its
    steering for a car, None for the network's own.
    """

    model: keras.Model
    preprocessing: Preprocessing
    training: TrainingInfo = TrainingInfo()
    framing: Framing | None = None
    calibration: SteeringCalibration | None = None

    @property
    def seq_length(self) -> int:
        shape = self.model.input_shape
        return int(shape[1]) if len(shape) == 5 else 1

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return what the network predicts, in the order of its numbers; the first is the steering."""
        return OUTPUTS[: self.model.output_shape[-1]]


@dataclass(frozen=True)
class ForeignModel:
    """A model of another program: its path and its rebuilt network."""

    path: Path
    rebuilt: RebuiltModel

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return rows, columns and channels of the network's input, after the number of frames if it takes windows."""
        shape: tuple[int, ...] = self.rebuilt.model.input_shape[1:]
        return shape

    @property
    def fitting(self) -> tuple[str, ...]:
        return tuple(name for name, preset in PRESETS.items() if preset.shape == self.input_shape[-3:])

    def describe(self) -> Iterator[str]:
        rebuilt, model = self.rebuilt, self.rebuilt.model
        yield f"{self.path}: Keras {rebuilt.keras_version}, backend {rebuilt.backend}; {model.count_params()} weights"
        yield f"its input: {' x '.join(map(str, self.input_shape))} values of 0 to 255, {model.inputs[0].dtype}"
        width = max(len(layer.name) for layer in rebuilt.layers)
        for layer in rebuilt.layers:
            yield f"  {layer.name:<{width}}  {layer.kind}{'' if layer.kind == layer.now else f' -> {layer.now}'}"
        for note in rebuilt.notes:
            yield f"note: {note}"
        if self.fitting:
            yield f"presets that fit its input: {', '.join(f'--preprocess {name}' for name in self.fitting)}"

    def declared(self, preprocessing: Preprocessing | None) -> ModelFile:
        """Return the model with this preprocessing; raises UserError when its images do not fit the network."""
        if preprocessing and self.input_shape[-3:] == preprocessing.shape:
            return ModelFile(self.rebuilt.model, preprocessing)
        names = [f"--preprocess {name}" for name in self.fitting]
        advice = f"give the one it was trained with: {' or '.join(names)}" if names else "no preset makes that"
        takes = f"its network takes {_extents(self.input_shape)}"
        if preprocessing:
            output = _extents(preprocessing.shape)
            raise UserError(f"{self.path}: {takes}, the given preprocessing makes {output}; {advice}")
        raise UserError(f"{self.path}: does not state its preprocessing; {takes}; {advice}")


def save_model(
    path: Path | str,
    model: keras.Model,
    preprocessing: Preprocessing,
    training: Mapping[str, Any] | None = None,
    framing: Framing | None = None,
) -> None:
    """Write the model to `path` (.h5), completely or not at all.

    training: how it was trained, values of TrainingInfo by name. Raises UserError for a network that could not be
    loaded again, because of unsupported layers, branches or several outputs.
    """
    content = model_content(model, preprocessing, training or {}, framing)
    with replacing(Path(path), follow=True) as temporary:
        temporary.write_bytes(content)
        try:
            load_model_file(temporary)
        except UserError as error:
            reason = str(error).removeprefix(f"{temporary}: ")
            raise UserError(f"{path}: this network could not be loaded again: {reason}") from None


def model_content(
    model: keras.Model, preprocessing: Preprocessing, training: Mapping[str, Any], framing: Framing | None = None
) -> bytes:
    content = io.BytesIO()  # HDF5 crashes when the disk is full while it closes a file
    with h5py.File(content, "w") as file:
        # called by model.save(), which does not accept an open file
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs[_PREPROCESSING] = preprocessing.to_json()
        file.attrs[_HASH] = preprocessing.digest
        file.attrs[_TRAINING] = json.dumps(training)
        if framing:
            file.attrs[FRAMING] = framing.to_json()
    return content.getvalue()


def calibrated_content(path: Path, framing: Framing | None, calibration: SteeringCalibration) -> bytes:
    """Return the content of a copy of a model file, with this framing and calibration; everything else stays."""
    content = io.BytesIO(read_bytes(path, "model"))
    with h5py.File(content, "r+") as file:
        for name, value in ((FRAMING, framing), (_CALIBRATION, calibration)):
            file.attrs.pop(name, None)
            if value:
                file.attrs[name] = json.dumps(to_json(value))
    return content.getvalue()


def load_model_file(path: Path | str, preprocessing: Preprocessing | str | None = None) -> ModelFile:
    """Load a file of save_model(), or a chain of layers in a .h5 or .keras file of Keras 1 to 3.

    preprocessing: a definition or a name of PRESETS; required for models of other programs. Raises UserError.
    """
    expected = named_preprocessing(preprocessing)
    loaded = open_model(path, expected)
    return loaded if isinstance(loaded, ModelFile) else loaded.declared(expected)


def open_model(
    path: Path | str, given: Preprocessing | None = None, rescale: Scaling | None = None
) -> ModelFile | ForeignModel:
    """Load a model file, or one of another program, whose preprocessing is not known yet; raises UserError.

    given: an expected preprocessing; raises UserError when the file has another one. rescale: what a Lambda layer
    computes that is not recognised.
    """
    path = Path(path)
    check_keras_path(path)
    with explained(path, "a complete model file", "save it again, or train the model again"):
        try:
            stored = read_stored(path)
            if "model_config" not in stored.texts:
                stored = replace(stored, texts={**stored.texts, "model_config": _separate_config(path)})
            texts = stored.texts
            own = _read_preprocessing(path, texts, given) if _PREPROCESSING in texts else None
            rebuilt = rebuild_model(stored, len(OUTPUTS) if own else 1, rescale)
        except UnsupportedModel as error:
            raise UserError(f"{path}: {error}; see {_DRIVABLE}") from None
        training = TrainingInfo.from_json(texts.get(_TRAINING, "{}"))
        framing = from_text(Framing, texts[FRAMING]) if FRAMING in texts else None
        calibration = from_text(SteeringCalibration, texts[_CALIBRATION]) if _CALIBRATION in texts else None
    if own is None:
        return ForeignModel(path, rebuilt)
    loaded = ModelFile(rebuilt.model, own, training, framing, calibration)
    expected = (*rebuilt.model.input_shape[:-3], *own.shape)  # any number of frames before those three
    if rebuilt.model.input_shape != expected:
        raise UserError(
            f"{path}: the network takes {rebuilt.model.input_shape}, its preprocessing makes {expected}; train it again"
        )
    return loaded


def named_preprocessing(preprocessing: Preprocessing | str | None) -> Preprocessing | None:
    """Return the definition with a name; raises UserError for an unknown name."""
    if not isinstance(preprocessing, str):
        return preprocessing
    if preprocessing not in PRESETS:
        raise UserError(f"no preprocessing is called {preprocessing}; choose from {', '.join(PRESETS)}")
    return PRESETS[preprocessing]


def _extents(shape: tuple[int, ...]) -> str:
    names = "rows, columns and channels" if len(shape) == 3 else "frames, rows, columns and channels"
    return f"{names} {', '.join(map(str, shape))}"


def _separate_config(path: Path) -> str:
    """Return the configuration in NAME.json beside NAME.h5: files of to_json() and save_weights() in Keras 1."""
    config_path = path.with_suffix(".json")
    if not config_path.is_file():
        raise UnsupportedModel(
            f"holds weights only; put the network's configuration (model.to_json()) beside it, as {config_path}"
        )
    text = read_bytes(config_path, "settings")
    config = parse_json(text)
    return config if isinstance(config, str) else text.decode()  # often the JSON text was written as JSON again


def _read_preprocessing(path: Path, texts: Mapping[str, str], expected: Preprocessing | None) -> Preprocessing:
    try:
        preprocessing = Preprocessing.from_json(texts[_PREPROCESSING])
    except PreprocessingMismatch as error:
        raise UserError(f"{path}: {error}\n  a newer bcclone may support it; or train the model again") from None
    if texts.get(_HASH) != preprocessing.digest:
        raise UserError(
            f"{path}: its preprocessing does not match its hash; train the model again:\n"
            f"  definition: {preprocessing.to_json()} (hash {preprocessing.digest})\n"
            f"  hash:       {texts.get(_HASH)}"
        )
    if expected and expected != preprocessing:
        raise UserError(
            f"{path}: states its own preprocessing, but a different one is given; leave out --preprocess\n"
            f"  of the file: {preprocessing.to_json()}\n  given:       {expected.to_json()}"
        )
    return preprocessing
