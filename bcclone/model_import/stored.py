"""Read a model file as plain data, in a process of its own, since a damaged file can crash the HDF5 library."""

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
from typing import IO, Any

import numpy as np

from bcclone.model_import import UnsupportedModel
from bcclone.model_import.hdf5 import MOST_NUMBERS, NamedArray

_WALL_SECONDS = 60.0  # for a disk that does not respond; the processor time of the process is limited to much less
_LONGEST_HEADER = 1 << 23  # bytes


@dataclass(frozen=True)
class StoredModel:
    """The content of a file: texts by name (model_config, keras_version, ...), and arrays by layer or folder."""

    texts: Mapping[str, str]
    weights: Mapping[str, list[NamedArray]]


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
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: modules in the current folder must not replace ours
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "bcclone.model_import.reader_process", str(path.absolute())],
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


def _numbers(stream: IO[bytes], shape: tuple[int, ...]) -> Any:
    return np.frombuffer(_exactly(stream, 4 * math.prod(shape)), "<f4").reshape(shape)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data
