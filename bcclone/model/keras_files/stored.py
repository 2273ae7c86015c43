"""Read a model file as plain data, in a process of its own, which a damaged file may crash.

In: a path. Out: a `StoredModel`. The process is this module, run as a program.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.hdf5 import NamedArray, Weights, read_archive, read_layers, read_texts
from bcclone.system.errors import first_line
from bcclone.system.file_kinds import HDF5
from bcclone.system.hdf5_child import Ended, Refused, read_apart, serve
from bcclone.system.hdf5_file import Table, UnfitContent, open_hdf5
from bcclone.system.reading import MOST_MODEL, open_limited

_ZIP = b"PK\x03\x04"  # the first bytes of a .keras file, as many as HDF5 has


@dataclass(frozen=True)
class StoredModel:
    """The content of a file: texts by name (model_config, keras_version, ...), and arrays by layer or folder."""

    texts: Mapping[str, str]
    weights: Weights


def read_stored(path: Path) -> StoredModel:
    """Return the content of a file; raises UnsupportedModel, also when the process that reads it crashes or hangs."""
    try:
        head, tables = read_apart("bcclone.model.keras_files.stored", path)
        arrays = iter(tables)
        weights = {
            folder: [NamedArray(name, np.asarray(next(arrays), np.float32)) for name in names]
            for folder, names in head["weights"].items()
        }
        return StoredModel(head["texts"], weights)
    except Ended as error:
        raise UnsupportedModel(f"{error}; save the model again, or train it again") from None
    except Refused as error:
        raise UnsupportedModel(str(error)) from None
    except OSError as error:
        raise UnsupportedModel(_incomplete(error)) from None


def _incomplete(error: Exception) -> str:
    return f"not a complete model file: {first_line(error)}; save it again, or train the model again"


# ---- the process


def read(path: Path) -> tuple[dict[str, Any], Sequence[Table]]:
    """Return the texts and the names of the arrays, and the arrays, float32; raises Refused."""
    try:
        texts, weights = _read(path)
    except (UnsupportedModel, UnfitContent) as error:
        raise Refused(str(error)) from None
    except Exception as error:  # damaged files cause all kinds in h5py and zipfile
        raise Refused(_incomplete(error)) from None
    names = {folder: [array.name for array in arrays] for folder, arrays in weights.items()}
    return {"texts": texts, "weights": names}, [array.values for arrays in weights.values() for array in arrays]


def _read(path: Path) -> tuple[dict[str, str], Weights]:
    with open_limited(path, MOST_MODEL) as file:
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
            raise UnsupportedModel("a store, expected a model; train one with: bcclone model STORE -o model.h5")
    raise UnsupportedModel("not a model file: it holds no Keras model")


if __name__ == "__main__":
    serve(read)
