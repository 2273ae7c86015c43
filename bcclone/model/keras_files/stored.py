"""Read a Keras .h5 or .keras file as plain data, in a process of its own, which a damaged file may crash.

In: a path. Out: a `StoredModel`. Sizes are checked before reading, and no links are followed. The process is this
module, run as a program.
"""

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from bcclone.model.keras_files import UnsupportedModel
from bcclone.system.arrays import Float32Array
from bcclone.system.codec import open_file, parse_json
from bcclone.system.errors import first_line
from bcclone.system.file_kinds import HDF5
from bcclone.system.hdf5_child import Ended, Refused, read_apart, serve
from bcclone.system.hdf5_file import (
    LONGEST_TEXT,
    Table,
    UnfitContent,
    dataset_of,
    member_of,
    open_hdf5,
    read_names,
    read_text,
)

_NUMBERS_AT_MOST = 1 << 26  # of all arrays together
_LARGEST_WEIGHTS = 8 * _NUMBERS_AT_MOST  # bytes; twice those of a network, since the optimizer may be in the file
_NAMES_AT_MOST = 4096
_OURS = "bcclone_"
_TEXTS = ("model_config", "keras_version", "backend")
_NOT_THE_NETWORK = ("optimizer", "seed_generator", "compile_metrics", "metrics", "_keras_api")
_ZIP = b"PK\x03\x04"  # the first bytes of a .keras file, as many as HDF5 has


@dataclass(frozen=True)
class NamedArray:
    """One array of weights, float32 (...,), with its name in the file."""

    name: str
    values: Float32Array


Weights = Mapping[str, Sequence[NamedArray]]  # by layer or folder


@dataclass(frozen=True)
class StoredModel:
    """The content of a file: texts by name (model_config, keras_version, ...), and arrays by layer or folder."""

    texts: Mapping[str, str]
    weights: Weights


def read_stored(path: Path) -> StoredModel:
    """Return the content of a file; raises UnsupportedModel, also when the process that reads it crashes or hangs."""
    try:
        head, tables = read_apart("bcclone.model.keras_files.stored", path)
        arrays = iter(tables)
        weights = {
            folder: [NamedArray(name, np.asarray(next(arrays), np.float32)) for name in names]
            for folder, names in head["weights"].items()
        }
        return StoredModel(head["texts"], weights)
    except Ended as error:
        raise UnsupportedModel(f"{error}; save the model again, or train it again") from None
    except Refused as error:
        raise UnsupportedModel(str(error)) from None
    except OSError as error:
        raise UnsupportedModel(_incomplete(error)) from None


def _incomplete(error: Exception) -> str:
    return f"not a complete model file: {first_line(error)}; save it again, or train the model again"


# ---- the process


def read(path: Path) -> tuple[dict[str, Any], Sequence[Table]]:
    """Return the texts and the names of the arrays, and the arrays, float32; raises Refused."""
    try:
        texts, weights = _read(path)
    except (UnsupportedModel, UnfitContent) as error:
        raise Refused(str(error)) from None
    except Exception as error:  # damaged files cause all kinds in h5py and zipfile
        raise Refused(_incomplete(error)) from None
    names = {folder: [array.name for array in arrays] for folder, arrays in weights.items()}
    return {"texts": texts, "weights": names}, [array.values for arrays in weights.values() for array in arrays]


def _read(path: Path) -> tuple[dict[str, str], Weights]:
    with open_file(path, "model") as file:
        begin = file.read(len(HDF5))
        if begin == _ZIP:
            return read_archive(file)
    if begin != HDF5:
        raise UnsupportedModel("not a complete model file: neither HDF5 nor .keras; name one that Keras saved")
    with open_hdf5(path) as stored:
        texts = read_texts(stored)
        if "model_config" in texts or "layer_names" in stored.attrs:
            return texts, read_layers(stored)
        if "schema_version" in stored.attrs:
            raise UnsupportedModel("a store, expected a model; train one with: bcclone model STORE -o model.h5")
    raise UnsupportedModel("not a model file: it holds no Keras model")


def read_texts(file: h5py.File) -> dict[str, str]:
    """Return the text attributes: the configuration, the version of Keras, and those of bcclone."""
    texts = {name: read_text(file, name) for name in file.attrs if name in _TEXTS or name.startswith(_OURS)}
    if "model_weights" in file:
        group = member_of(file, "model_weights")
        for name in ("keras_version", "backend"):
            if name not in texts and name in group.attrs:
                texts[name] = read_text(group, name)
    return texts


def read_layers(file: h5py.File) -> Weights:
    """Return the arrays of each layer, by its name, in the order of the file; raises UnsupportedModel."""
    group = member_of(file, "model_weights") if file.get("model_weights", getlink=True) is not None else file
    folders = {name: member_of(group, name) for name in _names(group, "layer_names")}
    datasets: dict[str, list[tuple[str, h5py.Dataset]]] = {}
    for name, folder in folders.items():
        if not isinstance(folder, h5py.Group):
            raise UnsupportedModel(f"{name[:60]!r} is not a group of weights")
        datasets[name] = [(path, _array(folder, path)) for path in _names(folder, "weight_names")]
    return _read_arrays(datasets)


def read_folders(file: h5py.File) -> Weights:
    """Return the arrays in the model.weights.h5 of a .keras archive, by folder; raises UnsupportedModel."""
    paths: list[str] = []
    file.visit(paths.append)  # without links
    datasets: dict[str, list[tuple[str, h5py.Dataset]]] = {}
    for path in paths:
        folder, _, number = path.rpartition("/vars/")
        if number.isdecimal() and not any(part.startswith(_NOT_THE_NETWORK) for part in path.split("/")):
            datasets.setdefault(folder, []).append((number, _array(file, path)))
    return _read_arrays({folder: sorted(arrays, key=lambda item: int(item[0])) for folder, arrays in datasets.items()})


def read_archive(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    """Return the texts and arrays of an archive; raises UnsupportedModel, or errors of zipfile, json and h5py."""
    with zipfile.ZipFile(file) as archive:
        members = {item.filename: item for item in archive.infolist()}
        if missing := {"metadata.json", "config.json", "model.weights.h5"} - set(members):
            raise UnsupportedModel(f"is not a complete .keras archive: it lacks {', '.join(sorted(missing))}")
        metadata = parse_json(_member(archive, members["metadata.json"], LONGEST_TEXT))
        texts = {
            "model_config": _member(archive, members["config.json"], LONGEST_TEXT).decode(),
            "keras_version": str(metadata.get("keras_version"))[:40],
        }
        weights = _member(archive, members["model.weights.h5"], _LARGEST_WEIGHTS)
    with h5py.File(io.BytesIO(weights), "r") as stored:
        return texts, read_folders(stored)


def _read_arrays(datasets: Mapping[str, list[tuple[str, h5py.Dataset]]]) -> Weights:
    """Read the arrays, unless they have too many numbers in all."""
    numbers = sum(math.prod(array.shape) for arrays in datasets.values() for _, array in arrays)
    if numbers > _NUMBERS_AT_MOST:
        largest = max((array.shape for arrays in datasets.values() for _, array in arrays), key=math.prod)
        raise UnsupportedModel(
            f"has {numbers} weights, with an array of shape {largest}; expected at most {_NUMBERS_AT_MOST}"
        )
    return {name: [NamedArray(path, _values(path, array)) for path, array in datasets[name]] for name in datasets}


def _values(path: str, array: h5py.Dataset) -> Float32Array:
    values = np.asarray(array[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise UnsupportedModel(f"the weights {path[:60]!r} are not all finite numbers")
    return values


def _names(group: h5py.Group, attribute: str) -> list[str]:
    if attribute not in group.attrs:
        raise UnsupportedModel(f"has no weights: {group.name[:60]!r} lacks its list {attribute}")
    return read_names(group, attribute, _NAMES_AT_MOST)


def _array(group: h5py.Group, path: str) -> h5py.Dataset:
    array = dataset_of(group, path, compressed=True)
    if array.dtype.kind != "f":
        raise UnsupportedModel(f"{path[:60]!r} is not an array of floats")
    return array


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Return the content of a member, after checking its size."""
    if member.file_size > most:
        raise UnsupportedModel(f"its {member.filename} unpacks to {member.file_size} bytes, expected at most {most}")
    with archive.open(member) as stream:
        return stream.read(most)


if __name__ == "__main__":
    serve(read)
