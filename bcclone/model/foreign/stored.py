"""Read a Keras .h5 or .keras file as plain data, in a process that a damaged file may crash.

In: a path. Out: a `StoredModel`. The process is the module `stored_reader`, with limits of time and
memory. Its answer is NumPy's .npz; nothing in it is run. A program that reads only its own files,
such as a test, may do without the process: see `reading_by`.
"""

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.codec import check_regular, parse_json
from bcclone.system.errors import first_line
from bcclone.system.numbers import Float32Array
from bcclone.system.process import interrupts_kept_from_children

# name of the array that holds the JSON of an answer; arrays of weights are called "0", "1", ...
HEAD = "head"
_READER = "bcclone.model.foreign.stored_reader"


@dataclass(frozen=True)
class NamedArray:
    """One array of weights."""

    name: str  # its name in the file
    values: Float32Array  # of any shape


# layer (.h5) or folder in the file (.keras) -> its arrays
Weights = Mapping[str, Sequence[NamedArray]]


@dataclass(frozen=True)
class StoredModel:
    """The content of a model file."""

    texts: Mapping[str, str]  # by name: model_config, keras_version, ...
    weights: Weights


def read_stored(path: Path) -> StoredModel:
    """Return the content of a file.

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
            # the arrays are numbered in the order of their names in the head; for a refused file
            # the answer has no arrays and no names
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
