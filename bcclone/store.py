"""Samples and frames -> one HDF5 file, and back. The format is documented in docs/store.md.

The frames lie contiguous and uncompressed, so that they can be memory-mapped and read in any order at the
speed of memory; the tables are small and are read whole.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.errors import UserError
from bcclone.images import Image, Preprocessing
from bcclone.samples import SAMPLE, SampleTable

RowTable = npt.NDArray[Any]  # of the columns that row_table() gives

SCHEMA_VERSION = 1
_ALIGNMENT = 4096
_COPY_BYTES = 1 << 24
_OVERHEAD = 1 << 18  # HDF5's own structures


class StoreWriter:
    """Writes a store to `path`: first the frames one after the other, then the tables.

    Room for `capacity` frames and `table_bytes` of tables is reserved on disk at once, so that a full disk
    shows before the work is done, as an OSError, and not as one of HDF5's while it closes the file.
    The frames are written to the file itself and not through HDF5, which keeps them out of this process's
    memory. `path` should be a temporary name (bcclone.atomic).
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, capacity: int, table_bytes: int = 0) -> None:
        self.path, self.preprocessing, self.capacity = path, preprocessing, capacity
        self.count = 0
        self._frame_bytes = preprocessing.height * preprocessing.width * 3
        self._table_bytes = table_bytes + _OVERHEAD
        size = capacity * self._frame_bytes + self._table_bytes
        _check_space(path, size)
        _reserve(path, size)
        self._offset = _lay_out(path, preprocessing, capacity)
        _reserve(path, size)
        self._file: BinaryIO | None = path.open("r+b")
        self._file.seek(self._offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, frames: Image) -> None:
        """Write frames, uint8 (count, height, width, 3), behind those written before."""
        assert self._file is not None
        self._file.write(np.ascontiguousarray(frames).data)
        self.count += len(frames)

    def finish(
        self, samples: SampleTable, rows: RowTable, recordings: list[dict[str, Any]], settings: Mapping[str, Any]
    ) -> None:
        """Write the tables, what each recording was, and the sample settings; the store is complete after this."""
        assert self._file is not None
        self._file.close()
        self._file = None
        if self.count < self.capacity:
            self._give_back_room()
        digest = hashlib.sha256(self.preprocessing.digest.encode())
        with h5py.File(self.path, "r+") as file:
            for name, table in (("samples", samples), ("rows", rows)):
                file.create_dataset(name, data=table)
                digest.update(np.ascontiguousarray(table).tobytes())
            # not an attribute: those are limited to 64 kB
            file.create_dataset("recordings", data=[json.dumps(r) for r in recordings], dtype=h5py.string_dtype())
            file.attrs["sample_settings"] = json.dumps(settings)
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["preprocessing"] = self.preprocessing.to_json()
            file.attrs["preprocessing_hash"] = self.preprocessing.digest
            file.attrs["content_hash"] = digest.hexdigest()

    def _give_back_room(self) -> None:
        """Lay the file out anew for the frames that came; an HDF5 dataset that lies contiguous cannot shrink."""
        smaller = self.path.with_name(f"{self.path.stem}.fewer{self.path.suffix}")
        with ExitStack() as stack:
            stack.callback(smaller.unlink, missing_ok=True)
            offset = _lay_out(smaller, self.preprocessing, self.count)
            _reserve(smaller, self.count * self._frame_bytes + self._table_bytes)
            with self.path.open("rb") as source, smaller.open("r+b") as target:
                source.seek(self._offset)
                target.seek(offset)
                _copy(source, target, self.count * self._frame_bytes)
            smaller.replace(self.path)


class Store:
    """A store opened for reading: its frames memory-mapped, its tables in memory.

    frames: uint8 (frames, height, width, 3), read-only; samples: SAMPLE table; rows: the recorded rows.
    Raises UserError for what is no store, is truncated, or is of another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UserError(
                f"{path}: there is no such store; make one with: python preprocess.py RECORDING... -o {path}"
            )
        try:
            with h5py.File(path, "r") as file:
                self._read(file)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(
                f"{path}: not a whole store: {error}; make it anew with: "
                f"python preprocess.py RECORDING... -o {path} --force"
            ) from None

    def _read(self, file: h5py.File) -> None:
        version = file.attrs["schema_version"]
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema version {version}, expected {SCHEMA_VERSION}")
        self.preprocessing = Preprocessing.from_json(file.attrs["preprocessing"])
        if file.attrs["preprocessing_hash"] != self.preprocessing.digest:
            raise ValueError("the preprocessing and its hash do not belong together")
        self.content_hash = str(file.attrs["content_hash"])
        self.sample_settings: dict[str, Any] = json.loads(file.attrs["sample_settings"])
        self.recordings: list[dict[str, Any]] = [json.loads(text) for text in file["recordings"].asstr()[()]]
        self.samples: SampleTable = file["samples"][()]
        self.rows: RowTable = file["rows"][()]
        if self.samples.dtype != SAMPLE:
            raise ValueError("the sample table has other columns")
        self.frames = self._map(file["frames"])
        if len(self.samples) and self.samples["frame"].max() >= len(self.frames):
            raise ValueError("samples point at frames that are not there")

    def _map(self, dataset: h5py.Dataset) -> Image:
        expected = (self.preprocessing.height, self.preprocessing.width, 3)
        if dataset.dtype != np.uint8 or dataset.shape[1:] != expected:
            raise ValueError(f"frames of shape {dataset.shape[1:]}, expected {expected}")
        if len(dataset) == 0:
            return np.zeros(dataset.shape, np.uint8)
        offset = dataset.id.get_offset()
        if offset is None or offset + dataset.nbytes > self.path.stat().st_size:
            raise ValueError("the frames are not all in the file")
        return np.memmap(self.path, np.uint8, "r", offset, dataset.shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; the frames cannot be read any more."""
        self.frames = np.zeros((0, *self.frames.shape[1:]), np.uint8)

    def part(self, validation: bool) -> npt.NDArray[np.int64]:
        """Return the indices of the training or the validation samples, in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)


def row_table(rows: pd.DataFrame) -> RowTable:
    """Return the recorded rows as they are stored: numbers as they are, texts as UTF-8 of fixed length."""
    columns = []
    for name, column in rows.items():
        values = column.to_numpy()
        if values.dtype.kind in "OUT" or not isinstance(column.dtype, np.dtype):
            encoded = [str(text).encode() for text in column]
            values = np.array(encoded, dtype=f"S{max((len(text) for text in encoded), default=0) or 1}")
        columns.append((str(name), values))
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


def _lay_out(path: Path, preprocessing: Preprocessing, capacity: int) -> int:
    """Make an HDF5 file with room for the frames and return where in the file they begin."""
    shape = (capacity, preprocessing.height, preprocessing.width, 3)
    with h5py.File(path, "w", alignment_threshold=_ALIGNMENT, alignment_interval=_ALIGNMENT) as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT8, space, plan)
        return dataset.get_offset() or 0


def _reserve(path: Path, size: int) -> None:
    """Make the file at least this large; HDF5 cuts off at the end what it has not used."""
    with path.open("ab") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif file.tell() < size:
            file.truncate(size)


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.absolute().parent).free
    if needed > free:
        raise UserError(
            f"{path.parent}: the store needs {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free; "
            "make room, choose another place, or a smaller --size"
        )


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count > 0:
        block = source.read(min(count, _COPY_BYTES))
        target.write(block)
        count -= len(block)
