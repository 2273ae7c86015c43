"""Read a model file as plain data, in a process of its own with limits of time and memory.

A damaged file can make the HDF5 library crash, hang or fill the memory; there it ends only that process, which is this
module run as a program. It writes to standard output eight bytes with the length of a JSON header, the header, and then
the numbers of all arrays, float32, in the header's order.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.hdf5 import MOST_NUMBERS, NamedArray, Weights, read_archive, read_layers, read_texts
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import first_line
from bcclone.system.file_kinds import HDF5
from bcclone.system.hdf5_file import UnfitContent, open_hdf5
from bcclone.system.reading import MOST_MODEL, open_limited

_WALL_SECONDS = 60.0  # for a disk that does not respond; the processor time of the process is limited to much less
_CPU_SECONDS, _BYTES_PER_CPU_SECOND = 0.4, 1 << 26  # several times what reading takes
_MOST_MEMORY = 1 << 31  # bytes of addresses
_LONGEST_HEADER = 1 << 23  # bytes
_ZIP = b"PK\x03\x04"  # the first bytes of a .keras file, as many as HDF5 has


@dataclass(frozen=True)
class StoredModel:
    """The content of a file: texts by name (model_config, keras_version, ...), and arrays by layer or folder."""

    texts: Mapping[str, str]
    weights: Weights


def read_stored(path: Path) -> StoredModel:
    """Return the content of a file; raises UnsupportedModel, also when the process that reads it crashes or hangs."""
    process = _start(path)
    clock = threading.Timer(_WALL_SECONDS, process.kill)
    clock.start()
    try:
        with process:
            return _received(process)
    except (EOFError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UnsupportedModel):
            raise
        raise UnsupportedModel(
            f"its structure is damaged: the process that read it {_ending(process.returncode)}; "
            "save the model again, or train it again"
        ) from None
    finally:
        clock.cancel()


def _start(path: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[3])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: modules in the current folder must not replace ours
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "bcclone.model.keras_files.stored", str(path.absolute())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
    )


def _ending(code: int) -> str:
    """Describe how a process ended."""
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return "took too long" if name in ("SIGPROF", "SIGKILL") else f"was ended by {name}"


def _received(process: subprocess.Popen[bytes]) -> StoredModel:
    """Return the data that the process sends; raises EOFError, ValueError, KeyError or TypeError for anything else."""
    stream = process.stdout
    if stream is None:
        raise EOFError
    length = int.from_bytes(_exactly(stream, 8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("a header too long")
    header = json.loads(_exactly(stream, length))
    if "refused" in header:
        raise UnsupportedModel(header["refused"])
    shapes = {folder: [(name, tuple(shape)) for name, shape in arrays] for folder, arrays in header["weights"].items()}
    if sum(math.prod(shape) for arrays in shapes.values() for _, shape in arrays) > MOST_NUMBERS:
        raise ValueError("too many numbers")
    weights = {folder: [NamedArray(n, _numbers(stream, s)) for n, s in arrays] for folder, arrays in shapes.items()}
    return StoredModel(header["texts"], weights)


def _numbers(stream: IO[bytes], shape: tuple[int, ...]) -> Float32Array:
    return np.frombuffer(_exactly(stream, 4 * math.prod(shape)), "<f4").reshape(shape)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def main(path: Path) -> None:
    """Read the file and send its content, or the reason why it cannot be read; runs in the process of its own."""
    try:
        with open_limited(path, MOST_MODEL) as file:
            _limit_process(path.stat().st_size)
            texts, weights = _read(path, file)
    except (UnsupportedModel, UnfitContent) as error:
        _send({"refused": str(error)}, {})
    except Exception as error:  # damaged files cause all kinds in h5py and zipfile
        _send(
            {"refused": f"not a complete model file: {first_line(error)}; save it again, or train the model again"}, {}
        )
    else:
        _send({"texts": texts}, weights)


def _read(path: Path, file: BinaryIO) -> tuple[dict[str, str], Weights]:
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
            raise UnsupportedModel("a store, expected a model; train one with: python model.py STORE -o model.h5")
    raise UnsupportedModel("not a model file: it holds no Keras model")


def _limit_process(size: int) -> None:
    """Limit the memory of this process, and its time by the size of the file in bytes."""
    if sys.platform == "win32":  # the timer of the parent process alone ends it
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    # processor time, so that a busy machine does not matter; SIGPROF ends the process even within the library
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS + size / _BYTES_PER_CPU_SECOND)


def _send(header: dict[str, Any], weights: Weights) -> None:
    header["weights"] = {
        folder: [[array.name, array.values.shape] for array in arrays] for folder, arrays in weights.items()
    }
    text = json.dumps(header).encode()
    with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for arrays in weights.values():
            for array in arrays:
                out.write(array.values.astype("<f4", copy=False).tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
