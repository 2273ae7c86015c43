"""Open a store, whose frames are memory-mapped, or the same tables for image files."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import pandas as pd

from bcclone.arrays import IndexArray
from bcclone.atomic import file_version
from bcclone.errors import UserError
from bcclone.images import Image, Preprocessing
from bcclone.recording import CAMERAS, Dialect
from bcclone.sample_settings import SampleSettings
from bcclone.samples import SAMPLE, RowTable, SampleTable

SCHEMA_VERSION = 2
_OLDER_VERSION = 1  # calls the frame offset "lag" and "previous", and hashes its frames by CRC-32


@dataclass(frozen=True)
class RecordingInfo:
    """A recording whose rows a store holds.

    path: of its log, absolute, where the store was made; sha256: of the log; rows: number in the store; bad_rows,
    episodes: numbers in the log; dialect: how the log is written.
    """

    path: Path
    sha256: str
    rows: int
    bad_rows: int
    episodes: int
    dialect: Dialect

    def __post_init__(self) -> None:
        if min(self.rows, self.bad_rows, self.episodes) < 0:
            raise ValueError(f"the recording {self.path} has fewer than 0 rows or episodes")

    def to_json(self) -> str:
        """Return the JSON text that a store holds."""
        return json.dumps(asdict(self) | {"path": str(self.path)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a text of to_json(); raises KeyError, TypeError or ValueError for any other."""
        stored = json.loads(text)
        dialect = Dialect(**stored["dialect"] | {"cameras": tuple(stored["dialect"]["cameras"])})
        return cls(**stored | {"path": Path(stored["path"]), "dialect": dialect})


class Store:
    """A store opened for reading.

    frames: uint8 (frames, height, width, 3), memory-mapped, read-only; samples: SAMPLE table; rows: the recorded rows;
    recordings: those that the rows come from.
    Raises UserError for a file that is not a store, is truncated, or has another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise UserError(
                f"{path}: a folder, expected a store; make a store of it with: python preprocess.py {path} -o data.h5"
            )
        if not path.is_file():
            raise UserError(f"{path}: no such store; make one with: python preprocess.py RECORDING... -o {path}")
        self.version = file_version(path)
        try:
            with h5py.File(path, "r") as file:
                self._read(file)
        except PermissionError:
            raise UserError(f"{path}: no permission to read it; change its permissions, or name another") from None
        except (OSError, KeyError, ValueError, TypeError) as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise UserError(
                f"{path}: not a complete store: {reason}; make one with: python preprocess.py RECORDING... -o data.h5"
            ) from None

    def _read(self, file: h5py.File) -> None:
        if "model_config" in file.attrs and "schema_version" not in file.attrs:
            raise ValueError("it is a model")
        version = file.attrs["schema_version"]
        if version not in (SCHEMA_VERSION, _OLDER_VERSION):
            raise ValueError(f"schema version {version}, expected {_OLDER_VERSION} or {SCHEMA_VERSION}")
        self.preprocessing = Preprocessing.from_json(file.attrs["preprocessing"])
        if file.attrs["preprocessing_hash"] != self.preprocessing.digest:
            raise ValueError("the hash of its preprocessing does not match")
        self.content_hash = str(file.attrs["content_hash"])
        self.sample_settings = SampleSettings.stored(json.loads(file.attrs["sample_settings"]))
        self.recordings = [RecordingInfo.from_json(text) for text in file["recordings"].asstr()[()]]
        self.samples: SampleTable = file["samples"][()]
        self.rows: RowTable = file["rows"][()]
        self.extras: list[str] = file["extras"].asstr()[()].tolist()
        if version == _OLDER_VERSION:
            names = self.samples.dtype.names or ()
            self.samples.dtype.names = tuple("frame_offset" if name == "lag" else name for name in names)
        if self.samples.dtype != SAMPLE:
            raise ValueError("its sample table has unexpected columns")
        self.frames = self._map(file["frames"])
        if len(self.samples) and self.samples["frame"].max() >= len(self.frames):
            raise ValueError("its samples refer to frames that it does not have")

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
            raise ValueError("some of its frames are missing from the file")
        self.frames_offset = int(offset)
        return np.memmap(self.path, np.uint8, "r", offset, dataset.shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the frames, which cannot be read afterwards."""
        self.frames = np.zeros((0, *self.frames.shape[1:]), np.uint8)

    def split_indices(self, validation: bool) -> IndexArray:
        """Return the indices of the training or the validation samples, (samples,), in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)


@dataclass(frozen=True)
class ImageSamples:
    """The tables of a store, with image files instead of frames.

    samples: SAMPLE table, whose `frame` is an index into files; rows: the recorded rows; files: paths of the images;
    preprocessing: how an image becomes a frame; content_hash: hash of all of this.
    """

    path: Path
    preprocessing: Preprocessing
    samples: SampleTable
    rows: RowTable
    files: Sequence[str]
    sample_settings: SampleSettings
    content_hash: str

    def __post_init__(self) -> None:
        if len(self.samples) and self.samples["frame"].max() >= len(self.files):
            raise ValueError(f"a sample of image {self.samples['frame'].max()}, expected one of {len(self.files)}")

    def split_indices(self, validation: bool) -> IndexArray:
        """Return the indices of the training or the validation samples, (samples,), in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)


def row_table(rows: pd.DataFrame) -> RowTable:
    """Return the recorded rows in the form that is stored: texts as UTF-8 of fixed length."""
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
    """Return stored rows as a data frame, the inverse of row_table()."""
    columns = {name: table[name] for name in table.dtype.names or ()}
    for name, values in columns.items():
        if values.dtype.kind == "S":
            columns[name] = np.array([text.decode() for text in values], dtype=object)
    return pd.DataFrame(columns)


def root_attributes(path: Path) -> set[str]:
    """Return the names of a file's HDF5 attributes, which tell stores from models; none for other files."""
    try:
        with h5py.File(path, "r") as file:
            return set(file.attrs)
    except OSError:
        return set()
