"""Refuse a path that cannot be a model; copy the models that come with bcclone; and which model to
import.

Importing this loads nothing large, so that --help and refusals come at once.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText, scaling_of_text
from bcclone.recording.files import LOG_NAME
from bcclone.system.atomic import make_folder, sha256_of, write_bytes
from bcclone.system.errors import UserError, shown_command
from bcclone.system.settings import Checked, Force, SettingError, argument, setting

ONNX, LITERT = ".onnx", ".tflite"
_SHIPPED = tuple(
    Path("models", f"{name}.h5") for name in ("lake", "any-road", "any-camera")
)  # in a clone
_PACKAGE = Path(__file__).parents[1]
_INSTALLED, _OF_A_CLONE = (
    _PACKAGE / "models",
    _PACKAGE.parent / "models",
)  # setup.py puts them into the package


def is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ONNX


def is_litert(path: Path) -> bool:
    return path.suffix.lower() == LITERT


def check_model_path(path: Path) -> None:
    """Raise UserError for what cannot be a model that drives."""
    if not (is_onnx(path) or is_litert(path)):
        check_keras_path(path)
    elif not path.is_file():
        kind = "onnx" if is_onnx(path) else "litert"
        write = shown_command("export", "model.h5", "--to", kind, "-o", path)
        raise UserError(f"{path}: no such model; write one with: {write}")


def check_keras_path(path: Path) -> None:
    """Raise UserError for what cannot be a model file of Keras."""
    if (path / LOG_NAME).is_file():
        raise UserError(
            f"{path}: is a recording, expected a model file; to score a model on it: bcclone replay MODEL RECORDING"
        )
    if (path / "saved_model.pb").is_file():
        raise UserError(
            f"{path}: a SavedModel, which contains code; save the model as one file, in the program that wrote it: "
            f"tensorflow.keras.models.load_model('{path.name}').save('{path.stem}.h5'); donkeycar also takes a .h5 or "
            ".tflite, and trains one with SAVE_MODEL_AS_H5 = True in myconfig.py"
        )
    if path.is_dir():
        raise UserError(f"{path}: is a folder, expected a model file, .h5 or .keras")
    if is_onnx(path) or is_litert(path):
        kind = "an ONNX" if is_onnx(path) else "a LiteRT"
        raise UserError(
            f"{path}: {kind} file drives, but it is no longer a network of Keras: name the .h5 that it was made from"
        )
    if not path.is_file():
        shipped = " or ".join(str(model) for model in _SHIPPED if model.is_file())
        if path.name in [model.name for model in _SHIPPED]:
            raise UserError(
                f"{path}: no such model; it lies in the folder models/ of bcclone's clone: give its path"
            )
        other = f", or use one that comes with bcclone: {shipped}" if shipped else ""
        train = shown_command("model", "data.h5", "-o", path)
        raise UserError(f"{path}: no such model; train one with: {train}{other}")


def shipped_model(name: str) -> Path:
    """Return the path of a model that comes with bcclone."""
    return (_INSTALLED if _INSTALLED.is_dir() else _OF_A_CLONE) / name


@dataclass(frozen=True)
class CopiedModels:
    """Where the trained models are now. models: all of them; written: those that were not there
    before.
    """

    models: tuple[Path, ...]
    written: tuple[Path, ...]


def copy_trained_models(folder: Path = Path("models")) -> CopiedModels:
    """Write the trained models into a folder, which is made where it is missing.

    A model that is there already stays. Raises UserError, before anything is written, if another
    file has its name, or if this installation has no models.
    """
    sources = sorted(shipped_model("").glob("*.h5"))
    if not sources:
        raise UserError(
            f"{_INSTALLED}: no trained models are installed there; install bcclone again"
        )
    make_folder(folder)
    models = {folder / source.name: source for source in sources}
    written = [
        path for path in models if not path.is_file() or sha256_of(path) != sha256_of(models[path])
    ]
    for path in written:
        if path.exists():
            raise UserError(f"{path} exists already; remove it, or name another folder")
    for path in written:
        write_bytes(path, models[path].read_bytes())
    return CopiedModels(tuple(models), tuple(written))


@dataclass(frozen=True)
class ImportModelSettings(Checked):
    """Which model to import. old: a .h5 or .keras file."""

    old: Path = argument("a Keras .h5 or .keras file of another program")
    output: Path | None = setting(None, "the model file to write", shown="model.h5")
    force: Force = setting(False)
    preprocess: PreprocessingText | None = setting(None)
    recording: Path | None = setting(
        None,
        "find --preprocess: try the usual ones that fit the model on this recording, and rank them by their agreement "
        "with its steering; with -o, one that is clearly the best is used; of a given one, only its agreement is said",
        shown="none",
    )
    rescale: str | None = setting(
        None,
        "what a Lambda layer computes whose code is not recognised, such as 'x / 127.5 - 1'; see the script that "
        "trained the model",
        unit="FORMULA",
        shown="as recognised",
    )

    def validate(self) -> None:
        if self.rescale is not None:
            try:
                scaling_of_text(self.rescale)
            except ValueError as error:
                raise SettingError("{rescale} {value}", value=error) from None
