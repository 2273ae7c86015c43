"""The process that reads a model file for stored.py, since a damaged one may crash it.

In: the path of a .h5 or .keras file, the program's only argument. Out: NumPy's .npz on the standard
output, with the arrays of the file and its texts. Sizes are checked before reading, and no links
are followed.
"""

import io
import itertools
import json
import math
import re
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from bcclone.model.foreign.stored import HEAD, UnsupportedModel, Weights, incomplete
from bcclone.system.codec import HDF5, kind_of_content, open_file, parse_json
from bcclone.system.errors import shown
from bcclone.system.hdf5_file import (
    LONGEST_TEXT,
    UnfitContent,
    dataset_of,
    member_of,
    open_hdf5,
    read_attribute,
)

_NUMBERS_AT_MOST = 1 << 26  # most numbers in all arrays of a file together


def read_here(path: Path) -> bytes:
    """Return the answer for a file that this process reads itself, without limits.

    Only for files that cannot be hostile; see `stored.reading_by`.
    """
    answer = io.BytesIO()
    np.savez(answer, **_answer_for(path))
    return answer.getvalue()


def _answer_for(path: Path) -> dict[str, Any]:
    """Return the arrays of the answer by their names: HEAD, "0", "1", ...

    HEAD is JSON: the texts of the file, and how many arrays each layer or folder has; for a file
    that is refused, the reason. The others are the file's arrays.
    """
    weights: Weights = {}
    try:
        texts, weights = _read(path)
        counts = {layer: len(arrays) for layer, arrays in weights.items()}
        head: dict[str, Any] = {"texts": texts, "weights": counts}
    except (UnsupportedModel, UnfitContent) as error:
        head = {"weights": {}, "refused": str(error)}
    except Exception as error:  # damaged files cause errors of all kinds in h5py and zipfile
        head = {"weights": {}, "refused": incomplete(error)}
    answer: dict[str, Any] = {HEAD: np.frombuffer(json.dumps(head).encode(), np.uint8)}
    for number, array in enumerate(itertools.chain(*weights.values())):
        answer[str(number)] = array
    return answer


def _limit(size: int) -> None:
    """Limit the memory and the processor time of this process.

    size: bytes of the file to read
    """
    if sys.platform == "win32":  # there only the timeout in the parent process ends this one
        return
    import resource

    # several times what reading takes, imports included
    seconds = 3 + size // (1 << 26)
    addresses = (1 << 31) + 4 * size
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no memory dump on the disk
    for kind, most in ((resource.RLIMIT_AS, addresses), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(kind, (most, hard))


def _read(path: Path) -> tuple[dict[str, str], Weights]:
    """Return the texts and the arrays of a file; raises UnsupportedModel, or errors of h5py."""
    with open_file(path, "model") as file:
        begin = file.read(len(HDF5))
        if begin == b"PK\x03\x04":  # a zip archive
            return _read_archive(file)
        begin += file.read(64)  # enough to tell what another program wrote
    if not begin.startswith(HDF5):
        kind = kind_of_content(begin) or "neither HDF5 nor .keras"
        raise UnsupportedModel(f"{kind}, expected a model file that Keras saved, .h5 or .keras")
    with open_hdf5(path) as stored:
        texts = _read_texts(stored)
        if "model_config" in texts or "layer_names" in stored.attrs:
            return texts, _read_layers(stored, texts)
        if "schema_version" in stored.attrs:
            raise UnsupportedModel(
                "a store, expected a model; train one on it with model.py (bcclone model)"
            )
        if "layers" in stored or "_layer_checkpoint_dependencies" in stored:
            # save_weights() of Keras 3 wrote it, without a configuration and a version
            return {"keras_version": "3"} | texts, _read_folders(stored)
    raise UnsupportedModel("not a model file: it holds no Keras model")


# ---- HDF5 files


def _read_texts(file: h5py.File) -> dict[str, str]:
    """Return the attributes that are texts: configuration, Keras version, backend, our own."""
    texts = {
        name: read_attribute(file, name, str)
        for name in file.attrs
        if name in ("model_config", "keras_version", "backend") or name.startswith("bcclone_")
    }
    if "model_weights" in file:
        group = member_of(file, "model_weights")
        for name in ("keras_version", "backend"):
            if name not in texts and name in group.attrs:
                texts[name] = read_attribute(group, name, str)
    return texts


def _read_layers(file: h5py.File, texts: dict[str, str]) -> Weights:
    """Return the arrays of each layer, by its name, in the order of the file.

    Raises UnsupportedModel, also for kernels that are mirrored.

    texts: as _read_texts() returns them
    """
    is_whole_model = file.get("model_weights", getlink=True) is not None
    group = member_of(file, "model_weights") if is_whole_model else file
    folders = {name: member_of(group, name) for name in _names(group, "layer_names")}
    datasets: dict[str, list[h5py.Dataset]] = {}
    array_names: list[str] = []
    for name, folder in folders.items():
        if not isinstance(folder, h5py.Group):
            raise UnsupportedModel(f"{shown(name)} is not a group of weights")
        own_names = _names(folder, "weight_names")
        datasets[name] = [_array(folder, path) for path in own_names]
        array_names += own_names
    _check_backend(texts, array_names)
    return _read_arrays(datasets)


def _check_backend(texts: dict[str, str], array_names: list[str]) -> None:
    """Raise UnsupportedModel for a file of a backend that applies kernels otherwise.

    Theano mirrored them. A file of Keras 1 does not name its backend, but the names of its weights
    tell it: TensorFlow's end in ":0", Theano's do not.
    """
    backend = texts.get("backend")
    if backend is None:
        is_keras_1 = not texts.get("keras_version", "1").startswith(("2", "3"))
        of_tensorflow = any(re.search(r":\d+$", name) for name in array_names)
        backend = "theano" if is_keras_1 and array_names and not of_tensorflow else "tensorflow"
    if backend not in ("tensorflow", "jax", "torch", "numpy", "cntk"):
        raise UnsupportedModel(
            f"was written on the backend {shown(backend)}, expected tensorflow, jax or torch; "
            "Theano mirrors its kernels: train it again, or load and save it in Keras 2.2.4 with "
            "KERAS_BACKEND=theano, and then with KERAS_BACKEND=tensorflow, which turns them"
        )


def _read_folders(file: h5py.File) -> Weights:
    """Return the arrays in the model.weights.h5 of a .keras archive, by folder.

    Raises UnsupportedModel.
    """
    paths: list[str] = []
    file.visit(paths.append)  # visit() does not follow links
    numbered: dict[str, dict[int, h5py.Dataset]] = {}
    for path in paths:
        folder, _, number = path.rpartition("/vars/")
        if number.isdecimal() and not _is_beside_the_network(path):
            numbered.setdefault(folder, {})[int(number)] = _array(file, path)
    return _read_arrays(
        {folder: [arrays[place] for place in sorted(arrays)] for folder, arrays in numbered.items()}
    )


def _is_beside_the_network(path: str) -> bool:
    """Return whether an array belongs to the training, such as the optimizer's."""
    beside = ("optimizer", "seed_generator", "compile_metrics", "metrics", "_keras_api")
    return any(part.startswith(beside) for part in path.split("/"))


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Return the names that an attribute of a group lists; raises UnsupportedModel."""
    names_at_most = 4096
    if attribute not in group.attrs:
        raise UnsupportedModel(f"has no weights: {shown(group.name)} lacks its list {attribute}")
    names: list[str] = read_attribute(group, attribute, list, names_at_most)
    return names


def _array(group: h5py.Group, path: str) -> h5py.Dataset:
    array = dataset_of(group, path, compressed=True)
    if array.dtype.kind not in "fiu":
        raise UnsupportedModel(f"{shown(path)} is not an array of numbers")
    return array


def _read_arrays(datasets: dict[str, list[h5py.Dataset]]) -> Weights:
    """Read the arrays.

    Raises UnsupportedModel for too many numbers in all, or numbers that are not finite.
    """
    shapes = [array.shape for array in itertools.chain(*datasets.values())]
    numbers = sum(math.prod(shape) for shape in shapes)
    if numbers > _NUMBERS_AT_MOST:
        largest = max(shapes, key=math.prod)
        raise UnsupportedModel(
            f"has {numbers} weights, with an array of shape {largest}; expected at most "
            f"{_NUMBERS_AT_MOST}"
        )
    weights: dict[str, list[Any]] = {}
    for layer, arrays in datasets.items():
        weights[layer] = [np.asarray(array[()], np.float32) for array in arrays]
        if not all(np.isfinite(values).all() for values in weights[layer]):
            raise UnsupportedModel(f"the weights of {shown(layer)} are not all finite numbers")
    return weights


# ---- archives


def _read_archive(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    """Return the texts and arrays of an archive.

    Raises UnsupportedModel, or errors of zipfile, json and h5py.
    """
    # most bytes of model.weights.h5: 4 for each number, and twice the numbers of the network, since
    # the optimizer's may be in it
    largest_weights = 8 * _NUMBERS_AT_MOST
    with zipfile.ZipFile(file) as archive:
        members = {item.filename: item for item in archive.infolist()}
        missing = {"metadata.json", "config.json", "model.weights.h5"} - set(members)
        if missing:
            raise UnsupportedModel(
                f"an archive that is no complete model of Keras: it has {shown(sorted(members))} "
                f"and lacks {', '.join(sorted(missing))}; name a model that Keras saved, .h5 or "
                ".keras"
            )
        metadata = parse_json(_member(archive, members["metadata.json"], LONGEST_TEXT))
        texts = {
            "model_config": _member(archive, members["config.json"], LONGEST_TEXT).decode(),
            "keras_version": str(metadata.get("keras_version"))[:40],
        }
        weights = _member(archive, members["model.weights.h5"], largest_weights)
    with h5py.File(io.BytesIO(weights), "r") as stored:
        return texts, _read_folders(stored)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Return the content of a member; raises UnsupportedModel if it has more than `most` bytes."""
    if member.file_size > most:
        raise UnsupportedModel(
            f"its {member.filename} unpacks to {member.file_size} bytes, expected at most {most}"
        )
    with archive.open(member) as stream:
        return stream.read(most)


def main(path: Path) -> None:
    """Write the answer for a file to the standard output."""
    _limit(path.stat().st_size)
    np.savez(sys.stdout.buffer, **_answer_for(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
