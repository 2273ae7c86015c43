"""HDF5 file -> its frames, memory-mapped, and its tables, read whole."""

import json
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.atomic import file_version
from bcclone.errors import UserError
from bcclone.images import Image, Preprocessing
from bcclone.recording import CAMERAS
from bcclone.sample_settings import current_names
from bcclone.samples import SAMPLE, RowTable, SampleTable


def row_table(rows: pd.DataFrame) -> RowTable:
    """Return the recorded rows as they are stored: numbers as they are, names as UTF-8 of fixed length."""
    columns = []
    for name, column in rows.items():
        values = column.to_numpy()
        if name in CAMERAS:
            values = np.array([text.encode() for text in column] or [b""])
        columns.append((str(name), values[: len(rows)]))
    table = np.zeros(len(rows), [(name, values.dtype) for name, values in columns])
    for name, values in columns:
        table[name] = values
    return table


def row_frame(table: RowTable) -> pd.DataFrame:
    """Return stored rows as a data frame: the reverse of row_table()."""
    columns = {name: table[name] for name in table.dtype.names or ()}
    for name, values in columns.items():
        if values.dtype.kind == "S":
            columns[name] = np.array([text.decode() for text in values], dtype=object)
    return pd.DataFrame(columns)


SCHEMA_VERSION = 2
_LAG_VERSION = 1  # its samples have "lag" for "frame_offset"


class Store:
    """A store opened for reading: its frames memory-mapped, its tables in memory.

    frames: uint8 (frames, height, width, 3), read-only; samples: SAMPLE table; rows: the recorded rows.
    Raises UserError for what is no store, is truncated, or is of another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise UserError(
                f"{path}: a folder, expected a store; make one of it with: python preprocess.py {path} -o data.h5"
            )
        if not path.is_file():
            raise UserError(
                f"{path}: there is no such store; make one with: python preprocess.py RECORDING... -o {path}"
            )
        self.version = file_version(path)
        try:
            with h5py.File(path, "r") as file:
                self._read(file)
        except PermissionError:
            raise UserError(f"{path}: no permission to read it; change its permissions, or name another") from None
        except (OSError, KeyError, ValueError, TypeError) as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise UserError(
                f"{path}: not a whole store: {reason}; make one with: python preprocess.py RECORDING... -o data.h5"
            ) from None

    def _read(self, file: h5py.File) -> None:
        version = file.attrs["schema_version"]
        if version not in (_LAG_VERSION, SCHEMA_VERSION):
            raise ValueError(f"schema version {version}, expected {SCHEMA_VERSION} or {_LAG_VERSION}")
        self.preprocessing = Preprocessing.from_json(file.attrs["preprocessing"])
        if file.attrs["preprocessing_hash"] != self.preprocessing.digest:
            raise ValueError("its preprocessing and the hash of it do not belong together")
        self.content_hash = str(file.attrs["content_hash"])
        self.sample_settings: dict[str, Any] = json.loads(file.attrs["sample_settings"])
        self.recordings: list[dict[str, Any]] = [json.loads(text) for text in file["recordings"].asstr()[()]]
        self.samples: SampleTable = file["samples"][()]
        if version == _LAG_VERSION:
            names = self.samples.dtype.names or ()
            self.samples.dtype.names = tuple("frame_offset" if name == "lag" else name for name in names)
            self.sample_settings = current_names(self.sample_settings)
        self.rows: RowTable = file["rows"][()]
        self.extras: list[str] = file["extras"].asstr()[()].tolist()
        if self.samples.dtype != SAMPLE:
            raise ValueError("its sample table has other columns")
        self.frames = self._map(file["frames"])
        if len(self.samples) and self.samples["frame"].max() >= len(self.frames):
            raise ValueError("its samples point at frames that are not there")

    def _map(self, dataset: h5py.Dataset) -> Image:
        expected = (self.preprocessing.height, self.preprocessing.width, 3)
        if dataset.dtype != np.uint8 or dataset.shape[1:] != expected:
            raise ValueError(
                f"its frames are {dataset.dtype} of shape {dataset.shape[1:]}, expected uint8 of {expected}"
            )
        self.frames_offset = 0
        if len(dataset) == 0:
            return np.zeros(dataset.shape, np.uint8)
        offset = dataset.id.get_offset()
        if offset is None or offset + dataset.nbytes > self.path.stat().st_size:
            raise ValueError("its frames are not all in the file")
        self.frames_offset = int(offset)
        return np.memmap(self.path, np.uint8, "r", offset, dataset.shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; the frames cannot be read any more."""
        self.frames = np.zeros((0, *self.frames.shape[1:]), np.uint8)

    def split_indices(self, validation: bool) -> npt.NDArray[np.int64]:
        """Return the indices of the training or the validation samples, (samples,), in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)


def root_attributes(path: Path) -> set[str]:
    """Return the names of a file's HDF5 attributes, by which stores and models are told apart; none for others."""
    try:
        with h5py.File(path, "r") as file:
            return set(file.attrs)
    except OSError:
        return set()
