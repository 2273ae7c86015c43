"""The paths of model files: which can be one, and where the trained models of bcclone are.

What is wrong with a path is said before anything large, such as Keras, is loaded.
"""

from pathlib import Path

from bcclone.recording.files import LOG_NAME, is_recording
from bcclone.system.codec import MODEL_ENDINGS, kind_of_content, read_bytes
from bcclone.system.errors import OtherKind, UserError, shown_command
from bcclone.system.files import sha256_of
from bcclone.system.location import did_you_mean_beside

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "models"  # setup.py copies the models into an installed package
_IN_CLONE = _PACKAGE.parent / "models"  # in a clone of the repository they lie next to it


# endings of the weights that are read with a NAME.json of the same name
_WEIGHT_ENDINGS = (".h5", ".keras", ".weights.h5", ".hdf5")


def is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def is_litert(path: Path) -> bool:
    return path.suffix.lower() == ".tflite"


def check_model_path(path: Path, inside: bool = True) -> None:
    """Raise UserError for a path that cannot be a model file of Keras, ONNX or LiteRT.

    inside: whether to look into a file, too, which loads h5py
    """
    if not (is_onnx(path) or is_litert(path)):
        check_keras_path(path, inside)
    elif not path.is_file():
        kind = "onnx" if is_onnx(path) else "litert"
        write = shown_command("export", "model.h5", "--to", kind, "-o", path)
        remedy = did_you_mean_beside(path, _may_be_model) or f"write one with: {write}"
        raise UserError(f"{path}: no such model; {remedy}")


def check_keras_path(path: Path, inside: bool = True) -> None:
    """Raise UserError for a path that cannot be a model file of Keras, .h5 or .keras.

    inside: as check_model_path() takes it
    """
    has_log = (path / LOG_NAME).is_file()
    if has_log or ((path.is_dir() or path.suffix.lower() == ".csv") and is_recording(path)):
        raise OtherKind(f"{path}: is a recording, expected a model file, .h5 or .keras")
    if (path / "saved_model.pb").is_file():
        raise UserError(
            f"{path}: a SavedModel, which contains code; save the model as one file, in the "
            "program that wrote it: "
            f"tensorflow.keras.models.load_model('{path.name}').save('{path.stem}.h5'); donkeycar "
            "also takes a .h5 or .tflite, and trains one with SAVE_MODEL_AS_H5 = True in "
            "myconfig.py"
        )
    if path.is_dir():
        raise OtherKind(f"{path}: is a folder, expected a model file, .h5 or .keras")
    if is_onnx(path) or is_litert(path):
        raise UserError(
            f"{path}: an ONNX or LiteRT file drives, but it is not a network of Keras, which this "
            "needs: name a .h5 or .keras, such as the one that it was made from"
        )
    if not path.is_file():
        train = shown_command("model", "data.h5", "-o", path.with_suffix(".h5"))
        beside = (
            f"write those that come with bcclone into models/: {shown_command('trained-models')}"
        )
        if _LAKE.is_file():
            beside = f"name {_LAKE}, which comes with bcclone"
        remedy = did_you_mean_beside(path, _may_be_model) or f"train one with: {train}, or {beside}"
        raise UserError(f"{path}: no such model; {remedy}")
    if path.suffix.lower() == ".json":
        raise UserError(f"{path}: {_configuration(path)}", exit_code=2)
    if inside and _is_store(path):
        train = shown_command("model", path)
        raise OtherKind(
            f"{path}: is a store, on which {train} trains a model; expected a model file, .h5 or "
            ".keras"
        )


def _configuration(path: Path) -> str:
    """Return what the JSON file of a network is, and which file to name in its place."""
    what = "the layers of a network without their weights, as model.to_json() writes them; "
    weights = [path.with_name(f"{path.stem}{ending}") for ending in _WEIGHT_ENDINGS]
    beside = next((each for each in weights if each.is_file()), None)
    if beside:
        return f"{what}name the file of the weights, which is read together with it: {beside}"
    return (
        f"{what}put the file that model.save_weights() wrote beside it as {weights[0].name}, and "
        "name that"
    )


def _may_be_model(path: Path) -> bool:
    is_named_so = path.suffix.lower() in (".h5", *MODEL_ENDINGS) and path.is_file()
    return is_named_so and not _is_store(path)


def _is_store(path: Path) -> bool:
    from bcclone.system.hdf5_file import kind_of  # loads h5py

    return kind_of(path) == "store"


def read_exported(path: Path) -> bytes:
    """Return the content of an ONNX or LiteRT file.

    Raises UserError for a file that is missing, or has the content of another format.
    """
    check_model_path(path)
    expected = "an ONNX file" if is_onnx(path) else "a LiteRT file"
    content = read_bytes(path, "model")
    kind = kind_of_content(content[:512])
    if kind and not kind.startswith(expected):
        raise UserError(f"{path}: {kind}, expected {expected}")
    return content


# ---- the trained models that come with bcclone

_LAKE = Path("models", "lake.h5")  # in a clone, and where bcclone trained-models was run
SHIPPED = "any-road.h5"  # the one that other models are compared with


def is_shipped(model: Path) -> bool:
    """Return whether a file is SHIPPED itself, whatever it is called."""
    return sha256_of(model) == sha256_of(shipped_model(SHIPPED))


def comes_with_bcclone(model: Path) -> bool:
    """Return whether a file is one of the models that come with bcclone, whatever it is called."""
    folder = shipped_model(SHIPPED).parent
    return any(sha256_of(model) == sha256_of(path) for path in folder.glob("*.h5"))


def shipped_model(name: str) -> Path:
    """Return the path of a model that comes with bcclone, such as "lake.h5"."""
    return (_INSTALLED if _INSTALLED.is_dir() else _IN_CLONE) / name
