"""Read a model file and write its texts and arrays to standard output, with limits of time and memory.

A damaged file can make the HDF5 library crash, hang or fill the memory; here it ends this process only. `stored` starts
the process and reads its output: eight bytes with the length of a JSON header, the header, and then the numbers of all
arrays, float32, in the header's order.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from bcclone.model_import import UnsupportedModel
from bcclone.model_import.hdf5 import Weights, read_archive, read_layers, read_texts

_ZIP = b"PK\x03\x04"
_MOST_MEMORY = 1 << 31  # bytes of addresses
_CPU_SECONDS, _BYTES_PER_CPU_SECOND = 0.4, 1 << 26  # several times what reading takes


def main(path: Path) -> None:
    """Read the file and write the result, or the reason why it cannot be read."""
    try:
        with path.open("rb") as file:
            _limit(path.stat().st_size)
            texts, weights = _read(file)
    except UnsupportedModel as error:
        _write({"refused": str(error)}, {})
    except Exception as error:  # damaged files cause all kinds in h5py and zipfile
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        _write({"refused": f"not a complete model file: {reason[:200]}; save it again, or train the model again"}, {})
    else:
        _write({"texts": texts}, weights)


def _read(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    if file.read(len(_ZIP)) == _ZIP:
        return read_archive(file)
    with h5py.File(file.name, "r") as stored:
        texts = read_texts(stored)
        if "model_config" in texts or "layer_names" in stored.attrs:
            return texts, read_layers(stored)
    raise UnsupportedModel("not a model file: it holds no Keras model")


def _limit(size: int) -> None:
    """Limit the memory of this process, and its time by the size of the file in bytes."""
    if sys.platform == "win32":  # the timer of the parent process alone ends it
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    # processor time, so that a busy machine does not matter; SIGPROF ends the process even within the library
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS + size / _BYTES_PER_CPU_SECOND)


def _write(header: dict[str, Any], weights: Weights) -> None:
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
