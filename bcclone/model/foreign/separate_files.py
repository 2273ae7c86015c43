"""Read a Keras model that may lie in two files: its configuration, and its weights.

model.to_json() and model.save_weights() write such files, which lie in one folder.
read_with_config() takes the path of either one, or of a whole model, and returns a `StoredModel`
with both parts. The other file is looked for by the same name (NAME.json and NAME.h5 or
NAME.weights.h5), then by a usual name, such as model.json or weights.h5, then as the folder's only
file with such an ending.
"""

from dataclasses import replace
from pathlib import Path

from bcclone.model.foreign.stored import StoredModel, read_stored
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.codec import parse_json, read_bytes
from bcclone.system.location import is_hidden
from bcclone.system.process import note

_CONFIG_ENDINGS = (".json",)
_WEIGHTS_ENDINGS = (".h5", ".weights.h5", ".hdf5")
_USUAL_NAMES = ("model", "weights", "config", "architecture")


def read_with_config(path: Path) -> StoredModel:
    """Return the content of a model file, with the configuration that may lie beside it.

    Raises UnsupportedModel.

    path: path of the whole model, of its weights, or of its configuration (.json)
    """
    if path.suffix == ".json":
        config_path: Path | None = path
        weights_path = _weights_beside(path)
    else:
        config_path = _beside(path, _CONFIG_ENDINGS)
        weights_path = path
    stored = read_stored(weights_path)
    if "model_config" in stored.texts:
        return stored
    config = _read_config(config_path, weights_path)
    return replace(stored, texts={**stored.texts, "model_config": config})


def _weights_beside(config_path: Path) -> Path:
    """Return the file of weights that belongs to a configuration; raises UnsupportedModel."""
    weights_path = _beside(config_path, _WEIGHTS_ENDINGS)
    if weights_path is None:
        expected = config_path.parent / f"{_name_of(config_path)}.h5"
        raise UnsupportedModel(
            "is the network's configuration, without its weights; put them beside it, as "
            f"{expected}"
        )
    return weights_path


def _beside(path: Path, endings: tuple[str, ...]) -> Path | None:
    """Return the file in the folder of `path` that belongs to it; None if that is not clear.

    It has the same name, or a usual name, or is the only file with one of these endings.
    """
    ended = {file for ending in endings for file in path.parent.glob(f"*{ending}")}
    present = sorted(file for file in ended if not is_hidden(file.name))
    for name in (_name_of(path), *_USUAL_NAMES):
        for ending in endings:
            candidate = path.parent / f"{name}{ending}"
            if candidate in present:
                return candidate
    return present[0] if len(present) == 1 else None


def _name_of(path: Path) -> str:
    """Return NAME of NAME.json, NAME.h5 or NAME.weights.h5."""
    return path.name.removesuffix(path.suffix).removesuffix(".weights")


def _read_config(config_path: Path | None, weights_path: Path) -> str:
    """Return the configuration in the file of model.to_json(); raises UnsupportedModel.

    weights_path: the file of weights, named in messages
    """
    content = read_bytes(config_path, "settings") if config_path else b""
    # a .json without class_name is something else, such as the history of a training
    if not config_path or b"class_name" not in content:
        raise UnsupportedModel(
            "holds weights only; put the network's configuration (model.to_json()) beside it, as "
            f"{weights_path.with_suffix('.json')}"
        )
    if _name_of(config_path) not in (*_USUAL_NAMES, _name_of(weights_path)):
        note(f"{weights_path}: its network is read from {config_path}, the only .json beside it")
    config = parse_json(content)
    if isinstance(config, str):  # many programs write to_json(), a text, as JSON once more
        return config
    return content.decode()
