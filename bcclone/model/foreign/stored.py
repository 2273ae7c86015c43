"""Read a Keras .h5 or .keras file as plain data, in a process that a damaged file may crash.

In: the path of a model, or of its weights. Out: a `StoredModel`. The process is this module as a
program, with limits of time and memory. It checks sizes before it reads, follows no links, and
answers with NumPy's .npz, in which nothing is run.
"""

import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from bcclone.system.arrays import Float32Array
from bcclone.system.codec import (
    HDF5,
    check_regular,
    kind_of_content,
    open_file,
    parse_json,
    read_bytes,
)
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

# layer (.h5) or folder in the file (.keras) -> its arrays
Weights = Mapping[str, Sequence[Float32Array]]

# name of the array that holds the JSON of an answer; arrays of weights are called "0", "1", ...
_HEAD = "head"
_NUMBERS_AT_MOST = 1 << 26  # most numbers in all arrays of a file together


class UnsupportedModel(ValueError):
    """A stored model that cannot be rebuilt; the text is the reason, a line without the path."""


@dataclass(frozen=True)
class StoredModel:
    """The content of a model file."""

    texts: Mapping[str, str]  # by name: model_config, keras_version, ...
    weights: Weights


# ---- a model in one file or in two


def read_model(path: Path) -> StoredModel:
    """Return a model's content; raises UnsupportedModel.

    model.to_json() and model.save_weights() write two files. Weights are read with the
    configuration of the same name: NAME.json beside NAME.h5, NAME.weights.h5 or NAME.hdf5.
    """
    stored = read_stored(path)
    if "model_config" in stored.texts:
        return stored
    name = path.name.removesuffix(path.suffix).removesuffix(".weights")
    config_path = path.with_name(f"{name}.json")
    if not config_path.is_file():
        raise UnsupportedModel(
            "holds weights only; put the network's configuration (model.to_json()) beside it, as "
            f"{config_path}"
        )
    content = read_bytes(config_path, "settings")
    config = parse_json(content)
    # many programs write to_json(), a text, as JSON once more
    text = config if isinstance(config, str) else content.decode()
    return replace(stored, texts={**stored.texts, "model_config": text})


def read_stored(path: Path) -> StoredModel:
    """Return the content of a .h5 or .keras file.

    Raises UnsupportedModel, also when the process that reads the file crashes or hangs.
    """
    try:
        check_regular(path)
        content = answer_of_process(path)
    except OSError as error:
        raise UnsupportedModel(_incomplete(error)) from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as answer:
            head = parse_json(answer[_HEAD].tobytes())
            # the arrays are numbered in the order of their layers; a refused file has none
            arrays = iter([answer[str(number)] for number in range(len(answer.files) - 1)])
            weights = {
                layer: [np.asarray(next(arrays), np.float32) for _ in range(count)]
                for layer, count in head["weights"].items()
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise _damaged("gave no answer") from None
    if "refused" in head:
        raise UnsupportedModel(head["refused"])
    return StoredModel(head["texts"], weights)


def answer_of_process(path: Path) -> bytes:
    """Return what the process that reads a file answers.

    Raises OSError, and UnsupportedModel if the process crashes, hangs or cannot be started.
    """
    # the time limit is for a disk that does not respond, and longer for a large file; the process
    # itself limits its processor time; both are far beyond what a slow and busy machine needs
    base_seconds = 120.0
    slowest_bytes_per_second = 1 << 24
    limit_seconds = base_seconds + path.stat().st_size / slowest_bytes_per_second

    # the process imports this installation's bcclone, and none in the current folder (-P)
    import_paths = [str(Path(__file__).parents[3])]
    if inherited := os.environ.get("PYTHONPATH"):  # an empty path would mean the current folder
        import_paths.append(inherited)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(import_paths),
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        with interrupts_kept_from_children():
            done = subprocess.run(
                [sys.executable, "-P", "-m", "bcclone.model.foreign.stored", path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=limit_seconds,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise _too_slow() from None
    except OSError as error:  # not of the model file
        raise UnsupportedModel(
            f"no process can be started to read it ({error.strerror}); close other programs, or "
            "raise their limit (ulimit -u)"
        ) from None
    if done.returncode == -_OUT_OF_TIME:
        raise _too_slow()
    if done.returncode:
        raise _damaged(f"ended with code {done.returncode}")  # a negative one is a signal
    return done.stdout


_OUT_OF_TIME = 24  # SIGXCPU, which Windows does not have


def _too_slow() -> UnsupportedModel:
    return UnsupportedModel(
        "reading its structure took too long; try again while the machine and its disk are less "
        "busy, and if that fails, save the model again: it is damaged"
    )


def _damaged(how: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"its structure is damaged: the process that read it {how}; save the model again, or "
        "train it again"
    )


def _incomplete(error: Exception) -> str:
    """Return the reason to refuse a file: it cannot be read to its end."""
    return (
        f"not a complete model file: {first_line(error)}; save it again, or train the model again"
    )


# ---- in the process


def main(path: Path) -> None:
    """Write the answer for a file to the standard output."""
    _limit(path.stat().st_size)
    sys.stdout.buffer.write(answer_for(path))


def _limit(size: int) -> None:
    """Limit the memory and the processor time of this process.

    size: bytes of the file to read
    """
    if sys.platform == "win32":  # there only the timeout in the parent process ends this one
        return
    import resource

    # many times what reading takes, imports included
    seconds = 20 + size // (1 << 26)
    addresses = (1 << 31) + 4 * size
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no memory dump on the disk
    for kind, most in ((resource.RLIMIT_AS, addresses), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(kind, (most, hard))


def answer_for(path: Path) -> bytes:
    """Return the answer for a file, an .npz of its arrays: _HEAD, "0", "1", ...

    _HEAD is JSON: the texts of the file, and how many arrays each layer or folder has; for a file
    that is refused, the reason.
    """
    weights: Weights = {}
    try:
        texts, weights = _read(path)
        counts = {layer: len(arrays) for layer, arrays in weights.items()}
        head: dict[str, Any] = {"texts": texts, "weights": counts}
    except (UnsupportedModel, UnfitContent) as error:
        head = {"weights": {}, "refused": str(error)}
    except Exception as error:  # damaged files cause errors of all kinds in h5py and zipfile
        head = {"weights": {}, "refused": _incomplete(error)}
    arrays: dict[str, Any] = {_HEAD: np.frombuffer(json.dumps(head).encode(), np.uint8)}
    for number, array in enumerate(itertools.chain(*weights.values())):
        arrays[str(number)] = array
    answer = io.BytesIO()
    np.savez(answer, **arrays)
    return answer.getvalue()


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
        texts = _texts(stored)
        if "model_config" in texts or "layer_names" in stored.attrs:
            return texts, _arrays_by_layer(stored, texts)
        if "layers" in stored or "_layer_checkpoint_dependencies" in stored:
            # save_weights() of Keras 3 wrote it, without a configuration and a version
            return {"keras_version": "3"} | texts, _arrays_by_folder(stored)
    raise UnsupportedModel("not a model file: it holds no Keras model")


def _read_archive(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    """Return the texts and arrays of a .keras archive."""
    # most bytes of model.weights.h5: 4 for each number, and twice the numbers of the network, since
    # the optimizer's may be in it
    largest_weights = 8 * _NUMBERS_AT_MOST
    with zipfile.ZipFile(file) as archive:
        members = {item.filename: item for item in archive.infolist()}
        missing = {"metadata.json", "config.json", "model.weights.h5"} - set(members)
        if missing:
            raise UnsupportedModel(
                f"an archive, but not a complete model of Keras: it has {shown(sorted(members))} "
                f"and lacks {', '.join(sorted(missing))}; name a model that Keras saved, .h5 or "
                ".keras"
            )

        def content(name: str, most: int) -> bytes:
            size = members[name].file_size
            if size > most:
                raise UnsupportedModel(
                    f"its {name} unpacks to {size} bytes, expected at most {most}"
                )
            with archive.open(members[name]) as stream:
                return stream.read(most)

        metadata = parse_json(content("metadata.json", LONGEST_TEXT))
        texts = {
            "model_config": content("config.json", LONGEST_TEXT).decode(),
            "keras_version": str(metadata.get("keras_version"))[:40],
        }
        weights = content("model.weights.h5", largest_weights)
    with h5py.File(io.BytesIO(weights), "r") as stored:
        return texts, _arrays_by_folder(stored)


def _texts(file: h5py.File) -> dict[str, str]:
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


def _arrays_by_layer(file: h5py.File, texts: dict[str, str]) -> Weights:
    """Return the arrays of each layer of a .h5 file, by its name, in the order of the file.

    Raises UnsupportedModel, also for kernels that are mirrored.

    texts: as _texts() returns them
    """
    is_whole_model = file.get("model_weights", getlink=True) is not None
    group = member_of(file, "model_weights") if is_whole_model else file
    datasets: dict[str, list[h5py.Dataset]] = {}
    array_names: list[str] = []
    for name in _names(group, "layer_names"):
        folder = member_of(group, name)
        if not isinstance(folder, h5py.Group):
            raise UnsupportedModel(f"{shown(name)} is not a group of weights")
        own_names = _names(folder, "weight_names")
        datasets[name] = [_array(folder, path) for path in own_names]
        array_names += own_names

    # Theano mirrored kernels. A file of Keras 1 does not name its backend, but the names of its
    # weights tell it: TensorFlow's end in ":0", Theano's do not
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
    return _values_of(datasets)


def _arrays_by_folder(file: h5py.File) -> Weights:
    """Return the arrays in the model.weights.h5 of a .keras archive, by folder."""
    # parts of the path of an array that belongs to the training
    beside_the_network = (
        "optimizer",
        "seed_generator",
        "compile_metrics",
        "metrics",
        "_keras_api",
    )
    paths: list[str] = []
    file.visit(paths.append)  # visit() does not follow links
    numbered: dict[str, dict[int, h5py.Dataset]] = {}
    for path in paths:
        folder, _, number = path.rpartition("/vars/")
        is_beside = any(part.startswith(beside_the_network) for part in path.split("/"))
        if number.isdecimal() and not is_beside:
            numbered.setdefault(folder, {})[int(number)] = _array(file, path)
    return _values_of(
        {folder: [arrays[place] for place in sorted(arrays)] for folder, arrays in numbered.items()}
    )


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


def _values_of(datasets: dict[str, list[h5py.Dataset]]) -> Weights:
    """Read the arrays.

    Raises UnsupportedModel for too many numbers in all, or numbers that are not finite.
    """
    numbers = sum(math.prod(array.shape) for array in itertools.chain(*datasets.values()))
    if numbers > _NUMBERS_AT_MOST:
        raise UnsupportedModel(f"has {numbers} weights, expected at most {_NUMBERS_AT_MOST}")
    weights: dict[str, list[Float32Array]] = {}
    for layer, arrays in datasets.items():
        weights[layer] = [np.asarray(array[()], np.float32) for array in arrays]
        if not all(np.isfinite(values).all() for values in weights[layer]):
            raise UnsupportedModel(f"the weights of {shown(layer)} are not all finite numbers")
    return weights


if __name__ == "__main__":
    main(Path(sys.argv[1]))
