"""A model file -> what it says and its arrays, as plain data, read by a process that may crash in our place."""

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

from bcclone.model_import import Refused
from bcclone.model_import.hdf5 import MOST_NUMBERS, NamedArray

_WALL_SECONDS = 60.0  # for a disk that does not answer; the child's processor time is bounded far below
_LONGEST_HEADER = 1 << 23  # bytes


@dataclass(frozen=True)
class StoredModel:
    """What a file holds: texts by name (model_config, keras_version, ...), and arrays by layer or folder."""

    texts: Mapping[str, str]
    weights: Mapping[str, list[NamedArray]]


def read_stored(path: Path) -> StoredModel:
    """Return what the file holds; raises Refused, for a crash or a hang of the library that reads it as well."""
    process = _start(path)
    clock = threading.Timer(_WALL_SECONDS, process.kill)
    clock.start()
    try:
        with process:
            return _received(process)
    except (EOFError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"its structure is damaged: the process that read it {_ending(process.returncode)}; "
            "save the model again, or train it anew"
        ) from None
    finally:
        clock.cancel()


def _start(path: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: no module of the current folder takes the place of one of ours
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "bcclone.model_import.child", str(path.absolute())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
    )


def _ending(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return "took too long" if name in ("SIGPROF", "SIGKILL") else f"was ended by {name}"


def _received(process: subprocess.Popen[bytes]) -> StoredModel:
    """Return what the process hands over; raises EOFError, ValueError, KeyError, TypeError for anything else."""
    stream = process.stdout
    if stream is None:
        raise EOFError
    length = int.from_bytes(_exactly(stream, 8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("a header too long")
    header = json.loads(_exactly(stream, length))
    if "refused" in header:
        raise Refused(header["refused"])
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
