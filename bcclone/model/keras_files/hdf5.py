"""Read the texts and arrays of a Keras .h5 or .keras file; check sizes before reading, and follow no links."""

import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import h5py
import numpy as np

from bcclone.model.keras_files import UnsupportedModel
from bcclone.system.arrays import Float32Array
from bcclone.system.hdf5_file import LONGEST_TEXT, dataset_of, member_of, read_names, read_text
from bcclone.system.reading import parse_json

MOST_NUMBERS = 1 << 26  # of all arrays together
_LARGEST_WEIGHTS = 8 * MOST_NUMBERS  # bytes; twice those of a network, since the optimizer may be in the file
_MOST_NAMES, _MOST_OBJECTS, _MOST_MEMBERS, _DEEPEST = 4096, 8192, 1000, 12
_OURS = "bcclone_"
_TEXTS = ("model_config", "keras_version", "backend")
_NOT_THE_NETWORK = ("optimizer", "seed_generator", "compile_metrics", "metrics", "_keras_api")


@dataclass(frozen=True)
class NamedArray:
    """One array of weights, float32 (...,), with its name in the file."""

    name: str
    values: Float32Array


Weights = Mapping[str, Sequence[NamedArray]]  # by layer or folder


def read_texts(file: h5py.File) -> dict[str, str]:
    """Return the text attributes: the configuration, the version of Keras, and those of bcclone."""
    names = list(file.attrs)[:_MOST_NAMES]
    texts = {name: read_text(file, name) for name in names if name in _TEXTS or name.startswith(_OURS)}
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
    return _read(datasets)


def read_folders(file: h5py.File) -> Weights:
    """Return the arrays in the model.weights.h5 of a .keras archive, by folder; raises UnsupportedModel."""
    datasets: dict[str, list[tuple[str, h5py.Dataset]]] = {}
    for path in _walk(file, (), [0]):
        folder, _, number = path.rpartition("/vars/")
        if folder and number.isdecimal():
            datasets.setdefault(folder, []).append((number, _array(file, path)))
    return _read({folder: sorted(arrays, key=lambda item: int(item[0])) for folder, arrays in datasets.items()})


def read_archive(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    """Return the texts and arrays of an archive; raises UnsupportedModel, or errors of zipfile, json and h5py."""
    with zipfile.ZipFile(file) as archive:
        members = {item.filename: item for item in archive.infolist()}
        if len(members) > _MOST_MEMBERS:
            raise UnsupportedModel(f"holds {len(members)} files, expected at most {_MOST_MEMBERS}")
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


def _walk(group: h5py.Group, path: tuple[str, ...], count: list[int]) -> Iterator[str]:
    """Yield the path of every dataset of the network; count: number of objects so far."""
    for name in group:
        count[0] += 1
        if count[0] > _MOST_OBJECTS or len(path) > _DEEPEST:
            raise UnsupportedModel(f"has more than {_MOST_OBJECTS} groups and arrays, or more than {_DEEPEST} levels")
        if name.startswith(_NOT_THE_NETWORK):
            continue
        member = member_of(group, name)
        if isinstance(member, h5py.Group):
            yield from _walk(member, (*path, name), count)
        elif isinstance(member, h5py.Dataset):
            yield "/".join((*path, name))


def _read(datasets: Mapping[str, list[tuple[str, h5py.Dataset]]]) -> Weights:
    """Read the arrays, unless they have too many numbers in all."""
    numbers = sum(math.prod(array.shape) for arrays in datasets.values() for _, array in arrays)
    if numbers > MOST_NUMBERS:
        largest = max((array.shape for arrays in datasets.values() for _, array in arrays), key=math.prod)
        raise UnsupportedModel(
            f"has {numbers} weights, with an array of shape {largest}; expected at most {MOST_NUMBERS}"
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
    return read_names(group, attribute, _MOST_NAMES)


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
