"""Read a Keras .h5 or .keras file as plain data, in a process that a damaged file may crash.

In: the path of a model, of its weights, or of its configuration (.json). Out: a `StoredModel`. The
process is the module `stored_reader`, with limits of time and memory. Its answer is NumPy's .npz;
nothing in it is run. A program that reads only its own files, such as a test, may do without the
process: see `reading_by`.

model.to_json() and model.save_weights() write two files. They are read as one model if they have
one name: NAME.json, and NAME.h5, NAME.weights.h5 or NAME.hdf5.
"""

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.system.codec import check_regular, parse_json, read_bytes
from bcclone.system.errors import first_line
from bcclone.system.numbers import Float32Array
from bcclone.system.process import interrupts_kept_from_children

# name of the array that holds the JSON of an answer; arrays of weights are called "0", "1", ...
HEAD = "head"
_READER = "bcclone.model.foreign.stored_reader"

# layer (.h5) or folder in the file (.keras) -> its arrays
Weights = Mapping[str, Sequence[Float32Array]]


class UnsupportedModel(ValueError):
    """A stored model that cannot be rebuilt; the text is the reason, a line without the path."""


@dataclass(frozen=True)
class StoredModel:
    """The content of a model file."""

    texts: Mapping[str, str]  # by name: model_config, keras_version, ...
    weights: Weights


# ---- a model in one file or in two


def read_model(path: Path) -> StoredModel:
    """Return a model's content, with the configuration that may lie beside its weights.

    Raises UnsupportedModel.
    """
    name = path.name.removesuffix(path.suffix).removesuffix(".weights")
    config_path = path.with_name(f"{name}.json")
    weights_path = path
    if path.suffix == ".json":
        config_path = path
        endings = (".h5", ".weights.h5", ".hdf5")
        paths = [path.with_name(f"{name}{ending}") for ending in endings]
        present = [weights for weights in paths if weights.is_file()]
        if not present:
            raise UnsupportedModel(
                "is the network's configuration, without its weights; put them beside it, as "
                f"{paths[0]}"
            )
        weights_path = present[0]
    stored = read_stored(weights_path)
    if "model_config" in stored.texts:
        return stored
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
        content = _read(path)
    except OSError as error:
        raise UnsupportedModel(incomplete(error)) from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as answer:
            head = parse_json(answer[HEAD].tobytes())
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


# ---- the process


def read_in_subprocess(path: Path) -> bytes:
    """Return the answer of the process that reads a file.

    Raises OSError, and UnsupportedModel if the process crashes or hangs.
    """
    # the time limit is for a disk that does not respond, and longer for a large file; the process
    # itself limits its processor time
    base_seconds = 60.0
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
                [sys.executable, "-P", "-m", _READER, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=limit_seconds,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise _damaged("took too long") from None
    if done.returncode:
        raise _damaged(f"ended with code {done.returncode}")  # a negative one is a signal
    return done.stdout


# path of a model file -> the answer of stored_reader; raises OSError or UnsupportedModel
Reader = Callable[[Path], bytes]
_read: Reader = read_in_subprocess


@contextmanager
def reading_by(reader: Reader) -> Iterator[None]:
    """Read files by another reader within the block, in all threads.

    For a program that reads only its own files, such as a test: `stored_reader.read_here` starts no
    process, which takes a third of a second. A damaged file may then crash the program.
    """
    global _read
    before = _read
    _read = reader
    try:
        yield
    finally:
        _read = before


@contextmanager
def reading_early(path: Path) -> Iterator[None]:
    """Start to read a file now; within the block, read_stored() takes the answer for this path.

    So the process that reads it runs beside what the caller does first, such as loading TensorFlow.
    An error is raised by read_stored().
    """
    read = _read
    with ThreadPoolExecutor(1, "read-model") as pool:
        answer = pool.submit(read, path)
        with reading_by(lambda wanted: answer.result() if wanted == path else read(wanted)):
            yield


def _damaged(how: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"its structure is damaged: the process that read it {how}; save the model again, or "
        "train it again"
    )


def incomplete(error: Exception) -> str:
    """Return the reason to refuse a file: it cannot be read to its end."""
    return (
        f"not a complete model file: {first_line(error)}; save it again, or train the model again"
    )
