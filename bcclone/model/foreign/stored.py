"""Read a Keras .h5 or .keras file as plain data, in a process of its own, which a damaged file may
crash.

In: a path. Out: a `StoredModel`. Sizes are checked before reading, and no links are followed. The
process is this module, run as a program, with limits of time and memory. Its answer is NumPy's
.npz; nothing in it is run.
"""

import io
import itertools
import json
import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from bcclone.model.foreign import UnsupportedModel
from bcclone.system.arrays import Float32Array
from bcclone.system.codec import HDF5, check_regular, kind_of_content, open_file, parse_json
from bcclone.system.errors import first_line, shown
from bcclone.system.hdf5_file import (
    LONGEST_TEXT,
    UnfitContent,
    dataset_of,
    member_of,
    open_hdf5,
    read_attribute,
)
from bcclone.system.interrupts import interrupts_kept_from_children

_WALL_SECONDS, _BYTES_PER_SECOND = 60.0, 1 << 24  # for a disk that does not respond
_CPU_SECONDS, _BYTES_PER_CPU_SECOND = (
    3,
    1 << 26,
)  # several times what reading takes, imports included
_MEMORY, _MEMORY_PER_BYTE = 1 << 31, 4  # addresses
_HEAD = "head"
_NUMBERS_AT_MOST = 1 << 26  # of all arrays together
_LARGEST_WEIGHTS = (
    8 * _NUMBERS_AT_MOST
)  # bytes; twice those of a network, since the optimizer may be in the file
_NAMES_AT_MOST = 4096
_OURS = "bcclone_"
_TEXTS = ("model_config", "keras_version", "backend")
_NOT_THE_NETWORK = ("optimizer", "seed_generator", "compile_metrics", "metrics", "_keras_api")
_ZIP = b"PK\x03\x04"  # the first bytes of a .keras file, as many as HDF5 has
_LONGEST_BEGINNING = 64


@dataclass(frozen=True)
class NamedArray:
    """One array of weights, float32 (...,), with its name in the file."""

    name: str
    values: Float32Array


Weights = Mapping[str, Sequence[NamedArray]]  # by layer or folder


@dataclass(frozen=True)
class StoredModel:
    """The content of a file: texts by name (model_config, keras_version, ...), and arrays by layer
    or folder.
    """

    texts: Mapping[str, str]
    weights: Weights


def read_stored(path: Path) -> StoredModel:
    """Return the content of a file; raises UnsupportedModel, also when the process that reads it
    crashes or hangs.
    """
    try:
        check_regular(path)
        done = _run_reader(path)
    except OSError as error:
        raise UnsupportedModel(_incomplete(error)) from None
    except subprocess.TimeoutExpired:
        raise _damaged("took too long") from None
    if done.returncode:
        raise _damaged(f"ended with code {done.returncode}")  # a negative one is a signal
    try:
        with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
            head = parse_json(answer[_HEAD].tobytes())
            arrays = iter([answer[str(number)] for number in range(len(answer.files) - 1)])
            weights = {
                folder: [NamedArray(name, np.asarray(next(arrays), np.float32)) for name in names]
                for folder, names in head["weights"].items()
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise _damaged("gave no answer") from None
    if "refused" in head:
        raise UnsupportedModel(head["refused"])
    return StoredModel(head["texts"], weights)


def _run_reader(path: Path) -> "subprocess.CompletedProcess[bytes]":
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    with interrupts_kept_from_children():
        return subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                __name__,
                path,
            ],  # -P: modules in the current folder must not replace ours
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
            timeout=_WALL_SECONDS + path.stat().st_size / _BYTES_PER_SECOND,
            check=False,
        )


def _damaged(how: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"its structure is damaged: the process that read it {how}; save the model again, or train it again"
    )


def _incomplete(error: Exception) -> str:
    return (
        f"not a complete model file: {first_line(error)}; save it again, or train the model again"
    )


# ---- the process


def answer_for(path: Path) -> dict[str, Any]:
    """Return the arrays of a file under their numbers, and under _HEAD the texts and names, or why
    it is refused.
    """
    head: dict[str, Any] = {"weights": {}}
    arrays: list[Float32Array] = []
    try:
        _limit(path.stat().st_size)
        head["texts"], weights = _read(path)
        head["weights"] = {folder: [one.name for one in named] for folder, named in weights.items()}
        arrays = [one.values for named in weights.values() for one in named]
    except (UnsupportedModel, UnfitContent) as error:
        head["refused"] = str(error)
    except Exception as error:  # damaged files cause all kinds in h5py and zipfile
        head["refused"] = _incomplete(error)
    return {_HEAD: np.frombuffer(json.dumps(head).encode(), np.uint8)} | {
        str(n): one for n, one in enumerate(arrays)
    }


def _limit(size: int) -> None:
    """Limit the memory and the processor time of this process, by the bytes of the file."""
    if sys.platform == "win32":  # the clock of the parent process alone ends it
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, most in (
        (resource.RLIMIT_AS, _MEMORY + _MEMORY_PER_BYTE * size),
        (resource.RLIMIT_CPU, _CPU_SECONDS + size // _BYTES_PER_CPU_SECOND),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(
            kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
        )


def _read(path: Path) -> tuple[dict[str, str], Weights]:
    with open_file(path, "model") as file:
        begin = file.read(len(HDF5))
        if begin == _ZIP:
            return read_archive(file)
        begin += file.read(_LONGEST_BEGINNING)
    if not begin.startswith(HDF5):
        what = kind_of_content(begin) or "neither HDF5 nor .keras"
        raise UnsupportedModel(f"{what}, expected a model file that Keras saved, .h5 or .keras")
    with open_hdf5(path) as stored:
        texts = read_texts(stored)
        if "model_config" in texts or "layer_names" in stored.attrs:
            return texts, read_layers(stored)
        if "schema_version" in stored.attrs:
            raise UnsupportedModel(
                "a store, expected a model; train one with: bcclone model STORE -o model.h5"
            )
        if not {"layers", "_layer_checkpoint_dependencies"}.isdisjoint(
            stored
        ):  # of save_weights() in Keras 3
            return {"keras_version": "3"} | texts, read_folders(stored)
    raise UnsupportedModel("not a model file: it holds no Keras model")


def read_texts(file: h5py.File) -> dict[str, str]:
    """Return the text attributes: the configuration, the version of Keras, and those of bcclone."""
    texts = {
        name: read_attribute(file, name, str)
        for name in file.attrs
        if name in _TEXTS or name.startswith(_OURS)
    }
    if "model_weights" in file:
        group = member_of(file, "model_weights")
        for name in ("keras_version", "backend"):
            if name not in texts and name in group.attrs:
                texts[name] = read_attribute(group, name, str)
    return texts


def read_layers(file: h5py.File) -> Weights:
    """Return the arrays of each layer, by its name, in the order of the file; raises
    UnsupportedModel.
    """
    group = (
        member_of(file, "model_weights")
        if file.get("model_weights", getlink=True) is not None
        else file
    )
    folders = {name: member_of(group, name) for name in _names(group, "layer_names")}
    datasets: dict[str, list[tuple[str, h5py.Dataset]]] = {}
    for name, folder in folders.items():
        if not isinstance(folder, h5py.Group):
            raise UnsupportedModel(f"{shown(name)} is not a group of weights")
        datasets[name] = [(path, _array(folder, path)) for path in _names(folder, "weight_names")]
    return _read_arrays(datasets)


def read_folders(file: h5py.File) -> Weights:
    """Return the arrays in the model.weights.h5 of a .keras archive, by folder; raises
    UnsupportedModel.
    """
    paths: list[str] = []
    file.visit(paths.append)  # without links
    datasets: dict[str, list[tuple[str, h5py.Dataset]]] = {}
    for path in paths:
        folder, _, number = path.rpartition("/vars/")
        if number.isdecimal() and not any(
            part.startswith(_NOT_THE_NETWORK) for part in path.split("/")
        ):
            datasets.setdefault(folder, []).append((number, _array(file, path)))
    return _read_arrays(
        {
            folder: sorted(arrays, key=lambda item: int(item[0]))
            for folder, arrays in datasets.items()
        }
    )


def read_archive(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    """Return the texts and arrays of an archive; raises UnsupportedModel, or errors of zipfile,
    json and h5py.
    """
    with zipfile.ZipFile(file) as archive:
        members = {item.filename: item for item in archive.infolist()}
        if missing := {"metadata.json", "config.json", "model.weights.h5"} - set(members):
            raise UnsupportedModel(_other_archive([*members], missing))
        metadata = parse_json(_member(archive, members["metadata.json"], LONGEST_TEXT))
        texts = {
            "model_config": _member(archive, members["config.json"], LONGEST_TEXT).decode(),
            "keras_version": str(metadata.get("keras_version"))[:40],
        }
        weights = _member(archive, members["model.weights.h5"], _LARGEST_WEIGHTS)
    with h5py.File(io.BytesIO(weights), "r") as stored:
        return texts, read_folders(stored)


def _other_archive(names: Sequence[str], missing: Collection[str]) -> str:
    """Return what an archive is that is no model of Keras, by the names in it and those that are
    missing.
    """
    ends = {name.rpartition("/")[2]: name for name in names}
    if "data.pkl" in ends:
        return "a model of PyTorch, expected a model file that Keras saved, .h5 or .keras"
    if "saved_model.pb" in ends:
        return "a SavedModel in an archive, which contains code; save the model as .h5 or .keras"
    if len(missing) < 3 or not names:
        return f"is not a complete .keras archive: it lacks {', '.join(sorted(missing))}"
    models = [name for name in names if name.endswith((".h5", ".hdf5", ".keras"))]
    remedy = (
        f"unpack it, and name {shown(models[0])} in it"
        if models
        else "expected a model that Keras saved"
    )
    return f"an archive of {len(names)} files, such as {shown(names[0])}; {remedy}"


def _read_arrays(datasets: Mapping[str, list[tuple[str, h5py.Dataset]]]) -> Weights:
    """Read the arrays, unless they have too many numbers in all."""
    numbers = sum(math.prod(array.shape) for arrays in datasets.values() for _, array in arrays)
    if numbers > _NUMBERS_AT_MOST:
        largest = max(
            (array.shape for arrays in datasets.values() for _, array in arrays), key=math.prod
        )
        raise UnsupportedModel(
            f"has {numbers} weights, with an array of shape {largest}; expected at most {_NUMBERS_AT_MOST}"
        )
    weights = {
        name: [NamedArray(path, np.asarray(array[()], np.float32)) for path, array in arrays]
        for name, arrays in datasets.items()
    }
    for one in itertools.chain(*weights.values()):
        if not np.isfinite(one.values).all():
            raise UnsupportedModel(f"the weights {shown(one.name)} are not all finite numbers")
    return weights


def _names(group: h5py.Group, attribute: str) -> list[str]:
    if attribute not in group.attrs:
        raise UnsupportedModel(f"has no weights: {shown(group.name)} lacks its list {attribute}")
    names: list[str] = read_attribute(group, attribute, list, _NAMES_AT_MOST)
    return names


def _array(group: h5py.Group, path: str) -> h5py.Dataset:
    array = dataset_of(group, path, compressed=True)
    if array.dtype.kind not in "fiu":
        raise UnsupportedModel(f"{shown(path)} is not an array of numbers")
    return array


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Return the content of a member, after checking its size."""
    if member.file_size > most:
        raise UnsupportedModel(
            f"its {member.filename} unpacks to {member.file_size} bytes, expected at most {most}"
        )
    with archive.open(member) as stream:
        return stream.read(most)


if __name__ == "__main__":
    np.savez(sys.stdout.buffer, **answer_for(Path(sys.argv[1])))
