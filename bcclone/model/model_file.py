"""Save and load models: a network and the preprocessing of its input in one .h5 file.

save_model() writes a Keras network and its `Preprocessing`; load_model() returns a `ModelFile`.

The file has Keras's HDF5 format, weights and a JSON configuration, and three attributes of bcclone,
or five for a car with its own camera and steering: see docs/reference/model-file.md. It contains no
code. `foreign` rebuilds the network of each file, also those of other programs; Keras never loads
one, since Keras would run code that a file may contain.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.legacy.saving import legacy_h5_format

from bcclone.camera.framing import Framing
from bcclone.dataset.answer import OUTPUTS, Output
from bcclone.dataset.preprocessing import Preprocessing, PreprocessingMismatch, preprocessing_of
from bcclone.dataset.preprocessing_text import (
    EACH_IMAGE,
    RAW,
    Scaling,
    fields_of,
    scale_text,
    scaling_of,
)
from bcclone.model.foreign.foreign_model import ForeignModel
from bcclone.model.foreign.stored import UnsupportedModel, read_model
from bcclone.model.foreign.tree import Size
from bcclone.model.foreign.weights import rebuild_model
from bcclone.model.layer_kinds import stated_scale
from bcclone.model.model_facts import (
    CALIBRATION,
    FRAMING,
    PREPROCESSING,
    PREPROCESSING_HASH,
    TRAINING,
    SteeringCalibration,
    TrainingInfo,
)
from bcclone.model.model_path import check_keras_path
from bcclone.model.recurrent import Steps, steps_of
from bcclone.system.codec import explained, from_text, read_bytes
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import replacing
from bcclone.system.process import note
from bcclone.system.values import to_json


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file, or of a file of another program with its preprocessing."""

    model: keras.Model
    # makes the network's input; its `scale` is what layer_kinds.stated_scale() returns: "" if
    # layers of the network's author scale the pixels
    preprocessing: Preprocessing
    training: TrainingInfo = TrainingInfo()
    # how pictures of the car's camera become frames; None for the simulator's camera
    framing: Framing | None = None
    # turns the network's steering into the car's; None if they are the same
    calibration: SteeringCalibration | None = None

    @property
    def seq_length(self) -> int:
        shape = self.model.input_shape
        takes_windows = len(shape) == 5  # (batch, frames, rows, columns, channels)
        return int(shape[1]) if takes_windows else 1

    @property
    def steps(self) -> Steps | None:
        """Return the recurrent network as a function of one frame and its states.

        None for a network that gets a window of frames at each step of a drive, as all networks of
        other programs do.
        """
        return steps_of(self.model) if self.training.imported is None else None

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return what the numbers of an answer are, in their order: the steering is the first."""
        return OUTPUTS[: self.model.output_shape[-1]]

    def contradiction(self, given: Preprocessing | str) -> str:
        """Return how a given preprocessing differs from the file's, "" if it is the same.

        Returns the end of an error message. Raises UserError for a text that is no preprocessing.
        """
        stated = self.preprocessing
        if isinstance(given, str):
            given = preprocessing_of(given, (stated.width, stated.height))
        scale = given.scale
        if scale not in ("", EACH_IMAGE):
            # as a file writes it, so that equal scales are equal texts
            scale = scale_text(scaling_of(scale))
        # == of two preprocessings does not compare their scales. A given "" agrees with every
        # scale; with a file's "", the network gets raw pixels, which its own layers scale.
        if given == stated and scale in ("", stated.scale or RAW):
            return ""

        remedy = "leave out --preprocess"
        if self.training.imported:
            remedy += ", or import its old file again with this --preprocess"
        scaled_by = "" if stated.scale else ", which its own layers scale"
        return (
            f"states its own preprocessing, but a different one is given; {remedy}\n"
            f"  of the file: {stated.describe()}{scaled_by}\n"
            f"  given:       {given.describe()}"
        )


# ---- saving


def save_model(
    path: Path | str,
    model: keras.Model,
    preprocessing: Preprocessing,
    training: Mapping[str, Any] | None = None,
    framing: Framing | None = None,
) -> None:
    """Write the model to `path` (.h5), completely or not at all.

    Raises UserError for a network that could not be loaded again, because of unsupported layers,
    branches or several output layers.

    training: how it was trained, values of TrainingInfo by name
    framing: how pictures of the car's camera become frames; None for the simulator's camera
    """
    content = model_content(model, preprocessing, training or {}, framing)
    with replacing(Path(path), follow=True) as temporary:
        temporary.write_bytes(content)
        try:
            load_model(temporary)  # only a test: the error leaves `path` as it was
        except UserError as error:
            reason = str(error).removeprefix(f"{temporary}: ")
            raise UserError(f"{path}: this network could not be loaded again: {reason}") from None


def model_content(
    model: keras.Model,
    preprocessing: Preprocessing,
    training: Mapping[str, Any],
    framing: Framing | None = None,
) -> bytes:
    """Return the content of the file that save_model() writes."""
    # in memory, since HDF5 crashes when the disk is full while it closes a file
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        # the function behind model.save(), which itself accepts only a path
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs[PREPROCESSING] = preprocessing.to_json()
        file.attrs[PREPROCESSING_HASH] = preprocessing.digest
        file.attrs[TRAINING] = json.dumps(training)
        if framing:
            file.attrs[FRAMING] = framing.to_json()
    return content.getvalue()


def calibrated_content(
    path: Path, framing: Framing | None, calibration: SteeringCalibration
) -> bytes:
    """Return the content of a model file, changed to this framing and calibration.

    Everything else stays as in the file. Without a framing, the content has none either.
    """
    content = io.BytesIO(read_bytes(path, "model"))
    with h5py.File(content, "r+") as file:
        for name, value in ((FRAMING, framing), (CALIBRATION, calibration)):
            file.attrs.pop(name, None)
            if value:
                file.attrs[name] = json.dumps(to_json(value))
    return content.getvalue()


def mean_content(before: bytes, after: bytes, training: Mapping[str, Any]) -> bytes:
    """Return the content of a model file with the mean weights of two files of one network.

    The second network was trained further from the first one, and may have lost skills of the first
    one. The mean keeps more of these skills than the second network does (M. Wortsman and others,
    "Robust fine-tuning of zero-shot models", CVPR 2022).

    before: content of the first file
    after: content of the second file, from which the result takes everything but the weights
    training: values of TrainingInfo by name, to change in the result
    """
    content = io.BytesIO(after)
    with h5py.File(io.BytesIO(before), "r") as first, h5py.File(content, "r+") as file:

        def average(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
                item[...] = (item[()] + first["model_weights"][name][()]) / 2

        file["model_weights"].visititems(average)
        file.attrs[TRAINING] = json.dumps(json.loads(file.attrs[TRAINING]) | dict(training))
    return content.getvalue()


# ---- loading


def load_model(
    path: Path | str, preprocessing: Preprocessing | str | None = None, must_agree: bool = True
) -> ModelFile:
    """Load a file of save_model(), or a chain of layers in a .h5 or .keras file of Keras 1 to 3.

    Raises UserError.

    preprocessing: a definition or its text; required for models of other programs
    must_agree: whether a file that states another preprocessing is an error; otherwise it keeps its
        own, and a note tells so
    """
    loaded = open_model(path, preprocessing)
    if isinstance(loaded, ForeignModel):
        return ModelFile(*loaded.declared(preprocessing))
    contradiction = loaded.contradiction(preprocessing) if preprocessing else ""
    if contradiction and must_agree:
        raise UserError(f"{path}: {contradiction}")
    if contradiction:
        note(f"{path}: {contradiction}")
    return loaded


def load_own_model(path: Path) -> ModelFile:
    """Load a file of save_model(); raises UserError also for a model of another program."""
    loaded = open_model(path)
    if isinstance(loaded, ForeignModel):
        first = shown_command("import-model", path, "-o", "NEW.h5")
        raise UserError(f"{path} is not a model of bcclone; first import it: {first}")
    return loaded


def open_model(
    path: Path | str,
    given: Preprocessing | str | None = None,
    rescale: Scaling | None = None,
) -> ModelFile | ForeignModel:
    """Load a model file, or one of another program, whose preprocessing is not known yet.

    Raises UserError.

    given: the expected preprocessing or its text, which is not compared with the file's; a network
        for images of any size is built for the size that it states
    rescale: what a Lambda layer computes, for a layer whose code is not recognised
    """
    path = Path(path)
    check_keras_path(path)
    size = _size_of(given)
    with explained(path, "a complete model file", "save it again, or train the model again"):
        try:
            stored = read_model(path)
            texts = stored.texts
            if PREPROCESSING not in texts:
                rebuilt = rebuild_model(stored, most_outputs=1, rescale=rescale, size=size)
                return ForeignModel(path, rebuilt)
            preprocessing = Preprocessing.from_json(texts[PREPROCESSING])
            rebuilt = rebuild_model(stored, most_outputs=len(OUTPUTS), rescale=rescale, size=size)
        except UnsupportedModel as error:
            raise UserError(
                f"{path}: {error}; see docs/reference/model-file.md for the networks that can drive"
            ) from None
        except PreprocessingMismatch as error:
            raise UserError(
                f"{path}: {error}\n  a newer bcclone may support it; or train the model again"
            ) from None
        training = TrainingInfo.from_json(texts.get(TRAINING, "{}"))
        framing = from_text(Framing, texts[FRAMING]) if FRAMING in texts else None
        calibration = None
        if CALIBRATION in texts:
            calibration = from_text(SteeringCalibration, texts[CALIBRATION])

    model = rebuilt.model
    # (batch, height, width, channels), with the number of frames after the batch for windows
    made = (*model.input_shape[:-3], *preprocessing.shape)
    if model.input_shape != made:
        raise UserError(
            f"{path}: the network takes {model.input_shape}, its preprocessing makes {made}; train "
            "it again"
        )
    # a file states the scale of the pixels as a layer of the network alone
    preprocessing = replace(preprocessing, scale=stated_scale(model))
    return ModelFile(model, preprocessing, training, framing, calibration)


def _size_of(given: Preprocessing | str | None) -> Size:
    """Return the rows and columns that a preprocessing makes, None where none are stated.

    Raises UserError for a text that is no preprocessing.
    """
    if given is None:
        return (None, None)
    if isinstance(given, Preprocessing):
        return (given.height, given.width)
    preprocessing_of(given)  # only for the UserError of a wrong text
    fields = fields_of(given)
    return (fields.get("height"), fields.get("width"))
