"""Save and load models: a network and the preprocessing of its input in one .h5 file, which
contains no code.

The file has Keras's HDF5 format, weights and a JSON configuration, with three more attributes, and
two for the camera and the steering of a car: see docs/reference/model-file.md. All files, also
those of other programs, are loaded by `foreign` and never by Keras.
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
from bcclone.model.foreign import UnsupportedModel
from bcclone.model.foreign.onnx_model import FRAMING, declared_preprocessing, guess_of_output
from bcclone.model.foreign.rebuild import RebuiltModel, rebuild_model
from bcclone.model.foreign.stored import read_stored
from bcclone.model.foreign.tree import Size
from bcclone.model.layer_kinds import scaling_layer
from bcclone.model.model_path import check_keras_path
from bcclone.model.recurrent import Steps, steps_of
from bcclone.model.steering_calibration import SteeringCalibration
from bcclone.system.atomic import replacing
from bcclone.system.codec import explained, from_text, parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, names_of, to_json
from bcclone.system.progress import note

_PREPROCESSING, _HASH, _TRAINING = (
    "bcclone_preprocessing",
    "bcclone_preprocessing_hash",
    "bcclone_training",
)
_CALIBRATION = "bcclone_calibration"
_ENDINGS = (
    (".json",),
    (".h5", ".weights.h5", ".hdf5"),
)  # of what lies beside weights, and a configuration
_USUAL = ("model", "weights", "config", "architecture")  # names of these
_SCALE, _LEAST_VARIANCE = "scale", 1e-9  # the layer that scales pixels
_DRIVABLE = "docs/reference/model-file.md for the networks that can drive"
# setting in model files of older versions, models/lake.h5 among them -> its name now
_RENAMED = {"look": "appearance", "zero_share": "zero_fraction", "workers": "feed_workers"}


@dataclass(frozen=True)
class TrainingInfo:
    """How a model was trained, as far as its file states it.

    settings, samples: values of TrainSettings and SampleSettings by name; store_content_hash: of
    the samples; epoch, val_loss: of the weights; imported: the origin of an imported model.
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
            training,
            settings={_RENAMED.get(name, name): value for name, value in training.settings.items()},
        )


@dataclass(frozen=True)
class ModelFile:
    """A loaded model, the preprocessing of its input, and how it was trained.

    preprocessing: with the scale that with_scale() gave the network; framing: how pictures of the
    camera that it drives with become frames, None for the simulator's; calibration: of its steering
    for a car, None for the network's own.
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
    def steps(self) -> Steps | None:
        """Return the network's steps frame by frame; None if it drives by windows, as all of other
        programs do.
        """
        return steps_of(self.model) if self.training.imported is None else None

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return what the network predicts, in the order of its numbers; the first is the steering."""
        return OUTPUTS[: self.model.output_shape[-1]]

    def contradiction(self, given: Preprocessing | str) -> str:
        """Return that another preprocessing is given than the file states, "" if it is the same;
        raises UserError.
        """
        own = self.preprocessing
        its = preprocessing_of(given, (own.width, own.height)) if isinstance(given, str) else given
        scale = its.scale if its.scale in ("", EACH_IMAGE) else scale_text(scaling_of(its.scale))
        if its == own and scale in ("", own.scale or RAW):
            return ""
        again = ", or import its old file again with it" if self.training.imported else ""
        return (
            f"states its own preprocessing, but a different one is given; leave out --preprocess{again}\n"
            f"  of the file: {own.describe()}{'' if own.scale else ', which its own layers scale'}\n"
            f"  given:       {its.describe()}"
        )


@dataclass(frozen=True)
class ForeignModel:
    """A model of another program: its path and its rebuilt network, which does not say how its
    frames are prepared.
    """

    path: Path
    rebuilt: RebuiltModel

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return rows, columns and channels of the network's input, after the number of frames if
        it takes windows.
        """
        shape: tuple[int, ...] = self.rebuilt.model.input_shape[1:]
        return shape

    def describe(self) -> Iterator[str]:
        rebuilt, model = self.rebuilt, self.rebuilt.model
        yield f"{self.path}: Keras {rebuilt.keras_version}, backend {rebuilt.backend}; {model.count_params()} weights"
        yield f"its input: {' x '.join(map(str, self.input_shape))} values of 0 to 255, {model.inputs[0].dtype}"
        width = max(len(layer.name) for layer in rebuilt.layers)
        for layer in rebuilt.layers:
            yield f"  {layer.name:<{width}}  {layer.kind}{'' if layer.kind == layer.now else f' -> {layer.now}'}"
        for line in rebuilt.notes:
            yield f"note: {line}"

    def declared(self, how: Preprocessing | str | None) -> ModelFile:
        """Return the model with this preprocessing, as declared_preprocessing() takes it; its scale
        becomes a layer.

        Warns of pixels that nothing scales, or that are scaled twice. Raises UserError.
        """
        network, layer = self.rebuilt.model, scaling_layer(self.rebuilt.model)
        if self.rebuilt.guessed:
            note(guess_of_output(self.path, self.rebuilt.guessed))
        is_of_donkeycar_2 = self.rebuilt.pilot and isinstance(
            network.layers[0], keras.layers.Cropping2D
        )
        scale = "" if layer else RAW if is_of_donkeycar_2 else "0..1"
        taken = declared_preprocessing(self.path, how, self.input_shape, self.rebuilt.pilot, scale)
        if (
            taken.scale not in ("", RAW)
            and layer
            and not isinstance(layer, keras.layers.LayerNormalization)
        ):
            note(
                f"{self.path}: its own layer {layer.name} scales the pixels again after {taken.scale}; leave that out "
                f"of --preprocess, unless its author did both: '{replace(taken, scale='').describe()}'"
            )
        rebuilt = self.rebuilt
        origin = {
            "keras_version": rebuilt.keras_version,
            "backend": rebuilt.backend,
            "notes": list(rebuilt.notes),
        }
        training = TrainingInfo(imported=origin)
        return _with_stated_scale(ModelFile(with_scale(network, taken.scale), taken, training))


def with_scale(model: keras.Model, scale: str) -> keras.Model:
    """Return the network behind a layer that scales its pixels, 0 to 255, as Preprocessing.scale
    says.
    """
    if scale in ("", RAW):
        return model
    if scale == EACH_IMAGE:
        axes = [-3, -2, -1]
        layer: Any = keras.layers.LayerNormalization(
            axes, _LEAST_VARIANCE, center=False, scale=False, name=_SCALE
        )
    else:
        layer = keras.layers.Rescaling(**vars(scaling_of(scale)), name=_SCALE)
    if isinstance(
        model.layers[0], keras.layers.TimeDistributed
    ):  # layers of single frames come first
        layer = keras.layers.TimeDistributed(layer, name=_SCALE)
    image = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="frame")
    return keras.Sequential([image, layer, *model.layers], name=model.name)


def _with_stated_scale(file: ModelFile) -> ModelFile:
    """Return the model with the scale that its first layer is, RAW if none scales; "" for layers of
    its author.
    """
    layer, scale = scaling_layer(file.model), ""
    if not layer:
        scale = RAW
    elif layer.name == _SCALE:
        is_each = isinstance(layer, keras.layers.LayerNormalization)
        scale = EACH_IMAGE if is_each else scale_text(Scaling(layer.scale, layer.offset))
    return replace(file, preprocessing=replace(file.preprocessing, scale=scale))


def save_model(
    path: Path | str,
    model: keras.Model,
    preprocessing: Preprocessing,
    training: Mapping[str, Any] | None = None,
    framing: Framing | None = None,
) -> None:
    """Write the model to `path` (.h5), completely or not at all.

    training: how it was trained, values of TrainingInfo by name. Raises UserError for a network
    that could not be loaded again, because of unsupported layers, branches or several outputs.
    """
    content = model_content(model, preprocessing, training or {}, framing)
    with replacing(Path(path), follow=True) as temporary:
        temporary.write_bytes(content)
        try:
            load_model(temporary)
        except UserError as error:
            reason = str(error).removeprefix(f"{temporary}: ")
            raise UserError(f"{path}: this network could not be loaded again: {reason}") from None


def model_content(
    model: keras.Model,
    preprocessing: Preprocessing,
    training: Mapping[str, Any],
    framing: Framing | None = None,
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


def calibrated_content(
    path: Path, framing: Framing | None, calibration: SteeringCalibration
) -> bytes:
    """Return the content of a copy of a model file, with this framing and calibration; everything
    else stays.
    """
    content = io.BytesIO(read_bytes(path, "model"))
    with h5py.File(content, "r+") as file:
        for name, value in ((FRAMING, framing), (_CALIBRATION, calibration)):
            file.attrs.pop(name, None)
            if value:
                file.attrs[name] = json.dumps(to_json(value))
    return content.getvalue()


def mean_content(one: bytes, other: bytes, training: Mapping[str, Any]) -> bytes:
    """Return the content of a model file with the mean weights of two files of one network, and all
    else of the other.

    Such a network keeps more of what the first one can than the other, which was trained from it
    (M. Wortsman and others, "Robust fine-tuning of zero-shot models", CVPR 2022). training: values
    of TrainingInfo to change.
    """
    content = io.BytesIO(other)
    with h5py.File(io.BytesIO(one), "r") as first, h5py.File(content, "r+") as file:

        def average(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
                item[...] = (item[()] + first["model_weights"][name][()]) / 2

        file["model_weights"].visititems(average)
        file.attrs[_TRAINING] = json.dumps(json.loads(file.attrs[_TRAINING]) | dict(training))
    return content.getvalue()


def load_model(path: Path | str, preprocessing: Preprocessing | str | None = None) -> ModelFile:
    """Load a file of save_model(), or a chain of layers in a .h5 or .keras file of Keras 1 to 3.

    preprocessing: a definition or its text; required for models of other programs. Raises
    UserError.
    """
    loaded = open_model(path, preprocessing)
    return loaded if isinstance(loaded, ModelFile) else loaded.declared(preprocessing)


def load_own_model(path: Path) -> ModelFile:
    """Load a file of save_model(); raises UserError also for a model of another program."""
    loaded = open_model(path)
    if isinstance(loaded, ForeignModel):
        raise UserError(
            f"{path} is not a model of bcclone; first import it: bcclone import-model {path} -o NEW.h5"
        )
    return loaded


def open_model(
    path: Path | str, given: Preprocessing | str | None = None, rescale: Scaling | None = None
) -> ModelFile | ForeignModel:
    """Load a model file, or one of another program, whose preprocessing is not known yet; raises
    UserError.

    given: an expected preprocessing, whose size a network of any size takes; raises UserError when
    the file has another one. rescale: what a Lambda layer computes that is not recognised.
    """
    path = Path(path)
    check_keras_path(path)
    size = _size_of(given)
    with explained(path, "a complete model file", "save it again, or train the model again"):
        try:
            config_path, weights_path = _parts(path)
            stored = read_stored(weights_path)
            if "model_config" not in stored.texts:
                config = _separate_config(config_path, weights_path)
                stored = replace(stored, texts={**stored.texts, "model_config": config})
            texts = stored.texts
            own = (
                Preprocessing.from_json(texts[_PREPROCESSING]) if _PREPROCESSING in texts else None
            )
            rebuilt = rebuild_model(stored, len(OUTPUTS) if own else 1, rescale, size)
        except UnsupportedModel as error:
            raise UserError(f"{path}: {error}; see {_DRIVABLE}") from None
        except PreprocessingMismatch as error:
            raise UserError(
                f"{path}: {error}\n  a newer bcclone may support it; or train the model again"
            ) from None
        training = TrainingInfo.from_json(texts.get(_TRAINING, "{}"))
        framing = from_text(Framing, texts[FRAMING]) if FRAMING in texts else None
        calibration = (
            from_text(SteeringCalibration, texts[_CALIBRATION]) if _CALIBRATION in texts else None
        )
    if own is None:
        return ForeignModel(path, rebuilt)
    loaded = ModelFile(rebuilt.model, own, training, framing, calibration)
    expected = (
        *rebuilt.model.input_shape[:-3],
        *own.shape,
    )  # any number of frames before those three
    if rebuilt.model.input_shape != expected:
        raise UserError(
            f"{path}: the network takes {rebuilt.model.input_shape}, its preprocessing makes {expected}; train it again"
        )
    loaded = _with_stated_scale(loaded)
    if given and (other := loaded.contradiction(given)):
        raise UserError(f"{path}: {other}")
    return loaded


def _size_of(given: Preprocessing | str | None) -> Size:
    """Return the rows and columns that a preprocessing makes, None where none are stated; raises
    UserError.
    """
    if isinstance(given, str):
        preprocessing_of(given)  # or the error of a wrong text
    fields = fields_of(given) if isinstance(given, str) else vars(given) if given else {}
    return fields.get("height"), fields.get("width")


def _parts(path: Path) -> tuple[Path | None, Path]:
    """Return the files of model.to_json() and model.save_weights(), of which `path` is one; None
    without the first.

    They lie in one folder: NAME.json with NAME.h5 or NAME.weights.h5, or under a name that many
    use, or alone.
    """
    is_config = path.suffix == ".json"
    name, folder = _name_of(path), path.parent
    ends = _ENDINGS[is_config]
    there = sorted({each for end in ends for each in folder.glob(f"*{end}")})
    usual = [f"{one}{end}" for one in (name, *_USUAL) for end in ends]
    other = next(
        (folder / each for each in usual if folder / each in there),
        there[0] if len(there) == 1 else None,
    )
    if not is_config:
        return other, path
    if other is None:
        raise UnsupportedModel(
            f"is the network's configuration, without its weights; put them beside it, as {folder / name}.h5"
        )
    return path, other


def _separate_config(config_path: Path | None, weights_path: Path) -> str:
    """Return the configuration in the file of model.to_json() beside that of the weights."""
    text = read_bytes(config_path, "settings") if config_path else b""
    if not config_path or b"class_name" not in text:  # such as the history of a training
        raise UnsupportedModel(
            "holds weights only; put the network's configuration (model.to_json()) beside it, as "
            f"{weights_path.with_suffix('.json')}"
        )
    if _name_of(config_path) not in (*_USUAL, _name_of(weights_path)):
        note(f"{weights_path}: its network is read from {config_path}, the only .json beside it")
    config = parse_json(text)
    return (
        config if isinstance(config, str) else text.decode()
    )  # often the JSON text was written as JSON again


def _name_of(path: Path) -> str:
    return path.name.removesuffix(path.suffix).removesuffix(".weights")
