"""Save and load models: a network and the preprocessing of its input in one .h5 file.

The file has Keras's HDF5 format, weights and a JSON configuration, and attributes of bcclone: see
docs/reference/model-file.md. It contains no code. `foreign` rebuilds the network of each file, also
those of other programs. Keras loads none but what was just written, to compare the answers
(plain_keras.py), since it would run code that a file may contain. Importing this loads no Keras.
"""

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import h5py

from bcclone.camera.framing import FRAMING, Framing
from bcclone.dataset.answer import OUTPUTS, Output
from bcclone.dataset.fingerprint import Fingerprint
from bcclone.dataset.preprocessing import Preprocessing, PreprocessingMismatch, preprocessing_of
from bcclone.dataset.preprocessing_text import (
    RAW,
    Scaling,
    fields_of,
)
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.foreign.preprocessing import declared_preprocessing
from bcclone.model.foreign.stored import StoredModel, UnsupportedModel, read_model
from bcclone.model.model_path import check_keras_path, comes_with_bcclone
from bcclone.model.plain_keras import OtherAnswers, check_plain_keras
from bcclone.system.arrays import Float32Array
from bcclone.system.codec import explained, from_text, parse_json, read_bytes
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import replacing
from bcclone.system.hdf5_file import open_hdf5, read_attribute
from bcclone.system.keras_settings import settle_keras
from bcclone.system.progress import note
from bcclone.system.values import from_json, names_of, to_json

if TYPE_CHECKING:
    import keras

    from bcclone.model.foreign.weights import RebuiltModel

# names of attributes of a model file, besides FRAMING
PREPROCESSING = "bcclone_preprocessing"
PREPROCESSING_HASH = "bcclone_preprocessing_hash"
TRAINING = "bcclone_training"
CALIBRATION = "bcclone_calibration"


# ---- what a file states


@dataclass(frozen=True)
class TrainingInfo:
    """How a model was trained, as far as its file states it."""

    settings: Mapping[str, Any] = field(default_factory=dict)  # values of TrainSettings by name
    samples: Mapping[str, Any] = field(default_factory=dict)  # values of SampleSettings by name
    store_content_hash: str | None = None  # hash of the samples that it was trained on
    epoch: int | None = None  # the epoch after which the weights were saved
    val_loss: float | None = None  # validation loss of these weights
    imported: Mapping[str, Any] | None = None  # where a model of another program came from
    # of the recordings that it was trained on, those of its start model included; None if the file
    # does not state them
    recordings: Sequence[Fingerprint] | None = None
    # whether it was trained on others, too, which its start model does not state
    has_unknown_recordings: bool = False

    @property
    def network(self) -> str | None:
        return self.settings.get("network")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a JSON object, ignoring unknown names; raises ValueError for any other text."""
        stored = parse_json(text)
        if isinstance(stored, dict):
            stored = {name: stored[name] for name in names_of(cls) if name in stored}
        return from_json(cls, stored)


def stated_network(path: Path) -> str | None:
    """Return the name of the network in a model file of bcclone.

    None for a file that states no network of today, which includes every file that cannot be read:
    loading the model tells why.
    """
    try:
        with open_hdf5(path) as file:
            network = TrainingInfo.from_json(read_attribute(file, TRAINING, str)).network
    except (OSError, ValueError):
        return None
    return network if network in ARCHITECTURES else None


def stated_recordings(path: Path) -> tuple[Sequence[Fingerprint], bool]:
    """Return the fingerprints that a model file of bcclone states, and whether there are others.

    A model that comes with bcclone was trained in simulated worlds alone.
    """
    try:
        with open_hdf5(path) as file:
            training = TrainingInfo.from_json(read_attribute(file, TRAINING, str))
    except (OSError, ValueError):
        return (), True
    if training.recordings is None:
        return (), not comes_with_bcclone(path)
    return training.recordings, training.has_unknown_recordings


def stated_frames(path: Path) -> tuple[Preprocessing | None, Framing | None]:
    """Return how a model file of bcclone prepares its frames, and the framing of its camera.

    None for what it does not state; a file that cannot be read states neither.
    """
    try:
        with open_hdf5(path) as file:
            images = from_text(Preprocessing, read_attribute(file, PREPROCESSING, str))
            if FRAMING not in file.attrs:
                return images, None
            return images, from_text(Framing, read_attribute(file, FRAMING, str))
    except (OSError, ValueError, UserError):
        return None, None


@dataclass(frozen=True)
class SteeringCalibration:
    """Turns a network's steering into a car's: gain x the network's steering + bias."""

    gain: float
    bias: float = 0.0
    # how much later than the network the driver steered; below 0 if the pictures were late. The
    # answers of `predict` follow as late, those of a drive do not
    delay_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, asdict(self).values())):
            raise ValueError(f"a calibration of {asdict(self)}, expected finite numbers")

    def apply(self, steering: float) -> float:
        """Return the car's steering, -1 to 1; NaN stays NaN."""
        value = self.gain * steering + self.bias
        return value if math.isnan(value) else min(max(value, -1.0), 1.0)


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file, or of a file of another program with its preprocessing."""

    prepares_itself: ClassVar = False  # the frames become its input by `preprocessing`
    model: "keras.Model"
    # makes the network's input; its `scale` is what layer_kinds.stated_scale() returns: "" if
    # layers of the network's author scale the pixels
    preprocessing: Preprocessing
    training: TrainingInfo = TrainingInfo()
    # how pictures of the car's camera become frames; None for the simulator's camera
    framing: Framing | None = None
    # turns the network's steering into the car's; None if they are the same
    calibration: SteeringCalibration | None = None

    @property
    def input_shape(self) -> Sequence[int]:
        """Return the shape of the network's input, without the batch."""
        return self.model.input_shape[1:]  # type: ignore[no-any-return]

    @property
    def seq_length(self) -> int:
        shape = self.model.input_shape
        takes_windows = len(shape) == 5  # (batch, frames, rows, columns, channels)
        return int(shape[1]) if takes_windows else 1

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Return how many numbers each state of a recurrent network has.

        () for a network that gets a window of frames at each step of a drive, as all networks of
        other programs do.
        """
        from bcclone.model.recurrent import state_sizes_of  # loads TensorFlow

        return state_sizes_of(self.model) if self.training.imported is None else ()

    def as_call(self) -> "Callable[..., list[Float32Array]]":
        """Return the network as a call, compiled by TensorFlow, as compile_network() does it."""
        from bcclone.model.recurrent import compile_network  # loads TensorFlow

        return compile_network(self.model, self.state_sizes)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return what the numbers of an answer are, in their order: the steering is the first."""
        return OUTPUTS[: self.model.output_shape[-1]]

    def contradiction(self, given: Preprocessing | str) -> str:
        """Return how a given preprocessing differs from the file's, "" if it is the same.

        Returns the end of an error message. Raises UserError for text that is not a preprocessing.
        """
        stated = self.preprocessing
        if isinstance(given, str):
            given = preprocessing_of(given, (stated.width, stated.height))
        # == of two preprocessings does not compare their scales. A given "" agrees with every
        # scale; with a file's "", the network gets raw pixels, which its own layers scale.
        if given == stated and given.scale in ("", stated.scale or RAW):
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
    model: "keras.Model",
    preprocessing: Preprocessing,
    training: Mapping[str, Any] | None = None,
    framing: Framing | None = None,
) -> None:
    """Write the model to `path` (.h5), completely or not at all.

    Raises UserError for a network that could not be loaded again, because of unsupported layers,
    branches or several output layers, and for one that plain Keras would load otherwise.

    training: how it was trained, values of TrainingInfo by name
    framing: how pictures of the car's camera become frames; None for the simulator's camera
    """
    content = model_content(model, preprocessing, training or {}, framing)
    with replacing(Path(path), follow=True) as temporary:
        temporary.write_bytes(content)
        # these are only tests: an error leaves `path` as it was
        try:
            load_model(temporary)
        except UserError as error:
            reason = str(error).removeprefix(f"{temporary}: ")
            raise UserError(f"{path}: this network could not be loaded again: {reason}") from None
        try:
            not_compared = check_plain_keras(temporary, model)
        except OtherAnswers as error:
            raise OtherAnswers(f"{path}: {error}") from None
    if not_compared:
        note(f"{path}: {not_compared}")


def model_content(
    model: "keras.Model",
    preprocessing: Preprocessing,
    training: Mapping[str, Any],
    framing: Framing | None = None,
) -> bytes:
    """Return the content of a model file, from the arguments of save_model()."""
    from keras.src.legacy.saving import legacy_h5_format

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
    path: Path | str,
    preprocessing: Preprocessing | str | None = None,
    must_agree: bool = True,
) -> ModelFile:
    """Load a file of save_model(), or a chain of layers in a .h5 or .keras file of Keras 1 to 3.

    Raises UserError.

    preprocessing: a definition or its text; required for models of other programs
    must_agree: whether a file that states another preprocessing is an error; otherwise it keeps its
        own, and a note tells so
    """
    return model_of(Path(path), None, preprocessing, must_agree)


def model_of(
    path: Path,
    stored: Callable[[], StoredModel] | None,
    preprocessing: Preprocessing | str | None,
    must_agree: bool,
) -> ModelFile:
    """Load a model as load_model() does.

    stored: returns the content of the file, for a caller that already reads it in another thread;
        None to read it here
    """
    loaded = open_model(path, preprocessing, stored=stored)
    if not isinstance(loaded, ModelFile):
        return with_preprocessing(path, loaded, preprocessing)
    contradiction = loaded.contradiction(preprocessing) if preprocessing else ""
    if contradiction and must_agree:
        raise UserError(f"{path}: {contradiction}")
    if contradiction:
        note(f"{path}: {contradiction}")
    return loaded


def load_own_model(path: Path) -> ModelFile:
    """Load a file of save_model(); raises UserError also for a model of another program."""
    loaded = open_model(path)
    if not isinstance(loaded, ModelFile):
        first = shown_command("import-model", path, "-o", "NEW.h5")
        raise UserError(f"{path} is not a model of bcclone; first import it: {first}")
    return loaded


def open_model(
    path: Path,
    given: Preprocessing | str | None = None,
    rescale: Scaling | None = None,
    stored: Callable[[], StoredModel] | None = None,
) -> "ModelFile | RebuiltModel":
    """Load a model file, or the network of another program, whose preprocessing is not known yet.

    Raises UserError.

    given: the expected preprocessing or its text, which is not compared with the file's; a network
        for images of any size is built for the size that it states
    rescale: what a Lambda layer computes, for a layer whose code is not recognised
    stored: as model_of() takes it
    """
    check_keras_path(path)
    settle_keras()
    from bcclone.model.foreign.weights import rebuild_model  # these load Keras
    from bcclone.model.layer_kinds import stated_scale

    size: tuple[int | None, int | None] = (None, None)
    if isinstance(given, Preprocessing):
        size = (given.height, given.width)
    elif given is not None:
        preprocessing_of(given)  # only for the UserError of a wrong text
        fields = fields_of(given)
        size = (fields.get("height"), fields.get("width"))
    with explained(path, "a complete model file", "save it again, or train the model again"):
        try:
            content = stored() if stored else read_model(path)
            texts = content.texts
            if PREPROCESSING not in texts:
                return rebuild_model(content, most_outputs=1, rescale=rescale, size=size)
            preprocessing = Preprocessing.from_json(texts[PREPROCESSING])
            model = rebuild_model(content, most_outputs=len(OUTPUTS)).model
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


def with_preprocessing(
    path: Path, rebuilt: "RebuiltModel", given: Preprocessing | str | None
) -> ModelFile:
    """Return the network of another program with its preprocessing, whose scale becomes a layer.

    Raises UserError. A note warns if a layer of the network scales the pixels as well.

    path: the file that the network is from
    given: as declared_preprocessing() takes it
    """
    import keras

    from bcclone.model.layer_kinds import scaling_layer, stated_scale, with_scale

    model = rebuilt.model
    scaling = scaling_layer(model)
    likely_scale = "0..1"  # how the author's program probably scaled the pixels
    if scaling:
        likely_scale = ""
    elif rebuilt.pilot and isinstance(model.layers[0], keras.layers.Cropping2D):
        likely_scale = RAW  # a pilot of donkeycar 2
    shape = model.input_shape[1:]
    preprocessing = declared_preprocessing(path, given, shape, rebuilt.pilot, likely_scale)
    # a layer that normalises each image gives the same output after any scale
    normalizations = (keras.layers.GroupNormalization, keras.layers.LayerNormalization)
    of_each_image = isinstance(scaling, normalizations)
    if scaling and not of_each_image and preprocessing.scale not in ("", RAW):
        unscaled = replace(preprocessing, scale="").describe()
        note(
            f"{path}: its own layer {scaling.name} scales the pixels again after "
            f"{preprocessing.scale}; leave that out of --preprocess, unless its author did "
            f"both: '{unscaled}'"
        )
    network = with_scale(model, preprocessing.scale)
    origin = {
        "keras_version": rebuilt.keras_version,
        "backend": rebuilt.backend,
        "notes": list(rebuilt.notes),
    }
    return ModelFile(
        network,
        replace(preprocessing, scale=stated_scale(network)),
        TrainingInfo(imported=origin),
    )
