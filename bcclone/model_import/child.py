"""A process of its own: a model file -> its texts and arrays on standard output, within bounds of time and memory.

The HDF5 library can be made to crash, hang or fill the memory by a file whose structures are damaged; here that ends
this process and nothing else. `stored` starts it, and reads what it writes: eight bytes with the length of a JSON
header, the header, and then the numbers of all arrays, float32, in the header's order.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from bcclone.model_import import Refused
from bcclone.model_import.hdf5 import Weights, read_archive, read_layers, read_texts

_ZIP = b"PK\x03\x04"
_MOST_MEMORY = 1 << 31  # bytes of addresses
_CPU_SECONDS, _BYTES_PER_CPU_SECOND = 0.4, 1 << 26  # a tenth of what reading was measured to take per byte, and more


def main(path: Path) -> None:
    """Read the file and write the result, or the reason why not."""
    try:
        with path.open("rb") as file:
            _limit(path.stat().st_size)
            texts, weights = _read(file)
    except Refused as error:
        _write({"refused": str(error)}, {})
    except Exception as error:  # whatever a damaged file brings about in h5py and zipfile
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        _write({"refused": f"not a whole model file: {reason[:200]}; save it again, or train the model anew"}, {})
    else:
        _write({"texts": texts}, weights)


def _read(file: BinaryIO) -> tuple[dict[str, str], Weights]:
    if file.read(len(_ZIP)) == _ZIP:
        return read_archive(file)
    with h5py.File(file.name, "r") as stored:
        texts = read_texts(stored)
        if "model_config" in texts or "layer_names" in stored.attrs:
            return texts, read_layers(stored)
    raise Refused("not a model file: it holds no Keras model")


def _limit(size: int) -> None:
    """Let the system end this process when a file of so many bytes takes it too long, or too much memory."""
    if sys.platform == "win32":  # there the parent's clock alone ends it
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    # of processor time, so that a busy machine refuses no good file; SIGPROF ends it even inside the library
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
